"""How fast a folder of many files is shown, and what memory that takes: each figure beside its limit.

    .work/venv/bin/python benches/pages.py [--server BINARY] [--files 10000] [--quick]

A fresh server is asked for the first page of a folder (cold: its first answer; the operating system's caches are not
emptied), then again several times (warm, the median), as HTML, JSON and catalog.xml; its memory is compared with what
it had before.
"""

import argparse
import gzip
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LIMITS = {"cold": 1.0, "warm": 0.2, "memory": 20 * 2**20, "page": 150_000}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    return 0


def fetch(url):
    begin = time.perf_counter()
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body = answer.read()
    return time.perf_counter() - begin, body


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default="target/release/thalweg")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.files = 1500
    over = []
    with tempfile.TemporaryDirectory(prefix="thalweg-pages-") as folder:
        many = Path(folder) / "many"
        many.mkdir()
        for i in range(options.files):
            (many / f"analysis_{i:06}.nc").write_bytes(b"CDF\x01" + bytes(i % 100))
        port = free_port()
        server = subprocess.Popen([options.server, "serve", "--listen", f"127.0.0.1:{port}", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.05)
            before = resident(server.pid)
            for name in ("catalog/many/", "catalog/many/catalog.json", "catalog/many/catalog.xml", "catalog/many/?q=0042&sort=size", "sitemap.xml"):
                url = f"http://127.0.0.1:{port}/{name}"
                cold, body = fetch(url)
                warm = statistics.median(fetch(url)[0] for _ in range(9))
                text = gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body
                print(f"{name}: first {cold * 1000:.0f} ms ({cold / LIMITS['cold']:.2f} of the limit), then {warm * 1000:.0f} ms ({warm / LIMITS['warm']:.2f}); {len(body)} bytes sent ({len(body) / LIMITS['page']:.2f}), {len(text)} unpacked")
                if cold > LIMITS["cold"] or warm > LIMITS["warm"] or len(body) > LIMITS["page"] and name == "catalog/many/":
                    over.append(name)
            grown = resident(server.pid) - before
            print(f"memory: {grown / 2**20:.1f} MiB more than before ({grown / LIMITS['memory']:.2f} of the limit)")
            if grown > LIMITS["memory"]:
                over.append("memory")
        finally:
            server.terminate()
            server.wait(timeout=40)
    if over:
        print("over the limit:", ", ".join(over))
    return 1 if over else 0


sys.exit(main())
