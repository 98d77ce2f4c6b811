"""The list of clients: how each is run, what it must see, and what of its own model is tolerated."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import mapping

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Client:
    name: str
    protocol: str
    venv: str
    probe: str
    arguments: Callable  # (url, view) -> probe arguments
    expected: Callable  # oracle's view -> view this client must see
    lenient: frozenset
    environment: dict = field(default_factory=dict)
    # Fetches whole datasets, or retries a refusal for a minute: files with variables that must be refused are left to others.
    whole: bool = False
    seconds: int = 60

    @property
    def key(self):
        return f"{self.name}/{self.protocol}"

    def command(self, work):
        return [str(work / self.venv / "bin" / "python"), str(HERE / self.probe)]


def _dap2_netcdf_c(view):
    return mapping.netcdf_c_dap2(mapping.dap2(view))


def _dap4_netcdf_python(view):
    return mapping.netcdf_python_dap4(mapping.dap4(view))


def _root(expected):
    """The root group alone."""
    made = dict(expected)
    made["variables"] = {k: v for k, v in expected["variables"].items() if "/" not in k}
    made["attributes"] = {"": expected["attributes"].get("", {})}
    return made


NETCDF_C_DAP2 = frozenset({"dap2", "signs", "text-as-chars", "lists"})
NETCDF_C_DAP4 = frozenset({"attribute-types", "enum-names", "lists"})
PYDAP = frozenset({"unquote", "signs", "lists", "extra-attributes", "enum-names"})
STORED = frozenset({"enum-base", "enum-names", "lists"})


def _plain(url, _):
    return [url]


def _fragment(url, _):
    return [url + "#dap4"]


def _ncdump_dap2(url, view):
    """ncdump asks for one row per request over DAP2: variables of many rows are left to its header."""
    rows = {}
    for path, variable in view["variables"].items():
        rows[path] = 1
        for size in variable["shape"][:-1]:
            rows[path] *= size
    if max(rows.values(), default=0) <= 2000:
        return ["ncdump", url]
    return ["ncdump", url, ",".join(path for path, count in rows.items() if count <= 2000)]


def _all():
    tools = dict(venv="venv", probe="probe_tools.py")
    yield Client("ncdump 4.9.0", "DAP2", arguments=_ncdump_dap2, expected=_dap2_netcdf_c, lenient=NETCDF_C_DAP2, whole=True, **tools)
    yield Client("ncdump 4.9.0", "DAP4", arguments=lambda u, v: ["ncdump", u + "#dap4"], expected=mapping.dap4, lenient=NETCDF_C_DAP4, whole=True, **tools)
    for version, venv in (("1.6.5", "venv-1.6.5"), ("1.7.2", "venv-1.7.2"), ("1.7.5", "venv")):
        python = dict(venv=venv, probe="probe_netcdf4.py")
        yield Client(f"netCDF4-python {version}", "DAP2", arguments=_plain, expected=_dap2_netcdf_c, lenient=NETCDF_C_DAP2, **python)
        yield Client(
            f"netCDF4-python {version}", "DAP4", arguments=_fragment, expected=_dap4_netcdf_python, lenient=NETCDF_C_DAP4, whole=version == "1.6.5", **python
        )
    xarray = dict(venv="venv", probe="probe_xarray.py", whole=True)
    yield Client(
        "xarray netcdf4", "DAP2", arguments=lambda u, v: [u, "netcdf4", "dap2"], expected=_dap2_netcdf_c, lenient=NETCDF_C_DAP2, **xarray
    )
    yield Client(
        "xarray netcdf4", "DAP4", arguments=lambda u, v: [u + "#dap4", "netcdf4", "dap4"], expected=lambda v: _root(_dap4_netcdf_python(v)),
        lenient=NETCDF_C_DAP4 | {"enum-base"}, **xarray,
    )  # fmt: skip
    yield Client(
        "xarray pydap", "DAP2", arguments=lambda u, v: [u, "pydap", "dap2"], expected=lambda v: mapping.xarray_pydap_dap2(mapping.dap2(v)), lenient=PYDAP | {"dap2"}, seconds=120, **xarray
    )
    yield Client(
        "xarray pydap", "DAP4", arguments=lambda u, v: [u, "pydap", "dap4"], expected=lambda v: _root(mapping.pydap_dap4(mapping.dap4(v))), lenient=PYDAP, seconds=120, **xarray
    )
    pydap = dict(venv="venv", probe="probe_pydap.py", whole=True)
    yield Client("pydap 3.5.9", "DAP2", arguments=lambda u, v: [u, "dap2"], expected=_dap2_netcdf_c, lenient=PYDAP | {"dap2"}, seconds=120, **pydap)
    yield Client(
        "pydap 3.5.9", "DAP4", arguments=lambda u, v: [u, "dap4"], expected=lambda v: mapping.pydap_dap4(mapping.dap4(v)), lenient=PYDAP, seconds=120, **pydap
    )
    yield Client("NCO ncks 5.1.4", "DAP2", arguments=lambda u, v: ["nco", u], expected=_dap2_netcdf_c, lenient=NETCDF_C_DAP2 | {"extra-attributes"}, whole=True, **tools)
    printed = frozenset({"dap2", "approximate", "no-attributes", "printed"})
    yield Client("getdap 3.20.11", "DAP2", arguments=lambda u, v: ["getdap", u], expected=mapping.dap2, lenient=printed | {"signs"}, whole=True, **tools)
    yield Client(
        "getdap4 3.20.11", "DAP4", arguments=lambda u, v: ["getdap4", u], expected=mapping.dap4, lenient=printed - {"dap2"}, whole=True, **tools
    )
    stored = dict(venv="venv", probe="probe_stored.py", expected=mapping.zarr, lenient=STORED)
    for version in ("2", "3"):
        yield Client("xarray zarr 3.1.6", f"Zarr v{version}", arguments=lambda u, v, n=version: [u.replace("/opendap/", "/zarr/", 1), n], **stored)
    yield Client("xarray kerchunk 0.2.10", "references", arguments=lambda u, v: [u + ".kerchunk.json", "kerchunk"], **stored)
    yield Client(
        "a reader of its own", "DMR++", venv="venv", probe="probe_dmrpp.py", arguments=lambda u, v: [u + ".dmrpp"], expected=mapping.dmrpp, lenient=STORED | {"left-out"}
    )


CLIENTS = list(_all())
