"""xarray's Zarr engine as a client. Arguments: URL, form. Nothing is decoded, so that storage is compared.

Forms: `2` and `3` are the versions of Zarr over HTTP, with consolidated metadata; `kerchunk` is a document of references,
read by fsspec's reference file system. Every chunk is one request: a reader of its own counts them.
"""

import math
import re
import warnings

import fsspec
import numpy as np
import view
import xarray
import zarr
from probe_xarray import _variable

warnings.simplefilter("ignore")

UNDECODED = {"mask_and_scale": False, "decode_times": False, "decode_timedelta": False, "concat_characters": False, "decode_coords": False}


class Counting(zarr.storage.WrapperStore):
    """Counts what is asked of a store, by key."""

    def __init__(self, store):
        super().__init__(store)
        self.asked = {}

    def _with_store(self, store):
        made = Counting(store)
        made.asked = self.asked
        return made

    async def get(self, key, prototype, byte_range=None):
        self.asked[key] = self.asked.get(key, 0) + 1
        return await self._store.get(key, prototype, byte_range)


def read(url, form):
    found = {"attributes": {}, "variables": {}}
    if form == "kerchunk":
        files = fsspec.filesystem(
            "reference", fo=url, remote_protocol="http", asynchronous=True, remote_options={"asynchronous": True}, skip_instance_cache=True
        )
        store, options = zarr.storage.FsspecStore(files, read_only=True, path=""), {"zarr_format": 2, "consolidated": True}
    else:
        files = fsspec.filesystem("http", asynchronous=True, skip_instance_cache=True)
        store, options = zarr.storage.FsspecStore(files, read_only=True, path=url), {"zarr_format": int(form), "consolidated": True}
    store = Counting(store)
    groups = xarray.open_groups(store, engine="zarr", chunks=None, **UNDECODED, **options)
    expected = 0
    for path, group in groups.items():
        prefix = path.strip("/")
        found["attributes"][prefix] = {k: view.attribute(v) for k, v in _typed(group.attrs).items()}
        for name, variable in group.variables.items():
            variable.attrs = _typed(variable.attrs)
            found["variables"][f"{prefix}/{name}" if prefix else str(name)] = _variable(variable)
            chunks = variable.encoding["chunks"]
            expected += math.prod(-(-n // c) for n, c in zip(variable.shape, chunks))
    # Coordinates are read while the dataset is opened.
    asked = {key: count for key, count in store.asked.items() if re.search(r"(^|/)([0-9.]+|c(/[0-9]+)*)$", key)}
    twice = [key for key, count in asked.items() if count > 1]
    # References leave out chunks that were never written: nobody asks for those.
    if twice or len(asked) > expected or (form != "kerchunk" and len(asked) != expected):
        raise AssertionError(f"{len(asked)} chunks were asked for, of {expected}; more than once: {twice[:3]}")
    return found


def _typed(attributes):
    """JSON knows no type of numbers: what is larger than any signed one is unsigned."""
    return {k: np.array(v, "u8") if isinstance(v, list) and any(isinstance(n, int) and n > 2**63 - 1 for n in v) else v for k, v in attributes.items()}


if __name__ == "__main__":
    view.serve(read)
