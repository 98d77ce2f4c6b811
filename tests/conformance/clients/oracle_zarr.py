"""zarr-python as the oracle of Zarr stores: folders and zip files, versions 2 and 3. Types as the data model has them:
times are 64-bit counts with units, complex numbers are records of `r` and `i`, truth values are 8-bit integers with the attribute `dtype`."""

import warnings
from pathlib import Path

import numpy as np
import view
import zarr
from xarray.backends.zarr import FillValueCoder

warnings.simplefilter("ignore")

UNITS = {"ns": "nanoseconds", "us": "microseconds", "ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "D": "days"}


def read(path):
    path = Path(path)
    store = zarr.storage.ZipStore(path, mode="r") if path.suffix == ".zip" else str(path)
    found = {"attributes": {"": {}}, "variables": {}}
    node = zarr.open(store, mode="r")
    if isinstance(node, zarr.Array):
        found["variables"][path.name.removesuffix(".zip").removesuffix(".zarr")] = _variable(node)
    else:
        _group(node, "", found)
    return found


def _group(group, path, found):
    found["attributes"][path.rstrip("/")] = _attributes(group.attrs.asdict())
    for name, array in group.arrays():
        found["variables"][path + name] = _variable(array)
    for name, child in group.groups():
        _group(child, f"{path}{name}/", found)


def _attributes(attributes):
    return {name: view.attribute(value) for name, value in attributes.items() if name != "_ARRAY_DIMENSIONS"}


def _variable(array):
    values = np.asarray(array[...])
    attributes = array.attrs.asdict()
    if array.metadata.zarr_format == 2:
        dims = attributes.get("_ARRAY_DIMENSIONS")
        fill = array.fill_value
    else:
        dims = array.metadata.dimension_names
        fill = attributes.pop("_FillValue", None)
        fill = None if fill is None else FillValueCoder.decode(fill, values.dtype.newbyteorder("="))
    dims = ["?" if d is None else d for d in dims or [None] * array.ndim]
    kind, shown = _typed(values)
    kept = dict(attributes)
    if values.dtype.kind in "Mm":
        unit = UNITS[np.datetime_data(values.dtype)[0]]
        kept["units"] = f"{unit} since 1970-01-01" if values.dtype.kind == "M" else unit
        kept.update({"calendar": "proleptic_gregorian"} if values.dtype.kind == "M" else {})
    elif values.dtype.kind == "b":
        # As xarray marks them in netCDF files; a fill value of truth values would hide one of the two.
        kept["dtype"] = "bool"
    elif fill is not None and kind != "compound":
        kept["_FillValue"] = np.asarray(fill, values.dtype.newbyteorder("=")) if kind != "str" else fill
    made = view.variable(kind, dims, values.shape, {}, shown)
    made["attributes"] = _attributes(kept)
    return made


def _typed(values):
    kind = values.dtype.kind
    if kind == "b":
        return "u1", values.astype("u1")
    if kind in "Mm":
        return "i8", view.native(values.view("i8" if values.dtype.isnative else values.dtype.byteorder + "i8"))
    if kind == "c":
        return "compound", {"r": (f"f{values.itemsize // 2}", view.native(values.real)), "i": (f"f{values.itemsize // 2}", view.native(values.imag))}
    if values.dtype.names:
        return "compound", view.fields(values)
    if kind in "OUST":
        return "str", [view.text(v) for v in values.reshape(-1).tolist()]
    return view.code(values.dtype), view.native(values)


if __name__ == "__main__":
    view.serve(read)
