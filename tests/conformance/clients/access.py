"""Real clients and data that are not for everyone: by a signed link, and by signing in as docs/access.md says.

    access.py [--server BINARY]

A server protects a folder. ncdump (DAP2 and DAP4), netCDF4-python (both), pydap (both), xarray, zarr and curl read a
dataset by a link of `thalweg sign`, whose token must survive the suffixes and the query that they append; then by name and
password, from `.netrc` or from the client's own arguments. What each reads is compared with the file. Each must be refused
without, and by a link that is over.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import netCDF4
import numpy as np
import pydap.client
import requests
import xarray

PASSWORD = "correct horse"
TOKEN = "a-long-random-token"
KEY = "a key of this test, of 32 characters or more"


class Site:
    def __init__(self, server, folder):
        self.server, self.folder = server, Path(folder)
        (self.folder / "data" / "closed").mkdir(parents=True)
        self.file = self.folder / "data" / "closed" / "a.nc"
        values = np.arange(24, dtype="f4").reshape(4, 6)
        data = xarray.Dataset({"v": (("y", "x"), values, {"units": "m"})})
        data.to_netcdf(self.file)
        # netCDF-C over DAP4 and others encode such a name twice, link or not: DAP2 alone.
        data.to_netcdf(self.file.with_name("a b.nc"))
        self.values = values
        hashed = self.run("hash-password", given=PASSWORD + "\n").strip()
        self.settings = self.folder / "thalweg.toml"
        self.settings.write_text(
            f'listen = "127.0.0.1:0"\nroots = ["{self.folder}/data"]\n[signing]\nkeys = ["{KEY}"]\n'
            f'[[token]]\nname = "ann"\nsha256 = "{self.run("hash-token", given=TOKEN).strip()}"\n'
            f'[[user]]\nname = "ann"\npassword = "{hashed}"\n[[rule]]\npath = "closed"\nread = ["ann"]\n'
        )
        self.log = (self.folder / "log").open("w+")
        command = [server, "serve", "--config", self.settings]
        self.process = subprocess.Popen(command, stderr=self.log, env={**os.environ, "THALWEG_INDEX_FOLDER": "none"})
        for _ in range(200):
            found = re.search(r"listening on (http://[0-9.:]+)", Path(self.log.name).read_text())
            if found:
                break
            time.sleep(0.05)
        self.top = found[1]
        self.url = f"{self.top}/opendap/closed/a.nc"
        self.home = self.folder / "home"
        self.home.mkdir()

    def run(self, *arguments, given=None):
        done = subprocess.run([self.server, *arguments], input=given, capture_output=True, text=True, check=True)
        return done.stdout

    def sign(self, time="1h", url=None):
        return self.run("sign", url or self.url, "--for", time, "--config", str(self.settings)).strip()

    def ncdump(self, url):
        """What ncdump prints of v, as numbers; `None` when it fails."""
        environment = {**os.environ, "HOME": str(self.home)}
        done = subprocess.run(
            ["ncdump", "-v", "v", url], cwd=self.home, env=environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode != 0:
            return None
        text = done.stdout.split("data:")[1].split(" v =")[1].split(";")[0]
        return np.array([float(n) for n in text.replace("\n", " ").split(",")]).reshape(4, 6)


def by_netcdf4(url):
    with netCDF4.Dataset(url) as data:
        return np.asarray(data["v"][:])


def by_pydap(url, session=None):
    data = pydap.client.open_url(url, session=session, protocol="dap4" if url.startswith("dap4") else "dap2")
    return np.asarray(data["v"][:].data)


def by_xarray(url, **more):
    with xarray.open_dataset(url, **more) as data:
        return data["v"].load().values


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", default=os.environ.get("THALWEG"), required="THALWEG" not in os.environ)
    server = Path(arguments.parse_args().server).resolve()
    passed, wrong = 0, []
    with tempfile.TemporaryDirectory() as folder:
        site = Site(server, folder)

        def check(what, read, *given, **more):
            nonlocal passed
            try:
                found = read(*given, **more)
            except Exception as e:
                wrong.append(f"{what}: {type(e).__name__}: {e}")
                return
            if found is not None and np.array_equal(found, site.values):
                passed += 1
            else:
                wrong.append(f"{what}: {found}")

        def refused(what, read, *given, **more):
            nonlocal passed
            try:
                found = read(*given, **more)
            except Exception:
                found = None
            if found is None:
                passed += 1
            else:
                wrong.append(f"{what} reads what is not for it")

        def curl(url, *more):
            done = subprocess.run(
                ["curl", "-sfg", *more, "-o", site.folder / "copy.nc", url],
                env={**os.environ, "HOME": str(site.home)},
            )
            return by_netcdf4(site.folder / "copy.nc") if done.returncode == 0 else None

        def zarr(url, **more):
            return by_xarray(url, engine="zarr", consolidated=True, **more)

        in_zarr = lambda url: url.replace("/opendap/", "/zarr/")  # noqa: E731
        in_files = lambda url: url.replace("/opendap/", "/files/")  # noqa: E731
        dap4 = lambda url: url.replace("http://", "dap4://")  # noqa: E731

        link = site.sign()
        check("ncdump over DAP2 by a link", site.ncdump, link)
        check("ncdump of a name with a space", site.ncdump, site.sign(url=site.url.replace("a.nc", "a%20b.nc")))
        check("ncdump over DAP4 by a link", site.ncdump, link + "#dap4")
        check("netCDF4 over DAP2 by a link", by_netcdf4, link)
        check("netCDF4 over DAP4 by a link", by_netcdf4, link + "#dap4")
        check("pydap over DAP2 by a link", by_pydap, link)
        check("pydap over DAP4 by a link", by_pydap, dap4(link))
        check("xarray with netcdf4 by a link", by_xarray, link, engine="netcdf4")
        check("xarray with pydap by a link", by_xarray, dap4(link), engine="pydap")
        check("xarray with zarr by a link", zarr, in_zarr(link))
        check("curl by a link", curl, in_files(link))
        part = requests.get(link + ".dods?v[1:2][3]", timeout=20)
        passed += part.status_code == 200

        over = site.sign("1s")
        time.sleep(1.2)
        answer = requests.get(over + ".dds", timeout=20)
        if answer.status_code == 403 and "the time of this link is over" in answer.text:
            passed += 1
        else:
            wrong.append(f"a link that is over: {answer.status_code} {answer.text}")
        for name, url in [("without anything", site.url), ("by a link that is over", over)]:
            refused(f"ncdump {name}", site.ncdump, url)
            refused(f"netCDF4 {name}", by_netcdf4, url)
            refused(f"netCDF4 over DAP4 {name}", by_netcdf4, url + "#dap4")
            refused(f"pydap {name}", by_pydap, url)
            refused(f"zarr {name}", zarr, in_zarr(url))
            refused(f"curl {name}", curl, in_files(url))

        # As docs/access.md has it.
        (site.home / ".netrc").write_text(f"machine 127.0.0.1 login ann password \"{PASSWORD}\"\n")
        (site.home / ".netrc").chmod(0o600)
        (site.home / ".ncrc").write_text(f"HTTP.NETRC={site.home}/.netrc\n")
        (site.home / ".dodsrc").write_text(f"HTTP.NETRC={site.home}/.netrc\n")
        check("ncdump over DAP2 with .netrc", site.ncdump, site.url)
        check("ncdump over DAP4 with .netrc", site.ncdump, site.url + "#dap4")
        check("curl with .netrc", curl, in_files(site.url), "-n")
        check("curl with -u", curl, in_files(site.url), "-u", f"ann:{PASSWORD}")
        refused("curl with a wrong password", curl, in_files(site.url), "-u", "ann:wrong")
        session = requests.Session()
        # pydap makes sessions of its own, to which it passes this header and nothing else.
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        check("pydap over DAP2 with a session", by_pydap, site.url, session=session)
        check("pydap over DAP4 with a session", by_pydap, dap4(site.url), session=session)
        check("xarray with pydap and a session", by_xarray, dap4(site.url), engine="pydap", session=session)
        import aiohttp

        signed_in = {"client_kwargs": {"auth": aiohttp.BasicAuth("ann", PASSWORD)}}
        check("xarray with zarr, signed in", zarr, in_zarr(site.url), storage_options=signed_in)
        here = os.getcwd()
        os.chdir(site.home)
        os.environ["HOME"] = str(site.home)
        inside = subprocess.run(
            [sys.executable, "-c", f"import netCDF4; print(netCDF4.Dataset({site.url!r})['v'][1, 2])"],
            capture_output=True, text=True, timeout=60,
        )
        os.chdir(here)
        if inside.stdout.strip() == "8.0":
            passed += 1
        else:
            wrong.append(f"netCDF4 with .netrc: {inside.stdout} {inside.stderr[-300:]}")

        session = requests.Session()
        session.auth = ("ann", PASSWORD)
        # Many requests that each bring the password cost one look at it.
        begin = time.monotonic()
        for _ in range(500):
            assert session.get(site.url + ".dds", timeout=20).status_code == 200
        print(f"signed in by basic: {500 / (time.monotonic() - begin):.0f} requests/s on one connection")

        site.process.terminate()
        if site.process.wait(timeout=40) != 0:
            wrong.append("the server did not end well")
        log = Path(site.log.name).read_text()
        token = link.split("/~")[1].split("/")[0]
        if token in log or PASSWORD in log or TOKEN in log:
            wrong.append("the log has secrets")
    for failure in wrong:
        print(failure, file=sys.stderr)
    print(f"access: {passed} checks passed, {len(wrong)} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
