#!/usr/bin/env python3
"""Makes the netCDF-3 fixtures of this folder and what netCDF-C reads in them (expected.json).

Needs netCDF4 and numpy; ncgen from netCDF-C makes nothing here that the library does not.
"""

import json
import pathlib
import struct

import netCDF4
import numpy

here = pathlib.Path(__file__).parent
KINDS = {"cdf1": "NETCDF3_CLASSIC", "cdf2": "NETCDF3_64BIT_OFFSET", "cdf5": "NETCDF3_64BIT_DATA"}
CLASSIC = ["i1", "S1", "i2", "i4", "f4", "f8"]
DATA64 = CLASSIC + ["u1", "u2", "u4", "i8", "u8"]


def values(dtype, shape):
    n = int(numpy.prod(shape))
    if dtype == "S1":
        return (numpy.arange(n, dtype="u1") % 26 + 97).view("S1").reshape(shape)
    base = numpy.arange(n).astype("f8") * 7.25 - (0 if dtype[0] == "u" else n * 2)
    return base.astype(dtype).reshape(shape)


def attributes(target, types):
    target.title = "Grüße, 世界"
    target.setncattr("odd", "x")  # one byte and three of padding
    for t in types:
        if t != "S1":
            target.setncattr(f"one_{t}", numpy.array([5], t))
            target.setncattr(f"three_{t}", numpy.array([1, 2, 3], t))


def types_file(name, kind):
    """Fixed and record variables of every type, with odd lengths so that padding matters."""
    types = DATA64 if kind == "cdf5" else CLASSIC
    with netCDF4.Dataset(here / name, "w", format=KINDS[kind]) as d:
        attributes(d, types)
        d.createDimension("time", None)
        d.createDimension("y", 3)
        d.createDimension("größe", 5)
        for t in types:
            d.createVariable(f"scalar_{t}", t)[...] = values(t, ())
            v = d.createVariable(f"fixed_{t}", t, ("y", "größe"))
            v[:] = values(t, (3, 5))
            attributes(v, [t])
        for t in types:
            d.createVariable(f"series_{t}", t, ("time",))[:] = values(t, (4,))
            d.createVariable(f"record_{t}", t, ("time", "y"))[:] = values(t, (4, 3))
        d.createVariable("time", "f8", ("time",))[:] = [0.5, 1.5, 2.5, 3.5]
        d.createVariable("y", "i2", ("y",))[:] = [1, 2, 3]


def one_record_variable(name, kind, dtype, inner):
    """A record variable alone is not padded."""
    with netCDF4.Dataset(here / name, "w", format=KINDS[kind]) as d:
        d.createDimension("time", None)
        d.createDimension("x", inner)
        d.createVariable("fixed", "i1", ("x",))[:] = values("i1", (inner,))
        d.createVariable("only", dtype, ("time", "x"))[:] = values(dtype, (7, inner))


def no_records(name, kind):
    with netCDF4.Dataset(here / name, "w", format=KINDS[kind]) as d:
        d.createDimension("time", None)
        d.createDimension("x", 2)
        d.createVariable("later", "i4", ("time", "x"))
        d.createVariable("also", "i1", ("time",))
        d.createVariable("now", "f4", ("x",))[:] = [1, 2]


def long_header(name):
    """A header that does not fit the first read."""
    with netCDF4.Dataset(here / name, "w", format=KINDS["cdf1"]) as d:
        d.createDimension("x", 2)
        for i in range(150):
            v = d.createVariable(f"variable_number_{i}", "i2", ("x",))
            v.long_name = "a name that takes some room " * 2
            v[:] = [i, -i]


def streaming(name, of, kind):
    """The record count replaced by the mark of a stream."""
    raw = bytearray((here / of).read_bytes())
    raw[4 : 12 if kind == "cdf5" else 8] = b"\xff" * (8 if kind == "cdf5" else 4)
    (here / name).write_bytes(raw)


def plain(value):
    if isinstance(value, str):
        return {"type": "Char", "bytes": value.encode().hex()}
    array = numpy.atleast_1d(value)
    return {"type": array.dtype.str[1:], "bytes": array.astype(array.dtype.newbyteorder("<")).tobytes().hex()}


def dump(name):
    with netCDF4.Dataset(here / name) as d:
        d.set_auto_maskandscale(False)
        d.set_auto_chartostring(False)
        return {
            "kind": d.data_model,
            "dimensions": [[k, len(v), v.isunlimited()] for k, v in d.dimensions.items()],
            "attributes": {k: plain(d.getncattr(k)) for k in d.ncattrs()},
            "variables": [
                {
                    "name": k,
                    "dimensions": list(v.dimensions),
                    "attributes": {a: plain(v.getncattr(a)) for a in v.ncattrs()},
                    **plain(v[...]),
                }
                for k, v in d.variables.items()
            ],
        }


expected = {}
for kind in KINDS:
    types_file(f"{kind}_types.nc", kind)
    no_records(f"{kind}_no_records.nc", kind)
    names = [f"{kind}_types.nc", f"{kind}_no_records.nc"]
    for t, inner in [("i1", 1), ("i1", 5), ("i2", 3), ("S1", 2), ("f8", 2)]:
        names.append(f"{kind}_one_{t}_{inner}.nc")
        one_record_variable(names[-1], kind, t, inner)
    for n in names:
        expected[n] = dump(n)
long_header("long_header.nc")
expected["long_header.nc"] = dump("long_header.nc")
for kind in KINDS:
    for of in [f"{kind}_types.nc", f"{kind}_one_i1_5.nc"]:
        name = of.replace(kind, f"{kind}_streaming", 1)
        streaming(name, of, kind)
        expected[name] = expected[of]
(here / "expected.json").write_text(json.dumps(expected, indent=0, ensure_ascii=False) + "\n")
