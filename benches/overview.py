"""The head and the foot of docs/performance.md, from what the other benchmarks have just measured.

    overview.py --write docs/performance.md

The machine, the versions of all that is compared, one table of everything side by side, and the targets that are missed.
Columns marked with a dagger were measured before, on another machine with two cores, for servers that a fresh machine
cannot install; so were cells that this run has no figure for.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import measure
import sections

COLUMNS = {
    "hyrax": "Hyrax 3.22 †",
    "dmrpp": "Hyrax DMR++ †",
    "dars": "dars †",
    "pydap": "pydap",
    "xpublish": "xpublish",
    "local": "netCDF4-python, local",
    "limit": "limit",
    "Thalweg": "**Thalweg**",
}
# Row -> title and what was measured before. The benchmarks give cells by row and column (`measure.finish`).
ROWS = {
    "whole deflate": ("whole variable, shuffle+deflate, chunk 1x361x720", {"hyrax": "86, 1007, 51", "dmrpp": "121, 1355, 1459", "dars": "219, 1113, 5"}),
    "whole cubes": ("whole, time-series chunks 60x60x60", {"hyrax": "86, 1011, 140", "dmrpp": "99, 1413", "dars": "4, 854"}),
    "whole contiguous": ("whole, contiguous", {"hyrax": "186, 1008, 52", "dmrpp": "213, 1199", "dars": "720, 1092, 409"}),
    "whole netcdf3": ("whole, netCDF-3", {"hyrax": "133, 1012"}),
    "whole zstd": ("whole, Zarr v3 zstd", {}),
    "16 deflate": ("16 whole variables at once, deflate (MB/s together, resident MB)", {"hyrax": "127, 15,303", "dars": "323, 1,260"}),
    "16 contiguous": ("16 at once, contiguous", {"hyrax": "167, 16,955", "dars": "829, 6,911"}),
    "metadata 1": ("metadata, requests/s, one connection", {"hyrax": "5.5", "dmrpp": "5.3", "dars": "19,400"}),
    "metadata 256": ("metadata, 256 connections", {"hyrax": "442", "dars": "21,370"}),
    "slab cold": ("400-byte slab, ms (chunk of 1 MB)", {"hyrax": "184", "dmrpp": "186", "dars": "4.3", "pydap": "41"}),
    "slabs 256": ("400-byte slabs, 256 connections, requests/s", {"hyrax": "108", "dars": "236", "pydap": "51"}),
    "slabs 1000": ("the same at 1,000 connections (resident MB; failures)", {"hyrax": "98 (4,006; 0)", "dars": "252 (239; 0)", "pydap": "35 (420)"}),
    "series slabs": (
        "one point, 360 times, slab chunks, ms",
        {"hyrax": "2,256", "dmrpp": "1,336", "dars": "1,362", "pydap": "1,542", "xpublish": "2,255", "local": "1,610", "limit": "530 on one core"},
    ),
    "series cubes": ("the same, time-series chunks, ms", {"hyrax": "180", "dmrpp": "189", "dars": "21", "pydap": "43", "xpublish": "55", "local": "19"}),
    "stride 4": (
        "every 4th cell of the whole grid, ms",
        {"hyrax": "3,465", "dmrpp": "1,177", "dars": "not supported", "pydap": "2,757", "local": "2,923", "limit": "530 on one core"},
    ),
    "series daily": ("one point over 1,000 daily files, ms", {"hyrax": "6,621", "dars": "326", "xpublish": "4,806", "local": "2,217"}),
    "all daily": ("all of 1,000 daily files (65 MB), ms", {"hyrax": "6,310", "dars": "361", "xpublish": "5,423", "local": "2,156"}),
    "page": ("catalog page of 1,000 files, ms", {"hyrax": "214", "dars": "(cached page)"}),
}
WHY = "Why:"


def said(*command):
    """The first line that a program says, or nothing."""
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30, check=False)
    except OSError:
        return ""
    return ((done.stdout or done.stderr).splitlines() or [""])[0].strip()


def machine():
    cpus = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.*)", cpus)
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) / 1e6
    return f"{os.cpu_count()} cores ({model.group(1) if model else platform.machine()}), {memory:.0f} GB of memory, Linux {platform.release()}."


def versions(binary):
    packages = {}
    for environment in (measure.PYTHON.parent, measure.PEERS):
        listed = subprocess.run([environment / "python", "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True)
        packages |= {package["name"].lower(): package["version"] for package in json.loads(listed.stdout)}
    names = ["pydap", "gunicorn", "xpublish", "xpublish_opendap", "uvicorn", "netcdf4", "h5py", "zarr", "numcodecs", "xarray", "numpy"]
    lock = (measure.ROOT / "Cargo.lock").read_text()
    # Name, then version: as the lock file has it.
    crates = re.findall(r'name = "(libdeflater|zstd)"\nversion = "([0-9.]+)"', lock)
    nginx = said("/usr/sbin/nginx", "-v").removeprefix("nginx version: ").replace("nginx/", "nginx ")
    commit = said("git", "-C", measure.ROOT, "describe", "--always")
    found = [f"{said(binary, '--version')} ({commit})", nginx, f"Python {platform.python_version()}"]
    found += [f"{name} {packages[name]}" for name in names if name in packages]
    found += [f"{name} {version}" for name, version in crates]
    return ", ".join(found) + "."


def table():
    """Everything side by side: cells of this run, and where it has none those measured before."""
    found = {}
    for results in measure.RESULTS.glob("*.json"):
        found |= json.loads(results.read_text())
    lines = [
        "The first rows: decoded MB for each processor second of the server, resident MB, milliseconds to the first byte. † measured before, on",
        "another machine with two cores like this one. pydap and xpublish have two workers; what they cannot answer is in the sections below.",
        "",
        "| case | " + " | ".join(COLUMNS.values()) + " |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for row, (title, before) in ROWS.items():
        cells = []
        for column, heading in COLUMNS.items():
            now, then = found.get(f"{row} | {column}", "-"), before.get(column)
            if now in ("-", "fails") and then:
                now = (f"{now}; " if now == "fails" else "") + then + ("" if "†" in heading else " †")
            cells.append(now)
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def short(document):
    """Targets that are missed, and the reasons that somebody has written behind them."""
    found = sections.read(document)
    # The old list is no list of what this run missed.
    reasons = found.pop(sections.LAST[0], "").partition(WHY)[2].strip()
    missed = [line for body in found.values() for line in body.splitlines() if line.startswith("- **missed**")]
    lines = list(dict.fromkeys(missed)) or ["Nothing: every target is kept."]
    return [*lines, *(["", WHY, "", reasons] if reasons else [])]


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--server", default=os.environ.get("THALWEG", str(measure.ROOT / "target/release/thalweg")))
    options.add_argument("--write", type=Path, required=True)
    chosen = options.parse_args()
    sections.write(chosen.write, sections.FIRST[0], [machine(), "", versions(chosen.server)])
    sections.write(chosen.write, sections.FIRST[1], table())
    sections.write(chosen.write, sections.LAST[0], short(chosen.write))
    return 0


if __name__ == "__main__":
    sys.exit(main())
