#!/usr/bin/env bash
# Obtains real netCDF files to serve: the sample data of the Iris project (PyPI package iris-sample-data),
# copied into .work/data/. Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -f .work/data.stamp ] && cmp -s .work/data.stamp scripts/requirements-data.txt && ls .work/data/*.nc >/dev/null 2>&1; then
    exit 0
fi
python=$(command -v python3.11 || command -v python3)
[ -x .work/venv/bin/python ] && python=.work/venv/bin/python
rm -rf .work/download .work/data
mkdir -p .work/download .work/data
echo "fetching $(grep -v '^#' scripts/requirements-data.txt)"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-input -r scripts/requirements-data.txt -d .work/download
"$python" - <<'PYTHON'
import pathlib
import zipfile

data = pathlib.Path(".work/data")
for wheel in pathlib.Path(".work/download").glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(".nc"):
                # Folders below sample_data are kept: NEMO/ and others hold several files of one kind.
                path = data / name.split("/sample_data/", 1)[-1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.read(name))
count = len(list(data.rglob("*.nc")))
assert count, "no netCDF file in the package"
print(f"{count} netCDF files in {data}")
PYTHON
rm -rf .work/download
cp scripts/requirements-data.txt .work/data.stamp
