"""Files that cannot be read: they must be listed as unreadable and never be served as data."""

import netCDF4
import h5py
import numpy as np


def make(corpus):
    corpus.path("broken/empty.nc", "zero bytes", "none").write_bytes(b"")
    corpus.path("broken/garbage.nc", "random bytes", "none").write_bytes(np.random.default_rng(1).bytes(4096))
    corpus.path("broken/text.nc", "a text file with a data file's name", "none").write_text("not a data file\n" * 40)
    corpus.path("broken/magic_only_cdf.nc", "netCDF-3 magic and nothing else", "none").write_bytes(b"CDF\x01")
    corpus.path("broken/magic_only_hdf5.h5", "HDF5 magic and nothing else", "none").write_bytes(b"\x89HDF\r\n\x1a\n")

    whole = corpus.hidden("broken/whole.tmp")
    with netCDF4.Dataset(whole, "w", format="NETCDF3_CLASSIC") as data:
        data.createDimension("x", 4000)
        data.createVariable("v", "f8", ("x",))[:] = np.arange(4000)
    raw = whole.read_bytes()
    corpus.path("broken/truncated_data.nc", "netCDF-3 cut in the middle of its data", "none").write_bytes(raw[: len(raw) // 2])
    corpus.path("broken/truncated_header.nc", "netCDF-3 cut in the middle of its header", "none").write_bytes(raw[:40])
    whole.unlink()

    with h5py.File(whole, "w") as data:
        data.create_dataset("v", data=np.arange(40000, dtype="f8"), chunks=(1000,), compression="gzip")
    raw = whole.read_bytes()
    corpus.path("broken/truncated.h5", "HDF5 cut in the middle", "none").write_bytes(raw[: len(raw) // 2])
    corpus.path("broken/truncated_head.h5", "HDF5 cut after its superblock", "none").write_bytes(raw[:96])
    whole.unlink()
