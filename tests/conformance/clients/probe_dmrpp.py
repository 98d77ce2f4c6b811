"""A reader of DMR++ documents that knows nothing of this server: XML, byte ranges, zlib and numpy. Argument: URL.

What it sees are the variables of the document. Chunks are fetched from where the document says they are.
"""

import base64
import urllib.request
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import view

DAP = "{http://xml.opendap.org/ns/DAP/4.0#}"
DMRPP = "{http://xml.opendap.org/dap/dmrpp/1.0.0#}"
TYPES = {"Float32": "f4", "Float64": "f8", "Char": "S1"}
TYPES.update({f"{sign}Int{8 * n}": f"{'u' if sign else 'i'}{n}" for sign in ("", "U") for n in (1, 2, 4, 8)})


def read(url):
    root = ElementTree.fromstring(_fetch(url))
    found = {"attributes": {}, "variables": {}}
    _group(root, "", root, found)
    return found


def _fetch(url, start=None, count=None):
    headers = {} if start is None else {"Range": f"bytes={start}-{start + count - 1}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        data = answer.read()
        if start is not None and (answer.status != 206 or len(data) != count):
            raise ValueError(f"{answer.status} with {len(data)} bytes for a range of {count} of {url}")
        return data


def _group(element, path, root, found):
    found["attributes"][path] = {k: v for k, v in _attributes(element).items() if k != "_DAP4_Little_Endian"}
    for child in element:
        name = child.get("name")
        full = f"{path}/{name}" if path else name
        tag = child.tag.removeprefix(DAP)
        if tag == "Group":
            _group(child, full, root, found)
        elif tag in TYPES or tag == "Enum" or tag == "String":
            found["variables"][full] = _variable(child, tag, root)


def _attributes(element):
    found = {}
    for attribute in element.findall(f"{DAP}Attribute"):
        values = [value.text or "" for value in attribute.findall(f"{DAP}Value")]
        kind = attribute.get("type")
        found[attribute.get("name")] = np.array(values, TYPES[kind]) if kind in TYPES else values
    return found


def _variable(element, tag, root):
    dims, shape = [], []
    for dim in element.findall(f"{DAP}Dim"):
        if dim.get("name"):
            dims.append(dim.get("name").rsplit("/", 1)[1])
            shape.append(_size(dim.get("name"), root))
        else:
            dims.append("?")
            shape.append(int(dim.get("size")))
    kind = _base(element.get("enum"), root) if tag == "Enum" else tag
    compact = element.find(f"{DMRPP}compact")
    chunks = element.find(f"{DMRPP}chunks")
    if tag == "String":
        values, code = [base64.b64decode(compact.text or "").decode()], "str"
    else:
        dtype = np.dtype(TYPES[kind])
        code = view.code(dtype)
        if compact is not None:
            values = np.frombuffer(base64.b64decode(compact.text or ""), dtype.newbyteorder("<")).reshape(shape)
        else:
            values = _chunks(chunks, dtype, shape, root.get(f"{DMRPP}href"))
        values = view.native(values)
    return view.variable(code, dims, shape, _attributes(element), values)


def _size(name, root):
    *groups, last = name.strip("/").replace("\\.", ".").split("/")
    for group in groups:
        root = next(g for g in root.findall(f"{DAP}Group") if g.get("name") == group)
    return int(next(d for d in root.findall(f"{DAP}Dimension") if d.get("name") == last).get("size"))


def _base(name, root):
    *groups, last = name.strip("/").split("/")
    for group in groups:
        root = next(g for g in root.findall(f"{DAP}Group") if g.get("name") == group)
    return next(e for e in root.findall(f"{DAP}Enumeration") if e.get("name") == last).get("basetype")


def _chunks(chunks, dtype, shape, href):
    stored = dtype.newbyteorder({"LE": "<", "BE": ">"}[chunks.get("byteOrder")])
    sizes = chunks.findtext(f"{DMRPP}chunkDimensionSizes")
    inner = [int(n) for n in sizes.split()] if sizes is not None else list(shape)
    fill = chunks.get("fillValue")
    if fill is not None and dtype.kind == "S":
        fill = bytes([int(fill)])
    # Without a fill value every element must be in some chunk.
    values, written = np.zeros(shape, dtype), np.zeros(shape, bool)
    if fill is not None:
        values[...], written[...] = (fill if dtype.kind == "S" else np.array([fill]).astype(dtype)[0]), True
    for chunk in chunks.findall(f"{DMRPP}chunk"):
        data = _fetch(chunk.get("href", href), int(chunk.get("offset")), int(chunk.get("nBytes")))
        for stage in reversed((chunks.get("compressionType") or "").split()):
            if stage == "deflate":
                data = zlib.decompress(data)
            elif stage == "fletcher32":
                data = data[:-4]
            elif stage == "shuffle":
                data = np.frombuffer(data, "u1").reshape(dtype.itemsize, -1).T.tobytes()
            else:
                raise ValueError(f"unknown compression {stage}")
        start = [int(n) for n in (chunk.get("chunkPositionInArray") or "[]").strip("[]").split(",") if n] or [0] * len(shape)
        block = np.frombuffer(data, stored).reshape(inner)
        place = tuple(slice(s, min(s + c, n)) for s, c, n in zip(start, inner, shape))
        values[place] = block[tuple(slice(0, p.stop - p.start) for p in place)]
        written[place] = True
    if not written.all():
        raise ValueError("some elements are in no chunk, and there is no fill value")
    return values


if __name__ == "__main__":
    view.serve(read)
