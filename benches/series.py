"""Whole-process benchmark: one point over all times of one file, and every fourth cell of the whole grid.

    series.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

In turn: netCDF4-python reads the point from the local file, opening it first and with the file open already, each time with
a fresh chunk cache; a server that has just been started is asked for the same point, then again, then for a neighbour, for a
point far away, and for that again. Then the strides, each of a server just started, beside the whole variable. One point of a
thousand files is measured by `aggregation.py`.
"""

import http.client
import statistics
import sys
import time

import inputs
import measure
from measure import Verdicts, number, share

POINT, NEIGHBOUR, FAR = (100, 200), (101, 202), (300, 650)
AGAIN = 15
OPENING = """
d = netCDF4.Dataset(arguments[0]); d.set_auto_maskandscale(False)
assert d["t"][:, int(arguments[1]), int(arguments[2])].nbytes
"""
STRIDED = """
d = netCDF4.Dataset(arguments[0]); d.set_auto_maskandscale(False)
assert d["t"][::4, ::4, ::4].nbytes
"""
OPEN = """
d = netCDF4.Dataset(arguments[0]); d.set_auto_maskandscale(False); t = d["t"]
wall, cpu = time.monotonic(), time.process_time()
assert t[:, int(arguments[1]), int(arguments[2])].nbytes
"""
STRIDES = {"[::4][::4][::4]": (4, 4, 4), "[::4][][]": (4, 1, 1)}
ROWS = {
    "cold": "server just started",
    "again": "the same point again",
    "neighbour": "a neighbouring point, then",
    "far": "a point far away, then",
    "far again": "that again",
}


class Case:
    def __init__(self, binary, path, steps):
        self.binary, self.path, self.steps = binary, path, steps
        self.size = (steps, inputs.LATS, inputs.LONS)

    def target(self, *slices):
        return f"/opendap/{self.path.name}.dap?dap4.ce=/t" + "".join(f"[{text}]" for text in slices)

    def ours(self):
        """Milliseconds of each kind of request, in the order of ROWS; connections are made before."""
        found = {}
        with measure.Thalweg(self.binary, self.path.parent) as server:
            connection = http.client.HTTPConnection(server.address, timeout=120)
            connection.connect()

            def ask(point):
                started = time.monotonic()
                connection.request("GET", self.target(f"0:{self.steps - 1}", *(f"{i}:{i}" for i in point)))
                answer = connection.getresponse()
                size = len(answer.read())
                if answer.status != 200 or size < 4 * self.steps:
                    raise measure.Failed(f"status {answer.status}, {size} bytes")
                return (time.monotonic() - started) * 1000

            found["cold"] = ask(POINT)
            found["again"] = statistics.median(ask(POINT) for _ in range(AGAIN))
            found["neighbour"] = ask(NEIGHBOUR)
            found["far"] = ask(FAR)
            found["far again"] = statistics.median(ask(FAR) for _ in range(AGAIN))
            connection.close()
            found["peak"] = server.peak()
        return found

    def theirs(self, code):
        return {"ms": measure.local(code, self.path, *POINT)["seconds"] * 1000}

    def stride(self, steps):
        """Seconds for a part of the whole grid, of a server just started."""
        text = [f"0:{step}:{size - 1}" for step, size in zip(steps, self.size)]
        count = 1
        for step, size in zip(steps, self.size):
            count *= -(-size // step)
        with measure.Thalweg(self.binary, self.path.parent) as server:
            figures = measure.curl(server.url + self.target(*text), least=count * 4)
            return {"seconds": figures["seconds"], "cpu": server.cpu(), "peak": server.peak()}


def main():
    chosen = measure.options(__doc__.splitlines()[0]).parse_args()
    steps = 20 if chosen.quick else 360
    paths = inputs.whole(steps)
    names = ("slabs", "cubes")
    measure.warm(*(paths[name] for name in names))
    cases = {"strided": lambda: {"ms": measure.local(STRIDED, paths["slabs"])["seconds"] * 1000}}
    for name in names:
        case = Case(chosen.server, paths[name], steps)
        cases[name, "opening"] = lambda case=case: case.theirs(OPENING)
        cases[name, "open"] = lambda case=case: case.theirs(OPEN)
        cases[name, "ours"] = case.ours
        cases[name, "whole"] = lambda case=case: case.stride((1, 1, 1))
        for text, strides in STRIDES.items():
            cases[name, text] = lambda case=case, strides=strides: case.stride(strides)
    found = measure.interleaved(1 if chosen.quick else chosen.rounds, cases)

    verdicts, cells = Verdicts(), {}
    lines = [
        f"One point, {steps} times, of Float32 {steps} x {inputs.LATS} x {inputs.LONS}; milliseconds, and how many times faster than netCDF4-python, which",
        "opens the file and reads the point (its start and imports are not counted). Open: the file was open, its chunk cache fresh.",
        "",
        "| who | " + " | ".join(f"{inputs.NAMES[name]} | times" for name in names) + " |",
        "|---|" + "---|---|" * len(names),
    ]

    def row(title, figures):
        shown = [f"{number(ms)} | {share(found[name, 'opening']['ms'], ms)}" for name, ms in zip(names, figures)]
        lines.append(f"| {title} | " + " | ".join(shown) + " |")

    row("netCDF4-python", [found[name, "opening"]["ms"] for name in names])
    row("netCDF4-python, open", [found[name, "open"]["ms"] for name in names])
    for key, title in ROWS.items():
        row(f"**Thalweg**, {title}", [found[name, "ours"][key] for name in names])
    lines += ["", "Every fourth cell, of a server just started, beside the whole variable:", ""]
    lines += ["| chunks | part | seconds | of the whole | CPU seconds | resident MB |", "|---|---|---|---|---|---|"]
    for name in names:
        whole = found[name, "whole"]
        for text in ("whole", *STRIDES):
            figures = found[name, text]
            shown = [number(figures["seconds"]), share(figures["seconds"], whole["seconds"]), number(figures["cpu"]), number(figures["peak"])]
            lines.append(f"| {inputs.NAMES[name]} | {text} | " + " | ".join(shown) + " |")

    for name, cold in (("slabs", 2), ("cubes", 1)):
        ours, theirs = found[name, "ours"], found[name, "opening"]["ms"]
        verdicts.at_most(f"6. one point, {inputs.NAMES[name]}, cold, against netCDF4-python", ours["cold"], theirs, 1 / cold, "ms")
        verdicts.at_most(f"6. one point, {inputs.NAMES[name]}, again, against netCDF4-python", ours["again"], theirs, 1 / 20, "ms")
        for text in STRIDES:
            seconds = (found[name, key]["seconds"] for key in (text, "whole"))
            verdicts.at_most(f"8. {text}, {inputs.NAMES[name]}, against the whole variable", *seconds, 0.8, "s")
        cells[f"series {name}", "Thalweg"] = f"{number(ours['cold'])} (again {number(ours['again'])})"
        cells[f"series {name}", "local"] = number(theirs)
    cells["stride 4", "local"] = number(found["strided"]["ms"])
    cells["stride 4", "Thalweg"] = number(found["slabs", "[::4][::4][::4]"]["seconds"] * 1000)
    return measure.finish(chosen, "One point over all times, and strides", lines, verdicts, cells)


if __name__ == "__main__":
    sys.exit(main())
