"""Whole-process benchmark: storms of small requests, as clients make them by habit.

    storms.py [--server BINARY] [--rounds N] [--quick] [--write docs/performance.md]

What ncdump, GDAL, CDO and netCDF4-python ask for when they read a variable over DAP2 was taken from the server's log and is
replayed here by `load`: from a server that has just been started, on one connection, on a new one for each request, and by
eight clients that go the same way at the same time. It is set beside the same requests from chunks that are all in the cache
(the warm figure, of a server whose cache has room for them), and the server says how many chunks it decoded.
"""

import re
import sys
import time

import inputs
import measure
from measure import Verdicts, number, share

# A server that keeps everything.
ROOMY = measure.SETTINGS.replace("[limits]\n", '[limits]\nchunk_cache = "2 GiB"\n')
LATS, LONS = inputs.LATS, inputs.LONS
TOGETHER = 8
CHUNKS = {"slabs": (1, LATS, LONS), "cubes": (60, 60, 60)}
# As netCDF-C writes it: brackets encoded, the step left out.
FORM = "/opendap/{name}.nc.dods?t%5b{time}%5d%5b{lat}%5d%5b{lon}%5d"


def rows(steps):
    """ncdump, whatever the file calls its records: a request for each row of each step."""
    return [(step, lat, None) for step in range(steps) for lat in range(LATS)]


def rows_upwards(steps):
    """GDAL: a band is a step, its rows from the last to the first."""
    return [(step, lat, None) for step in range(steps) for lat in reversed(range(LATS))]


def maps(steps):
    """CDO: a request for each step."""
    return [(step, None, None) for step in range(steps)]


def points(steps):
    """netCDF4-python, indexed with lists of numbers on all axes: a request for each combination of them."""
    lats, lons = (range(40, 320, 13)[:17], range(9, 719, 14)[:50]) if steps > 2 else (range(40, 320, 40), range(9, 719, 70))
    return [(step, lat, lon) for step in range(steps) for lat in lats for lon in lons]


# name: (what is asked for, steps, how)
HABITS = {
    "ncdump, row by row": (rows, 4, ("kept", "new", "together")),
    "GDAL, rows from the last to the first": (rows_upwards, 4, ("kept",)),
    "CDO, step by step": (maps, 60, ("kept", "together")),
    "netCDF4-python, points by lists of indices": (points, 20, ("kept", "new")),
}
WAYS = {"kept": "1 connection", "new": "1 client, new connections", "together": f"{TOGETHER} clients the same way"}
# Rows and points find their chunk decoded nearly always; a step never does, its time is that of decoding.
SMALL = (rows, rows_upwards, points)


def target(name, cell):
    time, lat, lon = (f"0:{size - 1}" if index is None else index for index, size in zip(cell, (None, LATS, LONS)))
    return FORM.format(name=name, time=time, lat=lat, lon=lon)


def chunks_needed(name, cells):
    """How many chunks hold what is asked for."""
    needed = set()
    for cell in cells:
        across = [
            range(-(-size // chunk)) if index is None else (index // chunk,)
            for index, size, chunk in zip(cell, (1, LATS, LONS), CHUNKS[name])
        ]
        needed.update((a, b, c) for a in across[0] for b in across[1] for c in across[2])
    return len(needed)


def decoded(server):
    """Chunks that the server has decoded so far, and those that it found decoded."""
    text = measure.body(server, "/-/metrics").decode()
    return [int(re.search(rf"^{name} (\d+)$", text, re.M).group(1)) for name in ("thalweg_chunks_decoded_total", "thalweg_chunk_cache_hits_total")]


def at_rest(server):
    """As `decoded`, once a server that has just been started has looked at what it serves."""
    found, before = decoded(server), None
    while found != before:
        time.sleep(0.2)
        found, before = decoded(server), found
    return found


class Storm:
    def __init__(self, binary, folder, name, cells, way):
        self.binary, self.folder = binary, folder
        self.targets = [target(name, cell) for cell in cells]
        self.first = self.targets[0]
        self.settings = {"connections": 1}
        if way == "new":
            self.settings["header"] = "Connection: close"
        if way == "together":
            # Each request as often as there are clients, which take turns.
            self.targets = [target for target in self.targets for _ in range(TOGETHER)]
            self.settings["connections"] = TOGETHER

    def run(self, server, targets):
        report = measure.load(self.binary, server, targets, requests=len(targets), seconds=120, **self.settings)
        if report["errors"] or report["requests"] != len(targets):
            raise measure.Failed(next(iter(report["reasons"]), "too slow"))
        return report

    def cold(self):
        """Of a server that has seen nothing but the description."""
        with measure.Thalweg(self.binary, self.folder) as server:
            measure.body(server, self.first.split("?")[0].replace(".dods", ".dds"))
            before = at_rest(server)
            report = self.run(server, self.targets)
            chunks, hits = (after - count for after, count in zip(decoded(server), before))
            return {"rate": report["rate"], "p99": report["p99"] / 1000, "decoded": chunks, "hits": hits, "peak": server.peak()}

    def warm(self):
        """Of a server that has all chunks, but has not given these answers: it was asked over DAP4."""
        with measure.Thalweg(self.binary, self.folder, ROOMY) as server:
            self.run(server, [target.replace(".dods?", ".dap?dap4.ce=/") for target in self.targets])
            return {"rate": self.run(server, self.targets)["rate"]}


def main():
    parser = measure.options(__doc__.splitlines()[0])
    parser.set_defaults(rounds=2)
    chosen = parser.parse_args()
    paths = inputs.whole(20 if chosen.quick else 360)
    folder = paths["slabs"].parent
    measure.warm(*(paths[name] for name in CHUNKS))
    cases, sizes = {}, {}
    for name in CHUNKS:
        for habit, (asks, steps, ways) in HABITS.items():
            cells = asks(2 if chosen.quick else steps)
            for way in ways:
                storm = Storm(chosen.server, folder, name, cells, way)
                key = (name, habit, way)
                sizes[key] = len(storm.targets), chunks_needed(name, cells)
                cases[*key, "cold"], cases[*key, "warm"] = storm.cold, storm.warm
        chunks = measure.chunk_list(paths[name], "t")
        cases[name, "inflate"] = lambda chunks=chunks: measure.limits(
            chosen.server, "inflate", chunks, "--threads=1", f"--seconds={0.2 if chosen.quick else 1}"
        )
    found = measure.interleaved(1 if chosen.quick else chosen.rounds, cases)

    verdicts = Verdicts()
    lines = [
        "What clients ask for by habit, replayed over DAP2 on a server just started with its default settings; warm: the same requests from",
        "chunks that are all decoded. Could be: the time of the warm requests and that of decoding each chunk once, on one core. Float32",
        f"{20 if chosen.quick else 360} x {LATS} x {LONS}; a part of its steps. A step of boxes of 60 x 60 x 60 takes 84 chunks, 73 MB decoded: the cache has room",
        "for 32 MiB, so that a walk from step to step finds few of them again.",
        "",
        "| chunks | habit | clients | requests | requests/s | warm | of warm | could be | of that | p99 ms | chunks needed | decoded | resident MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for key, (requests, needed) in sizes.items():
        name, habit, way = key
        cold, warm = found[*key, "cold"], found[*key, "warm"]
        if why := cold.get("why") or warm.get("why"):
            verdicts.add(f"7. {habit}, {name}, {WAYS[way]}: {why}", False)
            continue
        possible = requests / (requests / warm["rate"] + needed / found[name, "inflate"]["chunks_per_second"])
        figures = [f"{requests:,}", number(cold["rate"]), number(warm["rate"]), share(cold["rate"], warm["rate"]), number(possible), share(cold["rate"], possible)]
        figures += [number(cold["p99"]), f"{needed:,}", f"{cold['decoded']:,.0f}", number(cold["peak"])]
        lines.append(f"| {'x'.join(map(str, CHUNKS[name]))} | {habit} | {WAYS[way]} | " + " | ".join(figures) + " |")
        title = f"7. {habit}, chunks {name}, {WAYS[way]}"
        verdicts.add(f"{title}: each of {needed:,} chunks decoded once ({cold['decoded']:,.0f})", cold["decoded"] <= needed)
        if HABITS[habit][0] in SMALL and name == "slabs":
            verdicts.at_least(f"{title}, against warm", cold["rate"], warm["rate"], 0.7, "requests/s")
        else:
            verdicts.at_least(f"{title}, against what could be", cold["rate"], possible, 0.7, "requests/s")
    return measure.finish(chosen, "Request storms", lines, verdicts, {})


if __name__ == "__main__":
    sys.exit(main())
