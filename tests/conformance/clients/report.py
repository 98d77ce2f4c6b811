"""docs/compatibility.md: a pure function of the outcomes, so that a run without changes leaves it as it is."""

from mapping import RULES

GROUPS = (
    ("iris", "Real files of the Iris project"),
    ("netcdf3", "netCDF-3"),
    ("netcdf4", "netCDF-4"),
    ("hdf5", "HDF5 versions, attributes, dimensions"),
    ("chunks", "HDF5 chunk indexes"),
    ("filters", "HDF5 filters"),
    ("types", "HDF5 types"),
    ("links", "HDF5 links and outside storage"),
    ("zarr2", "Zarr version 2"),
    ("zarr3", "Zarr version 3"),
    ("geotiff", "GeoTIFF"),
    ("references", "Kerchunk, DMR++ and Icechunk"),
    ("broken", "Unreadable files"),
)


def group_of(file):
    return "iris" if file.startswith("iris/") else file.split("/")[1]


def table(outcomes, faults):
    lines = [
        "# Which clients read what",
        "",
        "Made by `tests/conformance/clients/run.py`; do not edit. Every file is served on a loopback port, read by the real",
        "client, and compared with the local file as an independent library reads it (netCDF4-python, h5py where netCDF-C refuses",
        "the file, zarr-python, rasterio; of references, the file they lead to): names, types, dimensions, attributes and every",
        "value.",
        "",
        "A cell says how many files came through exactly, of how many. `+n` files differ only by a fault of the client listed",
        "below; `-n` files are failures of ours. An empty cell: not applicable.",
        "",
        "| client | protocol | " + " | ".join(name for name, _ in GROUPS) + " |",
        "|---|---|" + "---|" * len(GROUPS),
    ]
    clients = list(dict.fromkeys(o.client for o in outcomes))
    for client in clients:
        cells = []
        for group, _ in GROUPS:
            mine = [o.state for o in outcomes if o.client == client and group_of(o.file) == group]
            cell = f"{mine.count('passed')}/{len(mine)}" if mine else ""
            for sign, state in (("+", "known"), ("-", "failed")):
                if mine.count(state):
                    cell += f" {sign}{mine.count(state)}"
            cells.append(cell)
        name, protocol = client.rsplit("/", 1)
        lines.append(f"| {name} | {protocol} | " + " | ".join(cells) + " |")
    lines += ["", "Columns: " + "; ".join(f"**{name}**: {text}" for name, text in GROUPS) + ".", ""]
    lines += ["## Faults of clients", ""]
    lines += ["What is listed here fails by the client's own fault and cannot be mended by a server.", ""]
    lines += ["| fault | clients | files | reason |", "|---|---|---|---|"]
    seen = {}
    for outcome in outcomes:
        for fault in outcome.faults:
            seen.setdefault(fault.id, (fault.reason, {}))[1].setdefault(outcome.client, set()).add(outcome.file)
    for name, (reason, by_client) in sorted(seen.items()):
        who = "; ".join(f"{client} ({len(files)})" for client, files in sorted(by_client.items()))
        files = sorted({f.split("/", 1)[1] for found in by_client.values() for f in found})
        shown = ", ".join(files[:4]) + (f" and {len(files) - 4} more" if len(files) > 4 else "")
        lines.append(f"| {name} | {who} | {shown} | {' '.join(reason.split())} |")
    lines += ["", "## How storage is shown in each protocol", ""]
    lines += ["Differences by design, which the comparison expects.", "", "| rule | reason |", "|---|---|"]
    lines += [f"| {name} | {reason} |" for name, reason in RULES.items()]
    return "\n".join(lines) + "\n"
