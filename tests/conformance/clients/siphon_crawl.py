"""Catalogs as siphon crawls them: from the top through every reference to every dataset, each opened as the catalog says.

    siphon_crawl.py [--server BINARY] [--keep FOLDER]

Two servers: one of a folder with the files of .work/data, some aggregations and a folder of 10,000 files, and one of a THREDDS
content folder that is written here. Each dataset is opened with netCDF-C by DAP2 and DAP4, and a small variable of it compared
with the file that it is, or, where it is no file, between the two. HTTPServer gives the file's bytes.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from urllib.parse import urljoin

import aggregations
import netCDF4
import numpy as np
from aggregations import ROOT, WORK, start
from lxml import etree
from siphon.catalog import TDSCatalog, get_latest_access_url

warnings.simplefilter("ignore")
INVENTORY = "{http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0}"
HREF = "{http://www.w3.org/1999/xlink}href"
JOINED = {"nemo", "units", "tiles", "union", "new", "best"}
SETS = ("units", "tiles", "union", "new", "runs", "formats")
MANY, PAGE = 10_000, 1_000
CATALOGS = 400  # more than there are: a crawl that goes in circles ends
# A netCDF-3 file with nothing in it.
EMPTY = b"CDF\x01" + bytes(28)

CATALOG = """<?xml version="1.0" encoding="UTF-8"?>
<catalog name="Example Ocean Data Centre" version="1.0.7"
    xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink">
  <service name="all" serviceType="Compound" base="">
    <service name="odap" serviceType="OPENDAP" base="/thredds/dodsC/"/>
    <service name="dap4" serviceType="DAP4" base="/thredds/dap4/"/>
    <service name="http" serviceType="HTTPServer" base="/thredds/fileServer/"/>
    <service name="wms" serviceType="WMS" base="/thredds/wms/"/>
  </service>
  <service name="latest" serviceType="Resolver" base=""/>
  <datasetRoot path="obs" location="{data}/obs"/>
  <dataset name="Observations" ID="observations">
    <metadata inherited="true">
      <serviceName>all</serviceName>
      <authority>org.example</authority>
      <dataType>Point</dataType>
    </metadata>
    <dataset name="Southern Oscillation" ID="soi" urlPath="obs/SOI_Darwin.nc">
      <documentation type="summary">Sea level pressure at Darwin.</documentation>
    </dataset>
    <dataset name="Space weather" ID="space" urlPath="obs/space_weather.nc"/>
  </dataset>
  <datasetScan name="NEMO months" ID="nemo" path="model/nemo" location="{data}/NEMO" addLatest="true">
    <metadata inherited="true">
      <serviceName>all</serviceName>
      <dataType>Grid</dataType>
      <dataFormat>NetCDF</dataFormat>
    </metadata>
    <filter>
      <include wildcard="*.nc"/>
      <exclude wildcard="draft_*"/>
      <exclude wildcard="hidden" atomic="false" collection="true"/>
    </filter>
    <sort><lexigraphicByName increasing="true"/></sort>
    <addDatasetSize/>
  </datasetScan>
  <dataset name="NEMO joined" ID="joined" urlPath="model/nemo-joined.nc">
    <serviceName>all</serviceName>
    <netcdf xmlns="http://www.unidata.ucar.edu/namespaces/netcdf/ncml-2.2">
      <aggregation dimName="time_counter" type="joinExisting">
        <scan location="{data}/NEMO" regExp=".*/nemo_1m_[^/]*\\.nc$"/>
      </aggregation>
    </netcdf>
  </dataset>
  <catalogRef xlink:href="more/samples.xml" xlink:title="Samples and forecasts" name=""/>
</catalog>
"""

MORE = """<?xml version="1.0" encoding="UTF-8"?>
<catalog name="Samples and forecasts"
    xmlns="http://www.unidata.ucar.edu/namespaces/thredds/InvCatalog/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink">
  <service name="both" serviceType="Compound" base="">
    <service name="odap" serviceType="OPENDAP" base="/thredds/dodsC/"/>
    <service name="http" serviceType="HTTPServer" base="/thredds/fileServer/"/>
    <service name="dap4" serviceType="DAP4" base="/thredds/dap4/"/>
  </service>
  <datasetScan name="Samples" ID="samples" path="samples" location="{data}/samples">
    <metadata inherited="true"><serviceName>both</serviceName></metadata>
    <filter>
      <include regExp="[^.].*\\.nc"/>
    </filter>
  </datasetScan>
  <featureCollection name="Wave Model" featureType="FMRC" path="forecast/waves">
    <collection spec="{data}/runs/model_#yyyyMMdd_HHmm#\\.nc$" recheckAfter="15 min"/>
    <fmrcConfig regularize="false" datasetTypes="TwoD Best Files"/>
  </featureCollection>
</catalog>
"""


class Tally:
    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, what, problem):
        """Counts what was looked at; `problem` is nothing, or what is wrong."""
        if problem:
            self.failed += 1
            print(f"FAILED {what}: {problem}", flush=True)
        else:
            self.passed += 1

    def attempt(self, what, run):
        try:
            problem = run()
        except Exception as error:  # whatever a client says is a finding
            problem = f"{type(error).__name__}: {str(error)[:300]}"
        self.check(what, problem)


def fetched(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def meant(document):
    """The types of service of each dataset by its path, by the rules of InvCatalog: its own, or what is inherited."""
    kinds, services = {}, {}
    for service in document.iter(f"{INVENTORY}service"):
        parts = [service, *service.iter(f"{INVENTORY}service")]
        kinds[service.get("name")] = {p.get("serviceType").upper() for p in parts} - {"COMPOUND"}

    def named(element, tag):
        found = element.findall(f"{tag}{INVENTORY}serviceName")
        return found[-1].text if found else None

    def walk(element, inherited):
        inherited = named(element, f"{INVENTORY}metadata[@inherited='true']/") or inherited
        own = named(element, "") or named(element, f"{INVENTORY}metadata/") or inherited
        if element.get("urlPath"):
            access = {a.get("serviceName") for a in element.findall(f"{INVENTORY}access")}
            services[element.get("urlPath")] = set().union(*(kinds.get(name, set()) for name in {own, *access}))
        for inner in element.findall(f"{INVENTORY}dataset"):
            walk(inner, inherited)

    walk(document, None)
    return services


def crawl(url, tally):
    """Every dataset below the catalog, by its path, as siphon makes them; and the URLs of the catalogs.

    siphon knows one service name in a catalog. What a catalog means for each dataset goes with it, as `meant`."""
    waiting, catalogs, datasets = [url], [], {}
    while waiting:
        url = waiting.pop(0)
        if url in catalogs:
            continue
        catalogs.append(url)
        if len(catalogs) > CATALOGS:
            tally.check(url, f"more than {CATALOGS} catalogs")
            break
        try:
            document = etree.fromstring(fetched(url))
            catalog = TDSCatalog(url)
        except Exception as error:
            tally.check(url, f"{type(error).__name__}: {str(error)[:300]}")
            continue
        references = {urljoin(url, r.get(HREF)) for r in document.iter(f"{INVENTORY}catalogRef")}
        followed = {r.href for r in catalog.catalog_refs.values()}
        paths = {d.get("urlPath") for d in document.iter(f"{INVENTORY}dataset") if d.get("urlPath")}
        shown = {d.url_path for d in catalog.datasets.values() if not d._resolved}
        paths.discard("latest.xml")  # siphon resolves it
        problem = None
        if document.tag != f"{INVENTORY}catalog":
            problem = f"the document is a {document.tag}"
        elif references != followed:
            problem = f"siphon follows other references than there are: {sorted(references ^ followed)[:3]}"
        elif paths != shown:
            problem = f"siphon has other datasets than there are: {sorted(map(str, paths ^ shown))[:3]}"
        tally.check(url, problem)
        waiting += [r.href for r in catalog.catalog_refs.values()]
        services = meant(document)
        for dataset in catalog.datasets.values():
            if dataset._resolved:
                tally.check(f"{url}, {dataset.name}", None if dataset.url_path else "latest.xml resolves to nothing")
                continue
            if dataset.url_path in datasets:
                tally.check(f"{url}, {dataset.url_path}", "is in two catalogs")
            dataset.meant = services[dataset.url_path]
            datasets[dataset.url_path] = dataset
    return datasets, catalogs


def small(data):
    """The name of a variable of few numbers: the smallest with a dimension, or of one value where there is no other."""
    numbers = [v for v in data.variables.values() if isinstance(v.datatype, np.dtype) and v.dtype.kind in "iuf" and 0 < v.size <= 200_000]
    numbers.sort(key=lambda v: (v.ndim == 0, v.size, v.name))
    return numbers[0].name if numbers else None


def raw(source, name):
    """The values of a variable as they are stored, or of the first that is small."""
    with netCDF4.Dataset(source) as data:
        data.set_auto_maskandscale(False)
        name = name or small(data)
        if name is None:
            # Text: all that is looked at is that it can be read.
            if not data.variables:
                raise ValueError("it has no variables")
            _ = next(iter(data.variables.values()))[...]
            return None, None
        return name, np.asarray(data.variables[name][...])


def same(source, name, want):
    _, got = raw(source, name)
    if want is None:
        return None
    if got.shape != want.shape:
        return f"{name}: shape {got.shape} for {want.shape}"
    if not np.array_equal(got.astype("f8"), want.astype("f8"), equal_nan=True):
        return f"{name}: {got.ravel()[:3]} for {want.ravel()[:3]}"
    return None


def open_each(datasets, local, tally):
    """Each dataset through the services that its catalog gives it. `local` gives the file that a path is, or nothing."""
    for path, dataset in sorted(datasets.items()):
        file = local(path)
        wanted = {"OPENDAP", "DAP4", "HTTPSERVER"} if file else {"OPENDAP", "DAP4"}
        urls = {service: dataset.access_urls[service] for service in wanted if service in dataset.access_urls}
        problem = None
        # NcML is the description: there are no data in it to open.
        if dataset.meant - {"NCML"} != wanted:
            problem = f"{sorted(dataset.meant)} for {sorted(wanted)}"
        elif wanted - set(urls):
            problem = f"siphon finds no {sorted(wanted - set(urls))}, only {dict(dataset.access_urls)}"
        tally.check(f"{path}, services", problem)
        try:
            name, want = raw(file if file and file.suffix != ".ncml" else urls["DAP4"] + "#dap4", None)
        except Exception as error:
            tally.check(f"{path}, {file or 'DAP4'}", f"{type(error).__name__}: {str(error)[:300]}")
            continue
        for service, ending in (("OPENDAP", ""), ("DAP4", "#dap4")):
            if service in urls:
                tally.attempt(f"{path}, {urls[service]}{ending}", lambda: same(urls[service] + ending, name, want))
        if "HTTPSERVER" in urls:
            url = urls["HTTPSERVER"]
            tally.attempt(f"{path}, {url}", lambda: None if fetched(url) == file.read_bytes() else "other bytes than the file's")


def difference(got, want):
    if set(got) == set(want):
        return None
    return f"missing {sorted(set(want) - set(got))[:5]}, more {sorted(set(got) - set(want))[:5]}"


def a_folder(binary, base, tally):
    """Files, aggregations, and a long folder."""
    folder = base / "served"
    shutil.copytree(WORK / "data", folder / "data")
    for name in SETS:
        shutil.copytree(WORK / "aggregations" / name, folder / "sets" / name)
    many = folder / "many"
    many.mkdir()
    for number in range(MANY):
        (many / f"empty_{number:05}.nc").write_bytes(EMPTY)
    aggregations.CASES = [case for case in aggregations.CASES if case[0] in JOINED]
    config = aggregations.settings(folder)
    files = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.suffix in (".nc", ".nc4") and f.is_file()}
    others = {str(f.relative_to(folder)) for f in folder.rglob("*") if f.suffix in (".ncml", ".zarr")}
    server, origin = start(binary, folder, config, base / "index")
    try:
        pages = []
        for top in ("/catalog.xml", "/thredds/catalog.xml", "/thredds/catalog/catalog.xml"):
            datasets, catalogs = crawl(origin + top, tally)
            tally.check(f"{top}: every dataset is found", difference(datasets, files | others | JOINED))
            pages = [url for url in catalogs if "/many/" in url]
            tally.check(f"{top}: pages of the long folder", None if len(pages) == MANY // PAGE else f"{len(pages)} pages")
            names = [d.name for path, d in datasets.items() if path.startswith("many/")]
            tally.check(f"{top}: names of the long folder", difference(names, [f"empty_{n:05}.nc" for n in range(MANY)]))
        few = {path: d for path, d in datasets.items() if not path.startswith("many/")}
        open_each(few, lambda path: folder / path if (folder / path).is_file() else None, tally)
        newest = f"{origin}/thredds/catalog/data/NEMO/latest.xml"
        tally.attempt(newest, lambda: alone(newest, "data/NEMO/nemo_1m_20150301-20150401_grid-T.nc"))
        one = f"{origin}/thredds/catalog/data/catalog.xml?dataset=data/SOI_Darwin.nc"
        tally.attempt(one, lambda: alone(one, "data/SOI_Darwin.nc"))
    finally:
        server.terminate()
        server.wait(timeout=40)


def alone(url, path):
    """A catalog of one dataset, which can be read."""
    etree.fromstring(fetched(url))
    datasets = list(TDSCatalog(url).datasets.values())
    if [d.url_path for d in datasets] != [path]:
        return f"{[d.url_path for d in datasets]} for {path}"
    name, _ = raw(datasets[0].access_urls["OPENDAP"], None)
    return None if name else "nothing in it can be read"


def a_site(binary, base, tally):
    """A content folder as a THREDDS data server has it."""
    data, content = base / "archive", base / "content" / "thredds"
    shutil.copytree(WORK / "data" / "NEMO", data / "NEMO")
    shutil.copytree(WORK / "aggregations" / "runs", data / "runs")
    for name in ("obs", "samples"):
        (data / name).mkdir()
    for name in ("SOI_Darwin.nc", "space_weather.nc", "toa_brightness_stereographic.nc"):
        shutil.copy(WORK / "data" / name, data / "obs")
    for name in ("rotated_pole.nc", "hybrid_height.nc", "atlantic_profiles.nc"):
        shutil.copy(WORK / "data" / name, data / "samples")
    first = sorted((data / "NEMO").glob("*.nc"))[0]
    (data / "NEMO" / "hidden").mkdir()
    for kept_back in ("draft_1.nc", "notes.txt", "hidden/x.nc"):
        shutil.copy(first, data / "NEMO" / kept_back)
    (content / "more").mkdir(parents=True)
    (content / "catalog.xml").write_text(CATALOG.format(data=data))
    (content / "more" / "samples.xml").write_text(MORE.format(data=data))
    config = base / "settings.toml"
    config.write_text('title = "Example Ocean Data Centre"\n')

    months = [f"model/nemo/{f.name}" for f in sorted((WORK / "data" / "NEMO").glob("*.nc"))]
    places = {"obs": "obs", "model/nemo": "NEMO", "samples": "samples", "forecast/waves/files": "runs"}
    virtual = ["model/nemo-joined.nc", "forecast/waves/Wave_Model_fmrc.ncd", "forecast/waves/Wave_Model_best.ncd"]
    expected = ["obs/SOI_Darwin.nc", "obs/space_weather.nc", *months, *virtual]
    expected += [f"samples/{f.name}" for f in (data / "samples").iterdir()]
    expected += [f"forecast/waves/files/{f.name}" for f in (data / "runs").iterdir()]

    def local(path):
        if path in virtual:
            return None
        above, name = path.rsplit("/", 1)
        return data / places[above] / name if above in places else None

    server, origin = start(binary, base, config, base / "index", ["--thredds", base / "content"])
    try:
        for top in ("/catalog.xml", "/thredds/catalog.xml", "/thredds/catalog/catalog.xml"):
            datasets, _ = crawl(origin + top, tally)
            tally.check(f"content folder, {top}: every dataset is found", difference(datasets, expected))
        open_each(datasets, local, tally)
        # A root is served, not listed; what is filtered is neither.
        unlisted = f"{origin}/thredds/dodsC/obs/toa_brightness_stereographic.nc"
        name, want = raw(data / "obs" / "toa_brightness_stereographic.nc", None)
        tally.attempt(unlisted, lambda: same(unlisted, name, want))
        for kept_back in ("draft_1.nc", "notes.txt", "hidden/x.nc"):
            url = f"{origin}/thredds/fileServer/model/nemo/{kept_back}"
            tally.attempt(url, lambda: is_missing(url))
        newest = f"{origin}/thredds/catalog/model/nemo/latest.xml"
        tally.attempt(newest, lambda: alone(newest, months[-1]))
        scan = f"{origin}/thredds/catalog/model/nemo/catalog.xml"
        tally.attempt(f"{scan}: siphon's latest", lambda: read_latest(scan, f"{origin}/thredds/dodsC/{months[-1]}"))
        one = f"{origin}/thredds/catalog.xml?dataset=soi"
        tally.attempt(one, lambda: difference(crawl(one, tally)[0], ["obs/SOI_Darwin.nc"]))
    finally:
        server.terminate()
        server.wait(timeout=40)


def read_latest(url, want):
    got = get_latest_access_url(url, "OPENDAP")
    return None if got == want else f"{got} for {want}"


def is_missing(url):
    try:
        fetched(url)
    except urllib.error.HTTPError as error:
        return None if error.code == 404 else f"status {error.code}"
    return "it is served"


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")))
    options.add_argument("--keep", type=Path)
    chosen = options.parse_args()
    subprocess.run([sys.executable, str(ROOT / "tests/data/make_aggregations.py"), str(WORK / "aggregations")], check=True)
    base = chosen.keep or Path(tempfile.mkdtemp(prefix="siphon-"))
    tally = Tally()
    try:
        for name, run in (("folder", a_folder), ("site", a_site)):
            (base / name).mkdir(parents=True)
            run(chosen.server, base / name, tally)
    finally:
        if not chosen.keep:
            shutil.rmtree(base, ignore_errors=True)
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
