"""One logical dataset in every container: the same DMR and the same checksums, whatever the container and the store.

    containers.py [--server BINARY] [--only grid|image] [--keep FOLDER]

Two datasets are written with the libraries of each container, served from local disk and from an object store on a
loopback port, and compared: `grid`, packed and plain fields over time, latitude and longitude, in netCDF-3, netCDF-4,
HDF5 and Zarr; `image`, which a GeoTIFF can express, in those and in GeoTIFF.

The DMRs must be the same text but for the container's own details, which `comparable` takes out: the dataset's name
and address, the sizes of chunks, and the order in which dimensions and variables are declared (Zarr has none but that of names). The
order of a variable's dimensions, maps and attributes is compared. The CRC-32 of each variable, as DAP4 sends it, must be
the same in all, and that of the values that were written.

What some container has no form for is not in the datasets: netCDF-3 has no 64-bit or unsigned integers, no strings and no groups;
the JSON of Zarr's attributes tells integers from other numbers and no more, so numbers in attributes are Float64 and
`_FillValue` alone has the variable's type; unlimited dimensions are netCDF's and HDF5's alone; GeoTIFF has no time, one type
for all bands, and names of its own for them.
"""

import argparse
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import warnings
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import h5py  # isort: skip  (before netCDF4, whose HDF5 is another)
import h5netcdf
import netCDF4
import numpy as np
import rasterio
import zarr
from xarray.backends.zarr import FillValueCoder

warnings.simplefilter("ignore")
ROOT = Path(__file__).resolve().parents[3]
DAP4 = "{http://xml.opendap.org/ns/DAP/4.0#}"


@dataclass
class Variable:
    name: str
    dims: tuple
    values: np.ndarray
    attributes: dict = field(default_factory=dict)
    fill: object = None


@dataclass
class Dataset:
    name: str
    attributes: dict
    variables: list

    def sizes(self):
        return {d: n for v in self.variables for d, n in zip(v.dims, v.values.shape)}


# --- the datasets --------------------------------------------------------------------------------------------------


def grid():
    shape = (4, 6, 9)
    count = int(np.prod(shape))
    packed = (np.arange(count) * 37 % 20000 - 10000).astype("i2").reshape(shape)
    packed[1, 2:4, 5:] = -32768
    single = (250 + 30 * np.sin(np.arange(count) / 9)).astype("f4").reshape(shape)
    single[0, 0] = np.nan
    double = (1e5 + np.cos(np.arange(count) / 7) * 1e3).reshape(shape)
    double[3, :, 8] = 1e20
    line = ("time", "lat", "lon")
    return Dataset(
        "grid",
        {"Conventions": "CF-1.8", "title": "One dataset in every container", "resolution": 0.25},
        [
            Variable("air", line, packed, {"units": "K", "standard_name": "air_temperature", "scale_factor": 0.01, "add_offset": 273.15}, -32768),
            Variable("lat", ("lat",), np.linspace(50, -50, 6), {"units": "degrees_north", "standard_name": "latitude", "axis": "Y"}),
            Variable("lon", ("lon",), np.linspace(0, 320, 9).astype("f4"), {"units": "degrees_east", "standard_name": "longitude", "axis": "X"}),
            Variable("mask", ("lat", "lon"), (np.arange(54) % 3 - 1).astype("i1").reshape(6, 9), {"long_name": "land and sea"}, -128),
            Variable("pressure", line, double, {"units": "Pa", "valid_range": [9e4, 1.1e5]}, 1e20),
            Variable("step", ("time",), (np.arange(4) * 100000).astype("i4"), {"long_name": "model step"}),
            Variable("time", ("time",), np.arange(4) * 6.0, {"units": "hours since 2000-01-01", "calendar": "standard", "axis": "T"}),
            Variable("wind", line, single, {"units": "m s-1", "cell_methods": "time: mean"}, np.nan),
        ],
    )


def write_image(path):
    """Two bands of different meaning, packed, in degrees."""
    place = rasterio.transform.from_origin(-10, 60, 0.5, 0.25)
    with rasterio.open(
        path, "w", driver="GTiff", width=23, height=17, count=2, dtype="int16", crs="EPSG:4326", transform=place, nodata=-9999,
        compress="deflate", predictor=2, tiled=True, blockxsize=16, blockysize=16,
    ) as image:  # fmt: skip
        for number in (1, 2):
            values = (np.arange(17 * 23) * number * 13 % 5000).astype("i2").reshape(17, 23)
            values[3:5, 4:9] = -9999
            image.write(values, number)
        image.descriptions, image.units = ("surface temperature", "snow cover"), ("K", "1")
        image.scales, image.offsets = (0.01, 0.001), (250.0, 0.0)


def image_of(described, path):
    """What a GeoTIFF says when it is served, with the values as rasterio reads them."""
    with rasterio.open(path) as image:
        transform = image.transform
        read = {"band_1": image.read(1), "band_2": image.read(2), "crs": None}
        read["lat"] = transform.f + (np.arange(image.height) + 0.5) * transform.e
        read["lon"] = transform.c + (np.arange(image.width) + 0.5) * transform.a
    variables = []
    for element in variable_elements(described):
        name = element.get("name")
        attributes = {a.get("name"): attribute_values(a) for a in element.findall(f"{DAP4}Attribute")}
        fill = attributes.pop("_FillValue", None)
        attributes.pop("_ChunkSizes", None)
        dims = tuple(d.get("name").rsplit("/", 1)[-1] for d in element.findall(f"{DAP4}Dim"))
        values = np.int32(0) if read[name] is None else read[name]
        variables.append(Variable(name, dims, np.asarray(values), attributes, fill))
    attributes = {a.get("name"): attribute_values(a) for a in described.findall(f"{DAP4}Attribute") if not a.get("name").startswith("_DAP4")}
    return Dataset("image", attributes, variables)


def attribute_values(element):
    values = [v.text if v.text is not None else v.get("value", "") for v in element.findall(f"{DAP4}Value")]
    if element.get("type") != "String":
        values = [float(v) for v in values] if element.get("type").startswith("Float") else [int(v) for v in values]
    return values[0] if len(values) == 1 else values


# --- the containers ------------------------------------------------------------------------------------------------


def netcdf(path, dataset, **options):
    chunked = options.pop("chunked", False)
    with netCDF4.Dataset(path, "w", **options) as data:
        data.setncatts(dataset.attributes)
        for name, size in dataset.sizes().items():
            data.createDimension(name, size)
        for v in dataset.variables:
            more = {"zlib": True, "shuffle": True, "chunksizes": chunks(v)} if chunked and v.dims else {}
            made = data.createVariable(v.name, v.values.dtype, v.dims, fill_value=v.fill, **more)
            made.set_auto_maskandscale(False)
            made.setncatts(v.attributes)
            made[...] = v.values


def hdf5(path, dataset):
    """HDF5's own library and its dimension scales; nothing of netCDF."""
    with h5py.File(path, "w", track_order=True) as data:
        data.attrs.update(dataset.attributes)
        for v in dataset.variables:
            more = {"chunks": chunks(v), "compression": "gzip", "shuffle": True} if v.dims else {}
            made = data.create_dataset(v.name, data=v.values, fillvalue=v.fill, track_order=True, **more)
            if v.fill is not None:
                made.attrs.create("_FillValue", [v.fill], dtype=v.values.dtype)
            made.attrs.update(v.attributes)
        for name in dataset.sizes():
            data[name].make_scale(name)
        for v in dataset.variables:
            for axis, name in enumerate(v.dims):
                if v.name != name:
                    data[v.name].dims[axis].attach_scale(data[name])


def hdf5_netcdf(path, dataset):
    with h5netcdf.File(path, "w") as data:
        data.attrs.update(dataset.attributes)
        data.dimensions = dataset.sizes()
        for v in dataset.variables:
            made = data.create_variable(v.name, v.dims, v.values.dtype, data=v.values, fillvalue=v.fill, chunks=chunks(v) if v.dims else None)
            for name, value in v.attributes.items():
                made.attrs[name] = value


def zarr_group(store, dataset, version, consolidated=True, **options):
    group = zarr.create_group(store=store, zarr_format=version, attributes=dataset.attributes)
    for v in dataset.variables:
        attributes, more = dict(v.attributes), dict(options)
        if version == 2:
            attributes["_ARRAY_DIMENSIONS"] = list(v.dims)
            more["fill_value"] = v.fill
        else:
            more["dimension_names"] = v.dims
            if v.fill is not None:
                # As xarray writes it.
                attributes["_FillValue"] = FillValueCoder.encode(v.values.dtype.type(v.fill), v.values.dtype)
        if not v.dims:
            more.pop("shards", None)
        elif more.get("shards"):
            more["shards"] = tuple(2 * n for n in chunks(v))
        made = group.create_array(
            v.name, shape=v.values.shape, chunks=chunks(v) or "auto", dtype=v.values.dtype, attributes=attributes, **more
        )
        made[...] = v.values
    if consolidated and isinstance(store, str):
        zarr.consolidate_metadata(store)


def zipped(path, dataset, version):
    with zarr.storage.ZipStore(path, mode="w") as store:
        zarr_group(store, dataset, version)


def chunks(v):
    return tuple((n + 1) // 2 for n in v.values.shape)


CONTAINERS = {
    "netcdf3.nc": lambda p, d: netcdf(p, d, format="NETCDF3_CLASSIC"),
    "netcdf3_64bit.nc": lambda p, d: netcdf(p, d, format="NETCDF3_64BIT_OFFSET"),
    "netcdf4.nc": lambda p, d: netcdf(p, d, format="NETCDF4", chunked=True),
    "netcdf4_classic.nc": lambda p, d: netcdf(p, d, format="NETCDF4_CLASSIC"),
    "hdf5.h5": hdf5,
    "h5netcdf.nc": hdf5_netcdf,
    "zarr2.zarr": lambda p, d: zarr_group(str(p), d, 2),
    "zarr2_scattered.zarr": lambda p, d: zarr_group(str(p), d, 2, consolidated=False, chunk_key_encoding={"name": "v2", "separator": "/"}),
    "zarr3.zarr": lambda p, d: zarr_group(str(p), d, 3),
    "zarr3_sharded.zarr": lambda p, d: zarr_group(str(p), d, 3, shards=True),
    "zarr2.zarr.zip": lambda p, d: zipped(p, d, 2),
    "zarr3.zarr.zip": lambda p, d: zipped(p, d, 3),
}


# --- what is compared ----------------------------------------------------------------------------------------------


def variable_elements(described):
    skipped = {f"{DAP4}{word}" for word in ("Dimension", "Enumeration", "Attribute", "Group")}
    return [element for element in described if element.tag not in skipped]


def comparable(described):
    """The DMR without the container's own details."""
    described.set("name", "dataset")
    described.attrib.pop("{http://www.w3.org/XML/1998/namespace}base")
    for element in described.iter():
        for attribute in element.findall(f"{DAP4}Attribute"):
            if attribute.get("name") == "_ChunkSizes":
                element.remove(attribute)
    for element in described.iter():
        # Dimensions come first, then variables, each by name; the rest stays as it is.
        variables = variable_elements(element) if element is described else []
        rank = lambda c: 0 if c.tag == f"{DAP4}Dimension" else 1 if c in variables else 2
        element[:] = sorted(element, key=lambda c: (rank(c), c.get("name") if rank(c) < 2 else ""))
        element.text = element.text.strip() if element.text and element.text.strip() else None
        element.tail = None
    ElementTree.indent(described)
    return ElementTree.tostring(described, "unicode")


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def checksums(url):
    """Of each variable in the data response: the CRC-32 that was sent, and that of the bytes it follows."""
    answer = fetch(url + ".dap?dap4.checksum=true")
    at, parts = 0, []
    while at < len(answer):
        (head,) = struct.unpack(">I", answer[at : at + 4])
        flags, length = head >> 24, head & 0xFFFFFF
        if flags & 2:
            raise ValueError(f"an error chunk: {answer[at + 4 : at + 4 + length][:300]!r}")
        parts.append(answer[at + 4 : at + 4 + length])
        at += 4 + length
    described = ElementTree.fromstring(parts[0])
    data, at = b"".join(parts[1:]), 0
    sizes = {"Int8": 1, "UInt8": 1, "Int16": 2, "Int32": 4, "Float32": 4, "Float64": 8}
    dimensions = {"/" + d.get("name"): int(d.get("size")) for d in described.findall(f"{DAP4}Dimension")}
    found = {}
    for element in variable_elements(described):
        count = 1
        for d in element.findall(f"{DAP4}Dim"):
            count *= dimensions[d.get("name")] if d.get("name") else int(d.get("size"))
        length = count * sizes[element.tag.removeprefix(DAP4)]
        sent = struct.unpack("<I", data[at + length : at + length + 4])[0]
        found[element.get("name")] = (sent, zlib.crc32(data[at : at + length]))
        at += length + 4
    if at != len(data):
        raise ValueError(f"{len(data) - at} bytes more than the variables")
    return found


def compare(base, dataset, names, where, references):
    """Findings, and how many containers were the same. `references`: the first DMR of each dataset, with whose it is."""
    wrong, same = [], 0
    wanted = {v.name: zlib.crc32(np.ascontiguousarray(v.values).astype(v.values.dtype.newbyteorder("<")).tobytes()) for v in dataset.variables}
    for name in names:
        label = f"{where} {name}"
        try:
            text = comparable(ElementTree.fromstring(fetch(f"{base}/{name}.dmr")))
            sums = checksums(f"{base}/{name}")
        except Exception as problem:
            wrong.append(f"{label}: {problem}")
            continue
        before = len(wrong)
        first, reference = references.setdefault(dataset.name, (label, text))
        if text != reference:
            wrong.append(f"{label}: its DMR is not that of {first}:\n{difference(reference, text)}")
        for variable, value in wanted.items():
            got = sums.get(variable, (None, None))
            if got != (value, value):
                wrong.append(f"{label}: the checksum of {variable} is {got[0]}, of its bytes {got[1]}, of the values {value}")
        same += len(wrong) == before
    return wrong, same


def difference(one, other):
    import difflib

    lines = [line for line in difflib.unified_diff(one.splitlines(), other.splitlines(), lineterm="", n=1) if not line.startswith(("---", "+++"))]
    return "\n".join(f"    {line}" for line in lines[:30])


# --- the server ----------------------------------------------------------------------------------------------------


class Server:
    def __init__(self, binary, place, log, *flags):
        self.log = open(log, "w+")
        self.process = subprocess.Popen(
            [binary, "serve", str(place), "--listen", "127.0.0.1:0", *flags],
            stdout=subprocess.DEVNULL, stderr=self.log, env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        )  # fmt: skip
        for _ in range(100):
            text = Path(log).read_text(errors="replace")
            found = re.search(r"browse (http://127\.0\.0\.1:\d+)/", text)
            if found:
                self.base = found.group(1) + "/opendap"
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise SystemExit("the server did not start:\n" + Path(log).read_text(errors="replace"))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


def make(folder, binary, only):
    """The datasets in all their containers, in folders of their own; with the names of each."""
    made = {}
    for dataset in [grid()] if only != "image" else []:
        made["grid"] = (dataset, write_all(folder, dataset))
    if only == "grid":
        return made
    (folder / "image").mkdir(parents=True)
    write_image(folder / "image" / "geotiff.tif")
    server = Server(binary, folder, folder.parent / "make.log")
    try:
        described = ElementTree.fromstring(fetch(f"{server.base}/image/geotiff.tif.dmr"))
    finally:
        server.stop()
    image = image_of(described, folder / "image" / "geotiff.tif")
    made["image"] = (image, ["geotiff.tif", *write_all(folder, image)])
    return made


def write_all(folder, dataset):
    (folder / dataset.name).mkdir(parents=True, exist_ok=True)
    for name, write in CONTAINERS.items():
        write(folder / dataset.name / name, dataset)
    return list(CONTAINERS)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--server", default=os.environ.get("THALWEG", str(ROOT / "target/release/thalweg")), help="default: $THALWEG")
    options.add_argument("--only", choices=["grid", "image"], help="one of the datasets alone")
    options.add_argument("--keep", help="leave the datasets in this folder")
    chosen = options.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        folder = work / "data"
        made = make(folder, chosen.server, chosen.only)
        if chosen.keep:
            shutil.copytree(folder, chosen.keep, dirs_exist_ok=True)
        store = subprocess.Popen([sys.executable, ROOT / "tests/common/s3_server.py", work], stdout=subprocess.PIPE, text=True)
        wrong, same, references = [], 0, {}
        try:
            endpoint = store.stdout.readline().strip()
            for where, place, flags in (("local", folder, ()), ("s3", "s3://data", ("--endpoint", endpoint, "--region", "us-east-1"))):
                server = Server(chosen.server, place, work / f"{where}.log", *flags)
                try:
                    for name, (dataset, names) in made.items():
                        more, count = compare(f"{server.base}/{name}", dataset, names, f"{where} {name}", references)
                        wrong, same = wrong + more, same + count
                finally:
                    server.stop()
        finally:
            store.terminate()
            store.wait(10)
    for line in wrong:
        print(line)
    total = sum(len(names) for _, names in made.values())
    print(f"{time.monotonic() - started:.0f} s; {same} of {2 * total} containers give the same DMR and checksums, {len(wrong)} differences")
    return 1 if wrong or not same else 0


if __name__ == "__main__":
    sys.exit(main())
