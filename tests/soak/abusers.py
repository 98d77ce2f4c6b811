"""Clients that mean no good, all at once, from addresses of their own on this machine, until their time is over.

    abusers.py PORT SECONDS

Prints one line of JSON: how many connections of each kind it made.
"""

import asyncio
import json
import random
import socket
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import files  # noqa: E402

LARGE = ("/opendap/packed.nc.dap", "/opendap/classic.nc.dods", "/files/classic.nc", "/opendap/packed.nc.ascii", "/opendap/joined.ncml.dap")
LONG = ("/opendap/packed.nc.dap?dap4.ce=" + ";".join(["/sst%5B0:2:5%5D%5B1%5D%5B0%5D"] * 1500), "/opendap/packed.nc.dods?" + "%5B" * 15_000, "/opendap/packed.nc.dmr?dap4.ce=" + "v%7B" * 12_000, "/" + "%2e%2e/" * 3000)
SMUGGLED = (
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "Content-Length: +3\r\n\r\nabc",
    "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
    "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "X-A: b\r\n c: folded\r\n\r\n",
    "X-Nul: \0\r\n\r\n",
)
counts = {}


async def connect(port, number, window=None):
    """From an address of the group's own; with a small window where nothing is to be read."""
    raw = socket.socket()
    raw.setblocking(False)
    if window:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    raw.bind((f"127.0.1.{number}", 0))
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    return await asyncio.open_connection(sock=raw)


def get(target):
    return f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode("latin-1")


async def slow_head(reader, writer, chance):
    writer.write(b"GET /opendap/packed.nc.dmr HTTP/1.1\r\nX-")
    for _ in range(chance.randint(5, 200)):
        await asyncio.sleep(0.2)
        writer.write(b"a")
        await writer.drain()


async def idle(reader, writer, chance):
    if chance.random() < 0.5:
        writer.write(get("/-/live"))
    await asyncio.sleep(chance.uniform(1, 60))


async def slow_reader(reader, writer, chance):
    writer.write(get(chance.choice(LARGE)))
    for _ in range(chance.randint(5, 400)):
        await asyncio.sleep(0.1)
        if not await reader.read(1):
            return


async def disconnecting(reader, writer, chance):
    writer.write(get(chance.choice(LARGE)))
    await reader.read(chance.choice((1, 1000, 100_000)))
    if chance.random() < 0.5:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await asyncio.sleep(chance.uniform(0, 0.3))


async def long_constraint(reader, writer, chance):
    writer.write(get(chance.choice(LONG)))
    await reader.read(100_000)
    await asyncio.sleep(0.2)


async def smuggling(reader, writer, chance):
    method = chance.choice(("GET", "POST", "TRACE", "CONNECT", "PUT", "BREW"))
    writer.write(f"{method} /opendap/packed.nc.dmr HTTP/1.1\r\nHost: h\r\n{chance.choice(SMUGGLED)}GET /-/live HTTP/1.1\r\nHost: h\r\n\r\n".encode("latin-1"))
    await reader.read(10_000)
    await asyncio.sleep(0.2)


async def half_body(reader, writer, chance):
    writer.write(b"POST /opendap/packed.nc.dap HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n" + b"a" * 100)
    await asyncio.sleep(chance.uniform(1, 20))


async def noise(reader, writer, chance):
    writer.write(chance.randbytes(chance.choice((1, 100, 100_000))))
    await writer.drain()
    await asyncio.sleep(0.3)


async def hostile_file(reader, writer, chance):
    suffix = chance.choice((".dmr", ".dap", ".dods", ".das", ".html", ".kerchunk.json", ".ncml"))
    writer.write(get(f"/opendap/bad{chance.randrange(files.DAMAGED):02}.nc{suffix}"))
    await reader.read(200_000)
    await asyncio.sleep(0.05)


# How many at a time, and the window.
CROWD = ((slow_head, 60, None), (idle, 200, None), (slow_reader, 60, 4096), (disconnecting, 12, None), (long_constraint, 4, None), (smuggling, 6, None), (half_body, 40, None), (noise, 6, None), (hostile_file, 6, None))


async def again(kind, number, window, port, over, seed):
    chance = random.Random(seed)
    while time.monotonic() < over:
        counts[kind.__name__] = counts.get(kind.__name__, 0) + 1
        writer = None
        try:
            reader, writer = await connect(port, number, window)
            await asyncio.wait_for(kind(reader, writer, chance), max(0.1, over - time.monotonic()))
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            # Being cut is what it came for.
            await asyncio.sleep(0.05)
        finally:
            if writer is not None:
                writer.transport.abort()


async def main(port, seconds):
    over = time.monotonic() + float(seconds)
    crowd = [(kind, number, window) for number, (kind, n, window) in enumerate(CROWD, 1) for _ in range(n)]
    await asyncio.gather(*(again(*one, int(port), over, seed) for seed, one in enumerate(crowd)))
    print(json.dumps(counts))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
