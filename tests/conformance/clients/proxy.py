"""The server behind nginx, with a path prefix and TLS, as docs/serving.md has it.

    proxy.py [--server BINARY]

The nginx recipe is taken out of the documentation and run as it stands, but for ports, host and certificate; a second
copy without TLS is for clients that would not believe a certificate made here. Checked: every link of every document
(pages, catalogs, service lists, JSON, chunk references) stays below the address that the client used, and leads
somewhere; raw brackets pass; ncdump, xarray and siphon read; what clients or strangers say in forwarding headers is not
believed; metrics stay inside. Once with `trusted_proxies`, once with `public_url`.
"""

import argparse
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from html import unescape
from pathlib import Path
from urllib.parse import urldefrag, urljoin, urlsplit

import numpy as np
import siphon.catalog
import xarray

ROOT = Path(__file__).resolve().parents[3]
RECIPE = ROOT / "docs" / "serving.md"
HOST = "data.example.org"
PREFIX = "/thalweg"
# The proxy comes from an address of its own, so that everybody else is a stranger.
PROXY_ADDRESS = "127.0.0.2"
ODD = "a folder/name with [1] & é.nc"
# Addresses that name something rather than lead there.
NAMES = re.compile(
    r"https?://(www\.w3\.org|([a-z]+\.)*opendap\.org|www\.unidata\.ucar\.edu|([a-z]+\.)?schema\.org|cfconventions\.org"
    r"|([a-z.]*\.)?sitemaps\.org|www\.iana\.org|json-schema\.org|spdx\.org|creativecommons\.org"
    # An attribute of the data.
    r"|www\.cgd\.ucar\.edu)(/|$)"
)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, what):
    for _ in range(200):
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"{what} does not listen")


class Nginx:
    """nginx with the recipe of the documentation, in `folder`."""

    def __init__(self, folder, upstream):
        self.tls, self.plain = free_port(), free_port()
        self.certificate = folder / "certificate.pem"
        key = folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
             "-addext", f"subjectAltName=DNS:{HOST},DNS:localhost", "-keyout", key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        text = RECIPE.read_text()
        (recipe,) = re.findall(r"^```nginx\n(.*?)^```$", text, re.M | re.S)

        def replaced(text, old, new):
            assert old in text, f"the recipe has no {old!r}"
            return text.replace(old, new)

        recipe = replaced(recipe, "127.0.0.1:8080", f"127.0.0.1:{upstream}")
        recipe = replaced(recipe, "proxy_http_version", f"proxy_bind {PROXY_ADDRESS};\n        proxy_http_version")
        plain = replaced(recipe, "listen 443 ssl;", f"listen 127.0.0.1:{self.plain};")
        plain = re.sub(r".*ssl_certificate.*\n", "", plain)
        secure = replaced(recipe, "listen 443 ssl;", f"listen 127.0.0.1:{self.tls} ssl;")
        secure = re.sub(r"(ssl_certificate +).*;", rf"\1{self.certificate};", secure)
        secure = re.sub(r"(ssl_certificate_key +).*;", rf"\1{key};", secure)
        temporary = "\n".join(
            f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"{user}daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nworker_processes 1;\nevents {{}}\n"
            f"http {{\n    access_log off;\n{temporary}\n{secure}\n{plain}}}\n"
        )
        # Debian keeps it where only root looks.
        command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")]
        self.process = subprocess.Popen(command)
        wait_for(self.tls, self.process, "nginx")
        self.log = folder / "error.log"

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


class Thalweg:
    """The server with settings given as text."""

    def __init__(self, binary, folder, port, settings):
        file = folder / "thalweg.toml"
        file.write_text(f'listen = "127.0.0.1:{port}"\nroots = ["{folder / "data"}"]\n{settings}\n')
        self.process = subprocess.Popen([binary, "serve", "--config", file], stderr=subprocess.DEVNULL)
        wait_for(port, self.process, "the server")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=40)


class Session:
    """Requests to one address, whose host leads to this machine."""

    def __init__(self, base, port, certificate=None):
        self.base, self.port, self.certificate = base, port, certificate

    def get(self, url, headers=None, method="GET"):
        """Status, headers and body; `url` is sent as it is."""
        parts = urlsplit(url)
        target = url[len(f"{parts.scheme}://{parts.netloc}") :] or "/"
        if self.certificate:
            context = ssl.create_default_context(cafile=str(self.certificate))
            context.check_hostname = False
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as plain:
                with context.wrap_socket(plain, server_hostname=HOST) as stream:
                    return self.exchange(stream, method, target, parts.netloc, headers or {})
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as stream:
            return self.exchange(stream, method, target, parts.netloc, headers or {})

    @staticmethod
    def exchange(stream, method, target, host, headers):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"))
        response = http.client.HTTPResponse(stream, method=method)
        response.begin()
        return response.status, dict((k.lower(), v) for k, v in response.getheaders()), response.read()


class Checks:
    def __init__(self):
        self.count, self.wrong = 0, []

    def that(self, holds, what):
        self.count += 1
        if not holds:
            self.wrong.append(what)


LINKS = [
    re.compile(r"""\s(?:href|src|action|xlink:href|dmrpp:href|base|url)=["']([^"']*)["']"""),
    re.compile(r"<loc>([^<]*)</loc>"),
]


def links_of(url, media_type, text):
    """Where a document leads, as whole addresses."""
    found = set()
    if "json" in media_type:
        strings = re.findall(r'"((?:https?://|\.{0,2}/)[^"\s]*)"', text)
        found.update(urljoin(url, json.loads(f'"{s}"')) for s in strings if "\\" not in s and s.startswith("http"))
    else:
        for pattern in LINKS:
            found.update(urljoin(url, unescape(link)) for link in pattern.findall(text) if link)
    # Whatever else looks like an address: in snippets, in attributes.
    found.update(unescape(link) for link in re.findall(r"""https?://[^\s"'<>\\)]+""", unescape(text)))
    return {urldefrag(link).url for link in found}


def crawl(session, inner, checks):
    """Every document that can be reached, and that all of its links stay below the base."""
    base = session.base
    waiting = [f"{base}/", f"{base}/catalog.xml", f"{base}/robots.txt", f"{base}/sitemap.xml"]
    seen, kinds = set(waiting), {}
    while waiting and len(seen) < 1500:
        url = waiting.pop(0)
        if re.search(r"\.(dap|dods|asc|ascii)(\?|$)|/files/.*\.nc", url):
            status, _, _ = session.get(url, method="HEAD")
            checks.that(status == 200, f"{url}: {status}")
            continue
        status, headers, body = session.get(url)
        if status == 404 and url.endswith("/sitemap.xml"):
            continue
        if status in (301, 302, 303, 307, 308):
            target = urljoin(url, headers.get("location", ""))
            checks.that(target.startswith(f"{base}/"), f"{url} is sent to {target}")
            if target not in seen:
                seen.add(target)
                waiting.append(target)
            continue
        # A Zarr store's address is one to put keys behind.
        is_named_only = status == 404 and re.search(r"/zarr/.+/$", url)
        checks.that(status == 200 or is_named_only, f"{url}: {status}")
        media_type = headers.get("content-type", "")
        if status != 200 or not re.search(r"text|xml|json", media_type):
            continue
        kinds[media_type.split(";")[0]] = kinds.get(media_type.split(";")[0], 0) + 1
        text = body.decode("utf-8")
        for secret in inner:
            checks.that(secret not in text, f"{url} shows {secret}")
        for link in links_of(url, media_type, text):
            if NAMES.match(link) or not link.startswith("http"):
                continue
            if link.rstrip("/.,;") != base:
                checks.that(link.startswith(f"{base}/"), f"{url} leads to {link}")
            if link.startswith(f"{base}/") and link not in seen and not re.search(r"[{}*]|%7B", link):
                seen.add(link)
                waiting.append(link)
    return kinds


def documents(session, inner, checks):
    """The documents that not every page leads to."""
    base, name = session.base, "nemo/one.nc"
    zarr = [f"zarr/{name}/.zmetadata", f"zarr/{name}/zarr.json"]
    dap = [f"opendap/{name}{suffix}" for suffix in ("", ".dsr", ".dmr", ".dmr.html", ".kerchunk.json", ".dmrpp")]
    for path in zarr + dap:
        url = f"{base}/{path}"
        status, headers, body = session.get(url)
        checks.that(status == 200, f"{url}: {status}")
        text = body.decode("utf-8", errors="replace")
        for secret in inner:
            checks.that(secret not in text, f"{url} shows {secret}")
        addresses = [l for l in re.findall(r"""https?://[^\s"'<>\\)]+""", text) if not NAMES.match(l)]
        checks.that(all(a.startswith(f"{base}/") for a in addresses), f"{url}: {addresses}")
        if path.endswith((".dsr", ".dmr", "one.nc", ".kerchunk.json", ".dmrpp")):
            checks.that(bool(addresses), f"{url} names no address of its own")


def brackets(session, checks):
    base = session.base
    raw = f"{base}/opendap/nemo/one.nc.dods?time_counter[0:1:0]"
    encoded = f"{base}/opendap/nemo/one.nc.dods?time_counter%5B0:1:0%5D"
    one, other = session.get(raw), session.get(encoded)
    checks.that(one[0] == other[0] == 200 and one[2] == other[2] and len(one[2]) > 20, f"{raw}: {one[0]}, {other[0]}")
    odd = [
        "a%20folder/name%20with%20%5B1%5D%20%26%20%C3%A9.nc",
        "a%20folder/name%20with%20[1]%20&%20%C3%A9.nc",
    ]
    answers = [session.get(f"{base}/opendap/{path}.dds") for path in odd]
    checks.that(all(a[0] == 200 for a in answers) and answers[0][2] == answers[1][2], f"{odd}: {[a[0] for a in answers]}")


def clients(base, data, checks):
    """Clients that know nothing of proxies, over plain HTTP."""
    url = f"{base}/opendap/nemo/one.nc"
    done = subprocess.run(["ncdump", "-h", url], capture_output=True, text=True, timeout=120)
    checks.that(done.returncode == 0 and "time_counter" in done.stdout, f"ncdump {url}: {done.stderr}")
    local = xarray.open_dataset(data / "nemo" / "one.nc", decode_times=False)
    remote = xarray.open_dataset(url, engine="netcdf4", decode_times=False)
    for name in list(local.data_vars)[:4]:
        same = np.array_equal(local[name].values, remote[name].values, equal_nan=local[name].dtype.kind == "f")
        checks.that(same, f"xarray reads other values of {name}")
    remote.close()
    # Siphon follows what catalogs say, from the top down.
    catalog = siphon.catalog.TDSCatalog(f"{base}/catalog.xml")
    found = catalog.catalog_refs["nemo"].follow().datasets["one.nc"]
    addresses = found.access_urls.values()
    checks.that(len(addresses) > 1 and all(a.startswith(f"{base}/") for a in addresses), f"siphon: {found.access_urls}")
    opened = found.remote_access(service="OPENDAP")
    checks.that("time_counter" in opened.dimensions, "siphon opens another dataset")
    opened.close()


def spoofed(session, direct, own, checks):
    """Forwarding headers of clients and of strangers are not believed."""
    lies = [
        {"Forwarded": 'for=1.2.3.4;host="evil.example";proto=https'},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "gopher", "X-Forwarded-Prefix": "/evil"},
    ]
    for headers in lies:
        for target, expect in ((session, session.base), (direct, own)):
            status, _, body = target.get(f"{target.base}/opendap/nemo/one.nc.dsr", headers)
            text = body.decode()
            checks.that(status == 200 and f"{expect}/" in text, f"{headers} at {target.base}: {text[:200]}")
            checks.that("evil" not in text, f"{headers} at {target.base} is believed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default=os.environ.get("THALWEG"), required="THALWEG" not in os.environ)
    binary = Path(parser.parse_args().server).resolve()
    checks = Checks()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data"
        (data / "nemo").mkdir(parents=True)
        (data / "a folder").mkdir()
        nemo = sorted((ROOT / ".work" / "data" / "NEMO").glob("*.nc"))
        shutil.copy(nemo[0], data / "nemo" / "one.nc")
        shutil.copy(ROOT / ".work" / "data" / "SOI_Darwin.nc", data / ODD)
        upstream = free_port()
        nginx = Nginx(folder, upstream)
        inner = [f"127.0.0.1:{upstream}", f"localhost:{upstream}", str(folder)]
        base = f"https://{HOST}:{nginx.tls}{PREFIX}"
        session = Session(base, nginx.tls, nginx.certificate)
        try:
            direct = Session(f"http://127.0.0.1:{upstream}", upstream)
            server = Thalweg(binary, folder, upstream, f'trusted_proxies = ["{PROXY_ADDRESS}"]')
            try:
                kinds = crawl(session, inner, checks)
                for kind in ("text/html", "application/xml"):
                    checks.that(any(kind in k for k in kinds), f"no document of {kind} was found: {kinds}")
                documents(session, inner, checks)
                brackets(session, checks)
                clients(f"http://127.0.0.1:{nginx.plain}{PREFIX}", data, checks)
                spoofed(session, direct, direct.base, checks)
                checks.that(session.get(f"{base}/-/metrics")[0] == 404, "metrics can be seen from outside")
                checks.that(direct.get(f"{direct.base}/-/metrics")[0] == 200, "metrics cannot be seen from inside")
                checks.that(session.get(f"{base}/-/live")[0] == 200, "the probe does not pass")
                status, _, body = session.get(f"{base}/opendap/nemo/one.nc.dds?{'x' * 20000}")
                checks.that(status == 400 and b"Error" in body, f"a long constraint: {status} {body[:80]}")
            finally:
                server.stop()
            server = Thalweg(binary, folder, upstream, f'public_url = "{base}/"')
            try:
                crawl(session, inner, checks)
                documents(session, inner, checks)
                spoofed(session, direct, base, checks)
            finally:
                server.stop()
        finally:
            nginx.stop()
        errors = nginx.log.read_text() if nginx.log.exists() else ""
        for line in errors.splitlines():
            # When one server has gone and the other has not come yet, nobody asks.
            checks.that("[error]" not in line and "[emerg]" not in line, f"nginx: {line}")
    for what in list(dict.fromkeys(checks.wrong))[:40]:
        print(what, file=sys.stderr)
    print(f"behind nginx: {checks.count} checks, {len(checks.wrong)} failed; documents: {kinds}")
    return 1 if checks.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
