"""Whole-process benchmark: streaming one large shuffle+deflate Float32 variable.

    stream.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

In one run, in turn, `--rounds` times: netCDF4-python reads the variable from the local file (in one piece, and slab by
slab), and curl reads it through the server over DAP4 and over DAP2 and throws it away. Then 8 streams at once. Medians;
CPU seconds and resident memory of the server come from /proc. `--quick` uses a small file: a smoke test, not a figure.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import sections

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work"
PYTHON = WORK / "venv" / "bin" / "python"
TICKS = os.sysconf("SC_CLK_TCK")

MAKE = """
import sys, netCDF4, numpy as np
path, steps = sys.argv[1], int(sys.argv[2])
random = np.random.default_rng(7)
y, x = np.mgrid[0:361, 0:720].astype("f4")
with netCDF4.Dataset(path + ".part", "w") as data:
    for name, size in (("time", steps), ("lat", 361), ("lon", 720)):
        data.createDimension(name, size)
    field = data.createVariable("t", "f4", ("time", "lat", "lon"), zlib=True, shuffle=True, complevel=4, chunksizes=(1, 361, 720))
    field.units = "K"
    for step in range(steps):
        smooth = 250 + 40 * np.cos((y - 180) / 120) + 5 * np.sin((x + 3 * step) / 40) * np.cos(y / 30)
        # Noise of a twentieth of a kelvin, as packed observations have: deflates about two to one.
        field[step] = np.round((smooth + random.normal(0, 0.5, smooth.shape)) * 20) / 20
"""

WHOLE = "import sys, netCDF4; d = netCDF4.Dataset(sys.argv[1]); d.set_auto_maskandscale(False); v = d['t'][...]; assert v.nbytes"
SLABS = """
import sys, netCDF4
data = netCDF4.Dataset(sys.argv[1]); data.set_auto_maskandscale(False)
t = data["t"]
for step in range(t.shape[0]): t[step]
"""


class Server:
    def __init__(self, binary, folder):
        log = WORK / "bench-server.log"
        self.process = subprocess.Popen(
            [binary, "serve", str(folder), "--listen", "127.0.0.1:0"], stdout=subprocess.DEVNULL, stderr=log.open("w")
        )
        for _ in range(100):
            found = re.search(r"browse (http://127\.0\.0\.1:\d+)/", log.read_text(errors="replace"))
            if found:
                self.base = found.group(1)
                return
            time.sleep(0.05)
        self.stop()
        raise SystemExit("the server did not start:\n" + log.read_text(errors="replace"))

    def cpu(self):
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak(self):
        """Highest resident memory so far, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1000

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


def curl(url):
    return subprocess.Popen(
        ["curl", "--silent", "--show-error", "--fail", "--globoff", "--output", "/dev/null", "--write-out", "%{size_download}", url],
        stdout=subprocess.PIPE,
        text=True,
    )


def fetch(urls, least):
    """Seconds until all URLs are read to their end."""
    started = time.monotonic()
    readers = [curl(url) for url in urls]
    for reader in readers:
        size = int(reader.communicate(timeout=600)[0] or 0)
        if reader.returncode != 0 or size < least:
            raise SystemExit(f"curl failed: status {reader.returncode}, {size} bytes")
    return time.monotonic() - started


def python(code, *arguments):
    """(wall seconds, CPU seconds) of a whole Python process less the cost of starting it and importing netCDF4."""
    before = os.times()
    started = time.monotonic()
    subprocess.run([str(PYTHON), "-c", code, *map(str, arguments)], check=True, timeout=900)
    wall = time.monotonic() - started
    after = os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--write", type=Path, help="writes the table into this file")
    chosen = options.parse_args()

    steps, rounds = (20, 1) if chosen.quick else (360, chosen.rounds)
    folder = WORK / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"stream_{steps}.nc"
    path = folder / name
    if not path.exists():
        subprocess.run([str(PYTHON), "-c", MAKE, str(path), str(steps)], check=True)
        os.replace(str(path) + ".part", path)
    size = steps * 361 * 720 * 4
    ratio = size / path.stat().st_size
    path.read_bytes()  # every reader finds the file in the page cache

    import_seconds = statistics.median(python("import netCDF4")[0] for _ in range(3))
    rows = {}

    def record(row, wall, cpu, peak=None):
        rows.setdefault(row, []).append((wall, cpu, peak))

    for _ in range(rounds):
        for row, code in (("netCDF4-python, local file, one piece", WHOLE), ("netCDF4-python, local file, slab by slab", SLABS)):
            wall, cpu = python(code, path)
            record(row, wall - import_seconds, cpu - import_seconds)
        for protocol, suffix in (("DAP4", ".dap?dap4.ce=/t"), ("DAP2", ".dods?t")):
            for streams in (1, 8):
                # A server of its own for each, so that peaks of memory are not mixed.
                server = Server(chosen.server, folder)
                try:
                    before = server.cpu()
                    wall = fetch([f"{server.base}/opendap/{name}{suffix}"] * streams, size)
                    record(f"Thalweg {protocol}, {streams} stream{'s' if streams > 1 else ''}", wall, server.cpu() - before, server.peak())
                finally:
                    server.stop()

    lines = [
        f"Float32 {steps} x 361 x 720 ({size / 1e6:.0f} MB), chunks 1 x 361 x 720, shuffle and deflate level 4 ({ratio:.1f} : 1), page cache warm.",
        f"{os.cpu_count()} processor cores, {rounds} rounds in turn, medians. Python's start and imports are subtracted.",
        "",
        "| reader | seconds | MB/s | CPU seconds | peak resident MB |",
        "|---|---|---|---|---|",
    ]
    medians = {}
    for row, samples in rows.items():
        wall, cpu = (statistics.median(s[i] for s in samples) for i in (0, 1))
        peaks = [s[2] for s in samples if s[2]]
        medians[row] = (wall, max(peaks, default=None))
        streams = 8 if "8 streams" in row else 1
        peak = f"{max(peaks):.0f}" if peaks else ""
        lines.append(f"| {row} | {wall:.2f} | {size * streams / 1e6 / wall:.0f} | {cpu:.2f} | {peak} |")
    print("\n".join(lines))

    local = min(medians["netCDF4-python, local file, one piece"][0], medians["netCDF4-python, local file, slab by slab"][0])
    verdicts = []
    for protocol in ("DAP4", "DAP2"):
        wall = medians[f"Thalweg {protocol}, 1 stream"][0]
        verdicts.append((f"{protocol} takes no longer than the faster local read ({wall:.2f} s, {local:.2f} s)", wall <= local))
        peak = medians[f"Thalweg {protocol}, 8 streams"][1]
        verdicts.append((f"8 {protocol} streams stay under 200 MB ({peak:.0f} MB)", peak < 200))
    print()
    for text, kept in verdicts:
        print(("kept:   " if kept else "MISSED: ") + text)
    if chosen.write:
        promises = [f"- {'kept' if kept else '**missed**'}: {text}" for text, kept in verdicts]
        sections.write(chosen.write, "Streaming one large variable", ["Made by `benches/stream.py`.", "", *lines, "", *promises])
    # A small file says nothing about speed; only memory is judged then.
    return 0 if all(kept for text, kept in verdicts if not chosen.quick or "streams" in text) else 1


if __name__ == "__main__":
    sys.exit(main())
