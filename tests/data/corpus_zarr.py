"""Zarr: version 2 and 3, every type, codec and layout that zarr-python writes; zip files; what xarray writes."""

import warnings

import numcodecs
import numpy as np
import xarray
import zarr
from zarr.codecs import (
    BloscCodec, BytesCodec, Crc32cCodec, GzipCodec, ShardingCodec, TransposeCodec, ZstdCodec,
)  # fmt: skip

warnings.simplefilter("ignore")

NUMBERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]


def make(corpus):
    for version in (2, 3):
        def group(name, feature, consolidated=False, **options):
            return Store(corpus, f"zarr{version}/{name}.zarr", feature, version, consolidated, **options)

        _types(group("types", "every numeric type, little- and big-endian; half floats, bool, complex, times"), version)
        _strings(group("strings", "fixed and variable strings, bytes; attributes of every JSON form"), version)
        _layout(group("layout", "scalar, empty, edge chunks, missing chunks, fill values, odd names"), version)
        _groups(group("groups", "nested groups, dimensions inherited and in conflict; not consolidated"), version)
        _groups(group("consolidated", "the same, consolidated", consolidated=True), version)
        _xarray(corpus, f"zarr{version}/xarray.zarr", version)
        _alone(corpus, f"zarr{version}/alone.zarr", version)
        _zipped(corpus, f"zarr{version}/zipped.zarr.zip", version)
    _codecs2(Store(corpus, "zarr2/codecs.zarr", "every compressor and filter", 2))
    _orders2(Store(corpus, "zarr2/orders.zarr", "C and Fortran order, both separators of chunk keys", 2))
    _records2(Store(corpus, "zarr2/records.zarr", "structured types", 2))
    _codecs3(Store(corpus, "zarr3/codecs.zarr", "every codec, transposed axes, checksums, both forms of chunk keys", 3))
    _sharded3(Store(corpus, "zarr3/sharded.zarr", "shards: index at end and start, compressed inner chunks, missing ones", 3))


class Store:
    """A group being filled, consolidated at the end of its `with`."""

    def __init__(self, corpus, name, feature, version, consolidated=False):
        self.path = corpus.path(name, feature, "zarr")
        self.version, self.consolidated = version, consolidated

    def __enter__(self):
        return zarr.create_group(store=str(self.path), zarr_format=self.version)

    def __exit__(self, *_):
        if self.consolidated:
            zarr.consolidate_metadata(str(self.path))


def named(group, name, values, dims, attributes=None, **options):
    """An array with values whose axes have names, as each version says them."""
    values = np.asarray(values)
    attributes = dict(attributes or {})
    if group.metadata.zarr_format == 2:
        attributes["_ARRAY_DIMENSIONS"] = list(dims)
    else:
        options["dimension_names"] = list(dims)
    array = group.create_array(name, shape=values.shape, dtype=options.pop("dtype", values.dtype), attributes=attributes, **options)
    array[...] = values
    return array


def extremes(kind, count):
    """Values from end to end of the type."""
    if np.dtype(kind).kind == "f":
        limits = np.finfo(kind)
        few = [0.0, -0.0, 1.5, -2.25, limits.max, limits.min, limits.tiny, np.nan, np.inf, -np.inf]
    else:
        limits = np.iinfo(kind)
        few = [limits.min, limits.max, 0, 1, limits.max // 3, limits.min // 3]
    return np.resize(np.array(few, kind), count)


def _types(store, version):
    with store as group:
        group.attrs.update({"title": "types"})
        for kind in NUMBERS:
            named(group, f"plane_{kind}", extremes(kind, 35).reshape(5, 7), ("y", "x"), chunks=(2, 4))
        options = {} if version == 2 else {"serializer": BytesCodec(endian="big")}
        for kind in ("i2", "u4", "i8", "f4", "f8"):
            stored = f">{kind}" if version == 2 else kind
            named(group, f"big_{kind}", extremes(kind, 7), ("x",), dtype=stored, chunks=(3,), **options)
        named(group, "half", np.array([0, 1.5, -2, 65504, np.nan, np.inf, 6e-8], "f2"), ("x",), chunks=(4,))
        named(group, "truth", np.arange(7) % 3 == 0, ("x",), chunks=(4,))
        named(group, "complex64", (np.arange(7) - 2j * np.arange(7)).astype("c8"), ("x",), chunks=(4,))
        named(group, "complex128", (np.arange(7) / 3 + 1j).astype("c16"), ("x",), chunks=(4,))
        moments = np.array("2000-01-01T00:00:00", "M8[s]") + np.arange(7) * 86399
        named(group, "moment_s", moments, ("x",), chunks=(4,))
        named(group, "moment_ns", moments.astype("M8[ns]"), ("x",), chunks=(4,))
        named(group, "day", moments.astype("M8[D]"), ("x",), chunks=(4,))
        named(group, "lapse", (np.arange(7) * 3).astype("m8[h]"), ("x",), chunks=(4,))


def _strings(store, version):
    with store as group:
        group.attrs.update({
            "text": "plain", "accents": "Übergröße", "number": 7, "real": 0.5, "negative": -3, "large": 2**40,
            "many": [1, 2, 3], "reals": [1.5, 2.0, 3], "texts": ["one", "two"],
        })  # fmt: skip
        texts = np.array(["", "a", "two words", "x" * 60], object)
        kind = {"dtype": str} if version == 2 else {"dtype": "string"}
        named(group, "any", texts, ("x",), chunks=(3,), **kind)
        named(group, "utf8", np.array(["Zürich", "東京", "naïve café", "ascii"], object), ("x",), chunks=(3,), **kind)
        named(group, "utf8_fixed", np.array(["Zürich", "東京", "", "abcdef"], "U6"), ("x",), chunks=(3,))
        named(group, "bytes", np.array([b"abc", b"defghi", b"", b"z"], "S6"), ("x",), chunks=(3,))


def _layout(store, version):
    with store as group:
        named(group, "scalar", np.float64(2.5), ())
        named(group, "edges", np.arange(7 * 11, dtype="i4").reshape(7, 11), ("y", "x"), chunks=(3, 4), fill_value=-1)
        named(group, "one_chunk", np.arange(77, dtype="i2").reshape(7, 11), ("y", "x"), chunks=(7, 11), compressors=None)
        named(group, "cube", np.arange(3 * 7 * 11, dtype="u2").reshape(3, 7, 11), ("z", "y", "x"), chunks=(2, 7, 5))
        named(group, "dots.and-dashes", np.arange(11, dtype="f4"), ("x",), chunks=(5,))
        for name, kind, fill in (
            ("missing_nan", "f4", np.nan), ("missing_inf", "f8", np.inf), ("missing_low", "f8", -np.inf),
            ("missing_number", "f4", 1e20), ("missing_integer", "i8", -(2**60)), ("missing_zero", "u2", 0), ("missing_truth", "?", True),
        ):  # fmt: skip
            array = named(group, name, np.full((7, 11), fill, kind), ("y", "x"), chunks=(4, 4), fill_value=fill)
            array[0:2, 5:9] = 1
        if version == 2:
            named(group, "without_fill", np.arange(11, dtype="i4"), ("x",), chunks=(4,), fill_value=None)


def _groups(store, version):
    with store as group:
        group.attrs.update({"Conventions": "CF-1.8", "title": "groups"})
        named(group, "lat", np.linspace(-30, 30, 4), ("lat",), {"units": "degrees_north"})
        named(group, "lon", np.linspace(0, 300, 6), ("lon",), {"units": "degrees_east"})
        named(group, "height", np.arange(24, dtype="f4").reshape(4, 6), ("lat", "lon"), {"units": "m", "valid": [0, 24]}, chunks=(2, 6))
        one = group.create_group("one", attributes={"note": "inherits lat and lon"})
        named(one, "mask", np.arange(24, dtype="i1").reshape(4, 6), ("lat", "lon"))
        deep = one.create_group("deep")
        named(deep, "lat", np.arange(3, dtype="f8"), ("lat",), {"units": "degrees_north"})
        named(deep, "mean", np.arange(18, dtype="f4").reshape(3, 6), ("lat", "lon"))
        group.create_group("empty")


def grid():
    """What a model writes: packed, with missing values and coordinates."""
    time = np.array("2001-01-01", "M8[ns]") + np.arange(5) * np.timedelta64(6, "h")
    lat, lon = np.linspace(60, -60, 7), np.linspace(0, 330, 12)
    value = (250 + 30 * np.sin(np.arange(5 * 7 * 12) / 9)).reshape(5, 7, 12)
    packed = value.copy()
    packed[1, 2:4, 5] = np.nan
    return xarray.Dataset(
        {
            "air": (("time", "lat", "lon"), packed, {"units": "K", "standard_name": "air_temperature"}),
            "pressure": (("time", "lat", "lon"), value.astype("f4") * 400, {"units": "Pa"}),
            "count": (("lat", "lon"), np.arange(84, dtype="i4").reshape(7, 12)),
        },
        {"time": time, "lat": ("lat", lat, {"units": "degrees_north"}), "lon": ("lon", lon, {"units": "degrees_east"})},
        {"Conventions": "CF-1.8", "history": "made by a test"},
    )


PACKING = {
    "air": {"dtype": "int16", "scale_factor": 0.01, "add_offset": 273.15, "_FillValue": -32768, "chunks": (2, 4, 12)},
    "time": {"units": "hours since 2000-01-01", "dtype": "float64"},
}


def _xarray(corpus, name, version):
    path = corpus.path(name, "a grid as xarray writes it: packed, missing values, times, consolidated", "zarr")
    grid().to_zarr(str(path), encoding=PACKING, zarr_format=version, consolidated=True)


def _alone(corpus, name, version):
    path = corpus.path(name, "a single array", "zarr")
    options = {} if version == 2 else {"dimension_names": ["y", "x"]}
    attributes = {"units": "m", **({"_ARRAY_DIMENSIONS": ["y", "x"]} if version == 2 else {})}
    array = zarr.create_array(str(path), shape=(5, 6), chunks=(2, 6), dtype="f4", zarr_format=version, attributes=attributes, **options)
    array[...] = np.arange(30).reshape(5, 6)


def _zipped(corpus, name, version):
    path = corpus.path(name, "a hierarchy in a zip file", "zarr")
    with zarr.storage.ZipStore(str(path), mode="w") as store:
        group = zarr.create_group(store=store, zarr_format=version, attributes={"title": "zipped"})
        named(group, "x", np.arange(6, dtype="f8"), ("x",), {"units": "m"})
        named(group, "plane", np.arange(30, dtype="i4").reshape(5, 6), ("y", "x"), chunks=(2, 4))
        child = group.create_group("child")
        named(child, "line", np.arange(6, dtype="f4"), ("x",), chunks=(4,))


def _codecs2(store):
    values = (np.arange(40 * 33) % 251).astype("i4").reshape(40, 33)
    compressors = {
        "none": None, "zlib": numcodecs.Zlib(4), "gzip": numcodecs.GZip(4), "bz2": numcodecs.BZ2(4), "lz4": numcodecs.LZ4(),
        "zstd": numcodecs.Zstd(3), "lzma": numcodecs.LZMA(),
    }  # fmt: skip
    for inner in ("blosclz", "lz4", "lz4hc", "zlib", "zstd"):
        for name, shuffle in (("plain", 0), ("bytes", 1), ("bits", 2)):
            compressors[f"blosc_{inner}_{name}"] = numcodecs.Blosc(inner, 3, shuffle)
    filters = {
        "delta": ([numcodecs.Delta("i4")], "i4"),
        "shuffle": ([numcodecs.Shuffle(4)], "i4"),
        "scaled": ([numcodecs.FixedScaleOffset(offset=100, scale=10, dtype="f8", astype="i4")], "f8"),
        "crc32": ([numcodecs.CRC32()], "i4"),
    }
    with store as group:
        for name, codec in compressors.items():
            named(group, name, values, ("y", "x"), chunks=(16, 33), compressors=codec)
        for name, (codecs, kind) in filters.items():
            named(group, name, values.astype(kind), ("y", "x"), chunks=(16, 33), filters=codecs, compressors=numcodecs.Zlib(1))


def _orders2(store):
    values = np.arange(5 * 6 * 7, dtype="i4").reshape(5, 6, 7)
    with store as group:
        for order in "CF":
            for separator in "./":
                name = f"{order}_{'dot' if separator == '.' else 'slash'}"
                named(group, name, values, ("z", "y", "x"), chunks=(2, 4, 3), order=order, chunk_key_encoding={"name": "v2", "separator": separator})


def _records2(store):
    with store as group:
        for name, kind in (("obs", [("id", "<i4"), ("at", ">f8"), ("flag", "u1")]), ("plain", [("id", "<i4"), ("at", "<f8")])):
            values = np.zeros(6, kind)
            values["id"], values["at"] = np.arange(6), np.arange(6) / 7
            named(group, name, values, ("n",), chunks=(4,), fill_value=None)


def _codecs3(store):
    values = (np.arange(40 * 33) % 251).astype("i4").reshape(40, 33)
    compressors = {
        "none": None, "gzip": GzipCodec(level=4), "zstd": ZstdCodec(level=3), "zstd_checksum": ZstdCodec(level=1, checksum=True),
        "crc32c": Crc32cCodec(), "gzip_crc32c": [GzipCodec(level=1), Crc32cCodec()],
    }  # fmt: skip
    for inner in ("blosclz", "lz4", "lz4hc", "zlib", "zstd"):
        compressors[f"blosc_{inner}"] = BloscCodec(cname=inner, clevel=3, shuffle="bitshuffle" if inner == "zstd" else "shuffle")
    with store as group:
        for name, codec in compressors.items():
            named(group, name, values, ("y", "x"), chunks=(16, 33), compressors=codec)
        named(group, "transposed", values, ("y", "x"), chunks=(16, 33), filters=[TransposeCodec(order=(1, 0))])
        named(group, "keys_v2", values, ("y", "x"), chunks=(16, 33), chunk_key_encoding={"name": "v2", "separator": "."})
        named(group, "keys_dots", values, ("y", "x"), chunks=(16, 33), chunk_key_encoding={"name": "default", "separator": "."})


def _sharded3(store):
    values = np.arange(20 * 30, dtype="f4").reshape(20, 30)
    with store as group:
        named(group, "end", values, ("y", "x"), chunks=(5, 5), shards=(10, 10))
        named(group, "gzip", values, ("y", "x"), chunks=(5, 5), shards=(10, 20), compressors=GzipCodec())
        named(group, "raw", values, ("y", "x"), chunks=(4, 5), shards=(8, 10), compressors=None)
        start = ShardingCodec(chunk_shape=(5, 5), codecs=[BytesCodec(), ZstdCodec()], index_location="start")
        named(group, "start", values, ("y", "x"), chunks=(10, 10), serializer=start, compressors=None)
        transposed = ShardingCodec(chunk_shape=(5, 5), codecs=[TransposeCodec(order=(1, 0)), BytesCodec(), ZstdCodec()])
        named(group, "inner_transposed", values, ("y", "x"), chunks=(10, 10), serializer=transposed, compressors=None)
        holes = named(group, "holes", np.full((20, 30), -1, "f4"), ("y", "x"), chunks=(5, 5), shards=(10, 10), fill_value=-1)
        holes[3:7, 12:18] = 5


