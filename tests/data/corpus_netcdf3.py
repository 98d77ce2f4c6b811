"""netCDF-3 files: CDF-1, CDF-2 and CDF-5, fixed and record variables, padding rules, the streaming marker."""

import struct

import netCDF4
import numpy as np

FORMATS = {
    "cdf1": "NETCDF3_CLASSIC",
    "cdf2": "NETCDF3_64BIT_OFFSET",
    "cdf5": "NETCDF3_64BIT_DATA",
}


def make(corpus):
    for short, form in FORMATS.items():
        _all_types(corpus.path(f"netcdf3/{short}_types.nc", f"{short.upper()}: all types, attributes of all types"), form)
        _records(corpus.path(f"netcdf3/{short}_records.nc", f"{short.upper()}: record and fixed variables mixed"), form)
        _one_record_variable(
            corpus.path(f"netcdf3/{short}_one_record.nc", f"{short.upper()}: one record variable, records unpadded"), form
        )
    _streaming(corpus)
    _no_records(corpus.path("netcdf3/no_records.nc", "record variables with zero records"))
    _header_only(corpus.path("netcdf3/attributes_only.nc", "no dimension, no variable, global attributes only"))
    _filled(corpus.path("netcdf3/fill.nc", "default and own fill values, never-written parts"))
    _names(corpus.path("netcdf3/names.nc", "names with blanks, dots, plus, at, non-ASCII; NFC"))
    _many(corpus.path("netcdf3/many.nc", "1,200 small variables: netCDF-C names them all in one DAP2 request"))
    _packed(corpus.path("netcdf3/packed_cf.nc", "CF: scale/offset, coordinates, bounds, char labels, no-leap time"))


def _types(form):
    types = ["i1", "S1", "i2", "i4", "f4", "f8"]
    return types + ["u1", "u2", "u4", "i8", "u8"] if form == "NETCDF3_64BIT_DATA" else types


def extremes(kind, count):
    """`count` values of the type with its limits among them."""
    dtype = np.dtype(kind)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = np.array([info.min, info.max, 0, 1, info.max // 3, info.min // 3 if info.min else 7], dtype)
    elif dtype.kind == "f":
        info = np.finfo(dtype)
        values = np.array([info.min, info.max, 0.0, -0.0, 1.5, info.tiny, np.nan, np.inf, -np.inf, 0.1], dtype)
    else:
        values = np.array(list("aZ 09~"), "S1")
    return np.resize(values, count)


def _all_types(path, form):
    with netCDF4.Dataset(path, "w", format=form) as data:
        data.createDimension("x", 5)
        data.createDimension("y", 3)
        data.title = "every type of this format"
        data.numbers = np.array([1, -2, 3], "i4")
        for kind in _types(form):
            name = {"S1": "char"}.get(kind, kind)
            scalar = data.createVariable(f"scalar_{name}", kind)
            scalar[...] = extremes(kind, 1)[0]
            line = data.createVariable(f"line_{name}", kind, ("x",))
            line[:] = extremes(kind, 5)
            plane = data.createVariable(f"plane_{name}", kind, ("y", "x"))
            plane[:] = extremes(kind, 15).reshape(3, 5)
            if kind != "S1":
                plane.setncattr(f"one_{name}", extremes(kind, 1)[0])
                plane.setncattr(f"many_{name}", extremes(kind, 4))
            else:
                plane.setncattr("text", "a line\nwith a newline, a \"quote\", a \\ and <xml> & 'more'")
                plane.setncattr("empty", "")
                plane.setncattr("utf8", "Zürich, 東京")


def _records(path, form):
    with netCDF4.Dataset(path, "w", format=form) as data:
        data.createDimension("time", None)
        data.createDimension("x", 3)
        time = data.createVariable("time", "f8", ("time",))
        time.units = "days since 2000-01-01"
        x = data.createVariable("x", "f4", ("x",))
        x[:] = [10, 20, 30]
        # Record lengths that need padding: 3 bytes and 6 bytes.
        bytes3 = data.createVariable("bytes3", "i1", ("time", "x"))
        shorts3 = data.createVariable("shorts3", "i2", ("time", "x"))
        fixed = data.createVariable("fixed", "i2", ("x",))
        fixed[:] = [-1, 0, 1]
        values = data.createVariable("values", "f4", ("time", "x"))
        count = 7
        time[:] = np.arange(count) + 0.5
        bytes3[:] = np.arange(count * 3).reshape(count, 3)
        shorts3[:] = np.arange(count * 3).reshape(count, 3) * -7
        values[:] = np.arange(count * 3).reshape(count, 3) / 3


def _one_record_variable(path, form):
    with netCDF4.Dataset(path, "w", format=form) as data:
        data.createDimension("time", None)
        data.createDimension("x", 3)
        only = data.createVariable("only", "i1", ("time", "x"))
        only[:] = np.arange(33).reshape(11, 3) - 16


def _streaming(corpus):
    """numrecs = 0xFFFFFFFF: the writer did not know the count; it follows from the file's size."""
    for name, form in (("streaming", "NETCDF3_CLASSIC"), ("streaming_cdf5", "NETCDF3_64BIT_DATA")):
        plain = corpus.path(f"netcdf3/{name}_twin.nc", "the plain twin of the streaming file")
        _records(plain, form)
        raw = bytearray(plain.read_bytes())
        width = 8 if form == "NETCDF3_64BIT_DATA" else 4
        raw[4 : 4 + width] = b"\xff" * width
        path = corpus.path(
            f"netcdf3/{name}.nc", "numrecs is the streaming marker", f"twin:netcdf3/{name}_twin.nc"
        )
        path.write_bytes(bytes(raw))


def _no_records(path):
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("time", None)
        data.createDimension("x", 2)
        data.createVariable("time", "f8", ("time",)).units = "s"
        data.createVariable("grid", "f4", ("time", "x"))
        x = data.createVariable("x", "i4", ("x",))
        x[:] = [4, 5]


def _header_only(path):
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.title = "nothing else"
        data.version = np.float64(1.25)


def _many(path):
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("x", 2)
        made = [data.createVariable(f"v{number:04}", "i2", ("x",)) for number in range(1200)]
        for number, variable in enumerate(made):
            variable[:] = [number, -number]


def _filled(path):
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("x", 6)
        for kind in ("i1", "i2", "i4", "f4", "f8", "S1"):
            name = {"S1": "char"}.get(kind, kind)
            variable = data.createVariable(f"default_{name}", kind, ("x",))
            variable[0:2] = extremes(kind, 2)
            if kind != "S1":
                own = data.createVariable(f"own_{name}", kind, ("x",), fill_value=np.array(-9, kind))
                own[3:5] = np.array([1, 2], kind)


def _names(path):
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("x dim", 2)
        for index, name in enumerate(("a b", "a.b", "c+d", "e@f", "g-h", "temp(x)", "naïve", "温度", "_lead", "k,l")):
            variable = data.createVariable(name, "i4", ("x dim",))
            variable[:] = [index, index + 100]
            variable.setncattr("long name", f"variable number {index}")
        data.setncattr("attribüte", "ü")
        data.setncattr("dotted.name", "yes")


def _packed(path):
    with netCDF4.Dataset(path, "w", format="NETCDF3_CLASSIC") as data:
        data.Conventions = "CF-1.8"
        data.createDimension("time", None)
        data.createDimension("lat", 4)
        data.createDimension("lon", 6)
        data.createDimension("bnds", 2)
        data.createDimension("len", 5)
        data.createDimension("station", 3)
        time = data.createVariable("time", "f8", ("time",))
        time.units, time.calendar, time.bounds = "days since 2001-01-01", "noleap", "time_bnds"
        bounds = data.createVariable("time_bnds", "f8", ("time", "bnds"))
        lat = data.createVariable("lat", "f4", ("lat",))
        lat.units, lat[:] = "degrees_north", [-45, -15, 15, 45]
        lon = data.createVariable("lon", "f4", ("lon",))
        lon.units, lon[:] = "degrees_east", np.arange(6) * 60
        temp = data.createVariable("temp", "i2", ("time", "lat", "lon"), fill_value=np.int16(-32768))
        temp.set_auto_maskandscale(False)
        temp.scale_factor, temp.add_offset = np.float32(0.01), np.float32(273.15)
        temp.units, temp.long_name, temp.valid_range = "K", "air temperature", np.array([-3000, 3000], "i2")
        label = data.createVariable("label", "S1", ("station", "len"))
        label[:] = np.array([list("Basel"), list("Bern\0"), list("Chur\0")], "S1")
        time[:] = [0.5, 1.5]
        bounds[:] = [[0, 1], [1, 2]]
        temp[:] = (np.arange(48).reshape(2, 4, 6) * 61 - 1400).astype("i2")


def numrecs(path):
    """The record count in a file's header, for checks of this generator."""
    head = path.read_bytes()[:12]
    return struct.unpack(">q" if head[3] == 5 else ">i", head[4 : 12 if head[3] == 5 else 8])[0]
