"""Whole-process benchmark: slabs of 400 bytes out of chunks of a megabyte.

    slabs.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

Cold: each request needs a chunk that nobody has asked for, one at a time. Warm: slabs of chunks that have been decoded
already, no slab twice, so that no answer can be kept; and one slab over and over; at 32, 256 and 1,000 connections, beside
nginx that has 2,000 such answers as files. Then slabs of many more chunks than the cache holds, no slab twice either, beside
what two cores can inflate.
"""

import random
import sys

import inputs
import measure
import peers
from measure import Failed, Verdicts, number, share

EDGE = 10
# Of the server's cache of 32 MiB, half.
WARM_CHUNKS = 15
LOCAL = """
data = netCDF4.Dataset(arguments[0]); data.set_auto_maskandscale(False)
t = data["t"]
wall, cpu = time.monotonic(), time.process_time()
for step in range(int(arguments[1])): t[step, 100:110, 200:210]
"""


def constraint(step, y, x):
    """As clients send it: brackets are escaped."""
    ranges = (f"%5B{first}:{last}%5D" for first, last in ((step, step), (y, y + EDGE - 1), (x, x + EDGE - 1)))
    return "t" + "".join(ranges)


class Case:
    def __init__(self, chosen):
        self.binary = chosen.server
        self.seconds, self.warmup = (0.5, 0.2) if chosen.quick else (3, 0.5)
        self.steps = 20 if chosen.quick else 360
        self.name = "slabs.nc"
        self.folder = inputs.whole(self.steps)["slabs"].parent
        self.chunks = measure.chunk_list(self.folder / self.name, "t")
        measure.warm(self.folder / self.name)
        self.places = random.Random(3)
        self.warm_chunks = min(WARM_CHUNKS, self.steps)
        self.kept = self.fresh(100 if chosen.quick else 2000, self.warm_chunks)

    def fresh(self, count, chunks):
        """Slabs of the first `chunks` chunks at random places: hardly any that has been asked for before."""
        place = self.places.randrange
        return [constraint(place(chunks), place(inputs.LATS - EDGE), place(inputs.LONS - EDGE)) for _ in range(count)]

    def targets(self, constraints):
        return [f"/opendap/{self.name}.dap?dap4.ce=/{text}" for text in constraints]

    def files(self, server):
        """The same answers as files, and their addresses."""
        folder = measure.SCRATCH / "slabs"
        folder.mkdir(exist_ok=True)
        for i, target in enumerate(self.targets(self.kept)):
            (folder / f"{i}.dap").write_bytes(measure.body(server, target))
        return folder, [f"/{i}.dap" for i in range(len(self.kept))]

    def storm(self, server, targets, connections):
        return measure.storm(self.binary, server, targets, connections, self.seconds, self.warmup)

    def warm(self, server, connections):
        """More slabs than there is time for."""
        slabs = self.fresh(int(50_000 * (self.seconds + self.warmup)), self.warm_chunks)
        return self.storm(server, self.targets(slabs), connections)

    def cold(self, server, target, requests):
        """The median milliseconds of requests for one chunk each."""
        report = measure.load(self.binary, server, [target(constraint(step, 100, 200)) for step in range(requests)], requests=requests, seconds=60)
        if report["errors"] or report["requests"] < requests:
            raise Failed(next(iter(report["reasons"]), "too slow"))
        return {"p50": report["p50"] / 1000, "p99": report["p99"] / 1000, "rate": report["rate"]}

    def cold_ours(self):
        with measure.Thalweg(self.binary, self.folder) as server:
            measure.body(server, f"/opendap/{self.name}.dmr")
            return self.cold(server, lambda text: self.targets([text])[0], self.steps)

    def cold_limit(self):
        """Milliseconds to read and decode one chunk."""
        report = measure.limits(self.binary, "inflate", self.chunks, "--threads=1", f"--seconds={self.seconds / 2}")
        return {"p50": 1000 / report["chunks_per_second"]}

    def cold_local(self):
        return {"p50": measure.local(LOCAL, self.folder / self.name, self.steps)["seconds"] * 1000 / self.steps}

    def two_cores(self):
        return {"rate": measure.limits(self.binary, "inflate", self.chunks, f"--seconds={self.seconds}")["chunks_per_second"]}

    def wide_ours(self):
        with measure.Thalweg(self.binary, self.folder) as server:
            slabs = self.fresh(int(10_000 * (self.seconds + self.warmup)), self.steps)
            return self.storm(server, self.targets(slabs), 32)


def peer_cases(case, found, once, quick):
    """pydap and xpublish: one cold request after the other, then many connections."""
    for name, start, target in (
        ("pydap", lambda: peers.Pydap(case.folder), lambda text: f"/{case.name}.dods?{text}"),
        ("xpublish", lambda: peers.Xpublish(case.folder / case.name), lambda text: f"/datasets/{case.name}/opendap.dods?{text}"),
    ):
        def one(start=start, target=target):
            with start() as server:
                return case.cold(server, target, min(20, case.steps))

        def many(connections, start=start, target=target):
            with start() as server:
                return case.storm(server, [target(text) for text in case.kept], connections)

        found["cold", name] = one
        once.append(("cold", name))
        for connections in () if quick else (256, 1000):
            found[connections, name] = lambda many=many, connections=connections: many(connections)
            once.append((connections, name))


def main():
    chosen = measure.options(__doc__.splitlines()[0]).parse_args()
    case = Case(chosen)
    one = case.targets(case.kept[:1])
    with measure.Thalweg(case.binary, case.folder) as ours:
        folder, files = case.files(ours)
        with peers.Nginx(folder) as nginx:
            cases, once = {}, []
            cases["cold", "limit"] = case.cold_limit
            cases["cold", "Thalweg"] = case.cold_ours
            cases["cold", "local"] = case.cold_local
            for connections in (32, 256, 1000):
                cases[connections, "nginx"] = lambda connections=connections: case.storm(nginx, files, connections)
                cases[connections, "Thalweg"] = lambda connections=connections: case.warm(ours, connections)
            cases["repeated", "nginx"] = lambda: case.storm(nginx, files[:1], 256)
            cases["repeated", "Thalweg"] = lambda: case.storm(ours, one, 256)
            cases["wide", "limit"] = case.two_cores
            cases["wide", "Thalweg"] = case.wide_ours
            peer_cases(case, cases, once, chosen.quick)
            found = measure.interleaved(1 if chosen.quick else chosen.rounds, cases, once)
    verdicts = Verdicts()
    lines = table(case, found)
    judge(found, verdicts)
    return measure.finish(chosen, "Small slabs", lines, verdicts, cells(found))


TITLES = {
    32: "warm, no slab twice, 32 connections",
    256: "warm, no slab twice, 256 connections",
    1000: "warm, no slab twice, 1,000 connections",
    "repeated": "warm, one slab over and over, 256 connections",
    "wide": "more chunks than the cache holds, no slab twice, 32 connections",
}


def table(case, found):
    lines = [
        f"1 x {EDGE} x {EDGE} Float32 of {inputs.NAMES['slabs']}, {case.steps} chunks, DAP4 (pydap and xpublish: DAP2). Warm: slabs of {case.warm_chunks} chunks.",
        "",
        "| cold, one connection | ms |",
        "|---|---|",
        f"| limit: one chunk read and decoded | {number(found['cold', 'limit']['p50'])} |",
    ]
    for name, title in (("Thalweg", "**Thalweg**"), ("local", "netCDF4-python, local file"), ("pydap", "pydap"), ("xpublish", "xpublish")):
        figures = found["cold", name]
        lines.append(f"| {title} | {figures.get('why') or number(figures['p50'])} |")
    lines += ["", "| case | server | requests/s | of nginx | p50 ms | p99 ms | errors | server µs a request | resident MB |", "|---|---|---|---|---|---|---|---|---|"]
    for (which, name), figures in sorted(found.items(), key=lambda item: list(TITLES).index(item[0][0]) if item[0][0] in TITLES else -1):
        if which not in TITLES or name == "limit":
            continue
        shown = f"| {TITLES[which]} | {'**Thalweg**' if name == 'Thalweg' else name} |"
        if "why" in figures:
            lines.append(f"{shown} {figures['why']} | | | | | | |")
            continue
        against = found.get((which, "nginx"), {}).get("rate")
        columns = [number(figures["rate"]), share(figures["rate"], against), number(figures["p50"]), number(figures["p99"]), f"{figures['errors']:.0f}", number(figures["cpu"]), number(figures["peak"])]
        lines.append(f"{shown} " + " | ".join(columns) + " |")
    lines += ["", f"Two cores inflate {number(found['wide', 'limit']['rate'])} such chunks a second."]
    return lines


def judge(found, verdicts):
    verdicts.at_most("4. cold slab against decoding its chunk", found["cold", "Thalweg"]["p50"], found["cold", "limit"]["p50"], 2, "ms")
    for which in (32, 256, "repeated"):
        ours = found[which, "Thalweg"]
        verdicts.at_least(f"4. {TITLES[which]}, against nginx", ours["rate"], found[which, "nginx"]["rate"], 0.5, "requests/s")
        verdicts.at_most(f"4. {TITLES[which]}, p99 against p50", ours["p99"], ours["p50"], 10, "ms")
    errors = sum(figures["errors"] for (_, name), figures in found.items() if name == "Thalweg" and "errors" in figures)
    verdicts.add(f"4. no error, up to 1,000 connections ({errors:.0f})", errors == 0)
    verdicts.at_least(f"4. {TITLES['wide']}, against two cores that inflate", found["wide", "Thalweg"]["rate"], found["wide", "limit"]["rate"], 0.7, "chunks/s")


def cells(found):
    kept = {}
    for name in ("Thalweg", "local", "pydap", "xpublish", "limit"):
        kept["slab cold", name] = number(found["cold", name].get("p50"))
    for name in ("Thalweg", "nginx", "pydap", "xpublish"):
        column = "limit" if name == "nginx" else name
        if (256, name) in found:
            kept["slabs 256", column] = number(found[256, name].get("rate"))
            figures = found[1000, name]
            if "why" not in figures:
                kept["slabs 1000", column] = f"{number(figures['rate'])} ({number(figures['peak'])}; {figures['errors']:.0f})"
    return kept


if __name__ == "__main__":
    sys.exit(main())
