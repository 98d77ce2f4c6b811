"""The server behind nginx, Caddy and Apache, with a path prefix and TLS, as docs/operate.md has it.

    proxy.py [--server BINARY] [nginx|caddy|apache ...]

Each recipe is taken out of the documentation and run as it stands, but for ports, host and certificate; a second
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
sys.path.insert(0, str(ROOT / "tests/common"))
from harness import Checks, free_port, wait_for  # noqa: E402
RECIPES = ROOT / "docs" / "operate.md"
HOST = "data.example.org"
PREFIX = "/thalweg"
# Strangers come from an address of their own; the proxies from this machine's first.
STRANGER = "127.0.0.3"
PROXY_ADDRESS = "127.0.0.1"
ODD = "a folder/name with [1] & é.nc"
# Addresses that name something rather than lead there.
NAMES = re.compile(
    r"https?://(www\.w3\.org|([a-z]+\.)*opendap\.org|www\.unidata\.ucar\.edu|([a-z]+\.)?schema\.org|cfconventions\.org"
    r"|([a-z.]*\.)?sitemaps\.org|www\.iana\.org|json-schema\.org|spdx\.org|creativecommons\.org"
    # An attribute of the data.
    r"|www\.cgd\.ucar\.edu)(/|$)"
)


def replaced(text, old, new):
    assert old in text, f"the recipe has no {old!r}"
    return text.replace(old, new)


def recipe(kind, upstream):
    """The recipe of the documentation, for a server at port `upstream`."""
    (text,) = re.findall(rf"^```{kind}\n(.*?)^```$", RECIPES.read_text(), re.M | re.S)
    return replaced(text, "127.0.0.1:8080", f"127.0.0.1:{upstream}")


class Proxy:
    """A proxy with the recipe of the documentation, in `folder`."""

    def __init__(self, folder, upstream):
        self.tls, self.plain = free_port(), free_port()
        self.folder, self.certificate, self.key = folder, folder / "certificate.pem", folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
             "-addext", f"subjectAltName=DNS:{HOST},DNS:localhost", "-keyout", self.key, "-out", self.certificate],
            check=True, capture_output=True,
        )  # fmt: skip
        self.log = folder / "error.log"
        command, environment = self.configure(recipe(self.kind, upstream))
        self.process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=self.log.open("a"))
        wait_for(self.tls, self.process, self.kind)

    def errors(self):
        """Lines of its log that should not be."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        # One client goes away in the middle of an answer.
        expected = "aborting with incomplete response"
        return [line for line in lines if any(word in line for word in self.bad) and expected not in line]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=20)


class Nginx(Proxy):
    kind, bad = "nginx", ("[error]", "[emerg]")

    def configure(self, text):
        plain = replaced(text, "listen 443 ssl;", f"listen 127.0.0.1:{self.plain};")
        plain = re.sub(r".*ssl_certificate.*\n", "", plain)
        secure = replaced(text, "listen 443 ssl;", f"listen 127.0.0.1:{self.tls} ssl;")
        secure = re.sub(r"(ssl_certificate +).*;", rf"\1{self.certificate};", secure)
        secure = re.sub(r"(ssl_certificate_key +).*;", rf"\1{self.key};", secure)
        temporary = "\n".join(
            f"    {kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        configuration = self.folder / "nginx.conf"
        configuration.write_text(
            f"{user}daemon off;\npid {self.folder}/nginx.pid;\nerror_log {self.log};\nworker_processes 1;\n"
            f"events {{}}\nhttp {{\n    access_log off;\n{temporary}\n{secure}\n{plain}}}\n"
        )
        # Debian keeps it where only root looks.
        nginx = shutil.which("nginx") or "/usr/sbin/nginx"
        return [nginx, "-p", str(self.folder), "-c", str(configuration), "-e", str(self.log)], {}


class Caddy(Proxy):
    kind, bad = "caddy", ('"level":"error"', "Error:")

    def configure(self, text):
        plain = replaced(text, "data.example.org {", f"http://:{self.plain} {{\n    bind 127.0.0.1")
        secure = replaced(
            text,
            "data.example.org {",
            f"https://{HOST}:{self.tls} {{\n    bind 127.0.0.1\n    tls {self.certificate} {self.key}",
        )
        configuration = self.folder / "Caddyfile"
        configuration.write_text(f"{{\n    admin off\n    auto_https off\n}}\n{secure}\n{plain}")
        home = {"XDG_DATA_HOME": str(self.folder / "caddy"), "XDG_CONFIG_HOME": str(self.folder / "caddy")}
        return ["caddy", "run", "--config", str(configuration), "--adapter", "caddyfile"], home


class Apache(Proxy):
    kind, bad = "apache", (":error]", ":crit]", ":emerg]")

    def configure(self, text):
        plain = replaced(text, "*:443", f"127.0.0.1:{self.plain}")
        plain = re.sub(r".*SSL.*\n", "", plain)
        secure = replaced(text, "*:443", f"127.0.0.1:{self.tls}")
        secure = re.sub(r"(SSLCertificateFile +).*", rf"\1{self.certificate}", secure)
        secure = re.sub(r"(SSLCertificateKeyFile +).*", rf"\1{self.key}", secure)
        modules = "".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
            for name in ("mpm_event", "ssl", "proxy", "proxy_http", "headers", "authz_core", "alias", "socache_shmcb")
        )
        (self.folder / "htdocs").mkdir()
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        configuration = self.folder / "apache.conf"
        configuration.write_text(
            f"ServerRoot {self.folder}\nPidFile {self.folder}/apache.pid\nErrorLog {self.log}\n"
            f"DefaultRuntimeDir {self.folder}\nMutex file:{self.folder} default\nDocumentRoot {self.folder}/htdocs\n"
            f"{modules}{user}Listen 127.0.0.1:{self.tls}\nListen 127.0.0.1:{self.plain}\n{secure}\n{plain}"
        )
        return ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", str(configuration)], {}


PROXIES = {proxy.kind: proxy for proxy in (Nginx, Caddy, Apache)}


class Thalweg:
    """The server with settings given as text."""

    def __init__(self, binary, folder, port, settings):
        file = folder / "thalweg.toml"
        file.write_text(f'listen = "127.0.0.1:{port}"\nroots = ["{folder / "data"}"]\n{settings}\n')
        environment = {**os.environ, "THALWEG_LIMITS_DRAIN_DELAY": "0 s"}
        command = [binary, "serve", "--config", file]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environment)
        wait_for(port, self.process, "the server")

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=40)


class Session:
    """Requests to one address, whose host leads to this machine."""

    def __init__(self, base, port, certificate=None, source="127.0.0.1"):
        self.base, self.port, self.certificate, self.source = base, port, certificate, (source, 0)

    def get(self, url, headers=None, method="GET"):
        """Status, headers and body; `url` is sent as it is."""
        parts = urlsplit(url)
        target = url[len(f"{parts.scheme}://{parts.netloc}") :] or "/"
        if self.certificate:
            context = ssl.create_default_context(cafile=str(self.certificate))
            context.check_hostname = False
            with socket.create_connection(("127.0.0.1", self.port), 30, self.source) as plain:
                with context.wrap_socket(plain, server_hostname=HOST) as stream:
                    return self.exchange(stream, method, target, parts.netloc, headers or {})
        with socket.create_connection(("127.0.0.1", self.port), 30, self.source) as stream:
            return self.exchange(stream, method, target, parts.netloc, headers or {})

    @staticmethod
    def exchange(stream, method, target, host, headers):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("utf-8"))
        response = http.client.HTTPResponse(stream, method=method)
        response.begin()
        return response.status, dict((k.lower(), v) for k, v in response.getheaders()), response.read()


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


def buffering(base, upstream, data, folder, checks):
    """A client that takes nothing of a large answer holds up the server, rather than fill the proxy."""
    large = data / "large.nc"
    with large.open("wb") as file:
        file.truncate(200 << 20)
    parts = urlsplit(base)
    with socket.create_connection(("127.0.0.1", parts.port), timeout=30) as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        stream.sendall(f"GET {parts.path}/files/large.nc HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
        stream.recv(1000)
        time.sleep(1.5)
        written = sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file() and file != large and data not in file.parents)
        checks.that(written < 30 << 20, f"the proxy wrote {written} bytes of an answer that nobody took")
        metrics = Session(f"http://127.0.0.1:{upstream}", upstream).get(f"http://127.0.0.1:{upstream}/-/metrics")[2].decode()
        sent = re.search(r'thalweg_response_bytes_total\{route="file"\} (\d+)', metrics)
        # Bytes are counted when an answer has ended: this one has not.
        checks.that(sent is None or int(sent.group(1)) < 200 << 20, "the proxy took all of an answer that nobody took")
    large.unlink()


def behind(kind, binary, checks):
    """All checks behind one proxy."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Apache reads its files as another user.
        folder.chmod(0o755)
        data = folder / "data"
        (data / "nemo").mkdir(parents=True)
        (data / "a folder").mkdir()
        nemo = sorted((ROOT / ".work" / "data" / "NEMO").glob("*.nc"))
        shutil.copy(nemo[0], data / "nemo" / "one.nc")
        shutil.copy(ROOT / ".work" / "data" / "SOI_Darwin.nc", data / ODD)
        upstream = free_port()
        proxy = PROXIES[kind](folder, upstream)
        inner = [f"127.0.0.1:{upstream}", f"localhost:{upstream}", str(folder)]
        base = f"https://{HOST}:{proxy.tls}{PREFIX}"
        plain = f"http://127.0.0.1:{proxy.plain}{PREFIX}"
        session = Session(base, proxy.tls, proxy.certificate)
        try:
            direct = Session(f"http://127.0.0.1:{upstream}", upstream, source=STRANGER)
            server = Thalweg(binary, folder, upstream, f'trusted_proxies = ["{PROXY_ADDRESS}"]')
            try:
                kinds = crawl(session, inner, checks)
                for media_type in ("text/html", "application/xml"):
                    found = any(media_type in k for k in kinds)
                    checks.that(found, f"no document of {media_type} was found: {kinds}")
                documents(session, inner, checks)
                brackets(session, checks)
                clients(plain, data, checks)
                spoofed(session, direct, direct.base, checks)
                checks.that(session.get(f"{base}/-/metrics")[0] == 404, "metrics can be seen from outside")
                checks.that(direct.get(f"{direct.base}/-/metrics")[0] == 200, "metrics cannot be seen from inside")
                checks.that(session.get(f"{base}/-/live")[0] == 200, "the probe does not pass")
                status, _, body = session.get(f"{base}/opendap/nemo/one.nc.dds?{'x' * 20000}")
                checks.that(status == 400 and b"Error" in body, f"a long constraint: {status} {body[:80]}")
                buffering(plain, upstream, data, folder, checks)
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
            proxy.stop()
        # When one server has gone and the other has not come yet, nobody asks.
        for line in proxy.errors():
            checks.that(False, f"{kind}: {line}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", default=os.environ.get("THALWEG"), required="THALWEG" not in os.environ)
    parser.add_argument("proxies", nargs="*", help=f"of {list(PROXIES)}; all of them")
    arguments = parser.parse_args()
    failed = 0
    for kind in arguments.proxies or PROXIES:
        checks = Checks()
        behind(kind, Path(arguments.server).resolve(), checks)
        for what in list(dict.fromkeys(checks.wrong))[:40]:
            print(what, file=sys.stderr)
        print(f"behind {kind}: {checks.count} checks, {len(checks.wrong)} failed", flush=True)
        failed += len(checks.wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
