"""Command-line clients, each run on a URL and its output read back. First argument: the tool; then its arguments."""

import json
import re
import subprocess
import tempfile
from pathlib import Path

import cdl
import probe_netcdf4
import view


def read(tool, *arguments):
    return TOOLS[tool](*arguments)


def command(*words, seconds=50):
    done = subprocess.run(words, capture_output=True, timeout=seconds)
    if done.returncode != 0:
        tail = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise RuntimeError(f"{words[0]} exit status {done.returncode}: {tail}")
    return done.stdout.decode("utf-8", "replace")


def ncdump(url, variables=None):
    """`variables`: only their values are printed."""
    chosen = ["-v", variables] if variables else []
    found = cdl.parse(command("ncdump", "-p", "9,17", *chosen, url))
    for name, variable in found["variables"].items():
        if variables and name not in variables.split(","):
            variable["unparsed"] = True
    return found


def nco(url):
    """ncks copies the whole dataset into a local file, which the oracle's reader then reads."""
    with tempfile.TemporaryDirectory() as folder:
        copy = str(Path(folder) / "copy.nc")
        command("ncks", "-O", "-h", "-4", url, copy)
        return probe_netcdf4.read(copy)


def cdo(url):
    """CDO's own account of every field and level: minimum, mean, maximum, missing values, time, grid size."""
    lines = command("cdo", "-s", "infon", url).splitlines()
    return {"lines": [re.sub(r"\s+", " ", line).strip() for line in lines]}


def gdal(url, variable):
    told = json.loads(command("gdalinfo", "-json", "-checksum", f'NETCDF:"{url}":{variable}'))
    bands = [(b.get("type"), b.get("checksum"), _no_data(b)) for b in told.get("bands", [])]
    return {"size": told.get("size"), "bands": bands, "geoTransform": told.get("geoTransform")}


def gdal_place(target, variable):
    """Where GDAL finds an image to lie: the file itself, or `variable` of a URL."""
    from rasterio.crs import CRS

    told = json.loads(command("gdalinfo", "-json", f'NETCDF:"{target}":{variable}' if target.startswith("http") else target))
    text = told.get("coordinateSystem", {}).get("wkt")
    crs = CRS.from_wkt(text) if text else None
    return {"geoTransform": told.get("geoTransform"), "crs": crs and (crs.to_epsg() or crs.to_dict())}


def _no_data(band):
    """GDAL reports netCDF's default fill value as no-data for local files, and nothing for remote ones."""
    value = band.get("noDataValue")
    return None if value is not None and (value == -32767 or value == -2147483647 or 9.9e36 < value < 1e37) else value


def getdap(url):
    """getdap parses DDS, DAS and data; what it prints of plain numeric and string variables is read back."""
    found = {"attributes": {"": {}}, "variables": {}}
    command("getdap", "-a", url)
    command("getdap", "-d", url)
    printed = command("getdap", "-D", url)
    return _printed(printed, found, {"Byte": "u1", "Int16": "i2", "UInt16": "u2", "Int32": "i4", "UInt32": "u4"})


def getdap4(url):
    found = {"attributes": {"": {}}, "variables": {}}
    command("getdap4", "-d", url)
    printed = command("getdap4", "-D", url)
    kinds = {f"{u}Int{8 * n}": f"{'u' if u else 'i'}{n}" for u in ("", "U") for n in (1, 2, 4, 8)}
    return _printed(printed, found, {**kinds, "Byte": "u1"})


def _printed(printed, found, kinds):
    """Lines such as `Float32 v[x = 3] = {1, 2, 3};` or `Int32 one = 5;`."""
    import numpy as np

    kinds = {**kinds, "Float32": "f4", "Float64": "f8"}
    pattern = re.compile(r"^\s*(\w+) ([^\s\[=]+)((?:\[[^\]]*\])*) = (\{.*\}|[^;{]*);\s*$")
    for line in printed.splitlines():
        match = pattern.match(line)
        if not match or match.group(1) not in kinds:
            continue
        kind, name, dims, values = match.groups()
        axes = re.findall(r"\[(?:([^\]=]*) = )?(\d+)\]", dims)
        numbers = re.findall(r"[-+.\w]+", values)
        shape = [int(n) for _, n in axes]
        array = np.array([float(n) for n in numbers], "f8") if kinds[kind][0] == "f" else np.array([int(n) for n in numbers], object)
        made = view.variable(kinds[kind], [d.strip() or "?" for d, _ in axes], shape, {}, array.astype(kinds[kind]))
        found["variables"].setdefault(name, made)
    found["printed"] = len(printed)
    return found


def siphon(url):
    """Follows the catalog down from its root. Gives the data sets found with their access URLs, opens none."""
    from siphon.catalog import TDSCatalog

    found, todo, seen = {}, [url], set()
    while todo:
        address = todo.pop()
        if address in seen or len(seen) > 200:
            continue
        seen.add(address)
        catalog = TDSCatalog(address)
        for reference in catalog.catalog_refs.values():
            todo.append(reference.href)
        for dataset in catalog.datasets.values():
            found[dataset.url_path] = dict(dataset.access_urls)
    return {"datasets": found}


TOOLS = {f.__name__: f for f in (ncdump, nco, cdo, gdal, gdal_place, getdap, getdap4, siphon)}

if __name__ == "__main__":
    view.serve(read)
