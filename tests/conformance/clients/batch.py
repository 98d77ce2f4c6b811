"""Runs a probe over many datasets in as few processes as possible, and survives its crashes and hangs."""

import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run(command, jobs, seconds=60, environment=None):
    """`jobs`: lists of probe arguments. Gives one result per job, in order: `{"view"}` or `{"error"}`.

    A process that dies or is silent for `seconds` costs the job it was at, and the rest goes on in a new process.
    """
    results = [None] * len(jobs)
    with tempfile.TemporaryDirectory(prefix="thalweg-probe-") as folder:
        first = 0
        while first < len(jobs):
            first = _process(command, jobs, first, results, Path(folder), seconds, environment)
    return results


def _process(command, jobs, first, results, folder, seconds, environment):
    errors = open(folder / "stderr", "w+b")
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, **(environment or {}), "PYTHONPATH": str(HERE)},
        cwd=folder,
    )
    try:
        for index in range(first, len(jobs)):
            output = folder / f"{index}.pickle"
            outcome = _one(process, output, jobs[index], seconds)
            if outcome is None and output.exists():
                results[index] = pickle.loads(output.read_bytes())
                output.unlink()
                continue
            process.kill()
            process.wait()
            errors.seek(0)
            tail = errors.read()[-400:].decode("utf-8", "replace").strip()
            results[index] = {"error": f"{outcome or 'no answer'} (exit status {process.returncode}) {tail}", "crash": True}
            return index + 1
        return len(jobs)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            try:
                pipe.close()
            except BrokenPipeError:
                pass
        errors.close()


def _one(process, output, arguments, seconds):
    """Hands one job to the process. None when it says that it is done."""
    line = "\t".join([str(output), *map(str, arguments)]) + "\n"
    try:
        process.stdin.write(line.encode("utf-8"))
        process.stdin.flush()
    except BrokenPipeError:
        return "crashed"
    deadline = time.monotonic() + seconds
    seen = b""
    while b"done" not in seen or not seen.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0:
            return f"no answer in {seconds} s"
        ready, _, _ = select.select([process.stdout], [], [], min(left, 1))
        if ready:
            more = os.read(process.stdout.fileno(), 65536)
            if not more:
                return "crashed"
            seen += more
    return None


if __name__ == "__main__":
    sys.exit("a module of run.py")
