"""Whole-process benchmark: 1,000 daily files as one dataset, through the server and by xarray from the local files.

    aggregation.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

In one run, in turn, `--rounds` times: xarray opens the files with `open_mfdataset` and reads a step, a series at one point and
everything; curl asks the server for the same (DAP4): first of a server that has just been started with its index of members on
disk, then again of the same server. The very first start, which makes the index, and 10,000 files are measured once. `--quick`
uses few files: a smoke test, not a figure.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import sections
from measure import Process

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work"
PYTHON = WORK / "venv" / "bin" / "python"

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

LOCAL = """
import sys, time, glob, xarray
folder, lat, lon = sys.argv[1], *map(int, sys.argv[2:])
files = sorted(glob.glob(folder + "/*.nc"))
started = time.monotonic()
def lap(name):
    global started
    now = time.monotonic()
    print(name, now - started)
    started = now
data = xarray.open_mfdataset(files, combine="nested", concat_dim="time", data_vars="minimal", coords="minimal", compat="override")
lap("open")
data.sst[len(files) // 2].values
lap("step")
data.sst[:, lat, lon].values
lap("series")
data.sst.values
lap("all")
"""

READS = {"open": "opening: its description", "step": "one time step", "series": "a series at one point", "all": "everything"}


def make(name, days, lats, lons):
    folder = WORK / "bench" / name
    if not (folder / "made").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        subprocess.run([str(PYTHON), "-c", MAKE, str(folder), str(days), str(lats), str(lons)], check=True)
        (folder / "made").touch()
    for path in folder.glob("*.nc"):
        path.read_bytes()  # both find the files in the page cache
    return folder


def local(folder, lat, lon):
    done = subprocess.run([str(PYTHON), "-c", LOCAL, str(folder), str(lat), str(lon)], check=True, capture_output=True, text=True, timeout=900)
    return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}


class Server:
    """The server over a folder whose files are joined, with its index in a folder of its own."""

    def __init__(self, binary, folder, index):
        config = WORK / "bench" / "aggregation.toml"
        config.write_text(f'[[dataset]]\nname = "joined"\nglob = "*.nc"\njoin = "time"\n\n[index]\nfolder = "{index}"\n')
        command = [binary, "serve", folder, "--config", config, "--listen", "127.0.0.1:0"]
        self.process = Process(command, r"browse (http://127\.0\.0\.1:\d+)/", WORK / "bench-server.log")
        self.url = f"{self.process.url}/opendap/joined"

    def get(self, target):
        """Seconds until curl has it all."""
        done = subprocess.run(
            ["curl", "-sSfg", "-o", "/dev/null", "-w", "%{time_total} %{size_download}", f"{self.url}{target}"],
            check=True, timeout=900, capture_output=True, text=True,
        )  # fmt: skip
        return float(done.stdout.split()[0])

    def laps(self, days, lat, lon):
        return {
            "open": self.get(".dmr"),
            "step": self.get(f".dap?dap4.ce=/sst[{days // 2}:{days // 2}][][]"),
            "series": self.get(f".dap?dap4.ce=/sst[][{lat}:{lat}][{lon}:{lon}]"),
            "all": self.get(".dap?dap4.ce=/sst"),
        }

    def resident(self):
        status = Path(f"/proc/{self.process.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024

    def stop(self):
        self.process.stop()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")))
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--write", type=Path, help="writes the table into this file")
    chosen = options.parse_args()
    days, many, rounds = (50, 200, 1) if chosen.quick else (1000, 10_000, chosen.rounds)
    lats, lons = 90, 180
    lat, lon = lats // 2, lons // 2
    folder = make(f"daily_{days}", days, lats, lons)
    index = WORK / "bench" / "index"
    shutil.rmtree(index, ignore_errors=True)

    server = Server(chosen.server, folder, index)
    first = server.get(".dmr")
    server.stop()

    samples = {}
    for _ in range(rounds):
        for name, laps in (("xarray", local(folder, lat, lon)),):
            for what, seconds in laps.items():
                samples.setdefault((name, what), []).append(seconds)
        server = Server(chosen.server, folder, index)
        try:
            for name in ("started", "again"):
                for what, seconds in server.laps(days, lat, lon).items():
                    samples.setdefault((name, what), []).append(seconds)
            samples.setdefault(("server", "resident"), []).append(server.resident())
        finally:
            server.stop()

    large = make(f"daily_{many}_small", many, 2, 2)
    server = Server(chosen.server, large, index)
    first_many = server.get(".dmr")
    server.stop()
    server = Server(chosen.server, large, index)
    warm_many = server.get(".dmr")
    server.stop()

    median = {key: statistics.median(values) for key, values in samples.items()}
    size = days * lats * lons * 4 / 1e6
    lines = [
        "Made by `benches/aggregation.py`.",
        "",
        f"{days:,} daily netCDF-4 files, Float32 1 x {lats} x {lons} each, shuffle and deflate ({size:.0f} MB decoded), joined on time; page cache warm.",
        f"{os.cpu_count()} processor cores, {rounds} rounds in turn, medians, seconds. xarray: `open_mfdataset` (nested, minimal) and reads from the local files, without Python's",
        "start and imports. Thalweg: curl (DAP4), of a server just started with its index on disk, and the same again.",
        "",
        "| read | xarray, local files | server just started | xarray / ours | again | xarray / ours |",
        "|---|---|---|---|---|---|",
    ]
    for what, words in READS.items():
        theirs, started, again = (median[(name, what)] for name in ("xarray", "started", "again"))
        lines.append(f"| {words} | {theirs:.3f} | {started:.3f} | {theirs / started:.0f} | {again:.4f} | {theirs / again:.0f} |")
    lines += [
        "",
        f"The first opening, which makes the index, took {first:.2f} s; of {many:,} files {first_many:.2f} s, and {warm_many:.3f} s of a server started anew with its index.",
        f"The server's resident memory was {median[('server', 'resident')]:.0f} MB at most.",
    ]
    verdicts = [
        (f"{READS[what]}: at least 10 times faster than xarray warm ({median[('xarray', what)] / median[('again', what)]:.0f} times)", median[("xarray", what)] >= 10 * median[("again", what)])
        for what in ("open", "step", "series")
    ]
    verdicts.append((f"{many:,} members open in under 1 s with the index ({warm_many:.2f} s)", warm_many < 1))
    print("\n".join(lines) + "\n")
    for text, kept in verdicts:
        print(("kept:   " if kept else "MISSED: ") + text)
    if chosen.write:
        promises = [f"- {'kept' if kept else '**missed**'}: {text}" for text, kept in verdicts]
        sections.write(chosen.write, "A thousand files as one dataset", [*lines, "", *promises])
    # Few files say nothing about speed.
    return 0 if chosen.quick or all(kept for _, kept in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
