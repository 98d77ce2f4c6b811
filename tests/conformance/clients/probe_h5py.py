"""h5py as the oracle for what netCDF-C refuses. Dimension names follow netCDF-C's rules, written anew here:
a scale names its dimension; axes without scales share `phony_dim_N` by length within one group, numbered by
dimension ids over the whole file; a group that has several names is seen once, a dataset under each of its names; soft links are
followed. Axes of variables whose type netCDF-C does not know take part in no numbering: any name will do.
"""

import h5py
import hdf5plugin  # registers its filters
import numpy as np
import view

assert hdf5plugin

HIDDEN = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict", "_NCProperties", "DIMENSION_LABELS", "_FillValue_"}


def read(path):
    with h5py.File(path, "r") as data:
        reader = Reader()
        reader.group(data, "")
        reader.name_dimensions()
        return reader.found


class Reader:
    def __init__(self):
        self.found = {"attributes": {}, "variables": {}}
        self.seen = set()
        self.unnamed = []
        self.scales = {}
        self.children = {}
        self.dimensions = 0

    def group(self, group, path):
        self.seen.add(_identity(group))
        self.found["attributes"][path.rstrip("/")] = _attributes(group)
        children = []
        for name in _order(group):
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                continue
            item = group.get(name)
            if isinstance(item, h5py.Group):
                children.append((name, item))
            elif isinstance(item, h5py.Dataset):
                self._dataset(item, path, name)
        for name, item in children:
            if _identity(item) not in self.seen:
                self.children.setdefault(path, []).append(f"{path}{name}/")
                self.group(item, f"{path}{name}/")

    def _dataset(self, item, path, name):
        if item.attrs.get("CLASS") == b"DIMENSION_SCALE":
            self.scales[_identity(item)] = name
            self.dimensions += 1
            if view.text(item.attrs.get("NAME", "")).startswith("This is a netCDF dimension but not a netCDF variable"):
                return
        kind, extra, values = _values(item)
        shape = (0,) if item.shape is None else item.shape + extra  # a null dataspace holds no element
        made = view.variable(kind, ["?"] * len(shape), shape, {}, values)
        made["attributes"] = _attributes(item)
        made["boolean"] = item.dtype == bool
        self.found["variables"][path + name] = made
        self.unnamed.append((path, item, made))

    def name_dimensions(self):
        """netCDF-C numbers phony dimensions once the whole file is read: a group's children before its own variables."""
        groups = {}
        number = self.dimensions
        for path, item, made in self._children_first(""):
            known = groups.setdefault(path, [])
            used = []
            for axis, size in enumerate(item.shape or ()):
                scales = item.dims[axis].values() if "DIMENSION_LIST" in item.attrs else []
                if scales:
                    made["dims"][axis] = self.scales[_identity(scales[0])]
                    continue
                if _identity(item) in self.scales:
                    made["dims"][axis] = self.scales[_identity(item)]
                    continue
                if not _known_to_netcdf_c(item):
                    continue
                unlimited = item.maxshape[axis] is None
                for candidate in known:
                    if candidate[1:] == (size, unlimited) and candidate not in used:
                        break
                else:
                    candidate = (f"phony_dim_{number}", size, unlimited)
                    number += 1
                    known.append(candidate)
                used.append(candidate)
                made["dims"][axis] = candidate[0]

    def _children_first(self, path):
        for child in self.children.get(path, []):
            yield from self._children_first(child)
        yield from (entry for entry in self.unnamed if entry[0] == path)


def _known_to_netcdf_c(item):
    kind = item.id.get_type().get_class()
    if kind == h5py.h5t.COMPOUND and any(h5py.check_enum_dtype(item.dtype[n]) for n in item.dtype.names or ()):
        return False
    return kind not in (h5py.h5t.BITFIELD, h5py.h5t.REFERENCE, h5py.h5t.ARRAY) and item.dtype.base.newbyteorder("=") != np.float16


def _order(group):
    created = group.id.get_create_plist().get_link_creation_order() if group.name != "/" else 0
    return list(group) if created else sorted(group)


def _identity(item):
    info = h5py.h5o.get_info(item.id)
    return (info.fileno, info.addr if hasattr(info, "addr") else bytes(info.token))


def _attributes(item):
    kept = {}
    for name in item.attrs:
        if name in HIDDEN:
            continue
        try:
            value = item.attrs[name]
        except Exception:  # no numpy form
            continue
        if isinstance(value, h5py.Empty):
            value = np.empty(0, value.dtype)
        if isinstance(value, (h5py.Reference, h5py.RegionReference)):
            continue
        kept[name] = view.attribute(value)
    return kept


def _values(item):
    """(dtype, extra axes of an array type, values)."""
    dtype = item.dtype
    try:
        raw = item[()] if item.shape is not None else np.zeros((), dtype)
    except OSError:  # one of those that must be refused
        raw = np.zeros(item.shape, dtype)
    if item.shape is None:
        return view.code(dtype), (), None
    if h5py.check_ref_dtype(dtype):
        return "str", (), [item.file[r].name for r in np.asarray(raw, object).reshape(-1)]
    enum = h5py.check_enum_dtype(dtype)
    if enum or dtype == bool:
        return "enum:" + ("i1" if dtype == bool else view.code(dtype)), (), view.native(np.asarray(raw).astype("i1") if dtype == bool else raw)
    string = h5py.check_string_dtype(dtype)
    if string:
        flat = np.asarray(raw, object).reshape(-1) if item.shape else [raw]
        stored = item.id.get_type()
        pad = b" " if not stored.is_variable_str() and stored.get_strpad() == h5py.h5t.STR_SPACEPAD else b"\0"
        return "str", (), [view.text(v.split(b"\0")[0].rstrip(pad) if isinstance(v, bytes) else v) for v in flat]
    if h5py.check_vlen_dtype(dtype):
        return "vlen", (), [view.native(v) for v in np.asarray(raw, object).reshape(-1)]
    if dtype.kind == "c":
        pair = np.asarray(raw)
        return "compound", (), {"r": (view.code(pair.real.dtype), view.native(pair.real)), "i": (view.code(pair.imag.dtype), view.native(pair.imag))}
    if dtype.names:
        return "compound", (), view.fields(np.asarray(raw))
    if item.id.get_type().get_class() == h5py.h5t.ARRAY:
        raw = np.asarray(raw)
        return view.code(raw.dtype), raw.shape[len(item.shape) :], view.native(raw)
    if dtype.kind == "V":
        width = dtype.itemsize
        blob = np.ascontiguousarray(raw).tobytes()
        return "opaque", (), [blob[i : i + width] for i in range(0, len(blob), width)]
    raw = np.asarray(raw)
    return view.code(dtype.base), raw.shape[len(item.shape):], view.native(raw)


if __name__ == "__main__":
    view.serve(read)
