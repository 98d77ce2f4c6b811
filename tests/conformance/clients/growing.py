"""A set of files that grows while it is read: one file a second, written slowly, and 8 clients that read the join of all.

    growing.py [--server BINARY] [--seconds N]

Every answer must be whole and of one moment: times without a hole from the first day on, and every value the formula's. A file
that is still being written is never in an answer; what is complete is seen within 2 s of being stable (its last byte, and the
quiet time after it). Half of the clients read DAP4, half DAP2, each answer in one request, decoded by pydap.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings
from pathlib import Path

import numpy as np
from aggregations import ROOT, start
from pydap.client import open_dap_file, open_dods_file

sys.path.insert(0, str(ROOT / "tests/data"))
import make_aggregations as sets  # noqa: E402

warnings.simplefilter("ignore")
QUIET, VISIBLE = 1.0, 2.0
CLIENTS = 8


def opened(url, suffix, open_file):
    """What pydap reads of one whole answer."""
    with urllib.request.urlopen(url, timeout=30) as answer, tempfile.NamedTemporaryFile(suffix=suffix) as passing:
        passing.write(answer.read())
        passing.flush()
        return open_file(passing.name)


def whole_dap4(url):
    data = opened(f"{url}.dap?dap4.checksum=true", ".dap", open_dap_file)
    return np.asarray(data["time"].data), np.asarray(data["sst"].data)


def whole_dap2(url):
    data = opened(f"{url}.dods", ".dods", open_dods_file)
    return np.asarray(data["time"].data), np.asarray(data["sst"]["sst"].data)


class Writer(threading.Thread):
    """One file a second: in place in pieces, or whole under another name that is then changed."""

    def __init__(self, folder, seconds):
        super().__init__()
        self.folder, self.seconds = folder, seconds
        self.begun, self.complete = {}, {}

    def run(self):
        for number in range(self.seconds):
            started = time.monotonic()
            self.write(1 + number)
            time.sleep(max(0, 1 - (time.monotonic() - started)))

    def write(self, day):
        passing = self.folder.parent / "passing.nc"
        sets.daily(passing, day)
        content, path = passing.read_bytes(), self.folder / f"sst_{day:04}.nc"
        self.begun[day] = time.monotonic()
        if day % 3 == 0:
            os.replace(passing, path)
        else:
            with path.open("wb", buffering=0) as out:
                for at in range(0, len(content), len(content) // 4 + 1):
                    out.write(content[at : at + len(content) // 4 + 1])
                    time.sleep(0.12)
        self.complete[day] = time.monotonic()


class Client(threading.Thread):
    def __init__(self, url, read, writer, stop):
        super().__init__()
        self.url, self.read, self.writer, self.stop = url, read, writer, stop
        self.answers, self.problems, self.first = 0, [], {}

    def run(self):
        most = 0
        while not self.stop.is_set():
            asked = time.monotonic()
            try:
                times, values = self.read(self.url)
            except Exception as error:
                self.problems.append(f"{type(error).__name__}: {str(error)[:200]}")
                time.sleep(0.05)
                continue
            self.answers += 1
            self.problems += self.judge(times, values, asked, time.monotonic(), most)
            most = max(most, len(times))

    def judge(self, times, values, asked, answered, most):
        if not np.array_equal(times, np.arange(len(times))):
            yield f"times {times.tolist()}"
            return
        if values.shape != (len(times), 4, 5):
            yield f"{len(times)} times and values of shape {values.shape}"
            return
        if len(times) < most:
            yield f"{len(times)} times after {most}"
        for day in range(len(times)):
            if not np.array_equal(values[day], sets.field(day)):
                yield f"day {day} has other values"
            if day and self.writer.complete.get(day, answered + 1) > answered:
                yield f"day {day} was seen before it was complete"
            self.first.setdefault(day, answered)
        for day, complete in list(self.writer.complete.items()):
            if day >= len(times) and asked > complete + QUIET + VISIBLE:
                yield f"day {day} was not there {asked - complete:.2f} s after its last byte"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")))
    options.add_argument("--seconds", type=int, default=20)
    chosen = options.parse_args()
    base = Path(tempfile.mkdtemp(prefix="growing-"))
    folder = base / "served" / "sst"
    folder.mkdir(parents=True)
    sets.daily(folder / "sst_0000.nc", 0)
    time.sleep(QUIET + 0.2)
    config = base / "served.toml"
    config.write_text(f'[[dataset]]\nname = "sst.joined"\nglob = "sst/*.nc"\njoin = "time"\n\n[aggregation]\nquiet = "{QUIET:.0f} s"\n')
    server, origin = start(chosen.server, base / "served", config, base / "index")
    stop = threading.Event()
    try:
        writer = Writer(folder, chosen.seconds)
        url = f"{origin}/opendap/sst.joined"
        clients = [Client(url, whole_dap4 if i % 2 else whole_dap2, writer, stop) for i in range(CLIENTS)]
        writer.start()
        for client in clients:
            client.start()
        writer.join(chosen.seconds * 3 + 30)
        time.sleep(QUIET + VISIBLE + 1)
        stop.set()
        for client in clients:
            client.join(60)
    finally:
        stop.set()
        server.terminate()
        server.wait(timeout=40)
    problems = [problem for client in clients for problem in client.problems]
    answers = sum(client.answers for client in clients)
    seen = {day for client in clients for day in client.first}
    waits = [min(c.first[day] for c in clients if day in c.first) - writer.complete[day] for day in writer.complete if day in seen]
    unseen = sorted(set(writer.complete) - seen)
    if unseen:
        problems.append(f"days never seen: {unseen}")
    if answers < 10 * CLIENTS:
        problems.append(f"only {answers} answers")
    for problem in problems[:20]:
        print("FAILED", problem)
    print(f"{answers} answers of {CLIENTS} clients, {len(seen)} files; seen {max(waits, default=0):.2f} s after the last byte at most (quiet time {QUIET:.0f} s)")
    shutil.rmtree(base, ignore_errors=True)
    print(f"{answers} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
