"""Compares what a client saw with what it must see. Gives findings, `(variable, kind, detail)`; kind is one of
open, missing, extra, dtype, dims, shape, values, attribute, refused."""

import math
from urllib.parse import unquote

import numpy as np
from mapping import ADDED


def compare(expected, actual, lenient, refused=()):
    """`lenient`: the set of tolerances of this client, see the uses below. An expectation that is `partial` says what must
    be there, not what else may be."""
    findings = []
    if expected.get("partial"):
        lenient = lenient | {"extra-attributes"}
    actual = _renamed(actual, lenient)
    left_out = actual["attributes"].get("", {}).get("variables_left_out", ()) if "left-out" in lenient else ()
    left_out = {line.split(": ")[0].lstrip("/") for line in left_out}
    for path, want in expected["variables"].items():
        got = actual["variables"].get(path)
        if path in refused:
            if got is not None and "error" not in got and got["values"] is not None:
                findings.append((path, "refused", "data were served for a variable that must be refused"))
            continue
        if got is None and "printed" in lenient:
            continue  # what a tool prints is not parsed for every type
        if got is None and path in left_out:
            continue
        if got is None:
            findings.append((path, "missing", f"not seen; it is {want['dtype']}{want['shape']}"))
        else:
            findings += [(path, kind, detail) for kind, detail in _variable(want, got, lenient)]
    for path in actual["variables"] if not expected.get("partial") else ():
        if "printed" not in lenient and path not in expected["variables"] and path.split(".")[0] not in expected.get("unchecked", ()) and path not in refused and path not in expected.get("unchecked", ()):
            findings.append((path, "extra", "not in the file"))
    if "no-attributes" not in lenient:
        for path, attributes in expected["attributes"].items():
            got = actual["attributes"].get(path)
            if got is None:
                if "root-only" not in lenient:
                    findings.append((path or "/", "missing", "group not seen"))
            else:
                findings += [(path or "/", "attribute", detail) for detail in _attributes(attributes, got, lenient)]
    return findings


def _renamed(actual, lenient):
    """DAP2 clients show names as the DDS spells them."""
    if not lenient & {"dap2", "unquote"}:
        return actual
    variables = {}
    for path, variable in actual["variables"].items():
        variable = {**variable, "attributes": {unquote(k): v for k, v in variable["attributes"].items()}}
        variable["dims"] = [unquote(d) for d in variable["dims"]]
        variables[unquote(path)] = variable
    attributes = {path: {unquote(k): v for k, v in found.items()} for path, found in actual["attributes"].items()}
    return {"variables": variables, "attributes": attributes}


def _variable(want, got, lenient):
    kind, found = want["dtype"], got["dtype"]
    if found == "b1" and kind == "u1" and want["attributes"].get("dtype") is not None:
        # xarray follows the attribute, and keeps it for itself.
        found, got = kind, {**got, "values": got["values"].astype("u1") if got.get("values") is not None else None}
        want = {**want, "attributes": {k: v for k, v in want["attributes"].items() if k != "dtype"}}
    if "enum-base" in lenient and kind.startswith("enum:"):
        kind = kind[5:]
    if "enum-base" in lenient and found.startswith("enum:"):
        found = found[5:]
    shape, dims = list(got["shape"]), list(got["dims"])
    values = got.get("values")
    if kind == "str" and found == "char":
        if "text-as-chars" not in lenient:
            yield "dtype", f"{found} for {kind}"
            return
        if len(shape) == len(want["shape"]) + 1:
            width = shape.pop()
            dims = dims[:-1]
            values = _strings(values, width)
            limit = width
        else:
            values, limit = _strings(values, 1), 1
    else:
        limit = None
        if not _same_type(kind, found, lenient):
            yield "dtype", f"{found} for {kind}"
            return
    if shape != list(want["shape"]):
        yield "shape", f"{shape} for {list(want['shape'])}"
        return
    if "no-dims" not in lenient:
        for one, other in zip(want["dims"], dims):
            one, other = str(one).rsplit("/", 1)[-1], str(other).rsplit("/", 1)[-1]
            if one != other and "?" not in (one, other):
                yield "dims", f"{dims} for {want['dims']}"
                break
    if "no-attributes" not in lenient:
        for detail in _attributes(want["attributes"], got["attributes"], lenient):
            yield "attribute", detail
    if "error" in got:
        yield "values", got["error"]
    elif got.get("unparsed") or (0 in shape and values is None):
        return
    elif want["values"] is not None and "no-values" not in lenient:
        detail = _values(kind, want["values"], values, limit, lenient, want)
        if detail:
            yield "values", detail


def _same_type(kind, found, lenient):
    if kind == found:
        return True
    if "signs" in lenient and kind[0] in "iu" and found[0] in "iu" and kind[1:] == found[1:]:
        return True
    return "loose-types" in lenient and (kind == "str") == (found == "str")


def _strings(values, width):
    if values is None:
        return None
    raw = np.ascontiguousarray(values).tobytes()
    return [raw[i : i + width].rstrip(b"\0") for i in range(0, len(raw), width)] if width else []


def _values(kind, want, got, limit, lenient, variable):
    if got is None:
        return "no values"
    if kind == "compound":
        if set(want) != set(got):
            return f"members {sorted(got)} for {sorted(want)}"
        for name, (member, values) in want.items():
            detail = _values(member, values, got[name][1], None, lenient, variable)
            if detail:
                return f"{name}: {detail}"
        return None
    if kind == "str":
        one = [_cut(v, limit) for v in want]
        other = [_cut(v, limit) for v in got]
        return _first_difference(one, other)
    if kind in ("vlen", "opaque"):
        if len(want) != len(got):
            return f"{len(got)} items for {len(want)}"
        for index, (a, b) in enumerate(zip(want, got)):
            if not np.array_equal(np.asarray(a), np.asarray(b)):
                return f"item {index}: {b!r} for {a!r}"
        return None
    one, other = np.asarray(want), np.asarray(got)
    if one.size != other.size:
        return f"{other.size} values for {one.size}"
    one, other = one.reshape(-1), other.reshape(-1)
    if one.dtype.kind in "iu" and other.dtype.kind in "iu" and one.dtype != other.dtype and one.itemsize == other.itemsize:
        other = other.view(one.dtype)
    if "approximate" in lenient and one.dtype.kind == "f":
        same = np.isclose(one, other.astype(one.dtype), rtol=2e-5, atol=1e-12, equal_nan=True)
    elif one.dtype.kind == "f":
        same = (one == other) | (np.isnan(one) & np.isnan(other))
    else:
        same = one == other
    if np.all(same):
        return None
    wrong = np.flatnonzero(~np.asarray(same))
    first = int(wrong[0])
    return f"{wrong.size} of {one.size} values differ, first at {first}: {other[first]!r} for {one[first]!r}"


def _cut(value, limit):
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)
    return (raw[:limit] if limit is not None else raw).rstrip(b"\0")


def _first_difference(one, other):
    if len(one) != len(other):
        return f"{len(other)} values for {len(one)}"
    for index, (a, b) in enumerate(zip(one, other)):
        if a != b:
            return f"item {index}: {b[:60]!r} for {a[:60]!r}"
    return None


def _attributes(want, got, lenient):
    for name, value in want.items():
        if name not in got and not (isinstance(value, list) and value == ["compound"]):
            yield f"{name}: not seen"
        elif name in got:
            detail = _attribute(value, got[name], lenient)
            if detail:
                yield f"{name}: {detail}"
    if "extra-attributes" not in lenient:
        for name in got:
            if name not in want and not name.startswith(ADDED):
                yield f"{name}: not in the file"


def _attribute(want, got, lenient):
    if isinstance(want, list) and want == ["compound"]:
        return None  # shown as text or left out
    texts = isinstance(want, list), isinstance(got, list)
    if texts == (True, True):
        one, other = want, got
        if len(want) != len(got) and "lists" in lenient:
            # netCDF-C joins the strings of a list, over DAP2 by newlines.
            one, other = (["".join(want)], [got[0].replace("\n", "")]) if "".join(want) == "".join(got).replace("\n", "") else (want, got)
        one, other = [[t.rstrip("\0") for t in part] for part in (one, other)]
        return None if one == other else f"{_short(got)} for {_short(want)}"
    if texts == (False, True) and "enum-names" not in lenient:
        # A 64-bit number as text.
        same = "dap2" in lenient and [str(v) for v in np.asarray(want).tolist()] == "\n".join(got).split("\n")
        return None if same else f"text {_short(got)} for {_short(want)}"
    if texts == (False, True) and "enum-names" in lenient:
        return None
    if texts == (True, False):
        return f"{_short(got)} for text {_short(want)}"
    one, other = np.asarray(want).reshape(-1), np.asarray(got).reshape(-1)
    if one.size != other.size:
        return f"{other.size} values for {one.size}"
    if "attribute-types" in lenient and one.dtype != other.dtype and (one.dtype, other.dtype) != (np.float32, np.float64):
        return f"type {other.dtype} for {one.dtype}"
    return None if all(_same_number(a, b, one.dtype) for a, b in zip(one.tolist(), other.tolist())) else f"{_short(got)} for {_short(want)}"


def _same_number(one, other, dtype):
    if isinstance(one, float) or isinstance(other, float):
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        if dtype == np.float32:
            return np.float32(one) == np.float32(other)
        return one == other
    return one == other or (one - other) % (1 << (8 * dtype.itemsize)) == 0


def _short(value):
    text = repr(value if isinstance(value, list) else np.asarray(value).tolist())
    return text if len(text) < 90 else text[:87] + "..."
