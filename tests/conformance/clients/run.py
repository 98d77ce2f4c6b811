"""Real clients against the real server: each (client, file) pair is compared with the file itself.

    run.py [--server BINARY] [--only CLIENT-PATTERN] [--files FILE-PATTERN] [--verbose] [--no-table]

Serves .work/data and .work/corpus (scripts/fetch-data.sh, tests/data/make_corpus.py) on a loopback port, runs every
client of clients.py over every file, writes docs/compatibility.md after a full run, and ends with `N passed, N failed`.
What a client must see: mapping.py. What fails through a client's own fault: ../expected.toml.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

import batch
import compare
import page
import report
from clients import CLIENTS, NETCDF_C_DAP2, _dap2_netcdf_c

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
WORK = ROOT / ".work"
PYTHON = WORK / "venv" / "bin" / "python"
SERVED = WORK / "served"


ORACLES = (
    ("netcdf4", "probe_netcdf4.py"), ("h5py", "probe_h5py.py"), ("zarr", "oracle_zarr.py"), ("rasterio", "oracle_rasterio.py"),
)  # fmt: skip


class Outcome:
    """What became of one (client, file) pair."""

    def __init__(self, client, file, findings):
        self.client, self.file, self.findings = client, file, findings
        self.faults = []

    def explain(self, faults):
        left = []
        for finding in self.findings:
            fault = next((f for f in faults if f.explains(self.client, self.file, finding)), None)
            if fault:
                fault.seen += 1
                if fault not in self.faults:
                    self.faults.append(fault)
            else:
                left.append(finding)
        self.findings = left

    @property
    def state(self):
        return "failed" if self.findings else "known" if self.faults else "passed"


class Fault:
    """An entry of expected.toml."""

    def __init__(self, entry):
        self.id = entry["id"]
        self.reason = entry["reason"]
        self.clients = entry["clients"]
        self.files = entry.get("files", ["*"])
        self.variables = entry.get("variables", ["*"])
        self.kinds = entry.get("kinds", ["*"])
        self.details = entry.get("details", ["*"])
        self.sometimes = entry.get("sometimes", False)
        self.seen = 0

    def explains(self, client, file, finding):
        pairs = zip((client, file, *finding), (self.clients, self.files, self.variables, self.kinds, self.details))
        return all(any(fnmatchcase(text, pattern) for pattern in patterns) for text, patterns in pairs)


def gather():
    """Fills the folder that is served; gives its files: name -> manifest entry."""
    manifest = json.loads((WORK / "corpus" / "manifest.json").read_text(encoding="utf-8"))
    if SERVED.exists():
        shutil.rmtree(SERVED)
    files = {}
    for entry in manifest:
        files["corpus/" + entry["file"]] = {**entry, "oracle": entry["oracle"].replace("twin:", "twin:corpus/")}
    shutil.copytree(WORK / "corpus", SERVED / "corpus")
    (SERVED / "corpus" / "manifest.json").unlink()
    for path in sorted((WORK / "data").rglob("*.nc")):
        name = "iris/" + path.relative_to(WORK / "data").as_posix()
        (SERVED / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, SERVED / name)
        files[name] = {"file": name, "feature": "real data", "oracle": "netcdf4", "refused": []}
    return dict(sorted(files.items()))


def oracle_views(files):
    """The independent reading of each file. A file that its oracle cannot read is a fault of the corpus."""
    views = {}
    for oracle, probe in ORACLES:
        names = [n for n, e in files.items() if e["oracle"] == oracle]
        results = batch.run([str(PYTHON), str(HERE / probe)], [[SERVED / n] for n in names])
        for name, result in zip(names, results):
            if "error" in result:
                raise SystemExit(f"the oracle {oracle} cannot read {name}: {result['error']}\n{result.get('trace', '')}")
            bad = [v for v, x in result["view"]["variables"].items() if "error" in x and v not in files[name]["refused"]]
            if bad:
                raise SystemExit(f"the oracle {oracle} cannot read {bad} of {name}")
            views[name] = result["view"]
    for name, entry in files.items():
        if entry["oracle"].startswith("twin:"):
            views[name] = views[entry["oracle"][5:]]
    return views


class Server:
    """The server under test, on a port of its choice."""

    def __init__(self, binary):
        self.log = open(WORK / "conformance-server.log", "w+")
        self.process = subprocess.Popen(
            [binary, "serve", str(SERVED), "--listen", "127.0.0.1:0"], stdout=subprocess.DEVNULL, stderr=self.log
        )
        self.base = None
        for _ in range(100):
            text = (WORK / "conformance-server.log").read_text(errors="replace")
            found = re.search(r"browse (http://127\.0\.0\.1:\d+)/", text)
            if found:
                self.base = found.group(1)
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise SystemExit("the server did not start:\n" + (WORK / "conformance-server.log").read_text(errors="replace"))

    def url(self, name):
        return f"{self.base}/opendap/{quote(name)}"

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def run_client(client, files, views, server):
    """One client over all its files."""
    names = [n for n, e in files.items() if n in views and not (client.whole and e["refused"])]
    # What a refusal does to a client's memory shows in no other file.
    names.sort(key=lambda name: bool(files[name]["refused"]))
    started = time.monotonic()
    results = batch.run(
        client.command(WORK), [client.arguments(server.url(n), views[n]) for n in names], client.seconds, client.environment
    )
    outcomes = []
    for name, result in zip(names, results):
        if "error" in result:
            findings = [("/", "crash" if result.get("crash") else "open", result["error"])]
        else:
            expected = {**client.expected(views[name]), "partial": views[name].get("partial", False)}
            findings = compare.compare(expected, result["view"], client.lenient, files[name]["refused"])
        outcomes.append(Outcome(client.key, name, findings))
    print(f"  {client.key}: {len(names)} files in {time.monotonic() - started:.0f} s", flush=True)
    return outcomes


def run_same_output(key, tool, jobs, server):
    """Clients without a data model of ours: what they print of the URL must be what they print of the file."""
    command = [str(PYTHON), str(HERE / "probe_tools.py")]
    started = time.monotonic()
    local = batch.run(command, [[tool, SERVED / name, *rest] for name, *rest in jobs])
    usable = [(job, result["view"]) for job, result in zip(jobs, local) if "view" in result]
    remote = batch.run(command, [[tool, server.url(name), *rest] for (name, *rest), _ in usable], 120)
    outcomes = []
    for ((name, *rest), want), result in zip(usable, remote):
        variable = rest[0] if rest else "/"
        if "error" in result:
            findings = [(variable, "open", result["error"])]
        elif result["view"] != want:
            findings = [(variable, "values", _difference(want, result["view"]))]
        else:
            findings = []
        outcomes.append(Outcome(key, name, findings))
    print(f"  {key}: {len(usable)} of {len(jobs)} usable locally, {time.monotonic() - started:.0f} s", flush=True)
    return outcomes


def _difference(want, got):
    for key in want:
        if want[key] != got.get(key):
            one, other = want[key], got.get(key)
            if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
                one, other = next((a, b) for a, b in zip(one, other) if a != b)
            return f"{key}: {str(other)[:150]} for {str(one)[:150]}"
    return "?"


def run_siphon(files, views, server):
    """The catalog, followed from the root, names every file; what it points to opens."""
    command = [str(PYTHON), str(HERE / "probe_tools.py")]
    result = batch.run(command, [["siphon", server.base + "/catalog.xml"]], 120)[0]
    key = "siphon 0.11.0/catalog"
    if "error" in result:
        return [Outcome(key, "iris/", [("/", "open", result["error"])])]
    found = result["view"]["datasets"]
    outcomes = []
    opened = []
    for name in files:
        urls = next((u for path, u in found.items() if path == name or path.endswith("/" + name)), None)
        if urls is None:
            outcomes.append(Outcome(key, name, [("/", "missing", "not in the catalog")]))
            continue
        known = {k.lower(): v for k, v in urls.items()}
        services = ("opendap", "dap4") if (SERVED / name).is_dir() else ("opendap", "dap4", "httpserver")
        lacking = [s for s in services if s not in known]
        if lacking:
            outcomes.append(Outcome(key, name, [("/", "missing", f"no access by {lacking}")]))
        elif name.startswith("iris/"):
            opened.append((name, known["opendap"]))
        else:
            outcomes.append(Outcome(key, name, []))
    results = batch.run([str(PYTHON), str(HERE / "probe_netcdf4.py")], [[u] for _, u in opened])
    for (name, _), result in zip(opened, results):
        if "error" in result:
            findings = [("/", "open", result["error"])]
        else:
            findings = compare.compare(_dap2_netcdf_c(views[name]), result["view"], NETCDF_C_DAP2)
        outcomes.append(Outcome(key, name, findings))
    print(f"  {key}: {len(found)} datasets", flush=True)
    return outcomes


def run_pages(files, server):
    """What a dataset's page tells people to copy works, and so do its links."""
    chosen = [n for n in files if n.endswith(("netcdf4/groups.nc", "netcdf4/names.nc", "E1_north_america.nc"))]
    outcomes = [Outcome("dataset page/DAP4", n, page.findings(server.url(n) + ".html", PYTHON)) for n in chosen]
    # What was chosen in the form is in the lines.
    part = ".html?v=/air_temperature&v=/height&first./time=2&last./time=11&step./time=3&from./latitude=30&to./latitude=40"
    for name in (n for n in chosen if n.endswith("E1_north_america.nc")):
        found = page.findings(server.url(name) + part, PYTHON, page.EXPECTED_PART)
        outcomes.append(Outcome("dataset page/DAP4", f"{name}, a part", found))
    return outcomes


def run_refusals(files, server):
    """Over plain HTTP: unreadable files and refused variables are errors, never data."""
    outcomes = []
    for name, entry in files.items():
        findings = []
        if entry["oracle"] == "none":
            for suffix in (".dds", ".das", ".dods", ".ascii", ".dmr", ".dap"):
                status = _status(server.url(name) + suffix)
                if not 400 <= status < 600:
                    findings.append(("/", "refused", f"{suffix} answers {status}"))
        for variable in entry["refused"]:
            for query in (f".dap?dap4.ce=/{quote(variable)}", f".dods?{quote(variable)}"):
                status = _status(server.url(name) + query)
                if not 400 <= status < 600:
                    findings.append((variable, "refused", f"{query} answers {status}"))
        if entry["oracle"] == "none" or entry["refused"]:
            outcomes.append(Outcome("HTTP/refusals", name, findings))
    return outcomes


def _status(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as problem:
        return problem.code
    except Exception:  # cut off: not data, not a clean error either
        return 0


def gdal_jobs(files, views):
    """Rasters of the real data that GDAL can walk through row by row in a moment."""
    jobs = []
    for name in files:
        if not name.startswith("iris/"):
            continue
        for path, variable in views[name]["variables"].items():
            shape = variable["shape"]
            if len(shape) >= 2 and variable["dtype"][0] in "iuf" and min(shape[-2:]) > 2:
                rows = 1
                for size in shape[:-1]:
                    rows *= size
                if rows <= 1500:
                    jobs.append((name, path))
    return jobs


def images(files, views):
    """GeoTIFF files, each with a variable that DAP2 has."""
    jobs = []
    for name in (n for n, e in files.items() if e["oracle"] == "rasterio"):
        bands = {v: x["dtype"] for v, x in views[name]["variables"].items() if v in ("band_1", "data")}
        jobs += [(name, variable) for variable, kind in bands.items() if kind not in ("i8", "u8", "compound")]
    return jobs


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")), help="default: $THALWEG")
    options.add_argument("--only", default="*", help="pattern of client/protocol")
    options.add_argument("--files", default="*", help="pattern of file names, as iris/* or corpus/types/*")
    options.add_argument("--verbose", action="store_true", help="every finding, not the first ones")
    options.add_argument("--no-table", action="store_true")
    chosen = options.parse_args()

    everything = gather()
    files = {n: e for n, e in everything.items() if fnmatchcase(n, chosen.files) or e["oracle"] == "none"}
    whole = chosen.only == "*" and chosen.files == "*"
    twins = {e["oracle"][5:] for e in files.values() if e["oracle"].startswith("twin:")}
    files.update({n: everything[n] for n in twins})
    faults = [Fault(e) for e in tomllib.loads((HERE.parent / "expected.toml").read_text(encoding="utf-8")).get("fault", [])]
    started = time.monotonic()
    views = oracle_views(files)
    print(f"{len(files)} files, {len(views)} read by their oracles in {time.monotonic() - started:.0f} s", flush=True)

    iris = [(n,) for n in files if n.startswith("iris/")]
    server = Server(chosen.server)
    try:
        work = [(c.key, lambda c=c: run_client(c, files, views, server)) for c in CLIENTS]
        gridded = iris + [(n,) for n in files if n.endswith("packed_cf.nc")]
        work += [
            ("CDO 2.1.1/DAP2", lambda: run_same_output("CDO 2.1.1/DAP2", "cdo", gridded, server)),
            ("GDAL 3.6.2/DAP2", lambda: run_same_output("GDAL 3.6.2/DAP2", "gdal", gdal_jobs(files, views), server)),
            ("GDAL 3.6.2 CRS/DAP2", lambda: run_same_output("GDAL 3.6.2 CRS/DAP2", "gdal_place", images(files, views), server)),
            ("siphon 0.11.0/catalog", lambda: run_siphon(files, views, server)),
            ("dataset page/DAP4", lambda: run_pages(files, server)),
            ("HTTP/refusals", lambda: run_refusals(files, server)),
        ]
        work = [(key, job) for key, job in work if fnmatchcase(key, chosen.only)]
        with ThreadPoolExecutor(2) as pool:
            outcomes = [o for batch_ in pool.map(lambda item: item[1](), work) for o in batch_]
        alive = server.process.poll() is None
    finally:
        server.stop()

    for outcome in outcomes:
        outcome.explain(faults)
    failed = [o for o in outcomes if o.state == "failed"]
    for outcome in failed:
        print(f"\nFAILED {outcome.client}  {outcome.file}")
        shown = outcome.findings if chosen.verbose else outcome.findings[:4]
        for variable, kind, detail in shown:
            print(f"    {variable}: {kind}: {detail}")
        if len(outcome.findings) > len(shown):
            print(f"    and {len(outcome.findings) - len(shown)} more")
    stale = [f for f in faults if not f.seen and not f.sometimes] if whole else []
    for fault in stale:
        print(f"\nSTALE expected.toml entry {fault.id!r}: nothing fails that way any more")
    if not alive:
        print("\nThe server died during the run; see .work/conformance-server.log")
    if whole and not chosen.no_table:
        (ROOT / "docs").mkdir(exist_ok=True)
        (ROOT / "docs" / "compatibility.md").write_text(report.table(outcomes, faults), encoding="utf-8")
    known = sum(o.state == "known" for o in outcomes)
    bad = len(failed) + len(stale) + (not alive)
    print(f"\n{time.monotonic() - started:.0f} s; {known} of the passed show only a known fault of the client")
    print(f"{len(outcomes) - len(failed)} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
