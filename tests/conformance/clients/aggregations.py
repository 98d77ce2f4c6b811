"""Aggregations as real clients see them, against what xarray makes of the same files locally.

    aggregations.py [--server BINARY] [--only PATTERN] [--keep FOLDER]

Serves the NEMO months of .work/data and the sets of tests/data/make_aggregations.py, defined in the configuration and, where that can
say it, once more in NcML. Each is read through xarray (netCDF-C and pydap, DAP2 and DAP4), ncdump and pydap, and compared
with xarray's own join of the local files: names, dimensions, decoded times, every value. Where xarray has no such
view (forecasts), numpy computes it from the files.
"""

import argparse
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
from pathlib import Path

import cdl
import numpy as np
import xarray

warnings.simplefilter("ignore")
ROOT = Path(__file__).resolve().parents[3]
WORK = ROOT / ".work"
sys.path.insert(0, str(ROOT / "benches"))
from stores import Process  # noqa: E402


# --- what xarray makes of the files --------------------------------------------------------------------------------


def local(pattern, **how):
    files = sorted((WORK / "aggregations").glob(pattern))
    assert files, pattern
    return xarray.open_mfdataset(files, data_vars=how.pop("data_vars", "minimal"), compat="override", coords="minimal", join="exact", **how)


def nemo():
    files = sorted((WORK / "data" / "NEMO").glob("*.nc"))
    return xarray.open_mfdataset(files, combine="nested", concat_dim="time_counter", data_vars="minimal", coords="minimal", compat="override")


def by_time(pattern, **how):
    """Joined on time, in the order of time."""
    return local(pattern, combine="nested", concat_dim="time", **how).load().sortby("time")


def missing():
    files = [xarray.open_dataset(f) for f in sorted((WORK / "aggregations" / "missing").glob("*.nc"))]
    joined = xarray.concat(files, "time", data_vars="all", coords="minimal", compat="override")
    return joined


def static():
    files = [xarray.open_dataset(f) for f in sorted((WORK / "aggregations" / "static").glob("*.nc"))]
    return xarray.concat(files, "time", data_vars="different", coords="different", compat="equals")


def tiles():
    files = [[WORK / "aggregations" / "tiles" / f"tile_{i}{j}.nc" for j in range(2)] for i in range(2)]
    return xarray.open_mfdataset(files, combine="nested", concat_dim=["lat", "lon"], data_vars="minimal", coords="minimal", compat="override")


def union():
    parts = [xarray.open_dataset(WORK / "aggregations" / "union" / name) for name in ("sst.nc", "ice.nc")]
    return xarray.merge(parts)


def new():
    files = sorted((WORK / "aggregations" / "new").glob("*.nc"))
    times = xarray.Variable("time", np.array([np.datetime64(f.stem.removeprefix("ice-")) for f in files], "datetime64[ns]"))
    return xarray.concat([xarray.open_dataset(f) for f in files], xarray.DataArray(times, dims="time", name="time"), data_vars=["ice"], coords="minimal", compat="override")


def groups():
    files = sorted((WORK / "aggregations" / "groups").glob("*.nc"))
    parts = [xarray.open_dataset(f, group="ocean").assign_coords(time=xarray.open_dataset(f).time) for f in files]
    return xarray.concat(parts, "time")


def formats():
    folder = WORK / "aggregations" / "formats"
    parts = [xarray.open_dataset(folder / n) for n in ("a.nc", "b.nc4")] + [xarray.open_zarr(folder / n, consolidated=False) for n in ("c.zarr", "d.zarr")]
    return xarray.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override")


def nested():
    """A union of a join along time and one along a new dimension, with an edit."""
    folder = WORK / "aggregations"
    days = [xarray.open_dataset(folder / "daily" / f"sst_2000010{n}.nc") for n in (1, 2)]
    ice = [xarray.open_dataset(folder / "new" / f"ice-2010-03-{n}.nc") for n in (30, 31)]
    joined = xarray.concat(days, "time", data_vars="minimal", coords="minimal", compat="override")
    return joined.assign(frozen=xarray.concat([i.ice for i in ice], "time", coords="minimal", compat="override").assign_coords(time=joined.time))


def best():
    """For each valid time the newest run that has it."""
    chosen = {}
    for file in sorted((WORK / "aggregations" / "runs").glob("*.nc")):
        with xarray.open_dataset(file) as run:
            for step in range(run.sizes["time"]):
                chosen[run.time.values[step]] = run.t2m.isel(time=step).drop_vars("reftime", errors="ignore").load()
    return xarray.concat([chosen[t] for t in sorted(chosen)], "time").to_dataset(name="t2m")


# --- the aggregations ----------------------------------------------------------------------------------------------

# name, what the configuration says of it, its NcML or None, what it must be, and how close (0: equal)
CASES = [
    ("nemo", 'glob = "data/NEMO/*.nc"\njoin = "time_counter"', "joinExisting", nemo, 0),
    ("daily", 'glob = "sets/daily/*.nc"\njoin = "time"', "joinExisting", lambda: by_time("daily/*.nc"), 0),
    ("units", 'glob = "sets/units/*.nc"\njoin = "time"', "joinExisting", lambda: by_time("units/*.nc"), 0),
    ("noleap", 'glob = "sets/noleap/*.nc"\njoin = "time"', "joinExisting", lambda: by_time("noleap/*.nc"), 0),
    ("days360", 'glob = "sets/360_day/*.nc"\njoin = "time"', "joinExisting", lambda: by_time("360_day/*.nc"), 0),
    ("packing", 'glob = "sets/packing/*.nc"\njoin = "time"', None, lambda: by_time("packing/*.nc"), 1e-6),
    ("fills", 'glob = "sets/fills/*.nc"\njoin = "time"', None, lambda: by_time("fills/*.nc"), 0),
    ("missing", 'glob = "sets/missing/*.nc"\njoin = "time"', None, missing, 0),
    ("static", 'glob = "sets/static/*.nc"\njoin = "time"', None, static, 0),
    ("refused", 'glob = "sets/refused/*.nc"\njoin = "time"', None, lambda: by_time("refused/good*.nc"), 0),
    ("tiles", 'glob = "sets/tiles/*.nc"\ntype = "tiled"\ndimension = "lat lon"', None, tiles, 0),
    ("union", 'list = ["sets/union/sst.nc", "sets/union/ice.nc"]\ntype = "union"', "union", union, 0),
    ("new", 'glob = "sets/new/*.nc"\ntype = "joinNew"\ndimension = "time"\nvariables = ["ice"]\ndate_format_mark = "ice-#yyyy-MM-dd"', None, new, 0),
    ("groups", 'glob = "sets/groups/*.nc"\njoin = "time"', None, groups, 0),
    ("formats", 'glob = "sets/formats/*"\njoin = "time"', None, formats, 0),
    ("nested", 'ncml = "definition_of_nested.ncml"', None, nested, 0),
    ("best", 'glob = "sets/runs/*.nc"\ntype = "forecast"', None, best, 0),
]

NESTED = """<?xml version="1.0"?>
<netcdf xmlns="http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2">
  <aggregation type="union">
    <netcdf>
      <aggregation dimName="time" type="joinExisting">
        <netcdf location="sets/daily/sst_20000101.nc"/>
        <netcdf location="sets/daily/sst_20000102.nc"/>
      </aggregation>
    </netcdf>
    <netcdf>
      <variable name="frozen" orgName="ice"/>
      <aggregation dimName="time" type="joinNew">
        <variableAgg name="ice"/>
        <netcdf location="sets/new/ice-2010-03-30.nc" coordValue="0"/>
        <netcdf location="sets/new/ice-2010-03-31.nc" coordValue="1"/>
      </aggregation>
    </netcdf>
  </aggregation>
</netcdf>
"""

# What is read once more from an object store.
FAR = ["daily", "units", "formats", "new", "nested"]

NCML = {
    "joinExisting": '<aggregation dimName="{dim}" type="joinExisting"><scan location="{location}" suffix=".nc"/></aggregation>',
    "union": '<aggregation type="union"><netcdf location="sets/union/sst.nc"/><netcdf location="sets/union/ice.nc"/></aggregation>',
}


def settings(folder):
    text, known = ['title = "Joined"\n'], []
    (folder / "definition_of_nested.ncml").write_text(NESTED)
    for name, said, ncml, _, _ in CASES:
        known.append(name)
        text.append(f'[[dataset]]\nname = "{name}"\n{said}\n')
        if ncml:
            dim = "time_counter" if name == "nemo" else "time"
            location = re.search(r'"([^"]*)/\*', said)
            inside = NCML[ncml].format(dim=dim, location=location.group(1) if location else "")
            document = f'<?xml version="1.0"?>\n<netcdf xmlns="http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2">\n  {inside}\n</netcdf>\n'
            (folder / f"{name}.ncml").write_text(document)
    path = folder.with_suffix(".toml")
    path.write_text("\n".join(text))
    return path


# --- what clients see ----------------------------------------------------------------------------------------------


def netcdf4(url):
    return xarray.open_dataset(url, engine="netcdf4")


def netcdf4_dap4(url):
    return xarray.open_dataset(url + "#dap4", engine="netcdf4")


def pydap_store(url, protocol):
    from pydap.client import open_url
    from xarray.backends import PydapDataStore

    return xarray.open_dataset(PydapDataStore(open_url(url, protocol=protocol, output_grid=False)))


def in_groups(url):
    got = xarray.open_dataset(url + "#dap4", engine="netcdf4", group="ocean")
    return got.assign_coords(time=xarray.open_dataset(url + "#dap4", engine="netcdf4").time)


def compare(got, want, tolerance, dropped=()):
    """Nothing, or what is wrong first."""
    missing_names = [n for n in want.variables if n not in got.variables and n not in dropped]
    if missing_names:
        return f"no {', '.join(map(str, missing_names))}"
    for name in want.variables:
        if name in dropped:
            continue
        one, other = got[name].variable, want[name].variable
        if one.dims != other.dims or one.shape != other.shape:
            return f"{name}: {one.dims}{one.shape} for {other.dims}{other.shape}"
        a, b = one.values, other.values
        if a.dtype.kind == "f":
            # pydap gives xarray a Float32's fill value as a double, which is no value of the variable: nothing is masked then,
            # of a single file neither.
            a = without_fill(a, one.encoding)
        if a.dtype.kind in "fiu" and b.dtype.kind in "fiu":
            same = np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        else:
            same = bool((a == b).all())
        if not same:
            at = np.argwhere(~((a == b) | ((a != a) & (b != b))))
            where = tuple(at[0]) if len(at) else ()
            return f"{name}{list(map(int, where))}: {a[where]!r} for {b[where]!r} ({len(at)} differ)"
    return None


def through_ncdump(url, want, joined):
    """The numbers that ncdump prints of the URL and of xarray's join in a local file."""
    chosen = [n for n in want.variables if want[n].size <= 200_000 and want[n].dtype.kind in "fiuM"]
    rows = {n: int(np.prod(want[n].shape[:-1])) for n in chosen}
    chosen = [n for n in chosen if rows[n] <= 2000]
    views = []
    for target in (url, str(joined)):
        done = subprocess.run(["ncdump", "-p", "9,17", "-v", ",".join(map(str, chosen)), target], capture_output=True, timeout=120, text=True)
        if done.returncode:
            return f"ncdump exit status {done.returncode}: {done.stderr.strip()[-200:]}"
        views.append(cdl.parse(done.stdout)["variables"])
    for name in chosen:
        if want[name].dtype.kind == "M" or str(want[name].dtype) == "object":
            continue  # units may differ: xarray's comparison above is of dates
        a, b = (np.asarray(v[str(name)]["values"], "f8") for v in views)
        a, b = (without_fill(x, v[str(name)]["attributes"]) for x, v in zip((a, b), views))
        if a.shape != b.shape or not np.array_equal(a, b, equal_nan=True):
            return f"{name}: ncdump prints other numbers"
    return None


def without_fill(values, attributes):
    """netCDF-C is told another `_FillValue` over DAP4 where it would cut a Float32; `missing_value` is exact."""
    for name in ("_FillValue", "missing_value"):
        if attributes.get(name) is not None:
            values = np.where(values == np.float32(np.ravel(attributes[name])[0]), np.nan, values)
    return values


def start(binary, folder, config, index, served=None):
    """A server of `folder`, or of what `served` says on its command line, and where it listens."""
    log = folder.parent / "server.log"
    environment = {**os.environ, "THALWEG_INDEX_FOLDER": str(index)}
    with log.open("w") as out:
        server = subprocess.Popen([binary, "serve", "--config", config, "--listen", "127.0.0.1:0", *(served or [folder])], stderr=out, env=environment)
    for _ in range(300):
        found = re.search(r"listening on (http://127\.0\.0\.1:\d+)/", log.read_text(errors="replace"))
        if found:
            return server, found.group(1)
        if server.poll() is not None:
            break
        time.sleep(0.05)
    server.kill()
    raise SystemExit("the server did not start:\n" + log.read_text(errors="replace"))


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")))
    options.add_argument("--only", default="*")
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    subprocess.run([sys.executable, str(ROOT / "tests/data/make_aggregations.py"), str(WORK / "aggregations")], check=True)
    base = chosen.keep or Path(tempfile.mkdtemp(prefix="aggregations-"))
    folder = base / "served"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(WORK / "data", folder / "data", dirs_exist_ok=True)
    shutil.copytree(WORK / "aggregations", folder / "sets", dirs_exist_ok=True)
    config = settings(folder)
    server, origin = start(chosen.server, folder, config, base / "index")
    passed, failed = 0, []

    def judge(dataset, clients):
        nonlocal passed
        for client, run in clients.items():
            try:
                problem = run()
            except Exception as error:  # whatever a client says is a finding
                problem = f"{type(error).__name__}: {str(error)[:300]}"
            if problem:
                failed.append(f"{dataset}, {client}: {problem}")
                print("FAILED", failed[-1], flush=True)
            else:
                passed += 1

    wanted = {}
    try:
        for name, _, ncml, oracle, tolerance in CASES:
            if not fnmatch.fnmatchcase(name, chosen.only):
                continue
            want = wanted[name] = oracle().load()
            joined = base / f"{name}.nc"
            want.to_netcdf(joined)
            names = [name] + ([f"{name}.ncml"] if ncml else [])
            for dataset in names:
                url = f"{origin}/opendap/{dataset}"
                if name == "groups":
                    # Groups are DAP4's; DAP2 flattens their names.
                    judge(dataset, {"xarray netcdf4 DAP4": lambda: compare(in_groups(url), want, tolerance)})
                    continue
                judge(dataset, {
                    "xarray netcdf4 DAP2": lambda: compare(netcdf4(url), want, tolerance),
                    "xarray netcdf4 DAP4": lambda: compare(netcdf4_dap4(url), want, tolerance),
                    "xarray pydap DAP2": lambda: compare(pydap_store(url, "dap2"), want, tolerance),
                    "xarray pydap DAP4": lambda: compare(pydap_store(url, "dap4"), want, tolerance),
                    "ncdump DAP2": lambda: through_ncdump(url, want, joined) if not tolerance else None,
                    "ncdump DAP4": lambda: through_ncdump(url + "#dap4", want, joined) if not tolerance else None,
                })  # fmt: skip
        problem = notes(origin) if fnmatch.fnmatchcase("refused", chosen.only) else None
        if problem:
            failed.append(problem)
            print("FAILED", problem)
        server.terminate()
        server.wait(timeout=40)
        store = Process([sys.executable, ROOT / "tests/common/s3_server.py", base], r"(http://127\.0\.0\.1:\d+)", base / "store.log")
        try:
            far = ["s3://served", "--endpoint", store.url, "--anonymous"]
            server, origin = start(chosen.server, folder, config, base / "index-far", far)
            for name in sorted(set(FAR) & set(wanted)):
                url = f"{origin}/opendap/{name}"
                judge(f"{name} in an object store", {"xarray netcdf4 DAP4": lambda: compare(netcdf4_dap4(url), wanted[name], 0)})
        finally:
            store.stop()
    finally:
        server.terminate()
        server.wait(timeout=40)
        if not chosen.keep:
            shutil.rmtree(base, ignore_errors=True)
    print(f"{passed} passed, {len(failed)} failed")
    return 1 if failed else 0


def notes(origin):
    """Each member that cannot be joined is named, with what differs, on the dataset's page."""
    request = urllib.request.Request(f"{origin}/opendap/refused.html", headers={"Accept": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        told = json.dumps(json.load(answer))
    for member in ("bad_size.nc", "bad_values.nc", "bad_calendar.nc", "bad_units.nc", "cut.nc", "text.nc"):
        if member not in told:
            return f"refused: the page does not say that {member} is left out"
    return None


if __name__ == "__main__":
    sys.exit(main())
