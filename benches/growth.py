"""Whole-process benchmark: how time and memory grow with what is asked for.

    growth.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

A curve each for the size of a request, the number of chunks that hold the same data, the variables of a file, the members of
an aggregation and the clients at once: each size two or four times the one before, and each on a server of its own that has
just been started. How the last doublings grow says whether a curve is flat, linear or worse: the exponent is 0 for flat and 1 for linear.
"""

import math
import os
import shutil
import sys
import time

import aggregation
import h5py
import inputs
import measure
import numpy as np
from measure import Verdicts, number, timed

# An exponent up to this counts as flat, as linear: timing is not exact, and what is constant weighs less and less.
FLAT, LINEAR = 0.15, 1.12


class Curve:
    """What one thing grows with. `point(size)` gives seconds by name, and the peak of memory as "MB"."""

    # Figure -> the largest exponent, and why it grows at all.
    growth = {}

    def __init__(self, title, unit, sizes):
        self.title, self.unit, self.sizes = title, unit, sizes

    def exponents(self, found):
        """Of each figure: how it grew over the last two doublings."""
        last, before = self.sizes[-1], self.sizes[-3]
        return {name: math.log(found[last][name] / found[before][name]) / math.log(last / before) for name in found[last]}


class Request(Curve):
    """Steps of a deflated variable."""

    growth = {"seconds": (LINEAR, "each byte is decoded and sent"), "MB": (FLAT, "")}

    def __init__(self, chosen):
        self.steps = 20 if chosen.quick else 360
        sizes = [2, 4, 8, 16] if chosen.quick else [5, 11, 22, 45, 90, 180, 360]
        super().__init__("Size of a request", "steps of 1.04 MB, DAP4", sizes)
        self.path = inputs.whole(self.steps)["slabs"]
        self.server = chosen.server

    def point(self, size):
        with measure.Thalweg(self.server, self.path.parent) as server:
            timed(server, f"/opendap/{self.path.name}.dmr")
            seconds, _ = timed(server, f"/opendap/{self.path.name}.dap?dap4.ce=/t[0:{size - 1}][][]")
            return {"seconds": seconds, "MB": server.peak()}


class Chunks(Curve):
    """The same 32 MB in more and more chunks."""

    growth = {
        "seconds": (LINEAR, "each chunk is found and decoded by itself"),
        "again": (LINEAR, "the same"),
        "MB": (LINEAR, "where chunks are stays known"),
    }

    def __init__(self, chosen):
        sizes = [64, 128, 256] if chosen.quick else [64, 256, 1024, 4096, 16384, 32768]
        super().__init__("Number of chunks", "chunks of the same 32 MB, deflated", sizes)
        self.server = chosen.server
        self.folder = measure.BENCH / "growth_chunks"
        self.folder.mkdir(exist_ok=True)
        values = None
        for size in sizes:
            path = self.folder / f"{size}.h5"
            if not path.exists():
                if values is None:
                    values = np.concatenate([step.ravel() for step in inputs.field(33)])[: 1 << 23]
                with h5py.File(f"{path}.part", "w", libver="latest") as file:
                    file.create_dataset("t", data=values, chunks=(len(values) // size,), shuffle=True, compression=4)
                os.replace(f"{path}.part", path)

    def point(self, size):
        with measure.Thalweg(self.server, self.folder) as server:
            timed(server, f"/opendap/{size}.h5.dmr")
            target = f"/opendap/{size}.h5.dap?dap4.ce=/t"
            return {"seconds": timed(server, target)[0], "again": timed(server, target)[0], "MB": server.peak()}


class Variables(Curve):
    """Variables of a file, each with two attributes, in groups of a hundred."""

    growth = {
        "cold": (LINEAR, "each variable is read"),
        "warm": (LINEAR, "each variable is said, anew where the answer is more than 2 MiB and not kept"),
        "one value": (FLAT, "what protocols show of the file is made once"),
        "MB": (LINEAR, "descriptions are kept open"),
    }

    def __init__(self, chosen):
        sizes = [50, 100, 200] if chosen.quick else [500, 1000, 2000, 4000, 8000, 16000, 32000]
        super().__init__("Variables of a file", "variables", sizes)
        self.server = chosen.server
        self.folder = measure.BENCH / "growth_variables"
        self.folder.mkdir(exist_ok=True)
        for size in sizes:
            path = self.folder / f"{size}.h5"
            if not path.exists():
                with h5py.File(f"{path}.part", "w", libver="latest") as file:
                    for i in range(size):
                        variable = file.create_dataset(f"g{i // 100}/v{i}", data=np.zeros(4, "f4"))
                        variable.attrs["units"], variable.attrs["long_name"] = "K", f"variable number {i}"
                os.replace(f"{path}.part", path)

    def point(self, size):
        target = f"/opendap/{size}.h5.dmr"
        with measure.Thalweg(self.server, self.folder) as server:
            cold, length = timed(server, target)
            warm = min(timed(server, target)[0] for _ in range(5))
            # Over DAP2, each of another variable: no answer is kept.
            value = min(timed(server, f"/opendap/{size}.h5.dods?g0.v{i}[0:0]")[0] for i in range(20))
            return {"cold": cold, "warm": warm, "one value": value, "KB of the answer": length / 1000, "MB": server.peak()}


class Members(Curve):
    """Daily files of an aggregation, its index on disk."""

    growth = {
        "description": (LINEAR, "each file's status is looked at"),
        "series": (LINEAR, "each file is read"),
        "again": (LINEAR, "each file's status is looked at"),
        "MB": (LINEAR, "members stay open, and decoded chunks as far as the cache has room"),
    }

    def __init__(self, chosen):
        sizes = [10, 20, 40] if chosen.quick else [62, 125, 250, 500, 1000]
        super().__init__("Members of an aggregation", "daily files", sizes)
        self.server = chosen.server
        days = 50 if chosen.quick else 1000
        self.files = sorted(aggregation.make(f"daily_{days}", days, 90, 180).glob("*.nc"))
        self.indexed = set()

    def folder(self, size):
        folder = measure.BENCH / f"growth_members_{size}"
        if not (folder / "made").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            for file in self.files[:size]:
                # The same bytes under another name.
                os.link(file, folder / file.name)
            (folder / "made").touch()
        return folder

    def point(self, size):
        folder, index = self.folder(size), measure.SCRATCH / "index"
        settings = aggregation.settings(index)
        if size not in self.indexed:
            with measure.Thalweg(self.server, folder, settings) as server:
                timed(server, "/opendap/joined.dmr")
            self.indexed.add(size)
        with measure.Thalweg(self.server, folder, settings) as server:
            series = "/opendap/joined.dap?dap4.ce=/sst[][45:45][90:90]"
            found = {"description": timed(server, "/opendap/joined.dmr")[0], "series": timed(server, series)[0]}
            return {**found, "again": timed(server, series)[0], "MB": server.peak()}


class Clients(Curve):
    """Streams of parts of a variable at once."""

    growth = {
        "seconds": (LINEAR, "they share the processors"),
        "MB": (LINEAR, "what is on its way for all of them together, up to limits.memory (128 MiB), then flat"),
    }

    def __init__(self, chosen):
        self.steps = 20 if chosen.quick else 360
        self.part = 4 if chosen.quick else 24
        sizes = [1, 2, 4] if chosen.quick else [1, 2, 4, 8, 16, 32, 64, 128, 256]
        super().__init__("Clients at once", f"clients, each {self.part} steps of 1.04 MB", sizes)
        self.path = inputs.whole(self.steps)["slabs"]
        self.server = chosen.server

    def point(self, size):
        with measure.Thalweg(self.server, self.path.parent) as server:
            timed(server, f"/opendap/{self.path.name}.dmr")
            # Each another part: nobody finds decoded what another has asked for.
            firsts = [i * self.part % (self.steps - self.part + 1) for i in range(size)]
            targets = [f"/opendap/{self.path.name}.dap?dap4.ce=/t[{first}:{first + self.part - 1}][][]" for first in firsts]
            started = time.monotonic()
            report = measure.load(self.server, server, targets, connections=size, requests=size, seconds=120)
            if report["errors"]:
                raise measure.Failed(next(iter(report["reasons"])))
            return {"seconds": time.monotonic() - started, "MB": server.peak()}


def shape(exponent):
    if exponent <= FLAT:
        return "flat"
    return "linear" if LINEAR >= exponent >= 0.75 else "less than linear" if exponent < 0.75 else "more than linear"


def main():
    chosen = measure.options(__doc__.splitlines()[0]).parse_args()
    curves = [kind(chosen) for kind in (Request, Chunks, Variables, Members, Clients)]
    cases = {(curve, size): lambda curve=curve, size=size: curve.point(size) for curve in curves for size in curve.sizes}
    found = measure.interleaved(1 if chosen.quick else chosen.rounds, cases)

    verdicts = Verdicts()
    lines = [
        f"Each size on a server just started, page cache warm, medians of {1 if chosen.quick else chosen.rounds} rounds. Growth: the exponent over the last doublings, 0 is flat, 1 linear;",
        f"up to {FLAT} counts as flat, up to {LINEAR} as linear. MB: the highest resident memory. A start is about 15 MB.",
    ]
    for curve in curves:
        points = {size: found[curve, size] for size in curve.sizes}
        if why := next((point["why"] for point in points.values() if "why" in point), None):
            verdicts.add(f"9. {curve.title}: {why}", False)
            continue
        names = list(points[curve.sizes[0]])
        exponents = curve.exponents(points)
        lines += ["", f"### {curve.title}", "", f"| {curve.unit} | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        lines += [f"| {size:,} | " + " | ".join(f"{point[name]:.4f}" if point[name] < 0.1 else number(point[name]) for name in names) + " |" for size, point in points.items()]
        lines.append("| growth | " + " | ".join(f"{exponents[name]:.2f}: {shape(exponents[name])}" for name in names) + " |")
        for name, (most, why) in curve.growth.items():
            wanted = "flat" if most == FLAT else "at most linear"
            reason = f": {why}" if why else ""
            verdicts.add(f"9. {curve.title}, {name}: {wanted}{reason} (exponent {exponents[name]:.2f})", exponents[name] <= most)
    return measure.finish(chosen, "Cost growth", lines, verdicts, {})


if __name__ == "__main__":
    sys.exit(main())
