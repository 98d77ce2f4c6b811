"""Three servers behind HAProxy, over one S3 service, while clients read: one is killed, comes back, another is stopped.

    replicas.py [--server BINARY] [--seconds N]

HAProxy runs the recipe of docs/operate.md. Clients ask for random parts of variables over DAP2 and DAP4 and for ranges of
files, and compare each byte with the local file; what is cut or refused they ask for again, as clients do. Checked: no wrong
byte; every request succeeds in the end; while one server is stopped (SIGTERM) nothing at all is cut or refused; the servers
give the same bytes and the same ETag for the same request, so that conditions and ranges hold across them.
"""

import argparse
import http.client
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import netCDF4
import numpy as np
import xarray

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/common"))
from harness import free_port, wait_for  # noqa: E402
SHAPE = (40, 120, 150)
CLIENTS = 12


def make(folder):
    """The bucket: one file in encoded chunks, one without."""
    values = np.random.default_rng(1).integers(-30000, 30000, SHAPE).astype("i4")
    for name, options in (("chunks.nc", {"zlib": True, "shuffle": True, "chunksizes": (5, 60, 50)}), ("plain.nc", {})):
        with netCDF4.Dataset(folder / name, "w") as file:
            for axis, size in zip("tyx", SHAPE):
                file.createDimension(axis, size)
            file.createVariable("v", "i4", ("t", "y", "x"), **options)[:] = values
    return values


class Replica:
    def __init__(self, binary, store, port, log):
        self.binary, self.store, self.port, self.log = binary, store, port, log
        self.start()

    def start(self):
        command = [self.binary, "serve", "s3://bucket", "--endpoint", self.store, "--anonymous",
                   "--listen", f"127.0.0.1:{self.port}", "--drain-delay", "2 s"]  # fmt: skip
        environment = {**os.environ, "THALWEG_INDEX_FOLDER": "none"}
        self.process = subprocess.Popen(command, stderr=self.log, env=environment)
        wait_for(self.port, self.process, "a server")

    def signal(self, number):
        self.process.send_signal(number)


def haproxy(folder, ports):
    """HAProxy with the recipe of the documentation; the port that it listens on."""
    text = (ROOT / "docs" / "operate.md").read_text()
    (recipe,) = re.findall(r"^```haproxy\n(.*?)^```$", text, re.M | re.S)
    front = free_port()
    for old, new in ((8000, front), (8081, ports[0]), (8082, ports[1]), (8083, ports[2])):
        assert f"127.0.0.1:{old}" in recipe, f"the recipe has no port {old}"
        recipe = recipe.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    file = folder / "haproxy.cfg"
    file.write_text(f"global\n    maxconn 500\n    tune.bufsize 131072\n\n{recipe}")
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    checked = subprocess.run([program, "-c", "-f", file], capture_output=True, text=True)
    if checked.returncode != 0 or "WARNING" in checked.stderr:
        sys.exit(f"haproxy: {checked.stderr}")
    process = subprocess.Popen([program, "-db", "-f", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(front, process, "haproxy")
    return process, front


def fetch(port, target, headers=None):
    """Status, headers and whole body; an error for what is cut."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", target, headers={"Host": "data.example.org", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def part(chance):
    """A random part of an axis as (first, step, last)."""
    axes = []
    for size in SHAPE:
        first = chance.randrange(size)
        axes.append((first, chance.choice((1, 1, 1, 2, 5)), chance.randrange(first, size)))
    return axes


def dap2(body):
    head, _, data = body.partition(b"\nData:\n")
    assert head.startswith(b"Dataset {"), head[:100]
    count = int.from_bytes(data[:4], "big")
    return np.frombuffer(data[8:], ">i4", count)


def dap4(body):
    chunks, at = [], 0
    while at < len(body):
        kind, length = body[at], int.from_bytes(body[at + 1 : at + 4], "big")
        assert not kind & 2, f"an error chunk: {body[at + 4 : at + 304]}"
        chunks.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    return np.frombuffer(b"".join(chunks[1:]), "<i4")


class Load:
    """Clients that read until they are told to stop."""

    def __init__(self, port, values, files):
        self.port, self.values, self.files = port, values, files
        self.stop, self.lock = threading.Event(), threading.Lock()
        self.done, self.bytes, self.wrong, self.failed, self.again = 0, 0, [], [], []
        self.threads = [threading.Thread(target=self.client, args=(seed,)) for seed in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def client(self, seed):
        chance = random.Random(seed)
        while not self.stop.is_set():
            name = chance.choice(list(self.files))
            kind = chance.choice(("dap2", "dap4", "file"))
            axes = part(chance)
            index = "".join(f"[{first}:{step}:{last}]" for first, step, last in axes)
            expect = self.values[tuple(slice(first, last + 1, step) for first, step, last in axes)].ravel()
            headers = {}
            if kind == "dap2":
                target, decode = f"/opendap/{name}.dods?v{index}", dap2
            elif kind == "dap4":
                target, decode = f"/opendap/{name}.dap?dap4.ce=/v{index}&dap4.checksum=false", dap4
            else:
                whole = self.files[name]
                first = chance.randrange(len(whole))
                last = chance.randrange(first, min(len(whole), first + 500_000))
                headers, expect = {"Range": f"bytes={first}-{last}"}, whole[first : last + 1]
                target, decode = f"/files/{name}", lambda body: body
            self.ask(target, headers, decode, expect)

    def ask(self, target, headers, decode, expect):
        for _ in range(5):
            try:
                status, _, body = fetch(self.port, target, headers)
            except (OSError, http.client.HTTPException) as problem:
                self.note(self.again, f"{target}: {problem!r}")
                continue
            if status in (502, 503, 504):
                self.note(self.again, f"{target}: {status}")
                time.sleep(0.1)
                continue
            if status not in (200, 206):
                return self.note(self.failed, f"{target}: {status} {body[:200]}")
            try:
                found = decode(body)
                same = found == expect if isinstance(expect, bytes) else np.array_equal(found, expect)
            except (AssertionError, ValueError) as problem:
                # An error that says so is no wrong byte.
                self.note(self.again, f"{target}: {problem}")
                continue
            if not same:
                self.note(self.wrong, f"{target}: {len(body)} wrong bytes")
            with self.lock:
                self.done, self.bytes = self.done + 1, self.bytes + len(body)
            return None
        return self.note(self.failed, f"{target}: not after five times")

    def note(self, where, what):
        with self.lock:
            where.append((time.monotonic(), what))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join()


def alike(ports, files, wrong):
    """The servers answer alike, and what one said is good at another."""
    targets = ["/opendap/chunks.nc.dods?v[3:9][0:2:99][7:8]", "/opendap/chunks.nc.dap?dap4.ce=/v[0][][]", "/opendap/plain.nc.dmr",
               "/opendap/plain.nc.das", "/zarr/chunks.nc/.zmetadata", "/zarr/chunks.nc/v/0.0.0", "/files/plain.nc", "/catalog.xml"]  # fmt: skip
    for target in targets:
        answers = [fetch(port, target) for port in ports]
        tags = {headers.get("etag") for _, headers, _ in answers}
        if {status for status, _, _ in answers} != {200} or len({body for _, _, body in answers}) != 1:
            wrong.append(f"{target} is answered in several ways: {[a[0] for a in answers]}")
        if len(tags) != 1 or None in tags:
            wrong.append(f"{target} has the tags {tags}")
            continue
        (tag,) = tags
        if [fetch(port, target, {"If-None-Match": tag})[0] for port in ports] != [304] * len(ports):
            wrong.append(f"{target}: what one server said is not believed by another")
    tag = fetch(ports[0], "/files/plain.nc")[1]["etag"]
    half = len(files["plain.nc"]) // 2
    pieces = [fetch(port, "/files/plain.nc", {"Range": r, "If-Range": tag}) for port, r in ((ports[1], f"bytes=0-{half - 1}"), (ports[2], f"bytes={half}-"))]
    if [p[0] for p in pieces] != [206, 206] or b"".join(p[2] for p in pieces) != files["plain.nc"]:
        wrong.append("halves of two servers do not make the file")


def opened(port, values, wrong):
    """A client that knows nothing of any of this."""
    with xarray.open_dataset(f"http://127.0.0.1:{port}/opendap/chunks.nc", engine="netcdf4") as remote:
        if not np.array_equal(remote["v"][::7].values, values[::7]):
            wrong.append("xarray reads other values")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default=os.environ.get("THALWEG"), required="THALWEG" not in os.environ)
    parser.add_argument("--seconds", type=float, default=3, help="between two events")
    arguments = parser.parse_args()
    binary, pause, wrong = Path(arguments.server).resolve(), arguments.seconds, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bucket = folder / "bucket"
        bucket.mkdir()
        values = make(bucket)
        files = {path.name: path.read_bytes() for path in bucket.iterdir()}
        store = subprocess.Popen(
            [sys.executable, ROOT / "tests" / "common" / "s3_server.py", folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        processes = [store]
        try:
            url = store.stdout.readline().split()[-1]
            ports = [free_port() for _ in range(3)]
            log = (folder / "log").open("w")
            replicas = [Replica(binary, url, port, log) for port in ports]
            processes += [replica.process for replica in replicas]
            balancer, front = haproxy(folder, ports)
            processes.append(balancer)
            alike(ports, files, wrong)
            opened(front, values, wrong)
            load = Load(front, values, files)
            time.sleep(pause)
            before_kill = len(load.again)
            replicas[0].signal(signal.SIGKILL)
            replicas[0].process.wait()
            time.sleep(pause)
            cut = len(load.again)
            replicas[0].start()
            processes.append(replicas[0].process)
            time.sleep(max(pause, 2))
            # From here on nothing may be noticed.
            stopped = time.monotonic()
            replicas[1].signal(signal.SIGTERM)
            code = replicas[1].process.wait(timeout=40)
            took = time.monotonic() - stopped
            time.sleep(pause)
            load.end()
            opened(front, values, wrong)
            if code != 0 or not 1.9 < took < 35:
                wrong.append(f"the server that was stopped ended with {code} after {took:.1f} s")
            if before_kill:
                wrong.append(f"before anything happened: {load.again[:3]}")
            noticed = [what for when, what in load.again if when > stopped]
            wrong += [f"noticed while one was stopped: {what}" for what in noticed[:5]]
            wrong += [f"wrong: {what}" for _, what in load.wrong[:5]] + [f"failed: {what}" for _, what in load.failed[:5]]
            if load.done < 20 * CLIENTS:
                wrong.append(f"only {load.done} requests")
            print(
                f"replicas: {load.done} requests of {CLIENTS} clients, {load.bytes >> 20} MiB compared, {len(load.wrong)} wrong, "
                f"{len(load.failed)} failed; asked again: {cut} after a kill, {len(noticed)} after a stop, which took {took:.1f} s"
            )
        finally:
            for process in reversed(processes):
                if process.poll() is None:
                    process.kill()
                    process.wait()
    for what in wrong:
        print(what, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
