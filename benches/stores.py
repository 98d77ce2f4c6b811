"""Whole-process benchmark: one large netCDF-4 file in an object store, read through the server and directly.

    stores.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

A small S3 server on the loopback interface holds the file; it waits before each answer as a network would, or not at all. In
one run, in turn, `--rounds` times: xarray with h5netcdf reads the file through s3fs, and curl reads the same through
the server (DAP4), which is started anew for each. Medians; requests and bytes are counted by the store. `--quick` uses
a small file: a smoke test, not a figure.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import inputs
import measure
from measure import Process, Verdicts

PYTHON = measure.WORK / "venv-stores" / "bin" / "python"

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
    server = Process(command, r"browse (http://127\.0\.0\.1:\d+)/", env=environment())
    time.sleep(0.1)
    url = f"{server.url}/opendap/{Path(name).name}"
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
    chosen = measure.options(__doc__.splitlines()[0]).parse_args()
    steps = 20 if chosen.quick else 360
    path = inputs.whole(steps)["slabs"]
    name = f"{path.parent.name}/{path.name}"
    measure.warm(path)
    found, log = {}, measure.SCRATCH / "requests.log"
    log.touch()
    for latency in (0, 20):
        command = [sys.executable, measure.ROOT / "tests/common/s3_server.py", measure.WORK, "--latency", latency, "--log", log]
        with Process(command, r"(http://127\.0\.0\.1:\d+)", log=measure.SCRATCH / "store.log") as store:

            def read(what, reader):
                traffic(log)
                seconds = direct(store.url, name, what) if reader == "direct" else through(chosen.server, store.url, name, what)
                requests, size = traffic(log)
                return {"seconds": seconds, "requests": requests, "bytes": size}

            cases = {
                (latency, what, reader): lambda what=what, reader=reader: read(what, reader) for what in READS for reader in ("direct", "Thalweg")
            }
            found |= measure.interleaved(1 if chosen.quick else chosen.rounds, cases)
    verdicts = Verdicts()
    lines = table(found, steps, path)
    judge(found, verdicts)
    measure.finish(chosen, "One large file in an object store", lines, verdicts, {})
    # A small file says nothing about speed; only requests are judged then.
    return 0 if all(kept for text, kept in verdicts.all if "requests" in text) else 1


def table(found, steps, path):
    lines = [
        f"netCDF-4, Float32 {steps} x 361 x 720, chunks 1 x 361 x 720, shuffle and deflate; {path.stat().st_size / 1e6:.0f} MB in a small S3",
        "server on the same machine that waits 0 or 20 ms before each answer.",
        "Direct: xarray with h5netcdf through s3fs, without Python's start and imports. Thalweg: curl, DMR and then data, of a server that",
        "has just been started.",
        "",
        "| wait | read | direct: seconds | requests | MB | Thalweg: seconds | requests | MB | ratio of times |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for latency in (0, 20):
        for what, words in READS.items():
            theirs, ours = found[latency, what, "direct"], found[latency, what, "Thalweg"]
            cells = [f"{figures['seconds']:.2f} | {figures['requests']:.0f} | {figures['bytes'] / 1e6:.1f}" for figures in (theirs, ours)]
            lines.append(f"| {latency} ms | {words} | {cells[0]} | {cells[1]} | {ours['seconds'] / theirs['seconds']:.2f} |")
    return lines


def judge(found, verdicts):
    for latency in (0, 20):
        for what, words in READS.items():
            theirs, ours = found[latency, what, "direct"]["seconds"], found[latency, what, "Thalweg"]["seconds"]
            verdicts.at_most(f"{words} with {latency} ms against reading directly", ours, theirs, 1, "s")
    described = found[0, "describe", "Thalweg"]["requests"]
    verdicts.add(f"a description costs at most 3 requests ({described:.0f})", described <= 3)


if __name__ == "__main__":
    sys.exit(main())
