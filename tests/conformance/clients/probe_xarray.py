"""xarray as a client. Arguments: URL, engine, protocol. Nothing is decoded, so that storage is compared."""

import warnings

import numpy as np
import view
import xarray

warnings.simplefilter("ignore")


def read(url, engine, protocol):
    found = {"attributes": {}, "variables": {}}
    target = _pydap(url, protocol) if engine == "pydap" else url
    data = xarray.open_dataset(target, engine=None if engine == "pydap" else engine, decode_cf=False)
    with data:
        found["attributes"][""] = {k: view.attribute(v) for k, v in data.attrs.items()}
        for name, variable in data.variables.items():
            found["variables"][str(name)] = _variable(variable)
    return found


def _pydap(url, protocol):
    """`dap2://` and `dap4://` always mean https in pydap: a plain http server needs a dataset opened with `protocol=`."""
    from pydap.client import open_url
    from xarray.backends import PydapDataStore, pydap_

    # pydap's failure to decode a string is a ValueError, which xarray takes for a network's and retries for half a minute.
    pydap_.robust_getitem = lambda array, key, **_: array[key]

    return PydapDataStore(open_url(url, protocol=protocol, output_grid=False))


def _variable(variable):
    problem = None
    try:
        values = np.asarray(variable.values)
    except Exception as error:
        values, problem = None, f"{type(error).__name__}: {error}"
    kind = view.code(variable.dtype)
    if values is not None:
        if values.dtype.names:
            kind, values = "compound", view.fields(values)
        elif kind == "str":
            values = [view.text(v) for v in values.reshape(-1).tolist()]
        else:
            values = view.native(values)
    made = view.variable(kind, variable.dims, variable.shape, variable.attrs, values)
    if problem:
        made["error"] = problem
    return made


if __name__ == "__main__":
    view.serve(read)
