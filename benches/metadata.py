"""Whole-process benchmark: descriptions of datasets, pages of folders, files of very many variables.

    metadata.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

`.dmr`, `.dds` and `.das` of a dataset that is open, at 1 and at 256 connections, beside nginx that has the same answers as
files. The page of a folder of 1,000 files beside nginx's own listing of it. A file of 2,000 variables in groups, of a
server just started and again; files of 10,000 and 100,000 variables, whose cost must grow with their number and no faster.
A folder of 10,000 files as a page, as JSON and as a catalog, each beside its limit.
"""

import gzip
import sys

import netCDF4
import numpy as np

import many_variables
import measure
import peers
from measure import BENCH, Failed, Verdicts, number, share

KINDS = (".dmr", ".dds", ".das")
# The limit of a server that is built on the same library.
ALONE = "hyper alone"
# The page of a folder of 10,000 files: seconds of the first answer and of the next ones, its bytes as they are sent, and
# memory above what the server had before (promise R33 is about the page; what all forms take together is shown).
LIMITS = {"first": 1.0, "again": 0.2, "page": 150_000, "memory": 20}
ASKED_FOR = {
    "page": "catalog/many/",
    "JSON": "catalog/many/catalog.json",
    "catalog.xml": "catalog/many/catalog.xml",
    "searched page": "catalog/many/?q=0042&sort=size",
    "site map": "sitemap.xml",
}


def made(name, write):
    """The path of an input, made when it is not there."""
    path = BENCH / name
    if not path.exists():
        print(f"making {path}")
        part = BENCH / f"part_{name}"
        part.unlink(missing_ok=True)
        write(part)
        part.rename(path)
    return path


def ordinary(path):
    """A dataset as many are: a grid with its coordinates, eight variables, ten attributes each."""
    with netCDF4.Dataset(path, "w") as data:
        for name, size in (("time", 24), ("lat", 90), ("lon", 180)):
            data.createDimension(name, size)
            axis = data.createVariable(name, "f8", (name,))
            axis.units = {"time": "hours since 2000-01-01", "lat": "degrees_north", "lon": "degrees_east"}[name]
            axis[:] = np.arange(size)
        for i in range(10):
            data.setncattr(f"attribute_{i}", f"what attribute {i} of the whole dataset says about it")
        for i in range(8):
            variable = data.createVariable(f"variable_{i}", "f4", ("time", "lat", "lon"), zlib=True)
            for j in range(9):
                variable.setncattr(f"attribute_{j}", f"the value of attribute {j}")
            variable.units = "K"


def folder(path, files):
    """A folder of so many files, which are no more than their first bytes."""
    path.mkdir(parents=True)
    for i in range(files):
        (path / f"analysis_{i:06}.nc").write_bytes(b"CDF\x01" + bytes(i % 100))


class Case:
    def __init__(self, chosen):
        self.binary = chosen.server
        self.quick = chosen.quick
        self.seconds, self.warmup = (0.5, 0.2) if chosen.quick else (2.5, 0.5)
        self.rounds = 1 if chosen.quick else chosen.rounds
        self.counts = (2000, 4000, 8000) if chosen.quick else (2000, 10_000, 100_000)
        ordinary_path = made("ordinary.nc", ordinary)
        self.root = measure.SCRATCH / "served"
        self.root.mkdir()
        (self.root / "ordinary.nc").hardlink_to(ordinary_path)
        for count in self.counts:
            path = made(f"grouped_{count}.nc", lambda part, count=count: many_variables.grouped(part, count))
            (self.root / path.name).hardlink_to(path)
        folder(self.root / "thousand", 1000)
        measure.warm(self.root)

    def storm(self, server, target, connections):
        return measure.storm(self.binary, server, [target], connections, self.seconds, self.warmup)

    def variables(self, count):
        """Milliseconds of a first answer of a server just started, and of the next ones; its processor seconds and
        memory for the first."""
        target = f"/opendap/grouped_{count}.nc.dmr"
        with measure.Thalweg(self.binary, self.root) as server:
            measure.body(server, "/-/ready")
            before, cpu = server.resident(), server.cpu()
            first = measure.load(self.binary, server, [target], requests=1, seconds=120)
            if not first["requests"]:
                raise Failed(next(iter(first["reasons"]), "no answer"))
            cold = {"cold": first["p50"] / 1000, "cpu": server.cpu() - cpu, "memory": server.peak() - before, "bytes": first["bytes"]}
            again = measure.load(self.binary, server, [target], requests=20, seconds=60)
            return {**cold, "warm": again["p50"] / 1000}

    def many_files(self, count):
        """{what: figures} for a folder of `count` files, asked for as browsers ask: compressed."""
        root = measure.SCRATCH / "listed"
        folder(root / "many", count)
        found = {}
        with measure.Thalweg(self.binary, root) as server:
            measure.body(server, "/-/ready")
            before = server.resident()
            for what, target in ASKED_FOR.items():
                ask = {"header": "Accept-Encoding: gzip", "seconds": 60}
                first = measure.load(self.binary, server, [f"/{target}"], requests=1, **ask)
                again = measure.load(self.binary, server, [f"/{target}"], requests=9, **ask)
                if first["errors"] or again["errors"]:
                    raise SystemExit(f"{what}: {first['reasons'] or again['reasons']}")
                taken = server.resident() - before
                found[what] = {"first": first["p50"] / 1e6, "again": again["p50"] / 1e6, "bytes": first["bytes"], "memory": taken}
        return found


def main():
    chosen = measure.options(__doc__.splitlines()[0]).parse_args()
    case = Case(chosen)
    cases, once = {}, []
    with measure.Thalweg(case.binary, case.root) as ours:
        answers = measure.SCRATCH / "answers"
        answers.mkdir()
        (answers / "thousand").symlink_to(case.root / "thousand")
        for kind in KINDS:
            (answers / f"ordinary.nc{kind}").write_bytes(measure.body(ours, f"/opendap/ordinary.nc{kind}"))
        with peers.Nginx(answers) as nginx, measure.HttpAlone(case.binary, ours, "/opendap/ordinary.nc.dmr") as alone:
            for kind in KINDS:
                for connections in (1, 256):
                    if kind == ".dmr":
                        cases[kind, connections, ALONE] = lambda c=connections: case.storm(alone, "/", c)
                    cases[kind, connections, "nginx"] = lambda kind=kind, c=connections: case.storm(nginx, f"/ordinary.nc{kind}", c)
                    cases[kind, connections, "Thalweg"] = lambda kind=kind, c=connections: case.storm(ours, f"/opendap/ordinary.nc{kind}", c)
            cases["page", 1, "nginx"] = lambda: case.storm(nginx, "/thousand/", 1)
            cases["page", 1, "Thalweg"] = lambda: case.storm(ours, "/catalog/thousand/", 1)
            for count in case.counts:
                cases["variables", count, "Thalweg"] = lambda count=count: case.variables(count)
            peer_cases(case, cases, once)
            found = measure.interleaved(case.rounds, cases, once)
    many = case.many_files(1500 if chosen.quick else 10_000)
    verdicts = Verdicts()
    lines = table(case, found, many)
    judge(case, found, many, verdicts)
    return measure.finish(chosen, "Descriptions and pages", lines, verdicts, cells(found))


def peer_cases(case, cases, once):
    """pydap and xpublish: a description at 1 and 256 connections, pydap's page of the folder, its 2,000 variables."""

    def at(start, target, connections):
        with start() as server:
            return case.storm(server, target, connections)

    def pydap():
        return peers.Pydap(case.root)

    def xpublish():
        return peers.Xpublish(case.root / "ordinary.nc")

    for connections in (1, 256):
        cases[".dds", connections, "pydap"] = lambda c=connections: at(pydap, "/ordinary.nc.dds", c)
        cases[".dds", connections, "xpublish"] = lambda c=connections: at(xpublish, "/datasets/ordinary.nc/opendap.dds", c)
        once += [(".dds", connections, "pydap"), (".dds", connections, "xpublish")]
    cases["page", 1, "pydap"] = lambda: at(pydap, "/thousand/", 1)
    once.append(("page", 1, "pydap"))


def table(case, found, many):
    lines = [
        "A dataset of 11 variables with 10 attributes each that is open already; nginx has the answers as files. hyper alone is the library that Thalweg uses for HTTP, with the same answer in memory; for each request it looks at two files and adds a line to a log, and does nothing else. The page is of a folder of 1,000 files.",
        "",
        "| what | connections | server | requests/s | of nginx | p50 ms | p99 ms | errors | server µs a request |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (what, connections, name), figures in sorted(found.items(), key=lambda item: [*KINDS, "page", "variables"].index(item[0][0])):
        if what == "variables":
            continue
        shown = f"| {what} | {connections} | {'**Thalweg**' if name == 'Thalweg' else name} |"
        if "why" in figures:
            lines.append(f"{shown} {figures['why']} | | | | | |")
            continue
        against = found[what, connections, "nginx"]["rate"]
        columns = [number(figures["rate"]), share(figures["rate"], against), number(figures["p50"]), number(figures["p99"]), f"{figures['errors']:.0f}", number(figures["cpu"])]
        lines.append(f"{shown} " + " | ".join(columns) + " |")
    lines += [
        "",
        "| variables, in groups of 20 with their dimensions | first `.dmr` of a server just started, ms | again, ms | processor seconds | memory for it, MB | `.dmr`, MB |",
        "|---|---|---|---|---|---|",
    ]
    for count in case.counts:
        figures = found["variables", count, "Thalweg"]
        if "why" in figures:
            lines.append(f"| {count:,} | {figures['why']} | | | | |")
        else:
            shown = [number(figures[key]) for key in ("cold", "warm", "cpu", "memory")] + [number(figures["bytes"] / 1e6)]
            lines.append(f"| {count:,} | " + " | ".join(shown) + " |")
    lines += ["", f"A folder of {1500 if case.quick else 10_000:,} files, compressed as browsers ask for it:", "", "| what | first ms | again ms | bytes sent | memory till then, MB |", "|---|---|---|---|---|"]
    for what in ASKED_FOR:
        lines.append(f"| {what} | {number(many[what]['first'] * 1000)} | {number(many[what]['again'] * 1000)} | {many[what]['bytes']:,} | {many[what]['memory']:.1f} |")
    return lines


def judge(case, found, many, verdicts):
    for kind in KINDS:
        for connections in (1, 256):
            ours, theirs = found[kind, connections, "Thalweg"], found[kind, connections, "nginx"]
            verdicts.at_least(f"5. `{kind}` at {connections} connections, against nginx", ours["rate"], theirs["rate"], 0.95, "requests/s")
    verdicts.at_least("5. page of 1,000 files, against nginx's listing", found["page", 1, "Thalweg"]["rate"], found["page", 1, "nginx"]["rate"], 1, "requests/s")
    few, middle, most = (found["variables", count, "Thalweg"] for count in case.counts)
    verdicts.below(f"5. {case.counts[0]:,} variables, first answer", few.get("cold", float("inf")), 20, "ms")
    verdicts.below(f"5. {case.counts[0]:,} variables, again", few.get("warm", float("inf")), 2, "ms")
    if "why" in most or "why" in middle:
        verdicts.add(f"5. {case.counts[2]:,} variables are handled", False)
    else:
        factor = case.counts[2] / case.counts[1]
        for key, unit in (("cpu", "processor seconds"), ("memory", "MB")):
            grown = max(most[key], 0.01), max(middle[key], 0.01) * factor
            verdicts.at_most(f"5. {case.counts[2]:,} variables against {factor:g} times {case.counts[1]:,}", *grown, 1.2, unit)
    for what in ASKED_FOR:
        verdicts.below(f"folder of many files: {what}, first", many[what]["first"], LIMITS["first"], "s")
        verdicts.below(f"folder of many files: {what}, again", many[what]["again"], LIMITS["again"], "s")
    verdicts.below("folder of many files: bytes of the page", many["page"]["bytes"], LIMITS["page"], "bytes")
    verdicts.below("folder of many files: memory for the page", many["page"]["memory"], LIMITS["memory"], "MB")


def cells(found):
    kept = {}
    for row, connections in (("metadata 1", 1), ("metadata 256", 256)):
        for name in ("Thalweg", "nginx", "pydap", "xpublish"):
            figures = found[".dmr" if name in ("Thalweg", "nginx") else ".dds", connections, name]
            kept[row, "limit" if name == "nginx" else name] = number(figures.get("rate"))
    for name in ("Thalweg", "nginx", "pydap"):
        kept["page", "limit" if name == "nginx" else name] = number(found["page", 1, name].get("p50"))
    return kept


if __name__ == "__main__":
    sys.exit(main())
