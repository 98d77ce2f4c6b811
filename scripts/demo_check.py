"""Opens every sample file by URL and by path with xarray and compares all values. Arguments: base URL, data folder."""

import sys
import warnings
from pathlib import Path

import numpy as np
import xarray

warnings.simplefilter("ignore")


def same(one, other):
    one, other = np.asarray(one), np.asarray(other)
    if one.dtype.kind in "SUO" or other.dtype.kind in "SUO":
        return [text(v) for v in one.reshape(-1)] == [text(v) for v in other.reshape(-1)]
    if one.dtype.kind in "fc":
        return np.array_equal(one, other, equal_nan=True)
    return np.array_equal(one, other)


def text(value):
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).rstrip("\0 ")


def main():
    base, folder = sys.argv[1], Path(sys.argv[2])
    wrong = compared = 0
    for path in sorted(folder.rglob("*.nc")):
        name = path.relative_to(folder).as_posix()
        with xarray.open_dataset(path, decode_times=False) as local:
            with xarray.open_dataset(f"{base}/opendap/{name}", engine="netcdf4", decode_times=False) as remote:
                for variable in local.variables:
                    if variable not in remote.variables and local[variable].dtype.kind in "iu" and local[variable].dtype.itemsize == 8:
                        continue  # DAP2 has no 64-bit integers
                    compared += 1
                    if variable not in remote.variables or not same(local[variable].values, remote[variable].values):
                        print(f"{name}: {variable} differs", file=sys.stderr)
                        wrong += 1
    print(f"xarray: {compared - wrong} variables equal, {wrong} different")
    return 1 if wrong or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
