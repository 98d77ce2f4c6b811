"""HDF5 files by h5py: format versions, chunk indexes, filters, types, links, attributes."""

import subprocess

import h5py
import hdf5plugin
import numpy as np
from corpus_netcdf3 import extremes

# The mildest surface to compare values on: smooth, not constant, every element its own.
Y, X = 60, 44
SURFACE = (np.arange(Y * X, dtype="f8").reshape(Y, X) / 7).astype("f4")


def make(corpus):
    for name, low in (("earliest", "earliest"), ("v108", "v108"), ("v110", "v110"), ("latest", "latest")):
        high = low if low.startswith("v1") else "latest"
        _layouts(corpus.path(f"hdf5/format_{name}.h5", f"libver {name}: compact, contiguous, chunked, groups, attributes"), (low, high))
    _chunk_indexes(corpus)
    _filters(corpus)
    _filter_masks(corpus.path("filters/masks.h5", "chunks whose filter mask skips a filter", "h5py"))
    _unknown_filter(corpus)
    _never_written(corpus.path("chunks/never_written.h5", "never-written chunks with and without a fill value"))
    _edges(corpus.path("chunks/partial_edges.h5", "chunks that overhang the shape; many dimensions"))
    _plain_types(corpus.path("types/numbers.h5", "all integers and floats, both byte orders", "h5py"))
    _narrow_floats(corpus.path("types/float16.h5", "16-bit floats", "h5py"))
    _bool(corpus.path("types/bool.h5", "h5py's bool: an enum of FALSE and TRUE", "h5py"))
    _complex(corpus.path("types/complex.h5", "complex pairs: a compound of r and i", "h5py"))
    _bitfield(corpus.path("types/bitfield.h5", "bitfields of 8, 16 and 32 bits", "h5py"))
    _references(corpus.path("types/references.h5", "object references as data", "h5py"))
    _strings(corpus.path("types/strings.h5", "fixed and variable strings, ASCII and UTF-8, all paddings", "h5py"))
    _compound(corpus.path("types/compound.h5", "compound with strings, enum, array and nested members", "h5py"))
    _named(corpus.path("types/named.h5", "committed types", "h5py"))
    _vlen(corpus.path("types/vlen.h5", "vlen of numbers", "h5py"))
    _array_type(corpus.path("types/array.h5", "a dataset whose type is an array", "h5py"))
    _attributes(corpus.path("hdf5/attributes.h5", "attributes of every HDF5 type", "h5py"))
    _dense(corpus.path("hdf5/dense.h5", "dense attribute storage and one attribute over 64 KiB"))
    _soft_links(corpus.path("links/soft.h5", "soft links, one dangling", "h5py"))
    _hard_links(corpus.path("links/hard_cycle.h5", "hard links: twice-named dataset, group cycle", "h5py"))
    _external(corpus)
    _virtual(corpus)
    _phony(corpus.path("hdf5/phony_dims.h5", "datasets without scales: phony_dim_N"))
    _scales(corpus.path("hdf5/scales.h5", "dimension scales by h5py, shared and labelled"))
    _many_links(corpus.path("hdf5/many_links.h5", "500 datasets in one old-style group, 200 in a new-style one"))
    _user_block(corpus.path("hdf5/user_block.h5", "superblock after a user block of 1024 bytes"))
    _null_space(corpus.path("hdf5/null_space.h5", "null dataspace", "h5py"))


def _layouts(path, libver):
    with h5py.File(path, "w", libver=libver) as data:
        data.attrs["title"] = np.bytes_("layouts")
        data.attrs["version"] = np.int32(7)
        data["contiguous"] = SURFACE
        data.create_dataset("chunked", data=SURFACE, chunks=(16, 20))
        data.create_dataset("deflated", data=SURFACE, chunks=(16, 20), compression="gzip", shuffle=True)
        data.create_dataset("growing", data=SURFACE, chunks=(16, 20), maxshape=(None, X))
        data.create_dataset("growing_both", data=SURFACE, chunks=(16, 20), maxshape=(None, None))
        data["scalar"] = np.float64(2.5)
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((6,))
        h5py.h5d.create(data.id, b"compact", h5py.h5t.STD_I32LE, space, properties).write(
            h5py.h5s.ALL, h5py.h5s.ALL, np.arange(6, dtype="i4")
        )
        group = data.create_group("group")
        group.attrs["units"] = np.bytes_("m")
        group["inside"] = np.arange(4, dtype="i2")
        group.create_group("deeper")["value"] = np.arange(3, dtype="u8")


def _chunk_indexes(corpus):
    """One variable per index kind; the counts make the extensible array use its secondary blocks and pages."""
    path = corpus.path("chunks/btree_v1.h5", "B-tree version 1, 1,300 chunks: several levels")
    with h5py.File(path, "w", libver=("earliest", "v108")) as data:
        data.create_dataset("v", data=np.arange(5200, dtype="i4"), chunks=(4,), maxshape=(None,))
        data.create_dataset("plane", data=SURFACE, chunks=(3, 4), compression="gzip")
    _new_indexes(corpus.path("chunks/new_indexes.h5", "single, implicit, fixed array, extensible array, B-tree version 2"), "v110")
    _new_indexes(corpus.path("chunks/new_indexes_latest.h5", "the same as the newest library writes it"), "latest")
    path = corpus.path("chunks/resized.h5", "grown and shrunk after writing")
    with h5py.File(path, "w", libver=("v110", "v110")) as data:
        grown = data.create_dataset("grown", data=SURFACE[:20], chunks=(16, 20), maxshape=(None, X), fillvalue=-1)
        grown.resize((Y, X))
        shrunk = data.create_dataset("shrunk", data=SURFACE, chunks=(16, 20), maxshape=(None, None))
        shrunk.resize((17, 21))


def _new_indexes(path, libver):
    with h5py.File(path, "w", libver=(libver, libver)) as data:
        data.create_dataset("single", data=SURFACE, chunks=(Y, X))
        data.create_dataset("single_filtered", data=SURFACE, chunks=(Y, X), compression="gzip")
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((16, 20))
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        space = h5py.h5s.create_simple((Y, X))
        h5py.h5d.create(data.id, b"implicit", h5py.h5t.IEEE_F32LE, space, properties).write(
            h5py.h5s.ALL, h5py.h5s.ALL, SURFACE
        )
        data.create_dataset("fixed", data=SURFACE, chunks=(16, 20))
        data.create_dataset("fixed_filtered", data=SURFACE, chunks=(16, 20), compression="gzip")
        data.create_dataset("fixed_paged", data=np.arange(5000, dtype="i4"), chunks=(2,))
        data.create_dataset("extensible", data=SURFACE, chunks=(16, 20), maxshape=(None, X))
        data.create_dataset("extensible_filtered", data=SURFACE, chunks=(16, 20), maxshape=(None, X), compression="gzip")
        data.create_dataset("extensible_long", data=np.arange(9000, dtype="i4"), chunks=(2,), maxshape=(None,))
        data.create_dataset("extensible_inner", data=SURFACE, chunks=(16, 20), maxshape=(Y, None))
        data.create_dataset("tree", data=SURFACE, chunks=(16, 20), maxshape=(None, None))
        data.create_dataset("tree_filtered", data=SURFACE, chunks=(16, 20), maxshape=(None, None), compression="gzip")
        data.create_dataset(
            "tree_deep", data=np.arange(12000, dtype="i4").reshape(120, 100), chunks=(2, 2), maxshape=(None, None)
        )


def _filters(corpus):
    plugins = {
        "blosc_lz4": hdf5plugin.Blosc(cname="lz4", clevel=5, shuffle=1),
        "blosc_blosclz": hdf5plugin.Blosc(cname="blosclz", clevel=5, shuffle=1),
        "blosc_zlib_bit": hdf5plugin.Blosc(cname="zlib", clevel=5, shuffle=2),
        "blosc_zstd": hdf5plugin.Blosc(cname="zstd", clevel=5, shuffle=0),
        "blosc_snappy_like": hdf5plugin.Blosc(cname="lz4hc", clevel=9, shuffle=2),
        "blosc2_lz4": hdf5plugin.Blosc2(cname="lz4", clevel=5),
        "blosc2_zstd": hdf5plugin.Blosc2(cname="zstd", clevel=5, filters=hdf5plugin.Blosc2.SHUFFLE),
        "blosc2_blosclz_bit": hdf5plugin.Blosc2(cname="blosclz", clevel=5, filters=hdf5plugin.Blosc2.BITSHUFFLE),
        "bitshuffle": hdf5plugin.Bitshuffle(cname="none"),
        "bitshuffle_lz4": hdf5plugin.Bitshuffle(cname="lz4"),
        "bitshuffle_zstd": hdf5plugin.Bitshuffle(cname="zstd"),
        "lz4": hdf5plugin.LZ4(),
        "zstd": hdf5plugin.Zstd(),
        "bzip2": hdf5plugin.BZip2(),
        "lzf": dict(compression="lzf"),
        "lzf_shuffle": dict(compression="lzf", shuffle=True),
        "gzip": dict(compression="gzip"),
        "gzip_shuffle": dict(compression="gzip", shuffle=True),
        "shuffle": dict(shuffle=True),
        "fletcher32": dict(fletcher32=True),
        "gzip_shuffle_fletcher32": dict(compression="gzip", shuffle=True, fletcher32=True),
    }
    noise = np.random.default_rng(5).standard_normal((Y, X))
    data_sets = {
        "f4": SURFACE,
        "f8": noise,
        "i2": (SURFACE % 300).astype("i2"),
        "u1": (SURFACE % 11).astype("u1"),
        "i8": (noise * 1e9).astype("i8"),
    }
    for name, options in plugins.items():
        path = corpus.path(f"filters/{name}.h5", f"filter {name.replace('_', ' ')}", "h5py")
        with h5py.File(path, "w") as data:
            for kind, values in data_sets.items():
                data.create_dataset(f"v_{kind}", data=values, chunks=(25, 30), **options)
    path = corpus.path("filters/scaleoffset.h5", "scaleoffset: integers with and without fill, floats", "h5py")
    with h5py.File(path, "w") as data:
        data.create_dataset("integers", data=(SURFACE % 300).astype("i4"), chunks=(25, 30), scaleoffset=0)
        data.create_dataset("unsigned", data=(SURFACE % 300).astype("u2"), chunks=(25, 30), scaleoffset=0)
        data.create_dataset("filled", data=(SURFACE % 50).astype("i4") - 9, chunks=(25, 30), scaleoffset=0, fillvalue=-1)
        data.create_dataset("constant", data=np.full((Y, X), 7, "i4"), chunks=(25, 30), scaleoffset=0)
        data.create_dataset("bits", data=(SURFACE % 8).astype("i2"), chunks=(25, 30), scaleoffset=5)
        data.create_dataset("floats", data=SURFACE, chunks=(25, 30), scaleoffset=2)
        data.create_dataset("doubles", data=noise, chunks=(25, 30), scaleoffset=4)
        data.create_dataset("big_endian", data=(SURFACE % 300).astype(">i4"), chunks=(25, 30), scaleoffset=0)
    path = corpus.path("filters/nbit.h5", "nbit: integers of 5, 12 and 17 bits, floats, big-endian", "h5py")
    with h5py.File(path, "w") as data:
        for name, base, bits, offset in (
            ("five", h5py.h5t.STD_U8LE, 5, 0),
            ("twelve", h5py.h5t.STD_U16LE, 12, 0),
            ("signed", h5py.h5t.STD_I32LE, 17, 0),
            ("offset", h5py.h5t.STD_U16LE, 9, 4),
            ("big", h5py.h5t.STD_U32BE, 20, 0),
        ):
            kind = base.copy()
            kind.set_precision(bits)
            kind.set_offset(offset)
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_chunk((25, 30))
            properties.set_filter(h5py.h5z.FILTER_NBIT, 0)
            space = h5py.h5s.create_simple((Y, X))
            values = (np.arange(Y * X).reshape(Y, X) % (1 << (bits - 1))).astype("i8")
            if name == "signed":
                values -= 1 << (bits - 2)
            h5py.h5d.create(data.id, name.encode(), kind, space, properties).write(
                h5py.h5s.ALL, h5py.h5s.ALL, values, h5py.h5t.NATIVE_INT64
            )
    plain = corpus.path("filters/szip_twin.h5", "the plain twin of the szip files", "h5py")
    with h5py.File(plain, "w") as data:
        for kind, values in data_sets.items():
            data.create_dataset(f"v_{kind}", data=values, chunks=(25, 32) if kind != "u1" else (30, 40))
        data.create_dataset("v_big", data=SURFACE.astype(">f4"), chunks=(25, 32))
    for coding in ("NN", "EC"):
        path = corpus.path(f"filters/szip_{coding.lower()}.h5", f"szip, coding {coding}", "twin:filters/szip_twin.h5")
        subprocess.run(["h5repack", "-f", f"SZIP=8,{coding}", str(plain), str(path)], check=True)


def _filter_masks(path):
    """A chunk may be stored without some of its filters; its mask says so."""
    import zlib

    with h5py.File(path, "w") as data:
        made = data.create_dataset("masked", (40,), "<i4", chunks=(10,), compression="gzip", shuffle=True)
        values = np.arange(40, dtype="<i4") * 3
        made[:] = values
        # Both filters skipped; then shuffle skipped (deflate alone); the others stay as written.
        made.id.write_direct_chunk((10,), values[10:20].tobytes(), filter_mask=0b11)
        made.id.write_direct_chunk((20,), zlib.compress(values[20:30].tobytes()), filter_mask=0b01)


def _unknown_filter(corpus):
    path = corpus.path("filters/unknown.h5", "an unregistered filter: that variable alone is refused", "h5py", ("strange",))
    with h5py.File(path, "w") as data:
        data["before"] = np.arange(5, dtype="i4")
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((4,))
        # Optional at creation, or the library would refuse to define it.
        properties.set_filter(511, h5py.h5z.FLAG_OPTIONAL, (1, 2, 3))
        space = h5py.h5s.create_simple((8,))
        made = h5py.h5d.create(data.id, b"strange", h5py.h5t.STD_I32LE, space, properties)
        for start in (0, 4):
            made.write_direct_chunk((start,), b"\x01\x02\x03\x04" * 5, 0)
        data["later"] = np.arange(6, dtype="f8")


def _never_written(path):
    with h5py.File(path, "w", libver=("v110", "v110")) as data:
        data.create_dataset("nothing", (50, 30), "f4", chunks=(16, 10), fillvalue=-999)
        data.create_dataset("nothing_default", (50, 30), "i2", chunks=(16, 10))
        some = data.create_dataset("some", (50, 30), "f8", chunks=(16, 10), fillvalue=np.nan, compression="gzip")
        some[20:24, 5:25] = 1.5
        growing = data.create_dataset("growing", (50, 30), "i4", chunks=(16, 10), maxshape=(None, None), fillvalue=5)
        growing[49, 29] = 1
        data.create_dataset("contiguous", (20,), "f4", fillvalue=3)


def _edges(path):
    with h5py.File(path, "w") as data:
        cube = np.arange(7 * 9 * 11, dtype="i4").reshape(7, 9, 11)
        data.create_dataset("cube", data=cube, chunks=(3, 4, 5), compression="gzip")
        deep = np.arange(3**6, dtype="i2").reshape((3,) * 6)
        data.create_dataset("six", data=deep, chunks=(2,) * 6)
        data.create_dataset("wide_chunk", data=np.arange(10, dtype="f8"), chunks=(7,), maxshape=(None,))


def _plain_types(path):
    with h5py.File(path, "w") as data:
        for order, word in (("<", "little"), (">", "big")):
            for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
                data[f"{word}_{kind}"] = extremes(kind, 7).astype(order + kind)


def _narrow_floats(path):
    with h5py.File(path, "w") as data:
        data["half"] = np.array([0, 1, -2.5, 65504, 6e-8, np.inf, np.nan], "<f2")
        data["half_big"] = np.array([0, 1, -2.5, 65504, 6e-8, -np.inf, np.nan], ">f2")
        data.create_dataset("half_chunked", data=SURFACE[:20].astype("f2"), chunks=(8, 20), compression="gzip", shuffle=True)


def _bool(path):
    with h5py.File(path, "w") as data:
        data["flags"] = np.array([True, False, True])
        data["one"] = np.bool_(True)


def _complex(path):
    with h5py.File(path, "w") as data:
        data["c8"] = np.array([1 + 2j, -0.5j, 3], "c8")
        data["c16"] = np.array([1 + 2j, -0.5j, 3], "c16")


def _bitfield(path):
    with h5py.File(path, "w") as data:
        for name, kind, width in (
            ("bits8", h5py.h5t.STD_B8LE, "u1"),
            ("bits16", h5py.h5t.STD_B16LE, "u2"),
            ("bits32_big", h5py.h5t.STD_B32BE, "u4"),
        ):
            space = h5py.h5s.create_simple((4,))
            values = extremes(width, 4)
            if name.endswith("big"):
                values = values.astype(">u4")
            made = h5py.h5d.create(data.id, name.encode(), kind, space)
            made.write(h5py.h5s.ALL, h5py.h5s.ALL, values, kind)
        data["plain"] = np.arange(4, dtype="i4")


def _references(path):
    with h5py.File(path, "w") as data:
        data["target"] = np.arange(4, dtype="i4")
        data.create_group("group")["inner"] = np.arange(2, dtype="f4")
        made = data.create_dataset("objects", (3,), h5py.ref_dtype)
        made[0], made[1], made[2] = data["target"].ref, data["group/inner"].ref, data["group"].ref


def _strings(path):
    with h5py.File(path, "w") as data:
        data["fixed"] = np.array([b"abc", b"defgh", b""], "S5")
        data["variable"] = np.array(["one", "", "three words here"], object)
        data.create_dataset("ascii", data=np.array(["one", "", "three"], object), dtype=h5py.string_dtype("ascii"))
        fixed = np.array(["Zürich".encode(), "東京".encode(), b"x"], h5py.string_dtype("utf-8", 8))
        data.create_dataset("utf8_fixed", data=fixed)
        data["utf8"] = np.array(["Zürich", "東京", "☃"], object)
        data["scalar"] = "a scalar string"
        data["scalar_fixed"] = np.bytes_("fixed scalar")
        data.create_dataset("filtered", data=np.array([b"x" * n for n in range(20)], "S20"), chunks=(6,), compression="gzip")
        for name, pad in (("null_term", h5py.h5t.STR_NULLTERM), ("space_pad", h5py.h5t.STR_SPACEPAD)):
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(6)
            kind.set_strpad(pad)
            space = h5py.h5s.create_simple((2,))
            made = h5py.h5d.create(data.id, name.encode(), kind, space)
            raw = b"ab\0\0\0\0cdefg\0" if pad == h5py.h5t.STR_NULLTERM else b"ab    cdefg "
            made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.frombuffer(raw, "S6"), kind)


def _compound(path):
    colour = h5py.enum_dtype({"RED": 0, "GREEN": 1}, basetype="i1")
    inner = np.dtype([("a", "<i2"), ("b", "<f8")])
    kind = np.dtype([("number", "<i4"), ("name", "S6"), ("colour", colour), ("row", "<f4", (3,)), ("inner", inner), ("big", ">i4")])
    values = np.zeros(4, kind)
    for index in range(4):
        values[index] = (index, f"n{index}".encode(), index % 2, [index, index + 0.5, -index], (index * 2, index / 4), index * 1000)
    with h5py.File(path, "w") as data:
        data["records"] = values
        data.create_dataset("chunked", data=values, chunks=(3,), compression="gzip")
        data["one"] = values[2]


def _named(path):
    with h5py.File(path, "w") as data:
        data["integer_t"] = np.dtype("<i4")
        data["record_t"] = np.dtype([("a", "<i2"), ("b", "<f4")])
        data["colour_t"] = h5py.enum_dtype({"RED": 0, "GREEN": 5}, basetype="u1")
        data.create_dataset("numbers", data=np.arange(3), dtype=data["integer_t"])
        data.create_dataset("records", data=np.array([(1, 0.5), (2, 1.5)], data["record_t"].dtype), dtype=data["record_t"])
        data.create_dataset("colours", data=np.array([0, 5, 5], "u1"), dtype=data["colour_t"])


def _vlen(path):
    with h5py.File(path, "w") as data:
        made = data.create_dataset("ragged", (4,), h5py.vlen_dtype("<i4"))
        for index, length in enumerate((2, 0, 3, 1)):
            made[index] = np.arange(length) - index
        chunked = data.create_dataset("chunked", (4,), h5py.vlen_dtype("<f8"), chunks=(3,), compression="gzip")
        for index in range(4):
            chunked[index] = np.arange(index) / 2


def _array_type(path):
    kind = h5py.h5t.array_create(h5py.h5t.STD_I32LE, (2, 3))
    with h5py.File(path, "w") as data:
        space = h5py.h5s.create_simple((4,))
        made = h5py.h5d.create(data.id, b"arrays", kind, space)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(24, dtype="<i4").reshape(4, 2, 3), kind)


def _attributes(path):
    with h5py.File(path, "w") as data:
        made = data.create_dataset("v", data=np.arange(3, dtype="f4"))
        for kind in ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"):
            made.attrs[f"one_{kind}"] = extremes(kind, 2)[1]
            made.attrs[f"many_{kind}"] = extremes(kind, 4)
            made.attrs[f"big_{kind}"] = extremes(kind, 4).astype(">" + kind)
        made.attrs["half"] = np.float16(0.5)
        made.attrs["flag"] = True
        made.attrs["text"] = "variable UTF-8 ü"
        made.attrs["fixed"] = np.bytes_("fixed")
        made.attrs["texts"] = np.array(["one", "two ü"], object)
        made.attrs["fixed_texts"] = np.array([b"one", b"three"], "S5")
        made.attrs["plane"] = np.arange(6, dtype="i4").reshape(2, 3)
        made.attrs["empty"] = h5py.Empty("f4")
        made.attrs["reference"] = made.ref
        made.attrs["pair"] = np.array((1, 2.5), np.dtype([("a", "i4"), ("b", "f8")]))
        made.attrs["complex"] = np.complex64(1 + 2j)
        data.attrs["root"] = np.arange(3)


def _dense(path):
    with h5py.File(path, "w", libver=("v110", "v110")) as data:
        made = data.create_dataset("v", data=np.arange(3, dtype="f4"))
        for index in range(60):
            made.attrs[f"attribute_{index:02}"] = np.float64(index) / 8
        data.attrs["large"] = np.arange(20000, dtype="f8")
        for index in range(30):
            data.attrs[f"root_{index:02}"] = np.bytes_(f"text number {index}")


def _soft_links(path):
    with h5py.File(path, "w") as data:
        data["real"] = np.arange(4, dtype="i4")
        data.create_group("group")["inner"] = np.arange(3, dtype="f4")
        data["soft"] = h5py.SoftLink("/real")
        data["soft_deep"] = h5py.SoftLink("/group/inner")
        data["soft_relative"] = h5py.SoftLink("group/inner")
        data["dangling"] = h5py.SoftLink("/nowhere")


def _hard_links(path):
    with h5py.File(path, "w") as data:
        data["real"] = np.arange(4, dtype="i4")
        group = data.create_group("group")
        group["inner"] = np.arange(3, dtype="f4")
        data["zz_again"] = data["real"]
        group["loop"] = data["/"]
        group.create_group("deeper")["back"] = group


def _external(corpus):
    target = corpus.hidden("links/external_target.h5")
    corpus.path("links/external_target.h5", "the target of the external link: an ordinary file")
    with h5py.File(target, "w") as data:
        data["far"] = np.arange(5, dtype="i4")
    path = corpus.path("links/external_link.h5", "external link: never followed", "h5py", ("linked",))
    with h5py.File(path, "w") as data:
        data["near"] = np.arange(3, dtype="i4")
        data["linked"] = h5py.ExternalLink("external_target.h5", "/far")
    raw = corpus.hidden("links/external.raw")
    raw.write_bytes(np.arange(10, dtype="<i4").tobytes())
    path = corpus.path("links/external_storage.h5", "external storage: refused", "h5py", ("stored",))
    with h5py.File(path, "w") as data:
        data["near"] = np.arange(3, dtype="i4")
        data.create_dataset("stored", (10,), "<i4", external=[("external.raw", 0, 40)])


def _virtual(corpus):
    corpus.path("links/virtual_source.h5", "the source of the virtual dataset: an ordinary file")
    with h5py.File(corpus.hidden("links/virtual_source.h5"), "w") as data:
        data["part"] = np.arange(6, dtype="i4")
    path = corpus.path("links/virtual.h5", "virtual dataset: refused", "h5py", ("joined",))
    layout = h5py.VirtualLayout((2, 6), "i4")
    layout[0] = h5py.VirtualSource("virtual_source.h5", "part", shape=(6,))
    layout[1] = h5py.VirtualSource("virtual_source.h5", "part", shape=(6,))
    with h5py.File(path, "w", libver=("v110", "v110")) as data:
        data["near"] = np.arange(3, dtype="i4")
        data.create_virtual_dataset("joined", layout)


def _phony(path):
    with h5py.File(path, "w") as data:
        data["a"] = np.zeros((4, 5), "f4") + 1
        data["b"] = np.zeros((5, 4), "f4") + 2
        data["square"] = np.arange(16, dtype="i4").reshape(4, 4)
        group = data.create_group("group")
        group["c"] = np.arange(20, dtype="i2").reshape(4, 5)
        group["d"] = np.arange(7, dtype="i2")
        data.create_dataset("growing", data=np.arange(4, dtype="i4"), maxshape=(None,), chunks=(2,))


def _scales(path):
    with h5py.File(path, "w", track_order=True) as data:
        data["lat"] = np.arange(3, dtype="f8") * 10
        data["lon"] = np.arange(4, dtype="f4") * 90
        data["lat"].make_scale("lat")
        data["lon"].make_scale("lon")
        data["grid"] = np.arange(12, dtype="f4").reshape(3, 4)
        data["grid"].dims[0].attach_scale(data["lat"])
        data["grid"].dims[1].attach_scale(data["lon"])
        group = data.create_group("group")
        group["inner"] = np.arange(4, dtype="i4")
        group["inner"].dims[0].attach_scale(data["lon"])


def _many_links(path):
    with h5py.File(path, "w", libver=("earliest", "v110")) as data:
        for index in range(500):
            data[f"dataset_{index:03}"] = np.int32(index)
        group = data.create_group("ordered", track_order=True)
        for index in range(200):
            group[f"z{199 - index:03}"] = np.int16(index)


def _user_block(path):
    with h5py.File(path, "w", userblock_size=1024) as data:
        data["v"] = np.arange(6, dtype="i4")
        data.create_dataset("chunked", data=SURFACE, chunks=(16, 20), compression="gzip")
    with open(path, "r+b") as raw:
        raw.write(b"a user block: not HDF5".ljust(1024, b"\n"))


def _null_space(path):
    with h5py.File(path, "w") as data:
        data["nothing"] = h5py.Empty("f4")
        data["plain"] = np.arange(3, dtype="i4")
