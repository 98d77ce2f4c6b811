"""What a client must see of a file: every difference between storage and a protocol, or between a protocol and a
client's own model, that is by design. Each has a name in RULES with its reason; the report links to them.

Deviations that are a client's fault are not here but in ../expected.toml.
"""

import numpy as np
from view import native

RULES = {
    "float16": "No netCDF or DAP type: served as 32-bit floats, exactly.",
    "bool": "HDF5's boolean (an enumeration of FALSE and TRUE) is served as UInt8.",
    "dap2-flat": "DAP2 has no groups: variables are called `group/variable`, group attributes `group.attribute`.",
    "dap2-names": "netCDF-C refuses non-ASCII names in DAP2: `_uXXXX_` stands for such a character, `origname` keeps the name.",
    "dap2-bytes": "DAP2 has one 8-bit type and netCDF-C no unsigned ones in DAP2: the same bits, with `_Unsigned`.",
    "dap2-wide": "DAP2 has no 64-bit integers: coordinates and times are Float64, others are left out and listed in `dap2_omitted`.",
    "dap2-text": "Char arrays are DAP2 strings; netCDF-C shows strings as char arrays of 64 or of the length that the server names.",
    "dap2-enum": "Enumerations are integers with `flag_values` and `flag_meanings`.",
    "dap2-omitted": "Variable-length lists and opaque values have no DAP2 form.",
    "dap2-empty": "Arrays without elements are left out of DAP2 and listed in `dap2_omitted`: netCDF-C takes no axis of size 0.",
    "dap2-attributes": "Attributes of 64-bit type are Int32, Float64 or text in DAP2, negative Int8 ones Int16; records and empty lists are left out.",
    "float32-attributes": "netCDF-C corrupts Float32 attributes that come over DAP4 (4.9.0 to 4.10.1): such clients are sent Float64.",
    "no-python-type": "The client's library has no type for opaque or variable-length data that come over DAP4: not compared.",
    "pydap-types": "pydap shows Char as 8-bit integers, hides enumerations, opaque and URL variables, and misreads arrays of structures and long sequences over DAP4: those are not compared.",
    "zarr-left-out": "Structures, variable-length lists and opaque values have no Zarr form that all readers share: left out of the Zarr view and of kerchunk references, and listed in the group attribute `variables_left_out`.",
    "dmrpp-left-out": "DMR++ says numbers in chunks with shuffle, deflate and Fletcher-32 alone: what is stored otherwise, and not small, is left out and listed in `variables_left_out`.",
    "null-space": "HDF5's null dataspace is an array of no elements.",
    "xarray-root": "One xarray dataset is one group: the root group is opened and compared; xarray's other groups are left to netCDF4-python and pydap.",
    "cdl-fill": "ncdump prints `_` for a fill value: taken as the variable's fill value.",
    "refused": "The file stores it where the server must not look, or under an unknown filter: reading that variable must fail.",
}

# Attributes that a server, a protocol or a client library adds.
ADDED = (
    "_Unsigned", "dap2_note", "dap2_omitted", "flag_values", "flag_meanings", "origname", "missing_value",
    "DODS.", "DODS_EXTRA.", "DODS_EXTRA", "_edu.ucar.", "_DAP4_", "_dap4.", "_ChunkSizes", "Maps", "path", "_NCProperties",
    "_FillValue", "checksum", "dims", "DODS", "fullnamepath", "dap4_", "coordinates_of_", "variables_left_out",
)  # fmt: skip


def ascii_name(name):
    return "".join(c if ord(c) < 128 else f"_u{ord(c):04X}_" for c in name)


def stored(view):
    """Storage types to the types of the data model."""
    made = {"attributes": {p: _stored_attributes(a) for p, a in view["attributes"].items()}, "variables": {}}
    for path, variable in view["variables"].items():
        variable = {**variable, "attributes": _stored_attributes(variable["attributes"])}
        if variable["dtype"] == "f2":
            variable["dtype"] = "f4"
            if variable["values"] is not None:
                variable["values"] = variable["values"].astype("f4")
        if variable.get("boolean"):
            variable["dtype"] = "u1"
        made["variables"][path] = variable
    return made


def _stored_attributes(attributes):
    """Half floats are 32-bit floats, booleans UInt8."""
    served = {"e": "f4", "?": "u1"}
    kinds = {name: getattr(getattr(value, "dtype", None), "char", "") for name, value in attributes.items()}
    return {n: v.astype(served[kinds[n]]) if kinds[n] in served else v for n, v in attributes.items()}


def dap4(view):
    return stored(view)


def dap2(view):
    """The server's DAP2 policy (protocol digest 5.5), written independently of the server."""
    view = stored(view)
    made = {"attributes": {"": {}}, "variables": {}}
    for path, attributes in view["attributes"].items():
        prefix = path.replace("/", ".") + "." if path else ""
        for name, value in attributes.items():
            if _has_dap2_form(value):
                made["attributes"][""][ascii_name(prefix + name)] = value
    keep = _coordinate_like(view)
    for path, variable in view["variables"].items():
        variable = dict(variable)
        kind = variable["dtype"]
        is_time = " since " in "".join(map(str, variable["attributes"].get("units", [])))
        if kind.startswith("enum:"):
            kind = kind[5:]
        if kind in ("vlen", "opaque"):
            continue
        if kind in ("i8", "u8"):
            if path not in keep and not is_time:
                continue
            kind = "f8"
            if variable["values"] is not None:
                variable["values"] = variable["values"].astype("f8")
        if kind == "char":
            variable = _joined(variable)
            kind = "str"
        if 0 in variable["shape"]:
            continue
        if kind == "compound" and any(f[0] in ("i8", "u8", "opaque", "vlen") for f in (variable["values"] or {}).values()):
            continue
        variable["dtype"] = kind
        variable["attributes"] = {
            ascii_name(name): value
            for name, value in variable["attributes"].items()
            if _has_dap2_form(value) and not (name == "_FillValue" and kind == "str")
        }
        variable["dims"] = [ascii_name(d) for d in variable["dims"]]
        made["variables"][ascii_name(path)] = variable
    return made


def _has_dap2_form(value):
    return len(value) > 0 and not (isinstance(value, list) and value == ["compound"])


def _coordinate_like(view):
    found = set()
    for path, variable in view["variables"].items():
        group, _, name = path.rpartition("/")
        prefix = group + "/" if group else ""
        if variable["dims"] == [name]:
            found.add(path)
        for role in ("coordinates", "bounds", "climatology"):
            for word in " ".join(map(str, variable["attributes"].get(role, []))).split():
                found.add(prefix + word)
                found.add(word.lstrip("/"))
    return found


def _joined(variable):
    """A char array as strings: the last dimension is their length, NULs at the end are not part of them."""
    variable = dict(variable)
    values = variable["values"]
    width = variable["shape"][-1] if variable["shape"] else 1
    if values is not None:
        count = int(np.prod(variable["shape"][:-1])) if variable["shape"] else 1
        raw = np.ascontiguousarray(values).tobytes()
        variable["values"] = [
            raw[i * width : (i + 1) * width].rstrip(b"\0").decode("utf-8", "replace") for i in range(count)
        ]
    variable["shape"] = variable["shape"][:-1]
    variable["dims"] = variable["dims"][:-1]
    return variable


# --- what a client's library makes of it ---------------------------------------------------------------------------


def netcdf_c_dap2(expected):
    """Structures are flattened to their members; the rest is tolerated in compare.py (bits, char arrays)."""
    made = {"attributes": {"": dict(expected["attributes"][""])}, "variables": {}}
    for path, variable in expected["variables"].items():
        if variable["dtype"] != "compound":
            made["variables"][path] = variable
            continue
        made["attributes"][""].update({f"{path}.{name}": value for name, value in variable["attributes"].items()})
        for name, (kind, values) in (variable["values"] or {}).items():
            shape = list(np.shape(values)) if kind != "str" else list(variable["shape"])
            if kind == "char" and len(shape) > len(variable["shape"]):
                text = _joined({"values": values, "shape": shape, "dims": shape})
                kind, shape, values = "str", text["shape"], text["values"]
            made["variables"][f"{path}.{name}"] = {
                "dtype": kind, "dims": ["?"] * len(shape), "shape": shape, "attributes": {}, "values": values,
            }  # fmt: skip
    return made


def netcdf_python_dap4(expected):
    return _without(expected, ("vlen", "opaque"))


def xarray_pydap_dap2(expected):
    """xarray takes no structures from pydap."""
    return _without(netcdf_c_dap2(_without(expected, ("compound",))), ("vlen",))


def pydap_dap4(expected):
    made = _without(expected, ("opaque", "enum:", "compound", "vlen"))
    for variable in made["variables"].values():
        if variable["dtype"] == "char":
            variable["dtype"] = "u1"
            if variable["values"] is not None:
                variable["values"] = native(variable["values"]).view("u1")
    return made


def zarr(expected):
    """Records, lists and opaque values have no Zarr form that all readers share: left out, and named in an attribute."""
    return _without(stored(expected), ("compound", "vlen", "opaque"))


def dmrpp(expected):
    """Chunk references say numbers alone: left out is the rest, and what is not stored as it is."""
    return _without(stored(expected), ("compound", "vlen", "opaque", "str"))


def _without(expected, kinds):
    made = {"attributes": expected["attributes"], "variables": {}, "unchecked": set()}
    for path, variable in expected["variables"].items():
        if variable["dtype"].startswith(kinds):
            made["unchecked"].add(path)
        else:
            made["variables"][path] = dict(variable)
    return made
