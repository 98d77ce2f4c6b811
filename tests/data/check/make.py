"""Makes the small datasets that tests/check.rs looks at, beside itself: good ones, and one for each kind of problem that
damage alone does not make.

    python make.py         # needs netCDF4, h5py, zarr and numpy
"""

from pathlib import Path

import h5py  # isort: skip  (before netCDF4, whose HDF5 is another)
import netCDF4
import numpy as np
import zarr

HERE = Path(__file__).resolve().parent


def grid(name, **change):
    """A well-made grid; `change` replaces the values of coordinates, or the attribute `coordinates`."""
    with netCDF4.Dataset(HERE / name, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("time", None)
        for dimension, values, units in (
            ("time", [0.0, 6.0, 12.0], "hours since 2000-01-01"),
            ("lat", [10.0, 0.0, -10.0], "degrees_north"),
            ("lon", [0.0, 20.0, 40.0, 60.0], "degrees_east"),
        ):
            if dimension != "time":
                data.createDimension(dimension, len(values))
            axis = data.createVariable(dimension, "f8", (dimension,))
            axis.units = units
            axis[:] = np.array(change.get(dimension, values))
        data.createVariable("crs", "i4").grid_mapping_name = "latitude_longitude"
        data.createVariable("height", "f8").units = "m"
        air = data.createVariable("air", "f4", ("time", "lat", "lon"))
        air.setncatts({"units": "K", "grid_mapping": "crs", "coordinates": change.get("coordinates", "height")})
        air[:] = np.arange(36).reshape(3, 3, 4)


def made_of_hdf5(name, make):
    with h5py.File(HERE / name, "w", libver="latest") as data:
        make(data)


def chunks(data):
    # Never written: the file holds their description alone.
    data.create_dataset("tiny", (20000,), "f8", chunks=(1,), track_times=False)
    data.create_dataset("huge", (8192, 4096), "f8", chunks=(4096, 4096), compression="gzip", track_times=False)
    data.create_dataset("fine", (8192, 4096), "f8", chunks=(512, 512), compression="gzip", track_times=False)


def types(data):
    data.create_dataset("counter", data=np.arange(3, dtype="i8") << 40, track_times=False)
    data.create_dataset("naïve name", data=np.arange(3, dtype="f4"), track_times=False)
    data.create_dataset("bytes", (2,), "V4", track_times=False)
    data.create_dataset("none_yet", (0, 3), "f8", maxshape=(None, 3), chunks=(1, 3), track_times=False)


def filters(data):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4,))
    # Optional at creation, or the library would refuse to define it.
    properties.set_filter(511, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
    made = h5py.h5d.create(data.id, b"strange", h5py.h5t.STD_I32LE, h5py.h5s.create_simple((4,)), properties)
    made.write_direct_chunk((0,), b"\x01\x02\x03\x04" * 5, 0)


def outside(data):
    data.create_dataset("inside", data=np.arange(3, dtype="f4"), track_times=False)
    data.create_dataset("outside", (3,), "f4", external=[("/etc/hostname", 0, 12)], track_times=False)


def shards():
    """Three shards of two chunks each, every chunk with its checksum: a good store, for damage to be done to."""
    group = zarr.create_group(str(HERE / "shards.zarr"), overwrite=True)
    checked = {"chunks": (5,), "shards": (10,), "compressors": zarr.codecs.Crc32cCodec(), "dimension_names": ["x"]}
    group.create_array("v", shape=(30,), dtype="f4", **checked)[:] = np.arange(30)


grid("good.nc")
grid("disordered.nc", time=[0.0, 12.0, 6.0], lat=[10.0, np.nan, -10.0], coordinates="height depth")
made_of_hdf5("chunks.h5", chunks)
made_of_hdf5("types.h5", types)
made_of_hdf5("filters.h5", filters)
made_of_hdf5("outside.h5", outside)
shards()
