"""The files that are read: one variable, stored in several ways. Made once, under .work/bench."""

import json
import os
import shutil

import netCDF4
import numpy as np
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

from measure import BENCH, SCRATCH, chunk_list

LATS, LONS = 361, 720
NAMES = {
    "slabs": "shuffle+deflate, chunk 1x361x720",
    "cubes": "shuffle+deflate, chunk 60x60x60",
    "contiguous": "contiguous",
    "netcdf3": "netCDF-3",
    "zstd": "Zarr v3 zstd",
    "blosc": "Zarr v3 blosc",
}


def field(steps):
    """Steps of a smooth field with noise of a twentieth of a kelvin, as packed observations have it: deflates about three
    to one."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[0:LATS, 0:LONS].astype("f4")
    for step in range(steps):
        smooth = 250 + 40 * np.cos((y - 180) / 120) + 5 * np.sin((x + 3 * step) / 40) * np.cos(y / 30)
        yield (np.round((smooth + random.normal(0, 0.5, smooth.shape)) * 20) / 20).astype("f4")


def axes(steps):
    """Names, values and units of the coordinates."""
    return (
        ("time", np.arange(steps), "days since 2000-01-01"),
        ("lat", np.linspace(-90, 90, LATS), "degrees_north"),
        ("lon", np.arange(LONS) / 2, "degrees_east"),
    )


def write_netcdf(path, steps, **storage):
    format = storage.pop("format", "NETCDF4")
    with netCDF4.Dataset(path, "w", format=format) as data:
        for name, values, units in axes(steps):
            data.createDimension(name, len(values))
            axis = data.createVariable(name, "f8", (name,))
            axis.units = units
            axis[:] = values
        variable = data.createVariable("t", "f4", ("time", "lat", "lon"), **storage)
        variable.units = "K"
        # Whole chunks at a time: a cube is compressed once.
        depth = storage.get("chunksizes", (1,))[0]
        block = []
        for step, values in enumerate(field(steps)):
            block.append(values)
            if len(block) == depth or step == steps - 1:
                variable[step + 1 - len(block) : step + 1] = np.stack(block)
                block = []


def write_zarr(path, steps, codec):
    group = zarr.create_group(path, zarr_format=3)
    for name, values, units in axes(steps):
        axis = group.create_array(name, shape=values.shape, dtype="f8", dimension_names=(name,))
        axis.attrs["units"] = units
        axis[:] = values
    variable = group.create_array(
        "t", shape=(steps, LATS, LONS), chunks=(1, LATS, LONS), dtype="f4", compressors=codec, dimension_names=("time", "lat", "lon")
    )
    variable.attrs["units"] = "K"
    for step, values in enumerate(field(steps)):
        variable[step] = values


def whole(steps):
    """{name: path} of a variable of steps x 361 x 720 Float32, in each way of NAMES, all in one folder."""
    folder = BENCH / f"whole_{steps}"
    folder.mkdir(parents=True, exist_ok=True)
    deflate = {"zlib": True, "shuffle": True, "complevel": 4}
    cube = (min(60, steps), 60, 60)
    ways = {
        "slabs": ("slabs.nc", lambda path: write_netcdf(path, steps, **deflate, chunksizes=(1, LATS, LONS))),
        "cubes": ("cubes.nc", lambda path: write_netcdf(path, steps, **deflate, chunksizes=cube)),
        "contiguous": ("contiguous.nc", lambda path: write_netcdf(path, steps, contiguous=True)),
        "netcdf3": ("netcdf3.nc", lambda path: write_netcdf(path, steps, format="NETCDF3_64BIT_OFFSET")),
        "zstd": ("zstd.zarr", lambda path: write_zarr(path, steps, ZstdCodec())),
        "blosc": ("blosc.zarr", lambda path: write_zarr(path, steps, BloscCodec(cname="lz4", shuffle="shuffle", typesize=4))),
    }
    for name, write in ways.values():
        path, part = folder / name, BENCH / f"part_{name}"
        if not path.exists():
            print(f"making {path}")
            shutil.rmtree(part, ignore_errors=True)
            part.unlink(missing_ok=True)
            write(part)
            os.replace(part, path)
    return {key: folder / name for key, (name, _) in ways.items()}


def chunks_of(paths):
    """{name: a list of chunks for `limits`} of those that are made of chunks."""
    listed = {name: chunk_list(paths[name], "t") for name in ("slabs", "cubes")}
    for name in ("zstd", "blosc"):
        chunks = SCRATCH / f"{name}.json"
        files = sorted((file for file in (paths[name] / "t" / "c").rglob("*") if file.is_file()), key=lambda file: int(file.parent.parent.name))
        found = [[i, 0, file.stat().st_size, LATS * LONS * 4] for i, file in enumerate(files)]
        chunks.write_text(json.dumps({"codec": "zstd", "shuffle": 0, "files": list(map(str, files)), "chunks": found}))
        listed[name] = chunks
    return listed
