"""What a reader sees of one dataset, in a form that all readers share. Needs numpy alone: it runs in every client's venv.

A view is `{"attributes": {path: {name: value}}, "variables": {path: variable}}`. Paths are `a/b/v` without a leading
slash; the root group's attributes are under "". A variable is a dict of `dtype` (i1..u8, f2, f4, f8, char, str, vlen,
opaque, compound, or enum:i1 and so on), `dims` (names), `shape`, `attributes`, and `values`: a native numpy array for
numbers and chars; a flat list for strings (str), opaque (bytes) and vlen (arrays); for compounds a dict of dotted field
name to such a variable.
"""

import os
import pickle
import sys
import time
import traceback

import numpy as np


def code(dtype):
    """The short name of a numpy dtype: no byte order; `char` for S1."""
    dtype = np.dtype(dtype)
    if dtype.kind == "S" and dtype.itemsize == 1:
        return "char"
    if dtype.kind in "SUOT":
        return "str"
    return f"{dtype.kind}{dtype.itemsize}"


def native(array):
    array = np.asarray(array)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(array.shape)


def text(value):
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def attribute(value):
    """An attribute's value: a list of str, or a native one-dimensional numeric array."""
    if isinstance(value, (str, bytes)):
        return [text(value)]
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], (str, bytes)):
        return [text(v) for v in value]
    array = np.asarray(value)
    if array.dtype.kind in "SUO":
        return [text(v) for v in array.reshape(-1).tolist()]
    if array.dtype.kind in "Vc":
        return ["compound"]
    return native(array).reshape(-1)


def variable(dtype, dims, shape, attributes, values):
    return {
        "dtype": dtype,
        "dims": [str(d) for d in dims],
        "shape": [int(n) for n in shape],
        "attributes": {str(k): attribute(v) for k, v in attributes.items()},
        "values": values,
    }


def fields(array, prefix=""):
    """A structured array as a dict of dotted field name to (dtype, values)."""
    found = {}
    for name in array.dtype.names:
        part = array[name]
        if part.dtype.names:
            found.update(fields(part, f"{prefix}{name}."))
        elif part.dtype.kind == "S" and part.dtype.itemsize > 1:
            found[prefix + name] = ("str", [text(v) for v in part.reshape(-1).tolist()])
        else:
            found[prefix + name] = (code(part.dtype), native(part))
    return found


def serve(read):
    """The loop of a probe: one `output<TAB>arguments` per line on stdin; pickles what `read(*arguments)` gives."""
    for line in sys.stdin:
        output, *arguments = line.rstrip("\n").split("\t")
        started = time.monotonic()
        try:
            result = {"view": read(*arguments)}
        except Exception as problem:  # the harness records it as this client's answer
            result = {"error": f"{type(problem).__name__}: {problem}", "trace": traceback.format_exc()}
        result["seconds"] = time.monotonic() - started
        with open(output + ".part", "wb") as file:
            pickle.dump(result, file, protocol=4)
        os.replace(output + ".part", output)
        print("done", output, flush=True)
