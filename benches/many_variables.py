"""Writes netCDF-4 files of many variables, for `benches/` and for profiles: `many_variables.py FOLDER [COUNT ...]`.

Of each count, three files: `grouped_N.nc` (groups of 20 variables, each with dimensions of its own), `flat_N.nc` (all in the root,
over two shared dimensions) and `phony_N.h5` (plain HDF5 of as many sizes as variables, so that no dimension is shared).

They are written by h5py with references from variables to their dimensions, as netCDF-C writes them, but without the lists of
references back: netCDF-C rewrites those with each variable, in time that grows with their number squared.
"""

import sys
from pathlib import Path

import h5py
import numpy

ATTRIBUTES = {"units": "K", "long_name": "a variable of many", "valid_min": numpy.float32(0), "valid_max": numpy.float32(400)}


def text(file, name, value):
    file.attrs.create(name, numpy.bytes_(value))


def dimension(group, name, size, number):
    scale = group.create_dataset(name, data=numpy.arange(size, dtype="f4"))
    scale.make_scale(name)
    scale.attrs.create("_Netcdf4Dimid", numpy.int32(number))
    return numpy.array([scale.ref], h5py.ref_dtype)


def variable(group, name, sizes, scales):
    made = group.create_dataset(name, shape=sizes, dtype="f4", track_order=True)
    lists = numpy.empty(len(scales), object)
    for axis, scale in enumerate(scales):
        lists[axis] = scale
    made.attrs.create("DIMENSION_LIST", lists, dtype=h5py.vlen_dtype(h5py.ref_dtype))
    for key, value in ATTRIBUTES.items():
        if isinstance(value, str):
            text(made, key, value)
        else:
            made.attrs.create(key, numpy.array([value]))


def new(path):
    return h5py.File(path, "w", libver="v110", track_order=True)


def grouped(path, count):
    with new(path) as file:
        for g in range(-(-count // 20)):
            group = file.create_group(f"group_{g:05}", track_order=True)
            text(group, "title", f"Group {g}")
            scales = dimension(group, "y", 4, 2 * g), dimension(group, "x", 6, 2 * g + 1)
            for v in range(18):
                variable(group, f"variable_{v:02}", (4, 6), scales)


def flat(path, count):
    with new(path) as file:
        scales = dimension(file, "y", 4, 0), dimension(file, "x", 6, 1)
        for v in range(count - 2):
            variable(file, f"variable_{v:06}", (4, 6), scales)


def phony(path, count):
    with h5py.File(path, "w", libver="v110", track_order=True) as file:
        for v in range(count):
            file.create_dataset(f"variable_{v:06}", shape=(v + 1,), dtype="f4")


def write(folder, counts):
    """The files of each kind, by kind and count, made where they are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for count in counts:
        for make in (grouped, flat, phony):
            path = folder / f"{make.__name__}_{count}.{'h5' if make is phony else 'nc'}"
            if not path.exists():
                make(path.with_suffix(".part"), count)
                path.with_suffix(".part").rename(path)
            paths[make.__name__, count] = path
    return paths


if __name__ == "__main__":
    write(Path(sys.argv[1]), list(map(int, sys.argv[2:])) or [2000])
