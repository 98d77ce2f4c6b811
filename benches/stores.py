"""Whole-process benchmark: one large netCDF-4 file in an object store, read through the server and directly.

    stores.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

A small S3 server on the loopback interface holds the file; it waits before each answer as a network would, or not at all. In
one run, in turn, `--rounds` times: xarray with h5netcdf reads the file through s3fs, and curl reads the same through
the server (DAP4), which is started anew for each. Medians; requests and bytes are counted by the store. `--quick` uses
a small file: a smoke test, not a figure.
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
PYTHON = WORK / "venv-stores" / "bin" / "python"
MAKER = WORK / "venv" / "bin" / "python"

DIRECT = """
import sys, time, s3fs, xarray
import h5netcdf
endpoint, name, what = sys.argv[1:]
started = time.monotonic()
store = s3fs.S3FileSystem(anon=True, endpoint_url=endpoint, client_kwargs={"region_name": "us-east-1"})
data = xarray.open_dataset(store.open(f"bench/{name}"), engine="h5netcdf", mask_and_scale=False)
if what == "step":
    assert data["t"][5].values.nbytes
elif what == "all":
    assert data["t"].values.nbytes
print(time.monotonic() - started)
"""

READS = {
    "describe": "its description",
    "step": "one time step",
    "all": "the whole variable",
}


class Process:
    def __init__(self, command, pattern, log):
        with log.open("w") as out:
            self.process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, env=environment())
        for _ in range(200):
            found = re.search(pattern, log.read_text(errors="replace"))
            if found:
                self.url = found.group(1)
                return
            time.sleep(0.02)
        self.stop()
        raise SystemExit("it did not start:\n" + log.read_text(errors="replace"))

    def stop(self):
        self.process.terminate()
        self.process.wait(15)


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}


def traffic(log):
    """(requests, bytes of objects) since this was asked last."""
    lines = log.read_text().splitlines()
    log.write_text("")
    size = 0
    for line in lines:
        found = re.search(r"bytes=(\d+)-(\d+) 206", line)
        if found:
            size += int(found.group(2)) + 1 - int(found.group(1))
    return len(lines), size


def direct(endpoint, name, what):
    done = subprocess.run(
        [PYTHON, "-c", DIRECT, endpoint, name, what], check=True, timeout=900, capture_output=True, text=True, env=environment()
    )
    return float(done.stdout.split()[-1])


def through(binary, endpoint, name, what):
    """The time of the requests that a client makes of a server which has seen nothing yet."""
    command = [binary, "serve", f"s3://bench/{name}", "--endpoint", endpoint, "--anonymous", "--listen", "127.0.0.1:0"]
    server = Process(command, r"browse (http://127\.0\.0\.1:\d+)/", WORK / "bench-server.log")
    time.sleep(0.1)
    url = f"{server.url}/opendap/{name}"
    targets = [f"{url}.dmr"]
    if what == "step":
        targets.append(f"{url}.dap?dap4.ce=/t[5:5][][]")
    elif what == "all":
        targets.append(f"{url}.dap?dap4.ce=/t")
    try:
        started = time.monotonic()
        for target in targets:
            subprocess.run(["curl", "-sSfg", "-o", "/dev/null", target], check=True, timeout=900)
        return time.monotonic() - started
    finally:
        server.stop()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--quick", action="store_true")
    options.add_argument("--write", type=Path, help="writes the table into this file")
    chosen = options.parse_args()

    from stream import MAKE

    steps, rounds = (20, 1) if chosen.quick else (360, chosen.rounds)
    folder = WORK / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"stream_{steps}.nc"
    path = folder / name
    if not path.exists():
        subprocess.run([str(MAKER), "-c", MAKE, str(path), str(steps)], check=True)
        os.replace(str(path) + ".part", path)
    path.read_bytes()  # the store finds the file in the page cache

    samples, log = {}, WORK / "bench-store-requests.log"
    for latency in (0, 20):
        command = [sys.executable, ROOT / "tests/common/s3_server.py", WORK, "--latency", latency, "--log", log]
        store = Process(command, r"(http://127\.0\.0\.1:\d+)", WORK / "bench-store.log")
        try:
            for _ in range(rounds):
                for what in READS:
                    for reader in ("direct", "Thalweg"):
                        traffic(log)
                        if reader == "direct":
                            seconds = direct(store.url, name, what)
                        else:
                            seconds = through(chosen.server, store.url, name, what)
                        samples.setdefault((latency, what, reader), []).append((seconds, *traffic(log)))
        finally:
            store.stop()

    def medians(key):
        return [statistics.median(sample[i] for sample in samples[key]) for i in range(3)]

    lines = [
        "Made by `benches/stores.py`.",
        "",
        f"netCDF-4, Float32 {steps} x 361 x 720, chunks 1 x 361 x 720, shuffle and deflate; {path.stat().st_size / 1e6:.0f} MB in a small S3",
        f"server on the same machine that waits 0 or 20 ms before each answer. {os.cpu_count()} processor cores, {rounds} rounds in turn, medians.",
        "Direct: xarray with h5netcdf through s3fs, without Python's start and imports. Thalweg: curl, DMR and then data, of a server that",
        "has just been started.",
        "",
        "| wait | read | direct: seconds | requests | MB | Thalweg: seconds | requests | MB | ratio of times |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    verdicts = []
    for latency in (0, 20):
        for what, words in READS.items():
            theirs, ours = medians((latency, what, "direct")), medians((latency, what, "Thalweg"))
            cells = [f"{s:.2f} | {requests:.0f} | {size / 1e6:.1f}" for s, requests, size in (theirs, ours)]
            lines.append(f"| {latency} ms | {words} | {cells[0]} | {cells[1]} | {ours[0] / theirs[0]:.2f} |")
            if ours[0] > theirs[0]:
                verdicts.append((f"{words} with {latency} ms takes no longer than directly ({ours[0]:.2f} s, {theirs[0]:.2f} s)", False))
    if not verdicts:
        verdicts.append(("nothing takes longer through the server than directly", True))
    described = medians((0, "describe", "Thalweg"))[1]
    verdicts.append((f"a description costs at most 3 requests ({described:.0f})", described <= 3))
    print("\n".join(lines) + "\n")
    for text, kept in verdicts:
        print(("kept:   " if kept else "MISSED: ") + text)
    if chosen.write:
        promises = [f"- {'kept' if kept else '**missed**'}: {text}" for text, kept in verdicts]
        sections.write(chosen.write, "One large file in an object store", [*lines, "", *promises])
    # A small file says nothing about speed; only requests are judged then.
    return 0 if all(kept for text, kept in verdicts if not chosen.quick or "requests" in text) else 1


if __name__ == "__main__":
    sys.exit(main())
