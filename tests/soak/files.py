"""The files that a soak serves: the same random values in several formats, and damaged copies of them."""

import random

import netCDF4
import numpy as np
import zarr

SHAPE = (24, 90, 180)
NAMES = ("packed.nc", "classic.nc", "records.nc", "blocks.zarr")
DAMAGED = 60


def values():
    """Noise, with a few digits less, so that it can be compressed a little."""
    return np.random.default_rng(7).normal(280, 15, SHAPE).astype("f4").round(2)


def netcdf(path, data, unlimited=False, begin=0, **how):
    with netCDF4.Dataset(path, "w", format=how.pop("format")) as file:
        for name, size in zip(("time", "lat", "lon"), data.shape):
            file.createDimension(name, None if unlimited and name == "time" else size)
            axis = file.createVariable(name, "f8", (name,))
            axis[:] = np.arange(size) + (begin if name == "time" else 0)
            axis.units = "days since 2000-01-01" if name == "time" else "degrees"
        file.createVariable("sst", "f4", ("time", "lat", "lon"), **how)[:] = data
        file["sst"].units = "K"


def make(folder):
    """Writes all files below `folder`."""
    data = values()
    netcdf(folder / "packed.nc", data, format="NETCDF4", zlib=True, shuffle=True, chunksizes=(6, 45, 60))
    netcdf(folder / "classic.nc", data, format="NETCDF3_64BIT_OFFSET")
    netcdf(folder / "records.nc", data, unlimited=True, format="NETCDF3_CLASSIC")
    for half in (0, 1):
        netcdf(folder / f"half{half}.nc", data[12 * half : 12 * half + 12], begin=12 * half, format="NETCDF4", zlib=True, chunksizes=(1, 90, 180))
    store = zarr.open_group(folder / "blocks.zarr", mode="w", zarr_format=2)
    array = store.create_array("sst", shape=SHAPE, chunks=(8, 30, 60), dtype="f4", fill_value=0)
    array[:] = data
    array.attrs["_ARRAY_DIMENSIONS"] = ["time", "lat", "lon"]
    damage(folder)


def damage(folder):
    """Copies with a few bytes of theirs wrong, missing or too many; the same ones each time."""
    chance = random.Random(7)
    originals = [(folder / name).read_bytes() for name in ("packed.nc", "classic.nc", "records.nc")]
    for i in range(DAMAGED):
        bad = bytearray(chance.choice(originals)[: chance.choice((3_000, 20_000, 10_000_000))])
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(min(len(bad), chance.choice((600, 8_000, len(bad)))))
            bad[at : at + chance.choice((1, 2, 4, 8))] = chance.choice((b"\xff" * 8, b"\0" * 8, chance.randbytes(4)))
        (folder / f"bad{i:02}.nc").write_bytes(bad)
