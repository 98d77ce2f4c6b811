"""What all benchmarks share: servers as processes, what they cost, clients, rounds in turn, verdicts, results.

Everything is measured from outside: processor time and memory of a server with its children come from /proc, times from
curl and from `load` (benches/tools). Cases take turns, round by round, so that a slow minute of the machine meets all of
them alike; medians are compared as ratios. What a benchmark finds is written as a section of a document (`sections.py`),
and its figures are kept under .work/bench/results for the table that `overview.py` puts at the document's head.
"""

import argparse
import atexit
import contextlib
import http.client
import json
import math
import os
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import sections

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work"
BENCH = WORK / "bench"
RESULTS = BENCH / "results"
BENCH.mkdir(parents=True, exist_ok=True)
# Settings and logs of one run.
SCRATCH = Path(tempfile.mkdtemp(dir=BENCH, prefix="run-"))
atexit.register(shutil.rmtree, SCRATCH, ignore_errors=True)
PYTHON = WORK / "venv" / "bin" / "python"
PEERS = WORK / "venv-peers" / "bin"
TICKS = os.sysconf("SC_CLK_TCK")
# A thousand connections and then some, for every process started from here.
FILES, MOST_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
if FILES != resource.RLIM_INFINITY:
    most = 8192 if MOST_FILES == resource.RLIM_INFINITY else min(8192, MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(FILES, most), MOST_FILES))


def options(description):
    """The options that every benchmark has; a benchmark may add its own before it parses them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small inputs and one round: shows that everything runs, nothing else")
    parser.add_argument("--write", type=Path, help="writes its section into this document")
    return parser


# Processes


class Process:
    """A server with its children, which listens at `url`. `ready` is what it says when it does, with its address as
    the first group; without it, the server has been told to listen on `port`."""

    def __init__(self, command, ready=None, log=None, port=None, env=None):
        self.log = log or SCRATCH / f"{Path(str(command[0])).name}.log"
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, env=env, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if ready and (found := re.search(ready, self.log.read_text(errors="replace"))):
                self.url = found.group(1)
                return
            if port and listens(port):
                self.url = f"http://127.0.0.1:{port}"
                return
            time.sleep(0.02)
        self.stop()
        raise SystemExit(f"{command[0]} did not start:\n" + self.log.read_text(errors="replace"))

    @property
    def address(self):
        return self.url.removeprefix("http://")

    def tree(self):
        """Process ids of the server and its children."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    waiting += map(int, children.read_text().split())
                except OSError:
                    pass
        return found

    def cpu(self):
        """Seconds of processor time so far."""
        total = 0
        for pid in self.tree():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def memory(self, field):
        """Megabytes of all its processes together; pages that they share count once for each."""
        return sum(status(pid, field) for pid in self.tree()) / 1000

    def peak(self):
        return self.memory("VmHWM")

    def resident(self):
        return self.memory("VmRSS")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            # What it started is in its own session; nothing else is.
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(15)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


# The machine that makes all the connections here is one address; nothing is kept from one run to the next.
SETTINGS = '[limits]\nconnections_per_address = 4000\n[index]\nfolder = "none"\n'


class Thalweg(Process):
    """Our server over a folder, with settings as TOML."""

    def __init__(self, binary, root, settings=SETTINGS):
        config = SCRATCH / "thalweg.toml"
        config.write_text(settings)
        super().__init__([binary, "serve", root, "--config", config, "--listen", "127.0.0.1:0"], r"browse (http://127\.0\.0\.1:\d+)/")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def status(pid, field):
    """A field of /proc/PID/status, in kB; 0 when the process has ended."""
    try:
        found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


# Clients


class Failed(Exception):
    """A request that a server could not answer; its text says why."""


def curl(*urls, least=0, timeout=300):
    """All URLs at once, bodies thrown away: wall seconds, bytes, and the median milliseconds to a first byte."""
    command = ["curl", "--silent", "--show-error", "--fail", "--globoff", "--output", "/dev/null", "--max-time", str(timeout)]
    command += ["--write-out", "%{time_starttransfer} %{size_download}"]
    started = time.monotonic()
    readers = [subprocess.Popen([*command, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for url in urls]
    answers = [reader.communicate() for reader in readers]
    wall = time.monotonic() - started
    firsts, total = [], 0
    for reader, (text, error) in zip(readers, answers):
        first, size = text.split()
        if reader.returncode != 0 or int(size) < least:
            raise Failed(error.strip() or f"{size} bytes")
        firsts.append(float(first) * 1000)
        total += int(size)
    return {"seconds": wall, "bytes": total, "first": statistics.median(firsts)}


def timed(server, target):
    """Seconds until one answer is there, connecting included, and its bytes."""
    started = time.monotonic()
    connection = http.client.HTTPConnection(server.address, timeout=300)
    connection.request("GET", target)
    answer = connection.getresponse()
    size = 0
    while part := answer.read(1 << 20):
        size += len(part)
    connection.close()
    if answer.status != 200:
        raise Failed(f"{target}: status {answer.status}")
    return time.monotonic() - started, size


def body(server, target):
    """One answer."""
    request = urllib.request.Request(f"{server.url}{target}")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def tool(binary, name):
    """A program of benches/tools, built beside the server or where THALWEG_TOOLS says."""
    folders = [os.environ.get("THALWEG_TOOLS"), Path(binary).parent, ROOT / "target" / "release"]
    for folder in folders:
        if folder and (Path(folder) / name).exists():
            return str(Path(folder) / name)
    sys.exit(f"{name} is not built: cargo build --release -p thalweg-benches")


def run_tool(binary, name, *arguments):
    done = subprocess.run([tool(binary, name), *map(str, arguments)], capture_output=True, text=True, timeout=600)
    if done.returncode:
        raise SystemExit(f"{name} {arguments}: {done.stderr}")
    return json.loads(done.stdout)


def load(binary, server, targets, **settings):
    """`load` against a server's address: its report, and `server_cpu`, seconds of processor time that the server took.

    Settings are the program's options: connections, threads, seconds, warmup, requests, random, rate, length, header."""
    arguments = [f"--{name}={value}" for name, value in settings.items() if value is not None]
    with tempfile.NamedTemporaryFile("w", dir=SCRATCH, suffix=".targets") as listed:
        listed.write("\n".join(targets))
        listed.flush()
        before = server.cpu()
        report = run_tool(binary, "load", server.address, f"--from={listed.name}", *arguments)
        report["server_cpu"] = server.cpu() - before
    return report


def storm(binary, server, targets, connections, seconds, warmup, **settings):
    """Many requests: their rate, times in milliseconds, microseconds of the server's processors for each."""
    report = load(binary, server, targets, connections=connections, seconds=seconds, warmup=warmup, **settings)
    if not report["requests"]:
        raise Failed(next(iter(report["reasons"]), "no answer"))
    # Processor time runs from the beginning, requests count from the end of the warm-up on.
    answered = report["requests"] * (seconds + warmup) / seconds
    return {
        "rate": report["rate"],
        "p50": report["p50"] / 1000,
        "p99": report["p99"] / 1000,
        "errors": report["errors"] + report["starved"],
        "cpu": report["server_cpu"] / answered * 1e6,
        "peak": server.peak(),
    }


def limits(binary, *arguments):
    """`limits`: what a plain program reaches."""
    return run_tool(binary, "limits", *arguments)


class HttpAlone(Process):
    """`limits http`: the HTTP library that the server uses with one kept answer, two looks at files and a line of a log for
    each request, as the server's own kept answers take; nothing else."""

    def __init__(self, binary, server, target):
        # urllib would ask for a connection of its own, and be told that it is closed.
        with contextlib.closing(http.client.HTTPConnection(server.address)) as asked:
            asked.request("GET", target)
            answer = asked.getresponse()
            head = "".join(f"{name}: {value}\r\n" for name, value in answer.getheaders())
            kept = SCRATCH / "kept_answer"
            kept.write_bytes(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + answer.read())
        looks = [f"--look={kept}", f"--look={kept}.none"]
        command = [tool(binary, "limits"), "http", kept, *looks, f"--log={SCRATCH / 'kept_answer.log'}"]
        super().__init__(command, ready=r"(http://127\.0\.0\.1:\d+)\n")


def chunk_list(path, variable):
    """A file that lists the chunks of a variable of an HDF5 file for `limits`."""
    import h5py

    listed = SCRATCH / f"{Path(path).name}.{variable}.json"
    with h5py.File(path) as file:
        data = file[variable]
        length = data.dtype.itemsize * math.prod(data.chunks)
        found = [data.id.get_chunk_info(i) for i in range(data.id.get_num_chunks())]
        # In the order of what they hold: that in which they are sent.
        found.sort(key=lambda chunk: chunk.chunk_offset)
        chunks = [[0, chunk.byte_offset, chunk.size, length] for chunk in found]
        codec = {"gzip": "deflate", None: "none"}[data.compression]
        shuffle = data.dtype.itemsize if data.shuffle else 0
    listed.write_text(json.dumps({"codec": codec, "shuffle": shuffle, "files": [str(path)], "chunks": chunks}))
    return listed


LOCAL = """
import json, resource, sys, time
import netCDF4, numpy, zarr, xarray
arguments = sys.argv[1:]
wall, cpu = time.monotonic(), time.process_time()
{body}
wall, cpu = time.monotonic() - wall, time.process_time() - cpu
print(json.dumps({{"seconds": wall, "cpu": cpu, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000}}))
"""


def local(body, *arguments):
    """Python code in a process of its own, with netCDF4, numpy, xarray and zarr imported before the clock runs: wall and
    processor seconds, peak resident megabytes. It finds its arguments in the list `arguments`."""
    code = LOCAL.format(body=body)
    done = subprocess.run([str(PYTHON), "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=900)
    if done.returncode:
        raise Failed(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout.splitlines()[-1])


# Rounds and results


def interleaved(rounds, cases, once=()):
    """Runs each of `cases` (name -> function) in turn, `rounds` times; those in `once` in the first round only.

    A function gives a dictionary of figures; the medians of each come back by name. One that raises `Failed` is not
    asked again: its figures are {"why": the reason}."""
    samples = {name: [] for name in cases}
    failed = {}
    for number in range(rounds):
        for name, measured in cases.items():
            if name in failed or number and name in once:
                continue
            try:
                samples[name].append(measured())
            except Failed as reason:
                failed[name] = {"why": str(reason)}
    return {name: failed.get(name) or medians(figures) for name, figures in samples.items()}


def medians(figures):
    """The median of each number; what is no number is as it was first."""

    def middle(values):
        return statistics.median(values) if all(isinstance(value, (int, float)) for value in values) else values[0]

    return {key: middle([figure[key] for figure in figures]) for key in figures[0]}


class Verdicts:
    """Targets, each kept or missed, with the figures that say so."""

    def __init__(self):
        self.all = []

    def at_least(self, target, ours, limit, ratio, unit):
        """`ours` must be at least `ratio` of `limit`."""
        self.add(f"{target}: {share(ours, limit)} of {number(limit)} {unit} (at least {ratio:g}; ours {number(ours)})", ours >= ratio * limit)

    def at_most(self, target, ours, limit, ratio, unit):
        """`ours` must be at most `ratio` of `limit`."""
        self.add(f"{target}: {share(ours, limit)} of {number(limit)} {unit} (at most {ratio:g}; ours {number(ours)})", ours <= ratio * limit)

    def below(self, target, ours, most, unit):
        """`ours` must be below a fixed figure."""
        self.add(f"{target}: {number(ours)} {unit} (below {number(most)})", ours < most)

    def add(self, text, kept):
        self.all.append((text, bool(kept)))
        print(("kept:   " if kept else "MISSED: ") + text)

    def lines(self):
        return [f"- {'kept' if kept else '**missed**'}: {text}" for text, kept in self.all]

    def kept(self):
        return all(kept for _, kept in self.all)


def number(value):
    """A figure with three digits that count."""
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def share(ours, limit):
    return f"{ours / limit:.2f}" if limit else "-"


def finish(chosen, title, lines, verdicts, cells):
    """Prints a section, writes it if that was asked, keeps `cells` ((row, column) -> text) for the table at the head of
    the document, and gives the status to exit with: targets that are missed do not fail a run."""
    print("\n".join(lines))
    if chosen.quick:
        return 0
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = Path(sys.argv[0]).stem
    kept = {f"{row} | {column}": text for (row, column), text in cells.items()}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1))
    if chosen.write:
        sections.write(chosen.write, title, [f"Made by `benches/{name}.py`.", "", *lines, "", *verdicts.lines()])
    return 0


def warm(*paths):
    """Reads files so that everybody finds them in the page cache."""
    for path in paths:
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file():
                with file.open("rb") as data:
                    while data.read(1 << 24):
                        pass
