"""Whole-process benchmark: 1,000 daily files as one dataset, through the server, by xarray and by netCDF4-python from the local files.

    aggregation.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

In one run, in turn: xarray opens the files with `open_mfdataset` and reads a step, a series at one point and everything;
netCDF4-python opens each file, reads the point or everything, and closes it; the server is asked for the same (DAP4): first
one that has just been started with its index of members on disk, then the same again. The very first start, which makes the
index, and 10,000 files are measured once.
"""

import json
import shutil
import subprocess
import sys

import measure
from measure import Verdicts, number, share, timed

MAKE = """
import sys, numpy, netCDF4
folder, days, lats, lons = sys.argv[1], *map(int, sys.argv[2:])
random = numpy.random.default_rng(1)
noise = random.normal(0, 1, (lats, lons)).astype("f4")
for day in range(days):
    with netCDF4.Dataset(f"{folder}/sst_{day:05}.nc", "w") as f:
        f.createDimension("time", None); f.createDimension("lat", lats); f.createDimension("lon", lons)
        t = f.createVariable("time", "f8", ("time",)); t.units = "days since 2000-01-01"
        t[:] = [day]
        f.createVariable("lat", "f4", ("lat",))[:] = numpy.linspace(-89, 89, lats)
        f.createVariable("lon", "f4", ("lon",))[:] = numpy.linspace(0, 358, lons)
        v = f.createVariable("sst", "f4", ("time", "lat", "lon"), zlib=True, complevel=4, shuffle=True, chunksizes=(1, lats, lons))
        v.units = "K"
        v[0] = 280 + noise + day / 100
"""

LAPS = """
import sys, time, glob, json
folder, lat, lon = sys.argv[1], *map(int, sys.argv[2:])
files = sorted(glob.glob(folder + "/*.nc"))
laps = {}
def lap(name):
    global started
    now = time.monotonic()
    laps[name] = now - started
    started = now
"""
XARRAY = f"""
import xarray
{LAPS}
started = time.monotonic()
data = xarray.open_mfdataset(files, combine="nested", concat_dim="time", data_vars="minimal", coords="minimal", compat="override")
lap("open")
data.sst[len(files) // 2].values
lap("step")
data.sst[:, lat, lon].values
lap("series")
data.sst[:, lat // 2, lon // 3].values
lap("other")
data.sst.values
lap("all")
print(json.dumps(laps))
"""
LOOP = f"""
import netCDF4, numpy
{LAPS}
def read(*cell):
    found = []
    for file in files:
        with netCDF4.Dataset(file) as data:
            data.set_auto_maskandscale(False)
            found.append(data["sst"][cell])
    return numpy.concatenate(found)
started = time.monotonic()
read(slice(None), lat, lon)
lap("series")
read(slice(None), lat // 2, lon // 3)
lap("other")
read(Ellipsis)
lap("all")
print(json.dumps(laps))
"""

READS = {
    "open": "opening: its description",
    "step": "one time step",
    "series": "a series at one point",
    "other": "a series at another point",
    "all": "everything",
}
LATS, LONS = 90, 180
POINT = LATS // 2, LONS // 2


def make(name, days, lats, lons):
    folder = measure.BENCH / name
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run([str(measure.PYTHON), "-c", MAKE, str(folder), str(days), str(lats), str(lons)], check=True)
        (folder / "made").touch()
    measure.warm(folder)
    return folder


def local(code, folder):
    """Seconds of each read, without Python's start and imports."""
    command = [measure.PYTHON, "-c", code, folder, *POINT]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise measure.Failed(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


def settings(index):
    """A folder's files joined, with the index of members in a folder of its own."""
    return f'[[dataset]]\nname = "joined"\nglob = "*.nc"\njoin = "time"\n[index]\nfolder = "{index}"\n[limits]\nconnections_per_address = 4000\n'


def targets(days):
    lat, lon = POINT
    data = "/opendap/joined.dap?dap4.ce=/sst"
    return {
        "open": "/opendap/joined.dmr",
        "step": f"{data}[{days // 2}:{days // 2}][][]",
        "series": f"{data}[][{lat}:{lat}][{lon}:{lon}]",
        "other": f"{data}[][{lat // 2}:{lat // 2}][{lon // 3}:{lon // 3}]",
        "all": data,
    }


def ours(binary, folder, index, days):
    """Seconds of each read of a server just started; then of each again; and its memory. What is asked for first finds
    the dataset not yet open, so a description and a series are both first, each of a server of its own."""
    with measure.Thalweg(binary, folder, settings(index)) as server:
        cold = timed(server, targets(days)["series"])[0]
    with measure.Thalweg(binary, folder, settings(index)) as server:
        found = {("started", what): timed(server, target)[0] for what, target in targets(days).items()}
        found["cold", "series"] = cold
        for what, target in targets(days).items():
            found["again", what] = timed(server, target)[0]
        found["peak"] = server.peak()
    return found


def description(binary, folder, index):
    with measure.Thalweg(binary, folder, settings(index)) as server:
        return timed(server, targets(1)["open"])[0]


def main():
    chosen = measure.options(__doc__.splitlines()[0]).parse_args()
    days, many, rounds = (50, 200, 1) if chosen.quick else (1000, 10_000, chosen.rounds)
    folder = make(f"daily_{days}", days, LATS, LONS)
    large = make(f"daily_{many}_small", many, 2, 2)
    index = measure.SCRATCH / "index"

    first = description(chosen.server, folder, index)
    cases = {
        "xarray": lambda: local(XARRAY, folder),
        "loop": lambda: local(LOOP, folder),
        "ours": lambda: ours(chosen.server, folder, index, days),
    }
    found = measure.interleaved(rounds, cases)
    first_many, warm_many = (description(chosen.server, large, index) for _ in range(2))

    xarray, loop, thalweg = found["xarray"], found["loop"], found["ours"]
    size = days * LATS * LONS * 4 / 1e6
    lines = [
        f"{days:,} daily netCDF-4 files, Float32 1 x {LATS} x {LONS} each, shuffle and deflate ({size:.0f} MB decoded), joined on time; page cache warm.",
        f"{rounds} rounds in turn, medians, milliseconds. xarray: `open_mfdataset` (nested, minimal) and reads from the local files; loop: netCDF4-python opens,",
        "reads and closes each file; both without Python's start and imports. Thalweg: of a server just started with its index on disk, one after the other,",
        "and then each again; times faster than the loop, or than xarray where there is none.",
        "",
        "| read | xarray | loop | server just started | times | again | times |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, words in READS.items():
        theirs = loop.get(what, xarray[what])
        shown = [number(xarray[what] * 1000), number(loop[what] * 1000) if what in loop else "-"]
        for which in ("started", "again"):
            shown += [number(thalweg[which, what] * 1000), share(theirs, thalweg[which, what])]
        lines.append(f"| {words} | " + " | ".join(shown) + " |")
    lines += [
        "",
        f"A series as the very first request of a server just started: {number(thalweg['cold', 'series'] * 1000)} ms, {share(loop['series'], thalweg['cold', 'series'])} times faster than the loop.",
        f"The first opening, which makes the index, took {first:.2f} s; of {many:,} files {first_many:.2f} s, and {warm_many:.3f} s of a server started anew with its index.",
        f"The server's resident memory was {thalweg['peak']:.0f} MB at most.",
    ]
    verdicts = Verdicts()
    for title, key, wanted in (
        ("6. a series at one point of a server just started, its index warm", ("cold", "series"), 12),
        ("6. a series at another point", ("started", "other"), 12),
        ("6. a series at one point again", ("again", "series"), 40),
    ):
        times = loop[key[1]] / thalweg[key]
        verdicts.add(f"{title}: {times:.0f} times faster than a local loop of netCDF4-python (at least {wanted})", times >= wanted)
    for what in ("open", "step", "series"):
        times = xarray[what] / thalweg["again", what]
        verdicts.add(f"{READS[what]}: {times:.0f} times faster than xarray, warm (at least 10)", times >= 10)
    verdicts.add(f"{many:,} members open in under 1 s with the index ({warm_many:.2f} s)", warm_many < 1)
    cells = {}
    for row, what in (("series daily", "series"), ("all daily", "all")):
        key = ("cold", "series") if what == "series" else ("started", "all")
        cells[row, "Thalweg"] = f"{number(thalweg[key] * 1000)} (again {number(thalweg['again', what] * 1000)})"
        cells[row, "local"] = number(loop[what] * 1000)
    return measure.finish(chosen, "A thousand files as one dataset", lines, verdicts, cells)


if __name__ == "__main__":
    sys.exit(main())
