"""pydap itself as a client. Arguments: URL, protocol."""

import warnings

import numpy as np
import view
from pydap.client import open_url
from pydap.model import BaseType, GridType, GroupType, SequenceType, StructureType

warnings.simplefilter("ignore")


def read(url, protocol):
    data = open_url(url, protocol=protocol, timeout=40)
    found = {"attributes": {}, "variables": {}}
    found["attributes"][""] = _clean(data.attributes, data)
    _walk(data, "", found, protocol)
    return found


def _walk(container, path, found, protocol):
    for name, child in container.items():
        name = path + str(name)
        if isinstance(child, GroupType):
            found["attributes"][name] = _clean(child.attributes, child)
            _walk(child, name + "/", found, protocol)
        elif isinstance(child, GridType):
            array = child.array
            made = _array(array)
            made["attributes"] = {k: view.attribute(v) for k, v in _clean(child.attributes, child).items()} or made["attributes"]
            found["variables"][name] = made
        elif isinstance(child, SequenceType):
            continue
        elif isinstance(child, StructureType):
            _structure(child, name, found)
        elif isinstance(child, BaseType):
            found["variables"][name] = _array(child)


def _structure(structure, path, found):
    for name, child in structure.items():
        if isinstance(child, StructureType):
            _structure(child, f"{path}.{name}", found)
        else:
            found["variables"][f"{path}.{name}"] = _array(child)


def _array(array):
    problem = None
    try:
        values = array[...] if array.shape else array[:]
        values = np.asarray(getattr(values, "data", values))
    except Exception as error:
        values, problem = None, f"{type(error).__name__}: {error}"
    kind = view.code(array.dtype)
    if np.dtype(array.dtype).char == "S":
        kind = "str"
    if values is not None:
        if values.dtype.kind in "SUO":
            kind, values = "str", [view.text(v) for v in values.reshape(-1).tolist()]
        else:
            values = view.native(values)
    made = view.variable(kind, _dims(array), array.shape, _clean(array.attributes, array), values)
    if problem:
        made["error"] = problem
    return made


def _dims(array):
    dims = [str(d) for d in (getattr(array, "dims", None) or getattr(array, "dimensions", None) or ())]
    return dims + ["?"] * (len(array.shape) - len(dims))


def _clean(attributes, owner):
    """pydap keeps its own bookkeeping, nested dictionaries, among the attributes."""
    kept = {}
    for name, value in attributes.items():
        if isinstance(value, dict):
            if name == "NC_GLOBAL":
                kept.update({k: v for k, v in value.items() if not isinstance(v, dict)})
            continue
        if value is None or name in ("Maps", "path", "dims", "checksum"):
            continue
        kept[name] = view.attribute(value)
    return kept


if __name__ == "__main__":
    view.serve(read)
