"""Makes the HDF5 and netCDF-4 files of this folder, and what the oracles say is in them.

    python make.py            # needs netCDF4, h5py, hdf5plugin, numpy and ncgen

Files come from libnetcdf (netCDF4, ncgen) and libhdf5 (h5py). `NAME.json` is what netCDF-C says of
`NAME` (through netCDF4-python); where netCDF-C refuses a file or leaves a variable out, h5py fills in.
"""
import json
import os
import subprocess
import sys

import h5py
import netCDF4
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))


def path(name):
    return os.path.join(HERE, name)


# ---------------------------------------------------------------- files

def types():
    subprocess.run(["ncgen", "-4", "-o", path("types.nc"), path("types.cdl")], check=True)


def strings():
    with netCDF4.Dataset(path("strings.nc"), "w") as d:
        d.createDimension("n", 3)
        v = d.createVariable("words", str, ("n",))
        v[:] = np.array(["eins", "", "d\u00f6rei"], dtype=object)
        d.createVariable("unwritten", str, ("n",))
        d.setncattr_string("list", ["a", "", "\u00e7"])
        d.setncattr_string("one", "single")
        d.setncattr("text", "\u00fcber")
        d.setncattr("empty", "")
        vlen = d.createVLType(np.int16, "row")
        r = d.createVariable("rows", vlen, ("n",))
        r[0] = np.array([1, 2, 3], np.int16)
        r[2] = np.array([-4], np.int16)
        inner = np.dtype([("x", "f4"), ("k", "i2", (2,))])
        d.createCompoundType(inner, "inner")
        outer = np.dtype([("a", "i1"), ("p", inner), ("q", "f8")])
        t = d.createCompoundType(outer, "outer")
        c = d.createVariable("c", t, ("n",))
        data = np.zeros(3, outer)
        data["a"] = [1, 2, 3]
        data["p"]["x"] = [1.5, 2.5, 3.5]
        data["p"]["k"] = [[1, 2], [3, 4], [5, 6]]
        data["q"] = [-1, -2, -3]
        c[:] = data


def dims():
    with netCDF4.Dataset(path("dims.nc"), "w") as d:
        d.createDimension("z", 2)            # no variable
        d.createDimension("t", None)
        d.createDimension("y", 3)
        d.createDimension("x", 4)
        d.createDimension("empty", None)     # never used
        d.createDimension("hidden", 2)
        d.createVariable("y", "f4", ("y",))[:] = [1, 2, 3]
        d.createVariable("x", "f8", ("x",))[:] = [1, 2, 3, 4]
        d.createVariable("t", "i4", ("t",))[:] = [0, 1]
        d.createVariable("hidden", "i4", ("y", "x"))[:] = 5     # a dimension's name, other axes
        d.createVariable("hidden2", "i4", ("x", "z"))[:] = 6
        v = d.createVariable("data", "f4", ("t", "y", "x"))
        v.coordinates = "lat lon"
        v[0:5] = np.arange(60).reshape(5, 3, 4)
        d.createVariable("lat", "f4", ("y", "x"))[:] = 1
        d.createVariable("lon", "f4", ("y", "x"))[:] = 2
        s = d.createVariable("short", "i2", ("t", "z"), fill_value=-9)
        s[0:3] = [[1, 2], [3, 4], [5, 6]]
        d.createVariable("none_yet", "f8", ("t",))
        d.createVariable("square", "i2", ("y", "y"))[:] = 7
        g = d.createGroup("g")
        g.createDimension("y", 2)
        g.createVariable("y", "f4", ("y",))[:] = [8, 9]
        g.createVariable("v", "i4", ("t", "y", "x"))[0:6] = np.arange(48).reshape(6, 2, 4)
        h = g.createGroup("h")
        h.createDimension("u", None)
        h.createVariable("w", "u1", ("u", "y"))[:] = [[1, 2], [3, 4]]
    # A multi-dimensional coordinate variable: named as its first dimension.
    with netCDF4.Dataset(path("coordinates.nc"), "w") as d:
        d.createDimension("station", 2)
        d.createDimension("len", 3)
        d.createVariable("station", "S1", ("station", "len"))[:] = np.array([list("abc"), list("de ")], "S1")
        d.createVariable("v", "f4", ("station",))[:] = [1, 2]
        d.createVariable("late", "f4", ("len",))
        d.renameDimension("len", "length")


def storage():
    with netCDF4.Dataset(path("storage.nc"), "w") as d:
        d.createDimension("t", None)
        d.createDimension("y", 7)
        d.createDimension("x", 5)
        a = np.arange(35).reshape(7, 5)
        for name, kind, keys in [
            ("contiguous", "i4", dict(contiguous=True)),
            ("big", ">f4", dict(endian="big")),
            ("big8", ">f8", dict(endian="big", chunksizes=(3, 2))),
            ("big2", ">i2", dict(endian="big")),
            ("chunked", "f8", dict(chunksizes=(3, 2))),
            ("deflated", "i2", dict(compression="zlib", shuffle=True, chunksizes=(4, 4))),
            ("checked", "i4", dict(fletcher32=True, chunksizes=(2, 5))),
        ]:
            d.createVariable(name, kind, ("y", "x"), **keys)[:] = a
        v = d.createVariable("partly", "i4", ("y", "x"), chunksizes=(2, 2), fill_value=-1)
        v[0:2, 0:2] = 3
        d.createVariable("default_fill", "f4", ("y", "x"), chunksizes=(2, 2))
        d.createVariable("no_fill", "i4", ("y", "x"), chunksizes=(2, 2), fill_value=False)
        d.createVariable("grows", "i4", ("t", "x"))[0:3] = a[0:3]
    for libver in ["earliest", "latest"]:
        with h5py.File(path(f"storage_{libver}.h5"), "w", libver=libver) as f:
            a = np.arange(60, dtype="i4").reshape(6, 10)
            f["contiguous"] = a
            f.create_dataset("chunked", data=a, chunks=(4, 3))
            f.create_dataset("deflated", data=a, chunks=(4, 3), compression="gzip", shuffle=True)
            f.create_dataset("grows_1", data=a, chunks=(4, 3), maxshape=(None, 10))
            f.create_dataset("grows_2", data=a, chunks=(4, 3), maxshape=(None, None))
            f.create_dataset("single", data=a, chunks=(6, 10))
            f.create_dataset("unwritten", (4, 4), "f4")
            f.create_dataset("unwritten_chunks", (4, 4), "f4", chunks=(2, 2), fillvalue=2.5)
            p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            p.set_layout(h5py.h5d.COMPACT)
            s = h5py.h5s.create_simple((3,))
            c = h5py.h5d.create(f.id, b"compact", h5py.h5t.STD_I16BE, s, p)
            c.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, -2, 3], "i2"))
            f["scalar"] = np.float32(1.5)
            f.create_dataset("zero", (0, 3), "i4")


def phony():
    for libver in ["earliest", "latest"]:
        for tracked in [False, True]:
            name = f"phony_{libver}{'_tracked' if tracked else ''}.h5"
            with h5py.File(path(name), "w", libver=libver, track_order=tracked) as f:
                f["b"] = np.zeros((3, 4), "i2")
                f["a"] = np.zeros((4, 4, 3), "i2")
                f.create_dataset("u", (4, 3), "i2", maxshape=(None, 3))
                f["scalar"] = 1
                g = f.create_group("g", track_order=tracked)
                g["a"] = np.zeros((4, 5), "f4")
                h = g.create_group("h", track_order=tracked)
                h["deep"] = np.zeros((5, 5, 6), "f4")
                e = f.create_group("e", track_order=tracked)
                e["a"] = np.zeros((3,), "f4")
                e["same"] = np.zeros((3,), "f4")


def scales():
    with h5py.File(path("scales.h5"), "w") as f:
        f["x"] = np.arange(4.0)
        f["x2"] = np.arange(4.0) * 2
        f["y"] = np.arange(3, dtype="i2")
        for n in ["x", "x2", "y"]:
            f[n].make_scale(n + " name")
        v = f.create_dataset("v", data=np.arange(12.0).reshape(3, 4))
        v.dims[0].attach_scale(f["y"])
        v.dims[1].attach_scale(f["x"])
        v.dims[1].attach_scale(f["x2"])
        v.dims[0].label = "rows"
        f["plain"] = np.zeros((3, 4, 4))
        u = f.create_dataset("time", data=np.arange(2), maxshape=(None,))
        u.make_scale()
        w = f.create_dataset("w", data=np.arange(3), maxshape=(None,))
        w.dims[0].attach_scale(u)
        s = f.create_dataset("under", data=np.arange(1), maxshape=(None,))
        s.dims[0].attach_scale(u)


def short_words():
    """Fewer texts than their unlimited dimension has places: the rest is a fill value, which is a text in the file."""
    with h5py.File(path("short_words.h5"), "w") as f:
        t = f.create_dataset("t", data=np.arange(3), maxshape=(None,))
        t.make_scale()
        words = f.create_dataset("words", (2,), h5py.string_dtype(), maxshape=(None,), fillvalue="missing")
        words[0] = "first"
        words.dims[0].attach_scale(t)


def odd():
    """What netCDF-C leaves out or refuses."""
    with h5py.File(path("odd.h5"), "w") as f:
        f["half"] = np.array([1.5, -2, np.inf], "f2")
        f["flag"] = np.array([True, False, True])
        f["z"] = np.array([1 + 2j, -3.5j], "c8")
        f["z16"] = np.array([1 + 2j], "c16")
        f["fixed"] = np.array([b"ab", b"c", b"defg"], "S4")
        f.create_dataset("utf8", data=np.array([b"ab\xc3\xa9", b"", b"\xff"], h5py.string_dtype("utf-8", 5)))
        f.create_dataset("words", data=np.array(["a", "", "l\u00f6nger"], object), dtype=h5py.string_dtype())
        f.create_dataset("nulls", (3,), dtype=h5py.string_dtype())
        f.create_dataset("ascii", data=np.array([b"x", b"yz"], object), dtype=h5py.string_dtype("ascii"))
        color = h5py.enum_dtype({"RED": 0, "GREEN": 1, "BLUE": -5}, basetype="i2")
        f.create_dataset("color", data=np.array([0, 1, -5]), dtype=color)
        f.create_dataset("ragged", (2,), dtype=h5py.vlen_dtype("i4"))
        f["ragged"][0] = [1, 2, 3]
        f.create_dataset("arrays", shape=(2,), dtype=np.dtype((">i2", (2, 3))))[...] = np.arange(12).reshape(2, 2, 3)
        f.create_dataset("raw", data=np.array([b"abc", b"\x00\x01\x02"], "V3"))
        kind = np.dtype([("id", ">i4"), ("name", "S3"), ("word", h5py.string_dtype()), ("ok", "?"), ("m", "f8", (2, 2)), ("more", [("u", "u2"), ("h", "f2")])])
        records = np.zeros(2, kind)
        records["id"] = [7, -8]
        records["name"] = [b"abc", b"d"]
        records["word"] = ["w\u00f6rd", ""]
        records["ok"] = [True, False]
        records["m"] = np.arange(8).reshape(2, 2, 2)
        records["more"]["u"] = [1, 65535]
        records["more"]["h"] = [0.5, 2]
        f.create_dataset("records", data=records)
        f.create_dataset("reference", data=np.array([f["half"].ref, f.ref, None], object), dtype=h5py.ref_dtype)
        f.create_dataset("region", data=np.array([f["flag"].regionref[0:2]], object), dtype=h5py.regionref_dtype)
        f["empty"] = h5py.Empty("f4")
        s = h5py.h5s.create_simple((3,))
        t = h5py.h5t.STD_I32LE.copy()
        t.set_size(3)
        t.set_precision(24)
        d = h5py.h5d.create(f.id, b"three_bytes", t, s)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([-1, 70000, 5], "i4"))
        t = h5py.h5t.STD_U16BE.copy()
        t.set_precision(10)
        t.set_offset(3)
        d = h5py.h5d.create(f.id, b"ten_bits", t, s)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([0, 700, 1023], "u2"))
        t = h5py.h5t.C_S1.copy()
        t.set_size(4)
        t.set_strpad(h5py.h5t.STR_SPACEPAD)
        d = h5py.h5d.create(f.id, b"blank_padded", t, h5py.h5s.create_simple((2,)))
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([b"a   ", b"b c "], "S4"), t)
        d = h5py.h5d.create(f.id, b"bits", h5py.h5t.STD_B8LE, s)
        d.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([1, 128, 255], "u1"), h5py.h5t.STD_B8LE)
        a = f["half"].attrs
        a["half"] = np.float16(0.25)
        a["flag"] = True
        a["z"] = 1 + 2j
        a["ref"] = f["flag"].ref
        a["matrix"] = np.arange(4, dtype="i2").reshape(2, 2)
        a["nothing"] = h5py.Empty("f4")
        a["words"] = ["a", "bc"]
        a["fixed"] = np.array([b"a", b"bc"], "S2")
        a["bytes"] = np.bytes_(b"abc")
        a["text"] = "t\u00e9xt"
        a["color"] = np.array([1, -5], color)
        a["ragged"] = np.array([1], "i4")


def links():
    with h5py.File(path("links.h5"), "w") as f:
        f["real"] = np.arange(3)
        f["again"] = f["real"]
        f["soft"] = h5py.SoftLink("/real")
        f["relative"] = h5py.SoftLink("g/inside")
        f["dangling"] = h5py.SoftLink("/nowhere/at/all")
        f["loop1"] = h5py.SoftLink("/loop2")
        f["loop2"] = h5py.SoftLink("/loop1")
        f["outside"] = h5py.ExternalLink("other.h5", "/x")
        g = f.create_group("g")
        g["inside"] = np.arange(2)
        g["up"] = f["/"]
        g["self"] = g
        f["g_again"] = g
        f["g_soft"] = h5py.SoftLink("/g")


def refused():
    with h5py.File(path("refused.h5"), "w") as f:
        f["fine"] = np.arange(3)
        f.create_dataset("external", (3,), "i4", external=[("secret.bin", 0, 12)])
        layout = h5py.VirtualLayout((3,), "i4")
        layout[:] = h5py.VirtualSource("secret.h5", "x", (3,))
        f.create_virtual_dataset("virtual", layout)
        p = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        p.set_chunk((3,))
        p.set_filter(60000, h5py.h5z.FLAG_OPTIONAL, (1, 2))
        h5py.h5d.create(f.id, b"unknown_filter", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((3,)), p)


def user_block():
    for size in [512, 2048]:
        with h5py.File(path(f"user_block_{size}.h5"), "w", userblock_size=size) as f:
            f["v"] = np.arange(5)


# ---------------------------------------------------------------- expectations

def number(x):
    if isinstance(x, (bool, np.bool_)):
        return int(x)
    if isinstance(x, (complex, np.complexfloating)):
        return [number(x.real), number(x.imag)]
    if isinstance(x, (float, np.floating)):
        x = float(x)
        return x if np.isfinite(x) else ("NaN" if np.isnan(x) else ("inf" if x > 0 else "-inf"))
    return int(x)


def value(x):
    """One element as JSON: numbers, texts, opaque bytes as `0x..`, lists for records and sequences."""
    if x is None:
        return ""
    if isinstance(x, str):
        return x
    if isinstance(x, bytes):
        return x.decode("utf-8", "replace")
    if isinstance(x, np.void) and x.dtype.names:
        return [member(x[n]) for n in x.dtype.names]
    if isinstance(x, np.void):
        return "0x" + x.tobytes().hex()
    if isinstance(x, np.ndarray):
        return [value(e) for e in x.reshape(-1)]
    if isinstance(x, tuple):
        return [value(e) for e in x]
    return number(x)


def member(x):
    if isinstance(x, np.ndarray) and x.dtype.names is None:
        return [value(e) for e in x.reshape(-1)]
    return value(x)


def flat(a):
    if isinstance(a, np.ma.MaskedArray):
        a = a.data
    if isinstance(a, np.ndarray):
        return [value(e) for e in a.reshape(-1)]
    return [value(a)]


NAMES = {"int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64", "uint8": "UInt8",
         "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64", "float32": "Float32",
         "float64": "Float64"}


def type_name(v):
    if v.dtype == str:
        return "String"
    if isinstance(v.datatype, netCDF4.CompoundType):
        return "Structure " + v.datatype.name
    if isinstance(v.datatype, netCDF4.EnumType):
        return "Enum " + v.datatype.name
    if isinstance(v.datatype, netCDF4.VLType):
        return "Sequence " + v.datatype.name
    if v.dtype == np.dtype("S1"):
        return "Char"
    return NAMES[np.dtype(v.dtype).newbyteorder("=").name]


def attribute(x):
    if isinstance(x, str):
        return x
    return flat(np.asarray(x)) if not isinstance(x, list) else [value(e) for e in x]


def attributes_of(o):
    out = {}
    for k in o.ncattrs():
        try:
            out[k] = attribute(o.getncattr(k))
        except Exception:                       # netCDF4-python cannot read some types
            out[k] = None
    return out


def netcdf_group(g):
    out = {
        "dimensions": [[d.name, len(d), d.isunlimited()] for d in g.dimensions.values()],
        "types": sorted([*g.cmptypes, *g.vltypes, *g.enumtypes]),
        "attributes": attributes_of(g),
        "variables": {},
        "variable_order": list(g.variables),
        "groups": {n: netcdf_group(c) for n, c in g.groups.items()},
        "group_order": list(g.groups),
    }
    for n, v in g.variables.items():
        v.set_auto_maskandscale(False)
        v.set_auto_chartostring(False)
        dims = [[d.group().path.rstrip("/") + "/" + d.name, len(d)] for d in v.get_dims()]
        attributes = attributes_of(v)
        try:
            # libhdf5 leaves memory as it was where nothing was written and no fill value is defined.
            values = flat(v[...]) if n != "no_fill" else None
        except Exception as e:
            print("  netCDF4 cannot read", v.name, e)
            values = None
        out["variables"][n] = {"type": type_name(v), "dims": dims, "attributes": attributes, "values": values}
    return out


def h5py_values(d):
    if d.shape is None:
        return []
    if h5py.check_ref_dtype(d.dtype) is h5py.Reference:
        return [d.file[r].name if r else "" for r in d[...].reshape(-1)]
    if h5py.check_ref_dtype(d.dtype) is h5py.RegionReference:
        return [d.file[r].name if r else "" for r in d[...].reshape(-1)]
    return flat(np.asarray(d[...]))


def expectations():
    for name in sorted(os.listdir(HERE)):
        if not name.endswith((".nc", ".h5")):
            continue
        expected = {"netcdf": None, "h5py": {}}
        try:
            with netCDF4.Dataset(path(name)) as d:
                expected["netcdf"] = netcdf_group(d)
        except Exception as e:
            print(name, "refused by netCDF-C:", e)
        with h5py.File(path(name)) as f:
            def visit(full, o):
                if isinstance(o, h5py.Dataset) and full != "no_fill":
                    full = full.replace("_nc4_non_coord_", "")
                    try:
                        expected["h5py"]["/" + full] = {"shape": None if o.shape is None else list(o.shape), "values": h5py_values(o)}
                    except Exception as e:
                        print(" ", name, full, e)
            f.visititems(visit)
        with open(path(name + ".json"), "w") as out:
            json.dump(expected, out, separators=(",", ":"), sort_keys=False)
            out.write("\n")


if __name__ == "__main__":
    if len(sys.argv) == 1:
        for make in [types, strings, dims, storage, phony, scales, short_words, odd, links, refused, user_block]:
            print(make.__name__)
            make()
    expectations()
