"""GDAL reading our URL of a GeoTIFF must find the same reference system, transform and values as in the file.

    gdal_crs.py --server BINARY [--files PATTERN] [--verbose]

Serves handlers/geotiff/fixtures on a loopback port, asks Debian's `gdalinfo` about each file itself and about
`NETCDF:"http://.../x.tif":band_1` (or `:data`), and compares. Ends with `N passed, N failed`; exit 1 when one failed.
Needs gdal-bin; nothing of Python beyond the standard library.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "handlers" / "geotiff" / "fixtures"
IDENTITY = [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]

# What GDAL's netCDF reader cannot do, whatever a server says.
NOT_GDAL = {
    "gcps.tif": "ground control points are not read from netCDF",
    "rotated.tif": "2-D coordinates are read as geolocation arrays, and the transform is not",
    "rotated_degrees.tif": "2-D coordinates are read as geolocation arrays, and the transform is not",
    "*int64*": "64-bit integers are not part of DAP2",
    "type_complex*": "structures are not read from netCDF",
    "one_row.tif": "an axis of one cell has no step",
}


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.stdout, done.stderr


def gdalinfo(name):
    out, err = run("gdalinfo", "-json", name)
    if not out.strip():
        raise RuntimeError(err.strip() or "gdalinfo says nothing")
    return json.loads(out)


def system(info):
    """The reference system in PROJ's terms: what positions mean, without names."""
    wkt = (info.get("coordinateSystem") or {}).get("wkt", "")
    if not wkt:
        return None
    out, _ = run("gdalsrsinfo", "-o", "proj4", wkt)
    proj = out.strip().strip("'").strip()
    # Two ways to say the same.
    proj = proj.replace("+towgs84=0,0,0,0,0,0,0 ", "")
    return " ".join(sorted(proj.split())) or wkt


def identifier(info):
    wkt = (info.get("coordinateSystem") or {}).get("wkt", "")
    found = re.search(r'ID\["EPSG",(\d+)\]\]\s*$', wkt)
    return found and found.group(1)


def close(a, b):
    return abs(a - b) <= 1e-9 * max(1.0, abs(b))


def differences(url, file):
    local = gdalinfo(str(file))
    bands = len(local.get("bands", []))
    found, last = None, None
    for variable in ("band_1", "data"):
        try:
            found = gdalinfo(f'NETCDF:"{url}":{variable}')
            break
        except (RuntimeError, json.JSONDecodeError) as error:
            last = error
    if found is None:
        return [f"cannot be opened: {last}"]
    wrong = []
    ours, theirs = system(found), system(local)
    if ours != theirs:
        wrong.append(f"reference system {ours} instead of {theirs}")
    if identifier(local) and identifier(found) != identifier(local):
        wrong.append(f"EPSG {identifier(found)} instead of {identifier(local)}")
    a, b = found.get("geoTransform", IDENTITY), local.get("geoTransform", IDENTITY)
    if b[5] > 0 and b[2] == b[4] == 0 and b != IDENTITY:
        # The same rows from the other end: GDAL reads netCDF with its largest y first.
        b = [b[0], b[1], 0.0, b[3] + local["size"][1] * b[5], 0.0, -b[5]]
    if not all(close(x, y) for x, y in zip(a, b, strict=True)):
        wrong.append(f"transform {a} instead of {b}")
    if found["size"] != local["size"]:
        wrong.append(f"size {found['size']} instead of {local['size']}")
    if variable == "data" and len(found["bands"]) != bands:
        wrong.append(f"{len(found['bands'])} bands instead of {bands}")
    return wrong


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", required=True)
    arguments.add_argument("--files", default="*")
    arguments.add_argument("--verbose", action="store_true")
    arguments = arguments.parse_args()
    log = tempfile.NamedTemporaryFile("w+")
    server = subprocess.Popen(
        [arguments.server, "serve", str(FIXTURES), "--listen", "127.0.0.1:0"], stdout=log, stderr=subprocess.STDOUT
    )
    try:
        base = None
        for _ in range(100):
            if found := re.search(r"browse (http://127\.0\.0\.1:\d+)/", Path(log.name).read_text(errors="replace")):
                base = found.group(1)
                break
            time.sleep(0.1)
        if not base:
            sys.exit("the server did not start:\n" + Path(log.name).read_text(errors="replace"))
        passed = failed = known = 0
        for file in sorted(FIXTURES.glob("*.tif")):
            if not fnmatchcase(file.name, arguments.files):
                continue
            wrong = differences(f"{base}/opendap/{file.name}", file)
            reason = next((r for pattern, r in NOT_GDAL.items() if fnmatchcase(file.name, pattern)), None)
            if wrong and reason:
                known += 1
                if arguments.verbose:
                    print(f"known   {file.name}: {reason}")
            elif wrong:
                failed += 1
                print(f"FAILED  {file.name}: {'; '.join(wrong)}")
            else:
                passed += 1
                if arguments.verbose:
                    print(f"passed  {file.name}")
        print(f"{passed} passed, {known} known, {failed} failed")
        return 1 if failed or not passed else 0
    finally:
        server.terminate()
        server.wait(10)


if __name__ == "__main__":
    sys.exit(main())
