"""References into another file, as kerchunk, VirtualiZarr and DMR++ write them, and Icechunk repositories: each with the
file or store that holds the same data in a plain form."""

import json
import warnings
from xml.sax.saxutils import quoteattr

import corpus_zarr
import h5py
import icechunk
import numpy as np
import xarray
import zarr
from kerchunk.combine import MultiZarrToZarr
from kerchunk.df import refs_to_dataframe
from kerchunk.hdf import SingleHdf5ToZarr
from kerchunk.netCDF3 import NetCDF3ToZarr
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from virtualizarr import open_virtual_dataset
from virtualizarr.parsers import HDFParser

warnings.simplefilter("ignore")

FOLDER = "references"
TWIN = f"twin:{FOLDER}/grid.nc"


def make(corpus):
    source = corpus.path(f"{FOLDER}/grid.nc", "the file that references lead to: chunks, deflate, shuffle, packed values")
    _grid(source)
    single = _kerchunk(source, 0)
    _json(corpus, "grid.kerchunk.json", "kerchunk of a netCDF-4 file", single)
    inline = _kerchunk(source, 100)
    _json(corpus, "inline.kerchunk.json", "kerchunk with small chunks inline", inline)
    _json(corpus, "version0.kerchunk.json", "kerchunk, version 0 of the form", inline["refs"])
    _json(corpus, "template.kerchunk.json", "kerchunk with templates", _templated(single))
    parquet = corpus.path(f"{FOLDER}/kerchunk.parq", "kerchunk in Parquet", TWIN)
    refs_to_dataframe(single, str(parquet), record_size=10)
    _virtualizarr(corpus, source)
    _parts(corpus)
    _classic(corpus)
    _dmrpp(corpus, source)
    _icechunk(corpus)


def _grid(path):
    data = corpus_zarr.grid()
    packing = {name: {**options, "chunksizes": options["chunks"]} if "chunks" in options else dict(options) for name, options in corpus_zarr.PACKING.items()}
    for options in packing.values():
        options.pop("chunks", None)
    for name in ("air", "pressure"):
        packing.setdefault(name, {}).update({"zlib": True, "shuffle": True})
    packing["pressure"]["chunksizes"] = (1, 7, 5)
    for name in ("lat", "lon", "pressure", "time"):
        packing.setdefault(name, {})["_FillValue"] = None
    data.to_netcdf(path, encoding=packing, engine="netcdf4")


def _kerchunk(path, inline_threshold):
    """References by the file's name alone."""
    with path.open("rb") as file:
        return SingleHdf5ToZarr(file, url=path.name, inline_threshold=inline_threshold).translate()


def _json(corpus, name, feature, references):
    corpus.path(f"{FOLDER}/{name}", feature, TWIN).write_text(json.dumps(references))


def _templated(references):
    def templated(value):
        return ["{{u}}", *value[1:]] if isinstance(value, list) else value

    return {"version": 1, "templates": {"u": "grid.nc"}, "refs": {k: templated(v) for k, v in references["refs"].items()}}


def _virtualizarr(corpus, source):
    """VirtualiZarr knows whole paths alone: they are made relative afterwards."""
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    virtual = open_virtual_dataset(url=f"file://{source.resolve()}", parser=HDFParser(), registry=registry, decode_times=False)
    virtual = virtual.vz.rename_paths(lambda _: "s3://bucket/grid.nc")
    references = virtual.vz.to_kerchunk(format="dict")
    text = json.dumps(references, default=lambda value: value.item()).replace("s3://bucket/grid.nc", "grid.nc")
    corpus.path(f"{FOLDER}/virtualizarr.kerchunk.json", "VirtualiZarr of a netCDF-4 file", TWIN).write_text(text)


def _parts(corpus):
    """Three files along time, and all of it in one as the twin."""
    whole = xarray.Dataset(
        {"v": (("time", "x"), np.arange(60, dtype="f4").reshape(6, 10), {"units": "m"})},
        {"time": ("time", np.arange(6.0), {"units": "days since 2000-01-01"}), "x": ("x", np.arange(10.0))},
    )
    plain = {name: {"_FillValue": None} for name in ("v", "time", "x")}
    whole.to_netcdf(corpus.path(f"{FOLDER}/parts.nc", "what three files hold together"), encoding=plain)
    parts = []
    for i in range(3):
        path = corpus.path(f"{FOLDER}/part{i}.nc", "one of three files along time")
        whole.isel(time=slice(2 * i, 2 * i + 2)).to_netcdf(path, encoding={**plain, "v": {"_FillValue": None, "zlib": True, "chunksizes": (1, 10)}})
        parts.append(SingleHdf5ToZarr(str(path), inline_threshold=0).translate())
    joined = MultiZarrToZarr(parts, concat_dims=["time"], identical_dims=["x"], inline_threshold=20).translate()
    # To join them kerchunk reads the files: their names are made relative afterwards.
    text = json.dumps(joined).replace(f"{path.parent}/", "")
    corpus.path(f"{FOLDER}/parts.kerchunk.json", "kerchunk of three files joined", f"twin:{FOLDER}/parts.nc").write_text(text)


def _classic(corpus):
    path = corpus.path(f"{FOLDER}/classic.nc", "a netCDF-3 file that references lead to")
    data = xarray.Dataset(
        {"v": (("y", "x"), np.arange(12, dtype="f4").reshape(3, 4), {"units": "m"}), "n": ("x", np.arange(4, dtype="i2"))}, {"x": ("x", np.arange(4.0))}
    )
    data.to_netcdf(path, format="NETCDF3_CLASSIC", encoding={name: {"_FillValue": None} for name in ("v", "n", "x")})
    references = NetCDF3ToZarr(str(path), inline_threshold=0).translate()
    text = json.dumps(references).replace(str(path), "classic.nc")
    corpus.path(f"{FOLDER}/classic.kerchunk.json", "kerchunk of a netCDF-3 file", f"twin:{FOLDER}/classic.nc").write_text(text)


DAP_TYPES = {"i1": "Int8", "i2": "Int16", "i4": "Int32", "i8": "Int64", "u1": "UInt8", "f4": "Float32", "f8": "Float64"}


def _dmrpp(corpus, source):
    """As Hyrax's build_dmrpp lays it out, from what h5py says of the chunks."""
    lines = [
        '<?xml version="1.0" encoding="ISO-8859-1"?>',
        '<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" xmlns:dmrpp="http://xml.opendap.org/dap/dmrpp/1.0.0#" dapVersion="4.0" dmrVersion="1.0" '
        'name="grid.nc" dmrpp:href="grid.nc" dmrpp:version="3.21.0">',
    ]
    with h5py.File(source) as data:
        lines += [f'<Dimension name="{name}" size="{data[name].size}"/>' for name in ("time", "lat", "lon")]
        for name, array in data.items():
            kind = DAP_TYPES[array.dtype.str[1:]]
            lines.append(f'<{kind} name="{name}">')
            lines += [f'<Dim name="/{scale[0].name.lstrip("/") if len(scale) else name}"/>' for scale in array.dims]
            lines += _attributes(array)
            filters = " ".join(word for word, used in (("shuffle", array.shuffle), ("deflate", array.compression == "gzip")) if used)
            lines.append(f'<dmrpp:chunks{f" compressionType={quoteattr(filters)}" if filters else ""} fillValue="{array.fillvalue}" byteOrder="LE">')
            if array.chunks:
                lines.append(f"<dmrpp:chunkDimensionSizes>{' '.join(map(str, array.chunks))}</dmrpp:chunkDimensionSizes>")
                for i in range(array.id.get_num_chunks()):
                    chunk = array.id.get_chunk_info(i)
                    at = ",".join(map(str, chunk.chunk_offset))
                    lines.append(f'<dmrpp:chunk offset="{chunk.byte_offset}" nBytes="{chunk.size}" chunkPositionInArray="[{at}]"/>')
            else:
                lines.append(f'<dmrpp:chunk offset="{array.id.get_offset()}" nBytes="{array.id.get_storage_size()}"/>')
            lines += ["</dmrpp:chunks>", f"</{kind}>"]
        lines += _attributes(data)
    lines.append("</Dataset>")
    corpus.path(f"{FOLDER}/grid.nc.dmrpp", "DMR++ of a netCDF-4 file", TWIN).write_text("\n".join(lines) + "\n")


HIDDEN = {"DIMENSION_LIST", "REFERENCE_LIST", "CLASS", "NAME", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties", "_nc3_strict"}


def _attributes(owner):
    for name, value in owner.attrs.items():
        if name in HIDDEN:
            continue
        values = [value] if isinstance(value, (str, bytes)) else np.atleast_1d(value).tolist()
        kind = "String" if isinstance(values[0], (str, bytes)) else DAP_TYPES[np.asarray(value).dtype.str[1:]]
        texts = [v.decode() if isinstance(v, bytes) else repr(v) if isinstance(v, float) else str(v) for v in values]
        yield f'<Attribute name="{name}" type="{kind}">' + "".join(f"<Value>{text}</Value>" for text in texts) + "</Attribute>"


def _icechunk(corpus):
    path = corpus.path(f"{FOLDER}/grid.icechunk", "an Icechunk repository, two snapshots", "twin:zarr3/xarray.zarr")
    repository = icechunk.Repository.create(icechunk.local_filesystem_storage(str(path)))
    session = repository.writable_session("main")
    zarr.create_group(store=session.store).attrs["title"] = "replaced by the next snapshot"
    session.commit("first")
    session = repository.writable_session("main")
    corpus_zarr.grid().to_zarr(session.store, mode="w", encoding=corpus_zarr.PACKING, zarr_format=3, consolidated=False)
    session.commit("second")
