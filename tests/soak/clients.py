"""One client of a soak: asks for parts of what is served until its time is over, and compares every value with the file.

    clients.py KIND URL FOLDER SECONDS SEED

Prints one line of JSON: how many answers it had, how many bytes of values it compared, and what was wrong.
"""

import json
import random
import struct
import subprocess
import sys
import time
import urllib.request
import warnings
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import files  # noqa: E402

warnings.simplefilter("ignore")
DATA = files.values()


def part(chance):
    """A part of each axis, or all of it, first and last included; its values."""
    axes = []
    for size in files.SHAPE:
        first = chance.randrange(size)
        some = (first, chance.choice((1, 1, 2, 5)), chance.randint(first, size - 1))
        axes.append((0, 1, size - 1) if chance.random() < 0.2 else some)
    return axes, DATA[tuple(slice(a, c + 1, b) for a, b, c in axes)]


def fetch(url, **headers):
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read()


def dap4(url, folder, chance):
    """DAP4 taken apart by hand: chunks, checksum, every byte."""
    axes, expected = part(chance)
    brackets = "".join(f"%5B{a}:{b}:{c}%5D" for a, b, c in axes)
    body = fetch(f"{url}/opendap/{chance.choice(files.NAMES)}.dap?dap4.ce=/sst{brackets}&dap4.checksum=true")
    payloads, at, flags = [], 0, 0
    while not flags & 1:
        flags, length = body[at], int.from_bytes(body[at + 1 : at + 4], "big")
        if flags & 2:
            raise ValueError(body[at + 4 :])
        payloads.append(body[at + 4 : at + 4 + length])
        at += 4 + length
    data = b"".join(payloads[1:])
    want = expected.astype("<f4").tobytes()
    same = data[:-4] == want and data[-4:] == struct.pack("<I", zlib.crc32(want))
    return same and at == len(body), expected.nbytes


def dap2(url, folder, chance):
    """DAP2's XDR, every byte."""
    axes, expected = part(chance)
    brackets = "".join(f"[{a}:{b}:{c}]" for a, b, c in axes)
    name = chance.choice(files.NAMES)
    # The array of a Grid alone, where it is one.
    variable = "sst" if name == "blocks.zarr" else "sst.sst"
    body = fetch(f"{url}/opendap/{name}.dods?{variable}{brackets}")
    xdr = body.split(b"\nData:\n", 1)[1]
    count = struct.pack(">I", expected.size)
    return xdr == count + count + expected.astype(">f4").tobytes(), expected.nbytes


def joined(url, folder, chance):
    """Two files as one dataset."""
    axes, expected = part(chance)
    brackets = "".join(f"%5B{a}:{b}:{c}%5D" for a, b, c in axes)
    body = fetch(f"{url}/opendap/joined.ncml.dods?sst.sst{brackets}")
    return body.split(b"\nData:\n", 1)[1][8:] == expected.astype(">f4").tobytes(), expected.nbytes


def curl(url, folder, chance):
    """Files, and parts of files."""
    name = chance.choice(files.NAMES[:3])
    whole = (folder / name).read_bytes()
    first = chance.randrange(len(whole))
    last = chance.randint(first, len(whole) - 1)
    asked = ["-r", f"{first}-{last}"] if chance.random() < 0.7 else []
    done = subprocess.run(["curl", "-sS", "-f", *asked, f"{url}/files/{name}"], capture_output=True, timeout=60, check=True)
    return done.stdout == (whole[first : last + 1] if asked else whole), len(done.stdout)


def ncdump(url, folder, chance):
    """What ncdump prints of the served file and of the local one, below the name."""

    def printed(what):
        done = subprocess.run(["ncdump", "-v", "lat,lon,time", what], capture_output=True, timeout=60, check=True)
        return done.stdout.split(b"\n", 1)[1]

    name = chance.choice(("classic.nc", "records.nc"))
    mine, theirs = printed(f"{url}/opendap/{name}"), printed(str(folder / name))
    # DAP knows no unlimited dimensions, and DAP2's limits are said.
    data = [text.split(b"data:\n", 1)[1] for text in (mine, theirs)]
    return data[0] == data[1], len(mine)


def netcdf4(url, folder, chance):
    """netCDF4-python, by DAP2 or DAP4."""
    import netCDF4

    mode = chance.choice(("", "#mode=dap4"))
    axes, expected = part(chance)
    with netCDF4.Dataset(f"{url}/opendap/{chance.choice(files.NAMES[:3])}{mode}") as remote:
        remote.set_auto_mask(False)
        found = remote["sst"][tuple(slice(a, c + 1, b) for a, b, c in axes)]
    return np.array_equal(found, expected), expected.nbytes


def xarray(url, folder, chance):
    """xarray over netCDF-C, and over the Zarr view."""
    import xarray

    axes, expected = part(chance)
    name = chance.choice(files.NAMES[:3])
    if chance.random() < 0.5:
        opened = xarray.open_dataset(f"{url}/opendap/{name}", mask_and_scale=False, decode_times=False)
    else:
        opened = xarray.open_zarr(f"{url}/zarr/{name}", mask_and_scale=False, decode_times=False, chunks=None)
    with opened as remote:
        found = remote["sst"][tuple(slice(a, c + 1, b) for a, b, c in axes)].values
    return np.array_equal(found, expected), expected.nbytes


def pydap(url, folder, chance):
    """pydap, by DAP2 and DAP4."""
    from pydap.client import open_url

    axes, expected = part(chance)
    protocol = chance.choice(("dap2", "dap4"))
    remote = open_url(f"{url}/opendap/{chance.choice(files.NAMES[:3])}", protocol=protocol)
    found = remote["sst"][tuple(slice(a, c + 1, b) for a, b, c in axes)]
    # Once: pydap lets go of what it has given out.
    found = np.asarray(found.array.data if hasattr(found, "array") else found.data)
    if found.shape != expected.shape:
        raise ValueError(f"{protocol}, {axes}: shape {found.shape}")
    return np.array_equal(found, expected), expected.nbytes


def pages(url, folder, chance):
    """What people and machines look at; it must be there and quick."""
    target = chance.choice(("/", "/catalog/catalog.xml", "/opendap/packed.nc.html", "/opendap/packed.nc.dmr", "/-/ready", "/-/live", "/opendap/joined.ncml.das"))
    begin = time.monotonic()
    body = fetch(f"{url}{target}")
    took = time.monotonic() - begin
    if took >= 5:
        raise TimeoutError(f"{target} took {took:.1f} s")
    return len(body) > 4, 0


KINDS = (dap4, dap2, joined, curl, ncdump, netcdf4, xarray, pydap, pages)


def main(kind, url, folder, seconds, seed):
    ask = next(known for known in KINDS if known.__name__ == kind)
    chance, over = random.Random(int(seed)), time.monotonic() + float(seconds)
    answers = compared = 0
    wrong = []
    while time.monotonic() < over and len(wrong) < 20:
        try:
            same, length = ask(url, Path(folder), chance)
            answers += 1
            compared += length
            if not same:
                wrong.append("other values than in the file")
        except Exception as e:  # whatever a client library throws is a failure
            detail = getattr(e, "stderr", b"") or b""
            wrong.append(f"{type(e).__name__}: {e} {detail[-300:]!r}"[:600])
        time.sleep(0.01)
    print(json.dumps({"kind": kind, "answers": answers, "compared": compared, "wrong": wrong}))


if __name__ == "__main__":
    main(*sys.argv[1:])
