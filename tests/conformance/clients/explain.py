"""`thalweg explain` over all data of the demo and the corpus: what it tells is what the server then does.

    explain.py [--server BINARY]

For the data of each dataset, over DAP4 and DAP2: the status, the length of the answer, the chunks that are decoded and the
bytes that are read, by the counters of a server that has nothing in memory but the file's own description.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COUNTERS = {"chunks": r"^thalweg_chunks_decoded_total (\d+)$", "bytes": r"^thalweg_read_bytes_total.* (\d+)$"}


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def counters(base):
    text = get(f"{base}/-/metrics")[1].decode()
    return {name: sum(int(n) for n in re.findall(pattern, text, re.M)) for name, pattern in COUNTERS.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default=os.environ.get("THALWEG"), required="THALWEG" not in os.environ)
    binary = Path(parser.parse_args().server).resolve()
    environment = {**os.environ, "THALWEG_INDEX_FOLDER": "none", "THALWEG_LIMITS_DRAIN_DELAY": "0 s"}
    roots = [ROOT / ".work" / "data", ROOT / ".work" / "corpus"]
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name) / "thalweg.toml"
        # Several files as one dataset, too.
        settings.write_text(
            f"roots = {json.dumps([str(root) for root in roots])}\n"
            '[[dataset]]\nname = "joined"\nglob = "data/NEMO/*.nc"\njoin = "time_counter"\n'
        )
        command = [binary, "serve", "--listen", "127.0.0.1:0", "--config", settings]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        while "listening on" not in (line := server.stderr.readline()):
            assert line, "the server ended"
        base = line.split()[2].rstrip("/")
        # What it logs is not of interest, and must not hold it up.
        log = ThreadPoolExecutor(1)
        log.submit(server.stderr.read)
        try:
            return compare(base, binary, settings, roots, environment)
        finally:
            server.terminate()
            server.wait(timeout=40)


def compare(base, binary, settings, roots, environment):
    listed = [json.loads(subprocess.run([binary, "ls", "--json", root], capture_output=True, text=True, env=environment).stdout) for root in roots]
    names = [f"{root.name}/{row['name']}" for root, rows in zip(roots, listed) for row in rows if row["format"]]
    # What they are joined of is not asked for by itself.
    names = ["joined"] + [name for name in names if "/NEMO/" not in name]
    targets = [f"/opendap/{urllib.parse.quote(name)}{suffix}" for name in names for suffix in (".dap", ".dods")]

    def explained(target):
        command = [binary, "explain", "--json", base + target, "--config", settings]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        return json.loads(done.stdout), done.returncode

    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(explained, targets))
    wrong, counts = [], {"alike": 0, "refused": 0, "chunks": 0, "bytes": 0}
    for target, (said, code) in zip(targets, told):
        # The file is open then, though few of its values have been read.
        start = counters(base)
        get(f"{base}{target.rsplit('.', 1)[0]}.dmr")
        before = counters(base)
        status, body = get(base + target)
        after = counters(base)
        if status != said["status"] or (code == 0) != (status < 400):
            wrong.append(f"{target}: {status}, told {said['status']} and {code}: {said.get('problem')}")
            continue
        if status >= 400:
            counts["refused"] += 1
            continue
        if said["bytes"] is not None and said["bytes"] != len(body):
            wrong.append(f"{target}: {len(body)} bytes, told {said['bytes']}")
        reads = said.get("reads")
        if reads is None:
            wrong.append(f"{target}: nothing told of what is read: {said}")
            continue
        decoded, read = (after[name] - before[name] for name in ("chunks", "bytes"))
        # The second protocol finds in memory what the first has decoded, and what leads to chunks is read once.
        if target.endswith(".dap"):
            # Some are decoded for the description, and found in memory then.
            if not decoded <= reads["encoded"] <= after["chunks"] - start["chunks"]:
                wrong.append(f"{target}: {decoded} chunks decoded, told {reads}")
            # A set of files is looked at before anybody asks for it.
            is_known = reads["unknown"] or target.startswith("/opendap/joined")
            if not (reads["bytes"] <= after["bytes"] - start["bytes"] or is_known):
                wrong.append(f"{target}: {read} bytes read, told {reads}")
        counts["alike"] += 1
        counts["chunks"] += decoded
        counts["bytes"] += len(body)
    for what in wrong[:40]:
        print(what, file=sys.stderr)
    print(
        f"explain: {counts['alike']} answers of {len(names)} datasets as told ({counts['bytes'] >> 20} MiB, {counts['chunks']} chunks decoded), "
        f"{counts['refused']} refused as told, {len(wrong)} wrong"
    )
    return 1 if wrong or not counts["chunks"] else 0


if __name__ == "__main__":
    sys.exit(main())
