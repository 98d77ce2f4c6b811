"""Regression guard: instructions that three hot paths of the server cost, counted by callgrind, beside limits that are kept.

    instructions.py [--server BINARY] [--write]

For each path the server runs twice under `valgrind --tool=callgrind`: with a few requests, and with many. The difference divided
by what was asked for more is the cost of one: neither the start nor the first request is in it, and a busy machine changes it by
about two in a hundred. A path that seems too dear is measured again, twice at most, and the least counts: chance only adds. What is kept is in `instructions.toml`; a path that costs
more than `SLACK` times that fails. `--write` keeps what was measured, after a change that is meant to cost it (or to save it: a
limit that is too high guards nothing). And descriptions of files of many variables (`many_variables.py`), opened for them: four times
the variables may cost `SLACK` times four as much, and a slab of one of them may cost `SLACK` times as much. Use a binary as it is released: `cargo build --release` without settings of one's own.
What costs so much says `callgrind_annotate .work/bench/callgrind.out`, of the last run.

Valgrind has the processor's vector instructions as far as AVX2, and libraries choose their code by them. The counts that are kept
are of a processor with AVX2, x86-64: on another, figures are shown and nothing is judged.
"""

import argparse
import http.client
import os
import platform
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import inputs
import many_variables
import measure

KEPT = Path(__file__).with_suffix(".toml")
SLACK = 1.25
STEPS = 20
NAME = "slabs.nc"

# path: (what is asked for, few requests, many requests, units of one request, the unit)
PATHS = {
    "whole": (f"/opendap/{NAME}.dap?dap4.ce=/t", 1, 3, STEPS * 361 * 720 * 4 / 1e6, "decoded MB of a whole deflated variable"),
    "slab": (f"/opendap/{NAME}.dap?dap4.ce=/t[5:5][100:100][200:299]", 50, 450, 1, "warm slab of 400 bytes"),
    "metadata": (f"/opendap/{NAME}.dmr", 50, 450, 1, "warm .dmr"),
}


# Of a file of few variables, and of one of many: all that describes it.
FEW, MANY = 1000, 4000
DESCRIPTIONS = (".dmr", ".dds", ".das", ".html")
# A variable of 4 x 6 in each kind of file, as DAP2 and DAP4 call it.
NAMED = {"flat": "variable_000000", "grouped": "group_00000/variable_00"}
FORMS = {"DAP2": ".dods?", "DAP4": ".dap?dap4.ce=/"}


def counted(binary, folder, targets):
    """Instructions of a server's whole life with these requests."""
    log, out, config = measure.SCRATCH / "callgrind.log", measure.BENCH / "callgrind.out", measure.SCRATCH / "thalweg.toml"
    config.write_text(measure.SETTINGS)
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", binary, "serve", folder, "--config", config, "--listen", "127.0.0.1:0"]
    with log.open("w") as file:
        # On one processor threads wake each other in the same order every time: counts are then equal to one in a hundred.
        server = subprocess.Popen(
            list(map(str, command)), stdout=file, stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
        )  # fmt: skip
    try:
        for _ in range(600):
            found = re.search(r"browse http://(127\.0\.0\.1:\d+)/", log.read_text(errors="replace"))
            if found or server.poll() is not None:
                break
            time.sleep(0.05)
        if not found:
            raise SystemExit("the server did not start under valgrind:\n" + log.read_text(errors="replace"))
        connection = http.client.HTTPConnection(found.group(1), timeout=120)
        for target in targets:
            connection.request("GET", target)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"{target}: status {answer.status}")
        connection.close()
    finally:
        server.terminate()
        server.wait(60)
    found = re.search(r"Collected : (\d+)", log.read_text(errors="replace"))
    if not found:
        raise SystemExit("valgrind counted nothing:\n" + log.read_text(errors="replace")[-2000:])
    return int(found.group(1))


def growth(binary):
    """By kind of file: how many times as much describing `MANY` variables costs as describing `FEW`."""
    files = many_variables.write(measure.BENCH / "many_few", (FEW, MANY))
    folder = measure.BENCH / "many_few"
    start = counted(binary, folder, [])
    costs = {
        of: counted(binary, folder, [f"/opendap/{path.name}{form}" for form in DESCRIPTIONS]) - start
        for of, path in files.items()
    }  # fmt: skip
    return {kind: costs[kind, MANY] / costs[kind, FEW] for kind, count in files if count == MANY}


def slabs(binary):
    """By kind of file and protocol: how many times as much a slab of a file of `MANY` variables costs as one of `FEW`."""
    folder = measure.BENCH / "many_few"
    files = many_variables.write(folder, (FEW, MANY))
    parts = [f"[{y}:{last}][{x}:{right}]" for y in range(4) for last in range(y, 4) for x in range(6) for right in range(x, 6)]

    def cost(kind, count, form):
        targets = [f"/opendap/{files[kind, count].name}{FORMS[form]}{NAMED[kind]}{part}" for part in parts]
        return counted(binary, folder, targets[:110]) - counted(binary, folder, targets[:10])

    return {(kind, form): cost(kind, MANY, form) / cost(kind, FEW, form) for kind in NAMED for form in FORMS}


def is_comparable():
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return platform.machine() == "x86_64" and re.search(r"\bavx2\b", flags) is not None


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(measure.ROOT / "target/release/thalweg")))
    options.add_argument("--write", action="store_true", help="keeps what is measured as what is expected from now on")
    chosen = options.parse_args()

    folder = inputs.whole(STEPS)["slabs"].parent
    def cost(path):
        target, few, many, units, _ = PATHS[path]
        counts = [counted(chosen.server, folder, [target] * requests) for requests in (few, many)]
        return round((counts[1] - counts[0]) / ((many - few) * units))

    if chosen.write:
        lines = ["# Instructions per unit, counted by benches/instructions.py --write; a path fails that costs 1.25 times as many.", ""]
        lines += [f"{path} = {min(cost(path) for _ in range(2)):_} # {unit}" for path, (*_, unit) in PATHS.items()]
        KEPT.write_text("\n".join(lines) + "\n")
    is_fine = True
    for path, kept in tomllib.loads(KEPT.read_text()).items():
        limit, count = round(kept * SLACK), cost(path)
        for _ in range(2):
            if count > limit and is_comparable():
                count = min(count, cost(path))
        verdict = "kept:   " if count <= limit else "MISSED: "
        if not is_comparable():
            verdict = "shown:  "
        elif count > limit:
            is_fine = False
        print(f"{verdict}{count:,} instructions per {PATHS[path][4]}; {kept:,} are expected, the limit is {limit:,}", flush=True)
        if count < kept / SLACK:
            print("        far below what is expected: --write keeps the gain")
    for kind, times in growth(chosen.server).items():
        is_linear = times <= MANY / FEW * SLACK
        is_fine = is_fine and is_linear
        print(f"{'kept:   ' if is_linear else 'MISSED: '}{MANY:,} variables ({kind}) cost {times:.2f} times what {FEW:,} do", flush=True)
    for (kind, form), times in slabs(chosen.server).items():
        is_flat = times <= SLACK
        is_fine = is_fine and is_flat
        print(f"{'kept:   ' if is_flat else 'MISSED: '}a slab of one of {MANY:,} variables ({kind}, {form}) costs {times:.2f} times one of {FEW:,}", flush=True)
    if not is_comparable():
        print("This processor is not x86-64 with AVX2: other code runs here, so nothing is judged.")
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
