"""Makes deflate.h5: int32 v(20, 33, 47) of computable values in chunks of (3, 8, 10), shuffle and deflate.

The value at row-major position p is (p * 0x9e3779b1 ^ 3 * 0x85ebca6b) | 1, modulo 2**32: what
tests/common/netcdf3.rs calls value(3, p).

    python deflate.py         # needs h5py and numpy
"""
import os

import h5py
import numpy as np

shape = (20, 33, 47)
position = np.arange(np.prod(shape), dtype=np.uint64)
mask = np.uint64(0xffffffff)
mixed = (position * np.uint64(0x9e3779b1) & mask) ^ np.uint64(3 * 0x85ebca6b & 0xffffffff)
values = (mixed | np.uint64(1)).astype(np.uint32).view(np.int32).reshape(shape)
with h5py.File(os.path.join(os.path.dirname(os.path.abspath(__file__)), "deflate.h5"), "w", libver="latest") as f:
    f.create_dataset("v", data=values, chunks=(3, 8, 10), maxshape=(None, None, 47), shuffle=True,
                     compression="gzip", compression_opts=1, track_times=False)
