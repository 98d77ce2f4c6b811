"""`thalweg cat FILE` against `ncdump -h FILE`: the same text for every file of the corpus that ncdump can read.

    cat.py BINARY FOLDER...
"""

import subprocess
import sys
from pathlib import Path

# Where the texts differ by design, or by ncdump's fault: file name, what.
DIFFERENT = {
    "truncated_data.nc": "a file that names more than it holds is refused; netCDF-C shows it, and zeros for its values",
    "truncated_header.nc": "the same",
    "dense.h5": "attributes in dense storage come by name; netCDF-C 4.9.0 shows them by the hash of their names",
    "null_space.h5": "a null dataspace is an axis of size 0; netCDF-C shows a scalar with a made-up value",
    "external_link.h5": "external links are not followed",
    "cdf1_types.nc": "ncdump cuts texts of classic files at line ends into several",
    "cdf2_types.nc": "the same",
    "cdf5_types.nc": "the same",
    "mesh_C4_synthetic_float.nc": "the same",
    "streaming.nc": "netCDF-C 4.9.0 takes the marker of a streamed file for its number of records",
    "streaming_cdf5.nc": "the same",
    "toa_brightness_stereographic.nc": "ncdump writes a blank behind a variable whose name is a word of CDL (data)",
    **dict.fromkeys(
        ["array.h5", "bitfield.h5", "bool.h5", "complex.h5", "compound.h5", "references.h5", "vlen.h5"],
        "shows variables that netCDF-C leaves out",
    ),
}


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=30)
    return done.stdout if done.returncode == 0 else None


def main():
    binary, *folders = sys.argv[1:]
    same, wrong = 0, []
    for path in sorted(p for folder in folders for p in Path(folder).rglob("*") if p.is_file()):
        try:
            expected = output("ncdump", "-h", str(path))
        except subprocess.TimeoutExpired:
            continue  # netCDF-C hangs on cycles of hard links
        if expected is None:
            continue
        if output(binary, "cat", str(path)) == expected:
            same += 1
            if path.name in DIFFERENT:
                wrong.append(f"{path}: is listed as different but is not")
        elif path.name not in DIFFERENT:
            wrong.append(f"{path}: differs from ncdump -h")
    for line in wrong:
        print(line, file=sys.stderr)
    print(f"thalweg cat: {same} files as ncdump -h prints them, {len(wrong)} unexpected")
    return 1 if wrong or not same else 0


if __name__ == "__main__":
    sys.exit(main())
