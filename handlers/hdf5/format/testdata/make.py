"""Makes the fixtures beside this script, and expected.json: what h5py (libhdf5) says is in them.

Run with a Python that has h5py built against HDF5 2.0 and numpy. The Rust tests compare every object,
link, attribute, datatype, layout and chunk address with expected.json.
"""

import ctypes
import glob
import itertools
import json
import os
import zlib

import h5py
import numpy as np
from h5py import h5a, h5d, h5f, h5g, h5i, h5l, h5o, h5p, h5s, h5t

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = ctypes.CDLL(glob.glob(os.path.join(os.path.dirname(h5py.__file__), "..", "h5py.libs", "libhdf5-*"))[0])


def check(status):
    assert status >= 0


def types(f):
    """One attribute of every type."""
    a = f.create_group("types").attrs
    for kind in "i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8".split():
        for order in "<>":
            a[order + kind] = np.arange(3).astype(order + kind)
    a["scalar"] = np.float64(1.5)
    a["fixed"] = np.bytes_("abc")
    a["text"] = "va\u00fcr"
    a["texts"] = ["one", "", "three \u20ac"]
    a["null"] = h5py.Empty("f4")
    a["opaque"] = np.void(b"\x01\x02\x03\x04\x05")
    a["complex"] = np.array([1 + 2j, 3 - 4j])
    a["compound"] = np.zeros(2, dtype=[("x", ">i2"), ("inner", [("y", "f8"), ("z", "u1", (2, 3))]), ("s", "S7")])
    a.create("enum", 1, dtype=h5py.enum_dtype({"RED": 0, "GREEN": 1, "BLUE": 200}, basetype="u1"))
    a["bool"] = np.array([True, False])
    a["ref"] = f.ref
    a.create("vlen", np.array([np.arange(3, dtype="i4"), np.arange(1, dtype="i4")], dtype=object),
             dtype=h5py.vlen_dtype("i4"))
    a.create("array", np.arange(6, dtype="i2").reshape(2, 3), dtype=np.dtype(("i2", (2, 3))))
    for name, tid in [("bits", h5t.STD_B16BE), ("unusual", unusual()), ("padded", space_padded())]:
        aid = h5a.create(a._id, name.encode(), tid, h5s.create(h5s.SCALAR))
        aid.write(np.zeros(1, "S6" if name == "padded" else "V%d" % tid.get_size()), mtype=tid)


def unusual():
    t = h5t.IEEE_F32LE.copy()
    t.set_fields(16, 10, 6, 0, 10)
    t.set_precision(17)
    t.set_offset(4)
    t.set_ebias(31)
    return t


def space_padded():
    t = h5t.C_S1.copy()
    t.set_size(6)
    t.set_strpad(h5t.STR_SPACEPAD)
    return t


def links(f, old):
    g = f.create_group("links")
    for i in range(40 if old else 60):
        g[f"member{i:03}"] = f["types"]
    g["soft"] = h5py.SoftLink("/types")
    g["dangling"] = h5py.SoftLink("nowhere/else")
    g["loop"] = g
    g["sibling"] = f["types"]
    if not old:
        g["external"] = h5py.ExternalLink("other.h5", "/path/in/it")
    few = f.create_group("few", track_order=True)
    for name in ["zebra", "aardvark", "m\u00fc"]:
        few[name] = g
    ordered = f.create_group("ordered", track_order=True)
    for i in range(15):
        ordered[f"o{(i * 7) % 15}"] = g


def attributes(f, big):
    g = f.create_group("attributes")
    for i in range(30):
        g.attrs[f"attribute{i:02}"] = np.arange(i, dtype="i4")
    if big:
        g.attrs["five thousand bytes"] = np.arange(5000, dtype="u4").astype("u1")
    g = f.create_group("ordered_attributes", track_order=True)
    for i in range(12):
        g.attrs[f"a{(i * 5) % 12}"] = i
    g = f.create_group("few_ordered_attributes", track_order=True)
    for name in "qwerty":
        g.attrs[name] = name


def datasets(f):
    g = f.create_group("datasets")
    f["committed"] = np.dtype([("a", "i4"), ("b", "f8")])
    g.create_dataset("uses", (3,), dtype=f["committed"])
    g.attrs.create("uses", np.zeros(2, dtype=f["committed"].dtype), dtype=f["committed"])
    g.create_dataset("contiguous", data=np.arange(10, dtype=">f4"))
    g.create_dataset("unwritten", (10, 5), dtype="f8", fillvalue=-9.5)
    g.create_dataset("scalar", data=42)
    g.create_dataset("null", data=h5py.Empty("i2"))
    g.create_dataset("empty", (0, 4), maxshape=(None, 4), chunks=(5, 2))
    g.create_dataset("strings", data=["a", "bcd", ""])
    dcpl = h5p.create(h5p.DATASET_CREATE)
    dcpl.set_layout(h5d.COMPACT)
    compact = h5d.create(g.id, b"compact", h5t.STD_I16LE, h5s.create_simple((4,)), dcpl)
    compact.write(h5s.ALL, h5s.ALL, np.arange(4, dtype="i2"))
    dcpl = h5p.create(h5p.DATASET_CREATE)
    dcpl.set_fill_value(np.array(7, "i2"))
    dcpl.set_fill_time(h5d.FILL_TIME_NEVER)
    dcpl.set_external(b"elsewhere.bin", 0, 40)
    h5d.create(g.id, b"outside", h5t.STD_I16LE, h5s.create_simple((20,)), dcpl)


def chunks(f):
    g = f.create_group("chunks")
    rng = np.random.default_rng(3)

    def make(name, shape, chunk, maxshape=None, parts=None, dtype="i2", **kw):
        d = g.create_dataset(name, shape, chunks=chunk, maxshape=maxshape, dtype=dtype, **kw)
        for part in parts or [...]:
            d[part] = rng.integers(0, 90 if dtype == "i4" else 30000, d[part].shape).astype(dtype)

    make("fixed", (20, 9), (4, 4))
    make("fixed_filtered", (20, 9), (4, 4), compression="gzip", shuffle=True, fletcher32=True)
    make("fixed_sparse", (50, 50), (5, 5), parts=[np.s_[12, 12], np.s_[48, 3]], compression="gzip")
    make("fixed_growing", (6, 6), (2, 4), maxshape=(10, 20))
    make("single", (8, 8), (8, 8))
    make("single_filtered", (8, 8), (8, 8), compression=4)
    make("one_unlimited", (37, 10), (4, 4), maxshape=(None, 10))
    make("one_unlimited_filtered", (37, 10), (4, 4), maxshape=(None, 10), compression="lzf")
    make("last_unlimited", (5, 4, 90), (2, 3, 4), maxshape=(6, 8, None), parts=[np.s_[:, :, 10:70]])
    make("two_unlimited", (40, 50), (3, 4), maxshape=(None, None))
    make("two_unlimited_filtered", (40, 50), (4, 5), maxshape=(None, None), compression="gzip", dtype="i4")
    make("offsets", (10, 10), (4, 4), maxshape=(None, None), scaleoffset=3, compression="gzip")
    d = g.create_dataset("masked", (8, 4), chunks=(4, 4), dtype="u1", compression="gzip", shuffle=True)
    d.id.write_direct_chunk((4, 0), b"0123456789abcdef", filter_mask=3)
    dcpl = h5p.create(h5p.DATASET_CREATE)
    dcpl.set_chunk((4, 3))
    dcpl.set_alloc_time(h5d.ALLOC_TIME_EARLY)
    h5d.create(g.id, b"early", h5t.STD_I16LE, h5s.create_simple((9, 5), (13, 10)), dcpl)


def paged(f):
    g = f.create_group("paged")
    for name, shape, maxshape, at, kw in [
        ("fixed", (1100,), None, [0, 1023, 1099], {}),
        ("fixed_filtered", (1100,), None, [1024], {"compression": "gzip"}),
        ("extensible", (140000,), (None,), [0, 3, 4, 19, 100, 139999], {}),
        ("extensible_filtered", (135000,), (None,), [5, 134000], {"compression": "gzip"}),
    ]:
        d = g.create_dataset(name, shape, chunks=(1,), maxshape=maxshape, dtype="u1", **kw)
        for i in at:
            d[i] = 1


def unfiltered_edges(f):
    for name, maxshape in [("edges", (10, 7)), ("growing_edges", (None, 7)), ("edges2", (None, None))]:
        dcpl = h5p.create(h5p.DATASET_CREATE)
        dcpl.set_chunk((4, 4))
        dcpl.set_deflate(5)
        check(LIB.H5Pset_chunk_opts(ctypes.c_int64(dcpl.id), ctypes.c_uint(2)))
        limits = tuple(h5s.UNLIMITED if m is None else m for m in maxshape)
        d = h5d.create(f.id, name.encode(), h5t.STD_I32LE, h5s.create_simple((10, 7), limits), dcpl)
        d.write(h5s.ALL, h5s.ALL, np.zeros((10, 7), "i4"))


def few_chunks(f):
    f.create_dataset("chunked", (20, 9), chunks=(4, 4), dtype="i2", data=np.zeros((20, 9)))
    f.create_dataset("growing", (20, 9), chunks=(4, 4), maxshape=(None, 9), data=np.zeros((20, 9)), compression=1)
    f.create_dataset("growing2", (20, 9), chunks=(4, 4), maxshape=(None, None), dtype="i2", data=np.zeros((20, 9)))


def everything(f, old=False, big=False):
    types(f)
    links(f, old)
    attributes(f, big)
    datasets(f)


def create(name, libver, fcpl=None, userblock=None):
    path = os.path.join(HERE, name)
    fapl = h5p.create(h5p.FILE_ACCESS)
    low, high = {
        "earliest": (h5f.LIBVER_EARLIEST, h5f.LIBVER_V18),
        "v108": (h5f.LIBVER_V18, h5f.LIBVER_V18),
        "v110": (h5f.LIBVER_V110, h5f.LIBVER_V110),
        "v112": (h5f.LIBVER_V112, h5f.LIBVER_V112),
        "latest": (h5f.LIBVER_LATEST, h5f.LIBVER_LATEST),
    }[libver]
    fapl.set_libver_bounds(low, high)
    fcpl = fcpl or h5p.create(h5p.FILE_CREATE)
    if userblock:
        fcpl.set_userblock(userblock)
    return h5py.File(h5f.create(path.encode(), h5f.ACC_TRUNC, fcpl, fapl))


def make():
    with create("earliest.h5", "earliest") as f:
        everything(f, old=True)
        chunks(f)
    with create("v108.h5", "v108") as f:
        everything(f)
    with create("v110.h5", "v110") as f:
        few_chunks(f)
        paged(f)
        unfiltered_edges(f)
    with create("latest.h5", "latest") as f:
        everything(f, big=True)
        chunks(f)
        f["virtual"] = 0
        del f["virtual"]
        layout = h5py.VirtualLayout((4,), "i4")
        layout[:] = h5py.VirtualSource("other.h5", "d", (4,))
        f.create_virtual_dataset("virtual", layout)
        unfiltered_edges(f)
    with create("userblock_v0.h5", "earliest", userblock=512) as f:
        datasets(f)
    with create("userblock_v3.h5", "latest", userblock=1024) as f:
        datasets(f)
        unfiltered_edges(f)
    fcpl = h5p.create(h5p.FILE_CREATE)
    fcpl.set_sizes(4, 4)
    check(LIB.H5Pset_sym_k(ctypes.c_int64(fcpl.id), ctypes.c_uint(2), ctypes.c_uint(2)))
    check(LIB.H5Pset_istore_k(ctypes.c_int64(fcpl.id), ctypes.c_uint(2)))
    with create("superblock1.h5", "earliest", fcpl) as f:
        types(f)
        links(f, True)
        few_chunks(f)
    fcpl = h5p.create(h5p.FILE_CREATE)
    fcpl.set_sizes(4, 8)
    with create("narrow.h5", "v112", fcpl) as f:
        types(f)
        links(f, False)
        few_chunks(f)
    fcpl = h5p.create(h5p.FILE_CREATE)
    pid = ctypes.c_int64(fcpl.id)
    check(LIB.H5Pset_shared_mesg_nindexes(pid, ctypes.c_uint(2)))
    # Datatypes and dataspaces; fill values, filters and attributes.
    check(LIB.H5Pset_shared_mesg_index(pid, ctypes.c_uint(0), ctypes.c_uint(0x02 | 0x08), ctypes.c_uint(1)))
    check(LIB.H5Pset_shared_mesg_index(pid, ctypes.c_uint(1), ctypes.c_uint(0x20 | 0x800 | 0x1000), ctypes.c_uint(1)))
    with create("shared.h5", "v108", fcpl) as f:
        types(f)
        attributes(f, False)
        datasets(f)


ORDERS = {h5t.ORDER_LE: "le", h5t.ORDER_BE: "be", h5t.ORDER_VAX: "vax", h5t.ORDER_NONE: "le"}


def datatype(t):
    size = t.get_size()
    match t:
        case h5t.TypeEnumID():
            names = [t.get_member_name(i).decode() for i in range(t.get_nmembers())]
            values = [int(t.get_member_value(i)) for i in range(t.get_nmembers())]
            return ["enum", datatype(t.get_super()), [list(p) for p in zip(names, values)]]
        case h5t.TypeIntegerID():
            return ["int", size, ORDERS[t.get_order()], t.get_sign() == h5t.SGN_2, t.get_offset(), t.get_precision()]
        case h5t.TypeFloatID():
            return ["float", size, ORDERS[t.get_order()], t.get_offset(), t.get_precision(), *t.get_fields(), t.get_ebias()]
        case h5t.TypeStringID():
            if t.is_variable_str():
                return ["text", t.get_strpad(), t.get_cset()]
            return ["string", size, t.get_strpad(), t.get_cset()]
        case h5t.TypeBitfieldID():
            tid = ctypes.c_int64(t.id)
            return ["bits", size, ORDERS[t.get_order()], LIB.H5Tget_offset(tid), LIB.H5Tget_precision(tid)]
        case h5t.TypeOpaqueID():
            return ["opaque", size, t.get_tag().decode()]
        case h5t.TypeCompoundID():
            n = range(t.get_nmembers())
            return ["compound", size, [[t.get_member_name(i).decode(), t.get_member_offset(i), datatype(t.get_member_type(i))] for i in n]]
        case h5t.TypeReferenceID():
            # libhdf5 gives the size in memory.
            return ["reference"]
        case h5t.TypeVlenID():
            return ["vlen", datatype(t.get_super())]
        case h5t.TypeArrayID():
            return ["array", list(t.get_array_dims()), datatype(t.get_super())]
    if t.get_class() == 11:
        return ["complex", datatype(t.get_super())]
    raise ValueError(t)


def space(s):
    kind = s.get_simple_extent_type()
    if kind == h5s.NULL:
        return None
    if kind == h5s.SCALAR:
        return []
    # "Unlimited" in a file with 4-byte lengths is reread by libhdf5 as a number.
    limits = [None if m in (h5s.UNLIMITED, 2**64 - 1, 2**32 - 1) else m for m in s.get_simple_extent_dims(True)]
    return [[d, m] for d, m in zip(s.shape, limits)]


def has_vlen(t):
    return t.detect_class(h5t.VLEN) or (isinstance(t, h5t.TypeStringID) and t.is_variable_str()) or t.detect_class(h5t.STRING) and "vlen" in str(t.dtype)


def attribute(oid, name):
    a = h5a.open(oid, name)
    t = a.get_type()
    out = {"name": name.decode(), "type": datatype(t), "space": space(a.get_space())}
    n = a.get_space().get_simple_extent_npoints()
    if isinstance(t, h5t.TypeStringID) and t.is_variable_str():
        value = h5py.AttributeManager(Owner(oid))[name.decode()]
        out["texts"] = [str(v) for v in np.atleast_1d(np.asarray(value, dtype=object)).ravel()]
    elif not isinstance(t, (h5t.TypeVlenID, h5t.TypeReferenceID)) and n:
        raw = (ctypes.c_char * (n * t.get_size()))()
        check(LIB.H5Aread(ctypes.c_int64(a.id), ctypes.c_int64(t.id), raw))
        out["crc32"] = zlib.crc32(bytes(raw))
    return out


class Owner:
    # What AttributeManager asks of an object.
    def __init__(self, oid):
        self.id = oid


def dataset(d):
    plist = d.get_create_plist()
    t = d.get_type()
    out = {"type": datatype(t), "space": space(d.get_space())}
    layout = plist.get_layout()
    out["layout"] = ["compact", "contiguous", "chunked", "virtual"][layout]
    out["filters"] = [[f[0], f[1] & 1, list(f[2])] for f in (plist.get_filter(i) for i in range(plist.get_nfilters()))]
    out["fill"] = {h5d.FILL_VALUE_UNDEFINED: "undefined", h5d.FILL_VALUE_DEFAULT: "default",
                   h5d.FILL_VALUE_USER_DEFINED: "given"}[plist.fill_value_defined()]
    if out["fill"] == "given" and not has_vlen(t):
        raw = (ctypes.c_char * t.get_size())()
        check(LIB.H5Pget_fill_value(ctypes.c_int64(plist.id), ctypes.c_int64(t.id), raw))
        out["fill_raw"] = bytes(raw).hex()
    if layout == h5d.CONTIGUOUS:
        # Behind a user block libhdf5 gives "undefined plus the user block" for data never written.
        out["offset"] = d.get_offset() if d.get_storage_size() and not plist.get_external_count() else None
    if layout == h5d.COMPACT:
        raw = np.zeros(d.shape, d.dtype)
        d.read(h5s.ALL, h5s.ALL, raw)
        out["raw"] = raw.tobytes().hex()
    if layout == h5d.CHUNKED:
        out["chunk"] = list(plist.get_chunk())
        out["chunks"] = chunk_list(d)
    return out


def chunk_list(d):
    if not d.get_space().get_simple_extent_npoints():
        return []
    infos = [d.get_chunk_info(i) for i in range(d.get_num_chunks())]
    if all(at < n for c in infos for at, n in zip(c.chunk_offset, d.shape)):
        return sorted([list(c.chunk_offset), c.byte_offset, c.size, c.filter_mask] for c in infos)
    # When an extensible array's unlimited dimension is not the first, libhdf5 (2.0) names addresses rightly but wrong
    # coordinates. Chunks are recognised by their contents instead; the dataset is not filtered.
    chunk = d.get_create_plist().get_chunk()
    with h5py.File(h5i.get_file_id(d).name.decode()) as f:
        data = f[h5i.get_name(d).decode()][...]
    found = []
    with open(os.path.join(HERE, h5i.get_file_id(d).name.decode()), "rb") as raw:
        for info in infos:
            raw.seek(info.byte_offset)
            stored = np.frombuffer(raw.read(info.size), d.dtype).reshape(chunk)
            places = []
            for at in itertools.product(*[range(0, n, c) for n, c in zip(d.shape, chunk)]):
                part = data[tuple(slice(a, a + c) for a, c in zip(at, chunk))]
                if np.array_equal(stored[tuple(slice(0, n) for n in part.shape)], part) and part.any():
                    places.append(list(at))
            if len(places) == 1:
                found.append([places[0], info.byte_offset, info.size, info.filter_mask])
    assert len({tuple(c[0]) for c in found}) == len(found) == len(infos)
    return sorted(found)


def describe(f):
    """Every object, by address."""
    objects, waiting = {}, [f.id]
    root = h5g.open(f.id, b"/")
    waiting = [root]
    while waiting:
        o = waiting.pop()
        address = h5o.get_info(o).addr
        if address in objects:
            continue
        out = objects[address] = {}
        names = [h5a.open(o, index=i).name for i in range(h5a.get_num_attrs(o))]
        out["attributes"] = [attribute(o, n) for n in sorted(names)]
        if isinstance(o, h5g.GroupID):
            out["kind"] = "group"
            plist = o.get_create_plist()
            ordered = bool(plist.get_link_creation_order() & h5p.CRT_ORDER_TRACKED)
            out["tracks_order"] = ordered
            index = h5.INDEX_CRT_ORDER if ordered else h5.INDEX_NAME
            found = []
            o.links.iterate(found.append, idx_type=index)
            out["links"] = []
            for n in found:
                info = o.links.get_info(n)
                if info.type == h5l.TYPE_HARD:
                    child = h5o.open(o, n)
                    out["links"].append([n.decode(), "hard", h5o.get_info(child).addr])
                    waiting.append(child)
                elif info.type == h5l.TYPE_SOFT:
                    out["links"].append([n.decode(), "soft", o.links.get_val(n).decode()])
                else:
                    out["links"].append([n.decode(), "external", [v.decode() for v in o.links.get_val(n)]])
        elif isinstance(o, h5d.DatasetID):
            out["kind"] = "dataset"
            out.update(dataset(o))
        else:
            out["kind"] = "type"
            out["type"] = datatype(o)
    return {"root": h5o.get_info(root).addr, "objects": objects}


from h5py import h5  # noqa: E402

make()
expected = {}
for path in sorted(glob.glob(os.path.join(HERE, "*.h5"))):
    with h5py.File(path) as f:
        expected[os.path.basename(path)] = describe(f)
with open(os.path.join(HERE, "expected.json"), "w") as out:
    json.dump(expected, out, separators=(",", ":"))
    out.write("\n")
