"""The servers that ours is compared with, each run as its own documentation has it, with one worker for each of two cores.

nginx is Debian's; pydap, xpublish with its OpenDAP plugin, gunicorn and uvicorn are of scripts/requirements-peers.txt.
"""

import os
import shutil
import tempfile
from pathlib import Path

from measure import PEERS, SCRATCH, Process, free_port

WORKERS = 2

NGINX = """
{user}daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes {workers};
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {root};
        autoindex on;
    }}
}}
"""

XPUBLISH = """
import sys, pathlib, xarray, xpublish
from xpublish_opendap import OpenDapPlugin

def opened(path):
    engine = "zarr" if path.is_dir() else "netcdf4"
    return xarray.open_dataset(path, engine=engine, chunks={{}}, mask_and_scale=False, decode_times=False)

served = [path for path in map(pathlib.Path, {paths!r})]
rest = xpublish.Rest({{path.name: opened(path) for path in served}}, plugins={{"opendap": OpenDapPlugin()}})
app = rest.app
"""


# pydap's netCDF handler gives each block that it reads the shape of the whole variable, and so fails on whatever is larger
# than one block or smaller than the variable. Without that it answers; nothing else is changed.
PYDAP = """
import netCDF4, numpy
from pydap.handlers import netcdf_handler
from pydap.wsgi.app import main

def read(self, key):
    with netCDF4.Dataset(self.filepath) as source:
        source.set_auto_scale(False)
        return numpy.asarray(source[self.path][key]).astype(self.dtype)

netcdf_handler.LazyVariable.__getitem__ = read
main()
"""


class Nginx(Process):
    """nginx over a folder of files: sendfile, one access log line for each request, listings of folders."""

    def __init__(self, root):
        self.folder = tempfile.TemporaryDirectory(dir=SCRATCH, prefix="nginx-")
        folder, port = Path(self.folder.name), free_port()
        # Its workers are nobody's by default, who may not read what only we may.
        user = "user root;\n" if os.geteuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(NGINX.format(user=user, folder=folder, workers=WORKERS, port=port, root=root))
        # Debian keeps it where only root looks.
        command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", folder, "-c", configuration, "-e", folder / "error.log"]
        super().__init__(command, port=port)

    def stop(self):
        super().stop()
        self.folder.cleanup()


class Pydap(Process):
    """pydap's own server (gunicorn) over a folder, mended as above."""

    def __init__(self, root):
        port = free_port()
        mended = SCRATCH / "pydap_app.py"
        mended.write_text(PYDAP)
        super().__init__([PEERS / "python", mended, "--data", root, "--port", port, "--workers", WORKERS], port=port)

    def dap2(self, name, query):
        return f"{self.url}/{name}.dods?{query}"


class Xpublish(Process):
    """xpublish under uvicorn; datasets are opened when it starts."""

    def __init__(self, *paths):
        port = free_port()
        module = SCRATCH / "xpublish_app.py"
        module.write_text(XPUBLISH.format(paths=[str(path) for path in paths]))
        command = [PEERS / "uvicorn", "--app-dir", SCRATCH, "--port", port, "--workers", WORKERS, "--log-level", "info", "xpublish_app:app"]
        # The port is open before the workers are ready.
        super().__init__(command, ready=r"(http://127\.0\.0\.1:\d+)(?:(?s:.*)Application startup complete){2}")

    def dap2(self, name, query):
        return f"{self.url}/datasets/{name}/opendap.dods?{query}"
