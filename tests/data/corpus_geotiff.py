"""GeoTIFF as GDAL writes it: every sample type, lossless compression and layout, overviews, masks, georeferencing."""

import warnings

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.shutil import copy
from rasterio.transform import from_origin
from rasterio.windows import Window

warnings.simplefilter("ignore")

NORTH_UP = from_origin(500000, 4600000, 30, 20)
DEGREES = from_origin(-10.5, 60.25, 0.25, 0.5)
WIDTH, HEIGHT = 41, 37


def make(corpus):
    for kind in ("int8", "uint32", "int64", "uint64"):
        _write(corpus, f"type_{kind}", f"one band of {kind}", [_values(kind)], dtype=kind)
    _write(corpus, "type_complex64", "one band of complex numbers", [_values("float32") + 2j], dtype="complex64")
    for name, options in {
        "deflate": {"compress": "deflate", "predictor": 2, "dtype": "int16"},
        "deflate_float": {"compress": "deflate", "predictor": 3, "dtype": "float32"},
        "lzw": {"compress": "lzw", "predictor": 2, "dtype": "uint16"},
        "zstd": {"compress": "zstd", "predictor": 3, "dtype": "float64"},
        "packbits": {"compress": "packbits", "dtype": "uint8"},
        "lzma": {"compress": "lzma", "dtype": "int32"},
        "lerc": {"compress": "lerc", "max_z_error": 0, "dtype": "float32"},
        "webp_lossless": {"compress": "webp", "webp_lossless": True, "dtype": "uint8", "count": 3},
    }.items():  # fmt: skip
        tiled = {"tiled": True, "blockxsize": 16, "blockysize": 16}
        bands = [_values(options["dtype"], i) for i in range(options.pop("count", 1))]
        _write(corpus, f"tiled_{name}", f"tiles, {name}", bands, **tiled, **options)
        if name in ("deflate_float", "lzw", "packbits"):
            _write(corpus, f"strips_{name}", f"strips, {name}", bands, blockysize=5, **options)
    three = [_values("uint16", i) for i in range(3)]
    for interleave in ("pixel", "band"):
        _write(corpus, f"interleave_{interleave}", f"three bands, {interleave} by {interleave}", three, interleave=interleave, compress="deflate", dtype="uint16")
    _write(corpus, "bands", "bands of different meaning: description, unit, scale and offset", three, dtype="uint16", finish=_meanings)
    _write(corpus, "nodata", "a value for missing cells", [_values("float32")], dtype="float32", nodata=-9999.0)
    _write(corpus, "nodata_nan", "missing cells are not numbers", [_values("float64")], dtype="float64", nodata=float("nan"))
    _write(corpus, "degrees", "latitude and longitude", [_values("float32")], dtype="float32", crs=CRS.from_epsg(4326), transform=DEGREES)
    _write(corpus, "rotated", "a rotated grid", [_values("uint8")], dtype="uint8", transform=NORTH_UP @ rasterio.Affine.rotation(30))
    _write(corpus, "nowhere", "no georeference", [_values("uint8")], dtype="uint8", crs=None, transform=None)
    _write(corpus, "bigtiff", "BigTIFF, big-endian", [_values("int32")], dtype="int32", BIGTIFF="YES", ENDIANNESS="BIG")
    _write(corpus, "palette", "a palette", [_values("uint8") % 4], dtype="uint8", photometric="palette", finish=_palette)
    _write(corpus, "mask", "an internal mask", [_values("uint8")], dtype="uint8", finish=_mask)
    _write(corpus, "overviews", "overviews by averaging", [_values("int16")], dtype="int16", tiled=True, blockxsize=16, blockysize=16, finish=_overviews)
    _write(corpus, "sparse", "tiles that were never written", None, dtype="float32", nodata=-1.0, tiled=True, blockxsize=16, blockysize=16, SPARSE_OK=True)
    _cloud_optimized(corpus)


def _values(kind, seed=0):
    """Smooth, so that predictors have work, and from end to end of small types."""
    wave = np.sin(np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) / (17 + seed))
    if np.dtype(kind).kind == "f":
        return (wave * 1e3).astype(kind)
    limits = np.iinfo(kind)
    if np.dtype(kind).kind == "u":
        wave = (wave + 1) / 2
    return (wave * min(limits.max, 2**53)).astype(kind)


def _write(corpus, name, feature, bands, dtype, finish=None, crs=CRS.from_epsg(32633), transform=NORTH_UP, **options):
    path = corpus.path(f"geotiff/{name}.tif", feature, "rasterio")
    place = {k: v for k, v in (("crs", crs), ("transform", transform)) if v is not None}
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(
        path, "w", driver="GTiff", width=WIDTH, height=HEIGHT, count=len(bands or [0]), dtype=dtype, **place, **options
    ) as image:
        for number, values in enumerate(bands or (), 1):
            image.write(values.astype(dtype), number)
        if bands is None:
            image.write(np.arange(256, dtype=dtype).reshape(16, 16), 1, window=Window(16, 0, 16, 16))
        if finish:
            finish(image)


def _meanings(image):
    image.descriptions = ("red", "infrared", "quality")
    image.units = ("1", "1", "")
    image.scales, image.offsets = (0.0001, 0.0001, 1.0), (-0.1, 0.0, 0.0)
    image.update_tags(PLATFORM="none", made="by a test")
    image.update_tags(1, WAVELENGTH="650")


def _palette(image):
    image.write_colormap(1, {0: (0, 0, 0, 255), 1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 3: (0, 0, 255, 255)})


def _mask(image):
    valid = np.full((HEIGHT, WIDTH), 255, "u1")
    valid[5:9, 7:20] = 0
    image.write_mask(valid)


def _overviews(image):
    image.build_overviews([2, 4], Resampling.average)


def _cloud_optimized(corpus):
    path = corpus.path("geotiff/cog.tif", "cloud optimized: tiles, overviews before the image", "rasterio")
    profile = {"driver": "GTiff", "width": 600, "height": 550, "count": 3, "dtype": "uint8", "crs": CRS.from_epsg(3857), "transform": from_origin(0, 5000, 10, 10)}
    with rasterio.MemoryFile() as memory:
        with memory.open(**profile) as image:
            for number in (1, 2, 3):
                image.write((np.add.outer(np.arange(550), np.arange(600)) * number % 251).astype("u1"), number)
            image.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        with memory.open() as image:
            copy(image, path, driver="COG", COMPRESS="DEFLATE", PREDICTOR="YES", BLOCKSIZE="256", OVERVIEW_RESAMPLING="NEAREST")
