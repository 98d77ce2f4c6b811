"""The dataset page for people: its lines for copying are run as they stand, its links are followed.

Each line of the page is a client of its own: what it is called on the page, and whether it worked.
"""

import html
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urljoin

PYTHON_TITLES = ("xarray", "netCDF4", "pydap")
# Lines in languages that are run only where there is something to run them.
OTHERS = {"R": "Rscript", "MATLAB": "matlab"}
# What a line leaves behind must be a dataset with variables.
LOOK = """
found = locals().get("ds", locals().get("nc"))
assert len(list(found.variables() if callable(found.variables) else found.variables)), found
"""


def lines(text):
    """(title, what is to be copied) of a page."""
    for title, code in re.findall(r"<dt>([^<]*)</dt>\s*<dd><pre[^>]*><code>(.*?)</code></pre></dd>", text, re.S):
        yield html.unescape(title), html.unescape(code)


# After the lines for a part of E1_north_america.nc: its shape, whatever the tool's name for it is.
EXPECTED_PART = """
part = ds["air_temperature"] if "nc" not in locals() and "air_temperature" not in locals() else air_temperature
assert part.shape == (4, 9, 49), part.shape
"""


def findings(url, python, expected=""):
    """What is wrong with the page at `url`, as findings (where, kind, detail); `expected` is run after Python lines."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        text = answer.read().decode("utf-8")
    found = []
    copied = list(lines(text))
    titles = " ".join(title for title, _ in copied)
    for tool in (*PYTHON_TITLES, "ncdump", "curl"):
        if tool not in titles:
            found.append((tool, "missing", "the page has no line for it"))
    for title, code in copied:
        problem = _run(title, code, python, expected)
        if problem:
            found.append((title, "open", problem))
    for link in sorted(set(re.findall(r'href="([^"]*)"', text))):
        link = html.unescape(link)
        if link.startswith("/"):
            found.append((link, "values", "the link does not work behind a path prefix"))
        # Whole files of data are not fetched here.
        if link.endswith((".dap", ".dods")):
            continue
        try:
            urllib.request.urlopen(urljoin(url, link), timeout=30).close()
        except urllib.error.URLError as problem:
            found.append((link, "open", str(problem)))
    return found


def _run(title, code, python, expected):
    """Runs what the page says in an empty folder; gives what went wrong."""
    if title in OTHERS and not shutil.which(OTHERS[title]):
        return None
    if title == "R":
        command = ["Rscript", "-e", code]
    elif title == "MATLAB":
        command = ["matlab", "-batch", code]
    else:
        command = [str(python), "-c", code + LOOK + expected] if title.startswith(PYTHON_TITLES) else ["sh", "-ec", code]
    with tempfile.TemporaryDirectory(prefix="thalweg-page-") as folder:
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ, "HOME": folder})
        except subprocess.TimeoutExpired:
            return "no end after 120 s"
        if done.returncode != 0 or "Error" in done.stdout[:200]:
            return f"exit status {done.returncode}: {(done.stderr or done.stdout)[-300:]}"
        if title == "curl":
            part = next(Path(folder).iterdir(), None)
            body = part.read_bytes() if part else b""
            if body[:1] != b"\x04" or b"</Dataset>" not in body:
                return f"not a DAP4 data response: {body[:60]}"
    return None
