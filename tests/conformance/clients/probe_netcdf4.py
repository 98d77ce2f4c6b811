"""netCDF4-python as a reader: the oracle on local files, a client on URLs. Nothing is masked, scaled or joined."""

import warnings

import netCDF4
import numpy as np
import view

warnings.simplefilter("ignore")


def read(url):
    data = netCDF4.Dataset(url)
    try:
        data.set_auto_maskandscale(False)
        data.set_auto_chartostring(False)
        found = {"attributes": {}, "variables": {}}
        _group(data, "", found)
        return found
    finally:
        data.close()


def _group(group, path, found):
    found["attributes"][path.rstrip("/")] = {name: view.attribute(group.getncattr(name)) for name in group.ncattrs()}
    for name, variable in group.variables.items():
        found["variables"][path + name] = _variable(variable)
    for name, child in group.groups.items():
        _group(child, f"{path}{name}/", found)


def _variable(variable):
    # A cut connection or a refused variable belongs to this variable alone.
    try:
        values = variable[...]
        problem = None
    except Exception as error:
        values, problem = None, f"{type(error).__name__}: {error}"
    kind, values = _values(variable, values)
    attributes = {name: variable.getncattr(name) for name in variable.ncattrs()}
    made = view.variable(kind, variable.dimensions, variable.shape, attributes, values)
    if problem:
        made["error"] = problem
    return made


def _values(variable, values):
    kind = variable.datatype
    if isinstance(kind, netCDF4.EnumType):
        return "enum:" + view.code(kind.dtype), None if values is None else view.native(values)
    if isinstance(kind, netCDF4.VLType) or kind is str:
        if variable.dtype is str:
            return "str", None if values is None else [view.text(v) for v in np.asarray(values, object).reshape(-1)]
        flat = None if values is None else [view.native(v) for v in _items(values, variable.shape)]
        return "vlen", flat
    if isinstance(kind, netCDF4.CompoundType):
        return "compound", None if values is None else view.fields(np.asarray(values))
    return view.code(kind), None if values is None else view.native(values)


def _items(values, shape):
    if not shape:
        return [values]
    return list(np.asarray(values, object).reshape(-1)) if np.prod(shape) else []


if __name__ == "__main__":
    view.serve(read)
