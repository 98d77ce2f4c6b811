"""Whole-process benchmark: a large variable as a whole, stored in six ways.

    whole.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

In turn, `--rounds` times: the limits, Python reading the local file, and our server over DAP4 and DAP2, started anew for
each; pydap and xpublish once, for they take long. A reader that throws everything away (`load`) is the client of all. Then
16 readers at once, and 256 that read slowly. Processor seconds are the server's own.
"""

import sys
import time

import inputs
import measure
import peers
from measure import Failed, Verdicts, number

# How often each is asked in one round: the clock of processor time has steps of 10 ms.
TIMES = {"slabs": 2, "cubes": 2, "contiguous": 6, "netcdf3": 4, "zstd": 2, "blosc": 3}
PROTOCOLS = {"DAP4": ".dap?dap4.ce=/t", "DAP2": ".dods?t"}

LOCAL_NETCDF = """
data = netCDF4.Dataset(arguments[0]); data.set_auto_maskandscale(False)
t = data["t"]
for step in range(0, t.shape[0], int(arguments[1])): t[step : step + int(arguments[1])]
"""
LOCAL_ZARR = """
t = zarr.open_group(arguments[0], mode="r")["t"]
for step in range(t.shape[0]): t[step]
"""
# C-Blosc, on one thread, from memory.
BLOSC = """
import numcodecs.blosc
numcodecs.blosc.use_threads = False
listed = json.load(open(arguments[0]))
stored = [open(file, "rb").read() for file in listed["files"]]
out = numpy.empty(listed["chunks"][0][3], "u1")
wall, cpu = time.monotonic(), time.process_time()
for chunk in stored: numcodecs.blosc.decompress(chunk, out)
"""


class Case:
    """What is common to all measurements of one run."""

    def __init__(self, chosen):
        self.binary = chosen.server
        self.steps = 20 if chosen.quick else 360
        self.paths = inputs.whole(self.steps)
        self.lists = inputs.chunks_of(self.paths)
        self.size = self.steps * inputs.LATS * inputs.LONS * 4
        measure.warm(*self.paths.values())

    def read(self, server, target, connections=1, times=1):
        """Reads it whole `times` times on each connection."""
        count = connections * times
        report = measure.load(self.binary, server, [target], connections=connections, requests=count, seconds=150)
        if report["errors"] or report["requests"] < count:
            raise Failed(next(iter(report["reasons"]), f"{count - report['requests']} of {count} unanswered after 150 s"))
        if report["bytes"] < self.size * count:
            raise Failed(f"{report['bytes']} bytes")
        total = self.size * count / 1e6
        cpu = max(report["server_cpu"], 0.01)
        return {"per_cpu": total / cpu, "rate": total / report["seconds"], "peak": server.peak(), "first": report["first_max"] / 1000}

    def ours(self, way, protocol, connections=1, times=1, slice=""):
        suffix = PROTOCOLS[protocol] + slice
        with measure.Thalweg(self.binary, self.paths[way].parent) as server:
            return self.read(server, f"/opendap/{self.paths[way].name}{suffix}", connections, times)

    def pydap(self, way, connections=1):
        with peers.Pydap(self.paths[way].parent) as server:
            return self.read(server, f"/{self.paths[way].name}.dods?t", connections)

    def xpublish(self, way, connections=1):
        with peers.Xpublish(self.paths[way]) as server:
            return self.read(server, f"/datasets/{self.paths[way].name}/opendap.dods?t", connections)

    def nginx(self, connections=1, times=1):
        """The contiguous file as it is."""
        with peers.Nginx(self.paths["contiguous"].parent) as server:
            return self.read(server, "/contiguous.nc", connections, times)

    def local(self, way):
        if self.paths[way].is_dir():
            found = measure.local(LOCAL_ZARR, self.paths[way])
        else:
            found = measure.local(LOCAL_NETCDF, self.paths[way], min(60, self.steps) if way == "cubes" else 1)
        return {"per_cpu": self.size / 1e6 / found["cpu"], "rate": self.size / 1e6 / found["seconds"], "peak": found["peak"]}

    def limit(self, *arguments, times=1):
        """Of the variable's own bytes: chunks at its edge hold more, which has to be decoded but is of no use."""
        found = measure.limits(self.binary, *arguments)
        total = self.size * times / 1e6
        return {"per_cpu": total / found["cpu"], "rate": total / found["seconds"]}

    def blosc(self):
        found = measure.local(BLOSC, self.lists["blosc"])
        return {"per_cpu": self.size / 1e6 / found["cpu"], "rate": self.size / 1e6 / found["seconds"]}

    def slow(self, readers, seconds):
        """Memory while so many read slowly, and how much they got."""
        rate = 200_000
        with measure.Thalweg(self.binary, self.paths["slabs"].parent) as server:
            target = f"/opendap/{self.paths['slabs'].name}{PROTOCOLS['DAP4']}"
            report = measure.load(self.binary, server, [target], connections=readers, seconds=seconds, rate=rate)
            return {"peak": server.peak(), "errors": report["errors"], "bytes": report["bytes"] / 1e6}


def cases(case, chosen):
    """name -> measurement, in the order in which they take turns; and those that are measured once."""
    found, once = {}, []
    for way in inputs.NAMES:
        if way in ("slabs", "cubes"):
            found[way, "limit"] = lambda way=way: case.limit("decode", case.lists[way])
            found[way, "two threads"] = lambda way=way: case.limit("stream", case.lists[way])
        elif way == "zstd":
            found[way, "limit"] = lambda: case.limit("decode", case.lists["zstd"])
            found[way, "two threads"] = lambda: case.limit("stream", case.lists["zstd"])
        elif way == "blosc":
            found[way, "limit"] = case.blosc
        elif way == "contiguous":
            found[way, "limit"] = lambda: case.limit("tcp", case.size * 6, times=6)
            found[way, "file and TCP"] = lambda: case.limit("tcp", case.size * 6, "--file", case.paths["contiguous"], times=6)
            found[way, "nginx"] = lambda: case.nginx(times=6)
        for protocol in PROTOCOLS:
            found[way, protocol] = lambda way=way, protocol=protocol: case.ours(way, protocol, times=TIMES[way])
        found[way, "local"] = lambda way=way: case.local(way)
        for name, peer in (("pydap", case.pydap), ("xpublish", case.xpublish)):
            if name == "pydap" and way in ("zstd", "blosc"):
                continue
            found[way, name] = lambda way=way, peer=peer: peer(way)
            once.append((way, name))
    for way in ("slabs", "contiguous"):
        found[way, "16 DAP4"] = lambda way=way: case.ours(way, "DAP4", connections=16)
        if not chosen.quick:
            for name, peer in (("pydap", case.pydap), ("xpublish", case.xpublish)):
                found[way, f"16 {name}"] = lambda way=way, peer=peer: peer(way, connections=16)
                once.append((way, f"16 {name}"))
    found["contiguous", "16 nginx"] = lambda: case.nginx(connections=16)
    quarter = f"[0:{case.steps // 4 - 1}][][]"
    found["slabs", "a quarter"] = lambda: quarter_of(case, quarter)
    found["slabs", "256 slow"] = lambda: case.slow(256, 3 if chosen.quick else 12)
    once.append(("slabs", "256 slow"))
    return found, once


def quarter_of(case, slice):
    """Memory for a quarter of the variable."""
    whole, case.size = case.size, case.size // 4
    try:
        return {"peak": case.ours("slabs", "DAP4", slice=slice)["peak"]}
    finally:
        case.size = whole


def row(name, figures):
    if "why" in figures:
        return f"| {name} | {figures['why']} | | | |"
    return f"| {name} | " + " | ".join(number(figures.get(key)) for key in ("per_cpu", "rate", "peak", "first")) + " |"


READERS = {
    "limit": "limit: codec alone, one thread",
    "two threads": "limit: two threads decode, sent in order over TCP",
    "file and TCP": "limit: file read and sent over TCP",
    "nginx": "nginx, the file as it is",
    "DAP4": "**Thalweg, DAP4**",
    "DAP2": "**Thalweg, DAP2**",
    "local": "netCDF4-python or zarr, local file, step by step",
    "pydap": "pydap, DAP2",
    "xpublish": "xpublish, DAP2",
    "16 DAP4": "**Thalweg, 16 at once**",
    "16 pydap": "pydap, 16 at once",
    "16 xpublish": "xpublish, 16 at once",
    "16 nginx": "nginx, 16 at once",
}


def table(case, found):
    lines = [
        f"Float32 {case.steps} x {inputs.LATS} x {inputs.LONS} ({case.size / 1e6:.0f} MB). MB are decoded; processor seconds are the server's; memory is the highest",
        "resident of all its processes; the first byte is the slowest of a server just started. Limits count sender and reader together.",
    ]
    for way, title in inputs.NAMES.items():
        lines += ["", f"**{title}**", "", "| reader | MB per processor second | MB/s | resident MB | first byte ms |", "|---|---|---|---|---|"]
        for (of, reader), figures in found.items():
            if of == way and reader in READERS:
                shown = "limit: TCP send and receive from memory" if (way, reader) == ("contiguous", "limit") else READERS[reader]
                lines.append(row(shown, figures))
    slow, quarter = found["slabs", "256 slow"], found["slabs", "a quarter"]
    lines += [
        "",
        f"256 slow readers of {inputs.NAMES['slabs']}: {slow['peak']:.0f} MB resident, {slow['errors']:.0f} errors. A quarter of the variable needs {quarter['peak']:.0f} MB.",
    ]
    return lines


def judge(found, verdicts):
    def figure(way, reader, key):
        return found[way, reader].get(key) or 0

    rate = "MB per processor second"
    for way in ("slabs", "cubes"):
        title = inputs.NAMES[way]
        for protocol in PROTOCOLS:
            ours = figure(way, protocol, "per_cpu")
            verdicts.at_least(f"1. {title}, {protocol}, against libdeflate alone", ours, figure(way, "limit", "per_cpu"), 0.7, rate)
        ours = figure(way, "DAP4", "rate")
        verdicts.at_least(f"1. {title}, wall, against two threads that decode and send", ours, figure(way, "two threads", "rate"), 0.8, "MB/s")
        verdicts.at_least(f"1. {title}, wall, against netCDF4-python's local read", ours, figure(way, "local", "rate"), 1, "MB/s")
    tcp = figure("contiguous", "limit", "per_cpu")
    for way, protocol, ratio in (("contiguous", "DAP4", 0.6), ("contiguous", "DAP2", 0.4), ("netcdf3", "DAP4", 0.4), ("netcdf3", "DAP2", 0.4)):
        verdicts.at_least(f"2. {inputs.NAMES[way]}, {protocol}, against plain TCP", figure(way, protocol, "per_cpu"), tcp, ratio, rate)
    for way in ("zstd", "blosc"):
        verdicts.at_least(f"2. {inputs.NAMES[way]}, DAP4, against the codec alone", figure(way, "DAP4", "per_cpu"), figure(way, "limit", "per_cpu"), 0.7, rate)
    readings = [(way, protocol) for way in inputs.NAMES for protocol in PROTOCOLS]
    slowest = max(readings, key=lambda key: figure(*key, "first"))
    verdicts.below(f"3. the slowest first byte ({inputs.NAMES[slowest[0]]}, {slowest[1]})", figure(*slowest, "first"), 5, "ms")
    largest = max(readings, key=lambda key: figure(*key, "peak"))
    verdicts.below(f"3. memory for one stream ({inputs.NAMES[largest[0]]}, {largest[1]})", figure(*largest, "peak"), 150, "MB")
    for way in ("slabs", "contiguous"):
        verdicts.below(f"3. memory for 16 at once ({inputs.NAMES[way]})", figure(way, "16 DAP4", "peak"), 250, "MB")
    slow = found["slabs", "256 slow"]
    verdicts.below("3. memory for 256 slow readers", slow["peak"], 400, "MB")
    verdicts.add(f"3. no slow reader was cut off ({slow['errors']:.0f} errors)", slow["errors"] == 0)
    quarter = figure("slabs", "a quarter", "peak")
    verdicts.at_most("3. memory for the whole against a quarter of the variable", figure("slabs", "DAP4", "peak"), quarter, 1.25, "MB")


def cells(found):
    """For the table at the head of the document."""

    def three(way, reader):
        figures = found.get((way, reader), {})
        if "why" in figures:
            return "fails"
        return ", ".join(number(figures[key]) for key in ("per_cpu", "peak", "first") if figures.get(key)) or "-"

    kept = {}
    rows = {"whole deflate": "slabs", "whole cubes": "cubes", "whole contiguous": "contiguous", "whole netcdf3": "netcdf3", "whole zstd": "zstd"}
    for title, way in rows.items():
        kept[title, "Thalweg"] = three(way, "DAP4")
        for peer in ("pydap", "xpublish"):
            kept[title, peer] = three(way, peer)
        kept[title, "local"] = number(found[way, "local"].get("per_cpu"))
        if (way, "limit") in found:
            kept[title, "limit"] = number(found[way, "limit"]["per_cpu"])
    kept["whole contiguous", "limit"] = (
        f"loopback TCP {number(found['contiguous', 'limit']['per_cpu'])}; nginx sendfile {number(found['contiguous', 'nginx'].get('per_cpu'))}"
    )
    for title, way in (("16 deflate", "slabs"), ("16 contiguous", "contiguous")):
        for column, reader in (("Thalweg", "DAP4"), ("pydap", "pydap"), ("xpublish", "xpublish"), ("limit", "nginx")):
            figures = found.get((way, f"16 {reader}"))
            if figures:
                kept[title, column] = "fails" if "why" in figures else f"{number(figures['rate'])}, {number(figures['peak'])}"
    return kept


def main():
    chosen = measure.options(__doc__.splitlines()[0]).parse_args()
    started = time.monotonic()
    case = Case(chosen)
    measured, once = cases(case, chosen)
    found = measure.interleaved(1 if chosen.quick else chosen.rounds, measured, once)
    lines = table(case, found)
    verdicts = Verdicts()
    judge(found, verdicts)
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return measure.finish(chosen, "One large variable as a whole", lines, verdicts, cells(found))


if __name__ == "__main__":
    sys.exit(main())
