"""Real clients and abusers at once, for a time: every value is compared with the file, and nothing may grow.

    run.py --server BINARY [--seconds N]

Fails when a client meets another value than the file has, or a failure; when resident memory or open files are not flat, or
do not return when everybody has gone; when the log has a panic; when the process ends.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import clients  # noqa: E402
import files  # noqa: E402

MIB = 1 << 20
# Data on their way and decoded chunks that are kept, as the defaults have it, and some for the allocator (promise R2).
MOST = (128 + 96 + 256) * MIB
# What may stay besides decoded chunks: finished answers that are kept (32 MiB), and 64 MiB.
REST = (32 + 64) * MIB
JOINED = '<netcdf><aggregation type="joinExisting" dimName="time"><netcdf location="half0.nc"/><netcdf location="half1.nc"/></aggregation></netcdf>'


def start(binary, folder, log):
    environment = {**os.environ, "THALWEG_INDEX_FOLDER": "none", "THALWEG_LIMITS_IDLE_TIMEOUT": "20 s"}
    command = [binary, "serve", "--listen", "127.0.0.1:0", "--log-level", "warn", str(folder)]
    server = subprocess.Popen(command, stderr=log, env=environment)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        text = Path(log.name).read_text()
        if "browse " in text:
            return server, int(text.split("listening on http://127.0.0.1:")[1].split("/")[0])
        time.sleep(0.05)
    raise SystemExit(f"the server did not start: {Path(log.name).read_text()}")


def usage(process):
    """Resident bytes, open files, threads."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024, len(os.listdir(f"/proc/{process.pid}/fd")), int(status["Threads"])


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/metrics", timeout=10) as answer:
        for line in answer.read().decode().splitlines():
            if line.split(" ")[0] == name:
                return float(line.split(" ")[1])
    raise SystemExit(f"there is no metric {name}")


def is_flat(samples, slack, what):
    """The last third against the one before: what is warm does not grow any more."""
    third = max(1, len(samples) // 3)
    before, after = statistics.median(samples[-2 * third : -third] or samples), statistics.median(samples[-third:])
    return [] if after <= before * 1.1 + slack else [f"{what} grow: {before:.0f}, then {after:.0f}"]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", required=True)
    arguments.add_argument("--seconds", type=float, default=1200)
    arguments = arguments.parse_args()
    here, python, wrong = Path(__file__).parent, sys.executable, []
    with tempfile.TemporaryDirectory(prefix="soak-") as scratch:
        folder = Path(scratch) / "data"
        folder.mkdir()
        files.make(folder)
        (folder / "joined.ncml").write_text(JOINED)
        with open(Path(scratch) / "log", "w") as log:
            server, port = start(arguments.server, folder, log)
            try:
                wrong, summary = run(arguments.seconds, server, port, folder, here, python)
            finally:
                server.terminate()
                ended = server.wait(timeout=60)
        text = (Path(scratch) / "log").read_text()
    if ended != 0:
        wrong.append(f"the server ended with {ended}")
    wrong += [line for line in text.splitlines() if "panicked" in line][:5]
    print(summary)
    for line in wrong:
        print(f"WRONG: {line}")
    sys.exit(bool(wrong))


def run(seconds, server, port, folder, here, python):
    url, wrong, memory, descriptors = f"http://127.0.0.1:{port}", [], [], []
    # One of each kind, so that what is made once is made.
    for kind in clients.KINDS:
        subprocess.run([python, here / "clients.py", kind.__name__, url, folder, "0.5", "1"], stdout=subprocess.PIPE, check=True)
    before = usage(server)
    children = [
        subprocess.Popen([python, here / "clients.py", kind.__name__, url, folder, str(seconds), str(seed)], stdout=subprocess.PIPE, text=True)
        for seed, kind in enumerate(clients.KINDS)
    ]
    children.append(subprocess.Popen([python, here / "abusers.py", str(port), str(seconds)], stdout=subprocess.PIPE, text=True))
    begin = time.monotonic()
    while time.monotonic() - begin < seconds and server.poll() is None:
        resident, open_files, _ = usage(server)
        memory.append(resident)
        descriptors.append(open_files)
        time.sleep(max(0.25, min(5, seconds / 240)))
    answers = compared = 0
    per_kind = []
    for child in children:
        out, _ = child.communicate(timeout=120)
        try:
            found = json.loads(out)
        except json.JSONDecodeError:
            wrong.append(f"{child.args[2]} ended without a word")
            continue
        if "kind" not in found:
            abuse = found
            continue
        answers += found["answers"]
        compared += found["compared"]
        per_kind.append(f"{found['kind']} {found['answers']}")
        wrong += [f"{found['kind']}: {what}" for what in found["wrong"]]
        if not found["answers"]:
            wrong.append(f"{found['kind']} had no answer at all")
    if server.poll() is not None:
        return wrong + ["the server is gone"], ""
    # Everybody has gone: so has what they held.
    until = time.monotonic() + 25
    while time.monotonic() < until and (usage(server)[1] > before[1] + 16 or metric(port, "thalweg_data_answers") > 0):
        time.sleep(0.25)
    # What came through the caches stays there, the rest goes (promise R2).
    until = time.monotonic() + 15
    while time.monotonic() < until and usage(server)[0] > before[0] + metric(port, "thalweg_chunk_cache_bytes") + REST:
        time.sleep(0.25)
    after = usage(server)
    kept = metric(port, "thalweg_chunk_cache_bytes")
    if after[0] > before[0] + kept + REST:
        wrong.append(f"{after[0] // MIB} MiB stay resident, {before[0] // MIB} before, of which {kept / MIB:.0f} are decoded chunks")
    if after[1] > before[1] + 16:
        wrong.append(f"{after[1]} files are open, {before[1]} were before")
    if max(memory) > before[0] + MOST:
        wrong.append(f"{max(memory) // MIB} MiB were resident, {before[0] // MIB} before")
    wrong += is_flat(memory, 24 * MIB, "resident bytes") + is_flat(descriptors, 40, "open files")
    if metric(port, "thalweg_panics_total"):
        wrong.append("requests met a defect")
    summary = (
        f"{seconds:.0f} s: {answers} answers, {compared / MIB:.0f} MiB compared ({', '.join(per_kind)})\n"
        f"abusers: {', '.join(f'{name} {count}' for name, count in abuse.items())}\n"
        f"resident: {before[0] // MIB} MiB before, most {max(memory) // MIB}, {after[0] // MIB} after; "
        f"files open: {before[1]}, most {max(descriptors)}, {after[1]}"
    )
    return wrong, summary


if __name__ == "__main__":
    main()
