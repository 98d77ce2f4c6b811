"""netCDF-4 files written by netCDF-C: every type of the enhanced model, groups, dimensions, names."""

import netCDF4
import numpy as np
from corpus_netcdf3 import extremes

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def make(corpus):
    _atomic(corpus.path("netcdf4/atomic.nc", "all numeric types: scalar, line, plane; attributes of each"))
    _atomic_classic(corpus.path("netcdf4/classic_model.nc", "netCDF-4 classic model, deflate and shuffle"))
    _strings(corpus.path("netcdf4/strings.nc", "variable-length strings, char arrays, string attributes"))
    _enum(corpus.path("netcdf4/enum.nc", "enum types of several widths, fill value, in a group"))
    _opaque(corpus)
    _compound(corpus.path("netcdf4/compound.nc", "compound: scalar and array variables"))
    _compound_nested(corpus.path("netcdf4/compound_nested.nc", "compound: nested, with array members, strings of chars"))
    _vlen(corpus.path("netcdf4/vlen.nc", "vlen of integers and floats, an empty one among them"))
    _groups(corpus.path("netcdf4/groups.nc", "groups: inherited and shadowed dimensions, same names, attributes"))
    _unlimited(corpus.path("netcdf4/unlimited.nc", "several unlimited dimensions, partly written"))
    _coordinates(corpus.path("netcdf4/coordinates.nc", "coordinate variables, dimension without variable, name clash"))
    _coordinate_order(corpus.path("netcdf4/coordinate_2d.nc", "multi-dimensional coordinate variable"))
    _fill(corpus.path("netcdf4/fill.nc", "own, default and no fill; scale, offset, never-written chunks"))
    _zero(corpus.path("netcdf4/zero_length.nc", "zero-length dimensions"))
    _names(corpus.path("netcdf4/names.nc", "names with blanks, dots, plus, brackets, non-ASCII"))
    _storage(corpus.path("netcdf4/storage.nc", "contiguous, compact, chunked; deflate, shuffle, fletcher32, zstd, bzip2"))
    _endian(corpus.path("netcdf4/endian.nc", "big- and little-endian storage"))
    _many(corpus.path("netcdf4/many_variables.nc", "300 variables, dense link storage in groups"))
    _attributes(corpus.path("netcdf4/attributes.nc", "attributes: all types, arrays, long, empty, many (dense storage)"))


def _name(kind):
    return {"S1": "char"}.get(kind, kind)


def _atomic(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 5)
        data.createDimension("y", 3)
        for kind in INTEGERS + ["f4", "f8"]:
            data.createVariable(f"scalar_{kind}", kind)[...] = extremes(kind, 1)[0]
            data.createVariable(f"line_{kind}", kind, ("x",))[:] = extremes(kind, 5)
            plane = data.createVariable(f"plane_{kind}", kind, ("y", "x"))
            plane[:] = extremes(kind, 15).reshape(3, 5)
            plane.setncattr("one", extremes(kind, 2)[1])
            plane.setncattr("many", extremes(kind, 4))


def _atomic_classic(path):
    with netCDF4.Dataset(path, "w", format="NETCDF4_CLASSIC") as data:
        data.createDimension("time", None)
        data.createDimension("x", 40)
        time = data.createVariable("time", "f8", ("time",))
        time.units = "hours since 1970-01-01"
        values = data.createVariable("values", "f4", ("time", "x"), zlib=True, shuffle=True, chunksizes=(2, 16))
        time[:] = np.arange(5)
        values[:] = np.sin(np.arange(200).reshape(5, 40) / 7)


def _strings(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 4)
        data.createDimension("len", 6)
        data.createVariable("scalar", str)[...] = "one string"
        line = data.createVariable("line", str, ("x",))
        line[:] = np.array(["", "a", "two words", "x" * 300], object)
        utf8 = data.createVariable("utf8", str, ("x",))
        utf8[:] = np.array(["Zürich", "東京", "naïve café", "ascii"], object)
        unset = data.createVariable("unset", str, ("x",))
        unset[1] = "only this one"
        chars = data.createVariable("chars", "S1", ("x", "len"))
        chars[:] = netCDF4.stringtochar(np.array([b"abc", b"defghi", b"", b"z"], "S6"))
        data.createVariable("char_line", "S1", ("len",))[:] = np.array(list("hello!"), "S1")
        data.createVariable("char_scalar", "S1")[...] = "Q"
        data.setncattr_string("one_string", "a string, not chars")
        line.setncattr_string("many_strings", ["first", "", "third, with \"quotes\""])
        data.chars = "plain text"
        data.utf8 = "Übergröße"


def _enum(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 4)
        cloud = data.createEnumType(np.int8, "cloud_t", {"Clear": 0, "Cumulus": 1, "Missing": 127, "Below": -3})
        variable = data.createVariable("cloud", cloud, ("x",), fill_value=127)
        variable[:] = np.array([0, 1, 127, -3], "i1")
        data.createVariable("one_cloud", cloud)[...] = 1
        group = data.createGroup("inner")
        wide = group.createEnumType(np.uint16, "wide_t", {"Low": 0, "High": 65535})
        group.createVariable("wide", wide, ("x",))[:] = np.array([65535, 0, 0, 65535], "u2")
        long = data.createEnumType(np.int64, "long_t", {"Small": -(2**40), "Big": 2**40})
        data.createVariable("long", long, ("x",))[:] = np.array([2**40, -(2**40), 2**40, 2**40], "i8")


def _opaque(corpus):
    """netCDF4-python has no opaque type: ncgen writes it."""
    import subprocess

    path = corpus.path("netcdf4/opaque.nc", "opaque types of 5 and 16 bytes", "h5py")
    cdl = """netcdf opaque {
types: opaque(5) five_t ; opaque(16) sixteen_t ;
dimensions: x = 3 ;
variables: five_t five(x) ; sixteen_t sixteen(x) ; int plain(x) ;
data:
 five = 0X0102030405, 0XFFFEFDFCFB, 0X0000000001 ;
 sixteen = 0X00112233445566778899AABBCCDDEEFF, 0X0123456789ABCDEF0123456789ABCDEF, 0X01000000000000000000000000000002 ;
 plain = 1, 2, 3 ;
}
"""
    source = path.with_suffix(".cdl")
    source.write_text(cdl)
    subprocess.run(["ncgen", "-4", "-o", str(path), str(source)], check=True)
    source.unlink()


def _compound(path):
    kind = np.dtype([("station", "i4"), ("value", "f8"), ("flag", "u1"), ("small", "f4")], align=True)
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 5)
        compound = data.createCompoundType(kind, "obs_t")
        values = np.zeros(5, kind)
        values["station"] = np.arange(5) - 2
        values["value"] = np.arange(5) * 1.25
        values["flag"] = np.arange(5) * 50
        values["small"] = np.arange(5) / 8
        line = data.createVariable("obs", compound, ("x",))
        line[:] = values
        line.units = "mixed"
        data.createVariable("one", compound)[...] = values[3]
        data.createVariable("plain", "i2", ("x",))[:] = np.arange(5)


def _compound_nested(path):
    inner = np.dtype([("speed", "f4"), ("direction", "i2")], align=True)
    outer = np.dtype([("wind", inner), ("levels", "f8", (3,)), ("grid", "i2", (2, 2)), ("name", "S1", (8,))], align=True)
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 3)
        data.createCompoundType(inner, "wind_t")
        compound = data.createCompoundType(outer, "station_t")
        values = np.zeros(3, outer)
        for index in range(3):
            values["wind"]["speed"][index] = index + 0.5
            values["wind"]["direction"][index] = index * 90
            values["levels"][index] = np.arange(3) + index * 10
            values["grid"][index] = np.arange(4).reshape(2, 2) - index
            values["name"][index] = np.array(list(f"name{index}".ljust(8, "\0")), "S1")
        data.createVariable("station", compound, ("x",))[:] = values


def _vlen(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 4)
        ints = data.createVLType(np.int32, "ints_t")
        floats = data.createVLType(np.float64, "floats_t")
        ragged = data.createVariable("ragged", ints, ("x",))
        real = data.createVariable("real", floats, ("x",))
        for index, length in enumerate((3, 0, 1, 5)):
            ragged[index] = np.arange(length, dtype="i4") * (index + 1)
            real[index] = np.arange(length, dtype="f8") / 4 - index
        data.createVariable("plain", "i4", ("x",))[:] = np.arange(4)


def _groups(path):
    with netCDF4.Dataset(path, "w") as data:
        data.title = "the root"
        data.createDimension("x", 3)
        data.createDimension("y", 2)
        data.createVariable("v", "i4", ("x",))[:] = [1, 2, 3]
        data.createVariable("x", "f4", ("x",))[:] = [0.5, 1.5, 2.5]
        first = data.createGroup("first")
        first.title = "the first group"
        first.createVariable("v", "i2", ("y", "x"))[:] = np.arange(6).reshape(2, 3)
        deep = first.createGroup("deep")
        deep.createDimension("x", 4)
        deep.createVariable("v", "f8", ("y", "x"))[:] = np.arange(8).reshape(2, 4) / 2
        deep.createVariable("x", "i4", ("x",))[:] = [7, 8, 9, 10]
        second = data.createGroup("second")
        second.createDimension("x", 5)
        second.createVariable("v", "i8", ("x",))[:] = np.arange(5) * 10**10
        second.createVariable("other", "u2", ("x",))[:] = np.arange(5) * 13000
        second.level = np.int32(2)
        data.createGroup("empty").note = "only an attribute"


def _unlimited(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("time", None)
        data.createDimension("obs", None)
        data.createDimension("x", 3)
        data.createDimension("never", None)
        time = data.createVariable("time", "i8", ("time",))
        time.units = "seconds since 1970-01-01"
        time[:] = np.arange(4) * 3600
        both = data.createVariable("both", "i4", ("time", "obs"), chunksizes=(2, 3))
        both[0:4, 0:5] = np.arange(20).reshape(4, 5)
        short = data.createVariable("short", "f4", ("time", "x"))
        # Written for two of the four times: the rest is fill.
        short[0:2] = np.arange(6).reshape(2, 3)
        data.createVariable("unwritten", "f8", ("never",))
        deflated = data.createVariable("deflated", "f4", ("obs", "x"), zlib=True, chunksizes=(2, 2))
        deflated[:] = np.arange(15).reshape(5, 3)


def _coordinates(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("lat", 3)
        data.createDimension("lon", 4)
        data.createDimension("bare", 2)
        data.createDimension("clash", 3)
        lat = data.createVariable("lat", "f8", ("lat",))
        lat.units, lat[:] = "degrees_north", [10, 20, 30]
        lon = data.createVariable("lon", "f4", ("lon",))
        lon.units, lon[:] = "degrees_east", [0, 90, 180, 270]
        grid = data.createVariable("grid", "f4", ("lat", "lon"))
        grid[:], grid.coordinates = np.arange(12).reshape(3, 4), "lat lon"
        data.createVariable("no_variable", "i2", ("bare", "lat"))[:] = np.arange(6).reshape(2, 3)
        # Bears a dimension's name and is not its coordinate variable.
        data.createVariable("clash", "i4", ("lon",))[:] = [4, 3, 2, 1]
        data.createVariable("uses_clash", "i4", ("clash",))[:] = [5, 6, 7]


def _coordinate_order(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("time", 3)
        data.createDimension("station", 2)
        # netCDF-C marks it with _Netcdf4Coordinates.
        time = data.createVariable("time", "f8", ("time", "station"))
        time[:] = np.arange(6).reshape(3, 2)
        data.createVariable("value", "f4", ("station", "time"))[:] = np.arange(6).reshape(2, 3)


def _fill(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 10)
        for kind in INTEGERS + ["f4", "f8"]:
            partly = data.createVariable(f"default_{kind}", kind, ("x",), chunksizes=(4,))
            partly[0:3] = extremes(kind, 3)
            own = data.createVariable(f"own_{kind}", kind, ("x",), fill_value=np.array(42, kind), chunksizes=(4,))
            own[8] = np.array(1, kind)
            data.createVariable(f"never_{kind}", kind, ("x",), fill_value=np.array(99, kind), chunksizes=(4,))
        packed = data.createVariable("packed", "i2", ("x",), fill_value=np.int16(-1), zlib=True)
        packed.set_auto_maskandscale(False)
        packed.scale_factor, packed.add_offset = np.float64(0.1), np.float64(-5)
        packed[0:9] = np.arange(9)
        nan = data.createVariable("nan_fill", "f4", ("x",), fill_value=np.float32(np.nan), chunksizes=(5,))
        nan[0:2] = [1, 2]


def _zero(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("none", None)
        data.createDimension("x", 3)
        data.createVariable("empty", "f4", ("none",))
        data.createVariable("empty_plane", "i4", ("none", "x"))
        data.createVariable("empty_inner", "i2", ("x", "none"))
        data.createVariable("empty_text", str, ("none",))
        data.createVariable("full", "i4", ("x",))[:] = [1, 2, 3]


def _names(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x dim", 2)
        names = ("a b", "a.b", "c+d", "e@f", "g-h", "temp(x)", "i[j]", "naïve", "温度", "_lead", "k,l", "m=n", "o;p", "q'r", "s%20t")
        for index, name in enumerate(names):
            variable = data.createVariable(name, "i4", ("x dim",))
            variable[:] = [index, index + 100]
            variable.setncattr("long name", f"variable number {index}")
        group = data.createGroup("grüppe 1")
        group.createVariable("inner.name", "f4", ("x dim",))[:] = [0.5, 1.5]
        data.setncattr("attribüte", "ü")
        data.setncattr("dotted.name", "yes")


def _storage(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("y", 30)
        data.createDimension("x", 50)
        values = (np.arange(1500).reshape(30, 50) % 97).astype("f4") / 3
        plain = {
            "contiguous": dict(contiguous=True),
            "chunked": dict(chunksizes=(7, 13)),
            "deflate": dict(zlib=True, shuffle=False, chunksizes=(7, 13)),
            "shuffle": dict(zlib=True, shuffle=True, complevel=9, chunksizes=(8, 50)),
            "fletcher": dict(fletcher32=True, chunksizes=(10, 10)),
            "everything": dict(zlib=True, shuffle=True, fletcher32=True, chunksizes=(30, 50)),
            "zstd": dict(compression="zstd", chunksizes=(15, 25)),
            "bzip2": dict(compression="bzip2", chunksizes=(15, 25)),
            "blosc": dict(compression="blosc_lz4", blosc_shuffle=1, chunksizes=(15, 25)),
            "szip": dict(compression="szip", szip_coding="nn", szip_pixels_per_block=8, chunksizes=(16, 32)),
            "one_element": dict(chunksizes=(1, 50), zlib=True),
        }
        for name, options in plain.items():
            data.createVariable(name, "f4", ("y", "x"), **options)[:] = values
        data.createVariable("quantized", "f4", ("y", "x"), zlib=True, significant_digits=3)[:] = values


def _endian(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 6)
        for kind in ("i2", "u4", "i8", "f4", "f8"):
            for endian in ("big", "little"):
                variable = data.createVariable(f"{endian}_{kind}", kind, ("x",), endian=endian, zlib=endian == "big")
                variable[:] = extremes(kind, 6)


def _many(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 2)
        for index in range(300):
            data.createVariable(f"variable_{index:03}", "i2", ("x",))[:] = [index, -index]


def _attributes(path):
    with netCDF4.Dataset(path, "w") as data:
        data.createDimension("x", 2)
        variable = data.createVariable("v", "f4", ("x",))
        variable[:] = [1, 2]
        for kind in INTEGERS + ["f4", "f8"]:
            variable.setncattr(f"one_{kind}", extremes(kind, 2)[1])
            variable.setncattr(f"many_{kind}", extremes(kind, 6))
        variable.tenth = np.float32(0.1)
        variable.minus = np.float32(-9999)
        variable.huge = np.float32(1e20)
        variable.special = "tab\there, newline\nhere, \"quotes\", back\\slash, <tag> & 'apostrophe'"
        variable.empty_text = ""
        variable.utf8 = "Zürich 東京 ☃"
        variable.setncattr_string("strings", ["one", "two", "drei ü"])
        data.long_text = "0123456789" * 2000
        data.long_numbers = np.arange(3000, dtype="f8")
        for index in range(40):
            data.setncattr(f"dense_{index:02}", np.int32(index))
