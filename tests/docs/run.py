"""Runs every command in README.md and docs/*.md, in order, as its reader would.

    run.py [--server BINARY]

Fenced blocks marked `sh` and `python` are run; `sh serve` starts a server that the blocks after it talk to; `text` is
not run. The working folder is a fresh one whose `data` is the demo's data; `thalweg` is on the path; the port in the
text, 8080, is replaced by a free one; so is 9000, where an S3 service is whose bucket `data` is that folder. A block must exit with 0 and, except for `curl -o` and `printf`, print something.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/common"))
from harness import free_port  # noqa: E402
WORK = ROOT / ".work"
BLOCK = re.compile(r"^```([a-z ]+)\n(.*?)^```$", re.M | re.S)


class Page:
    """One document: its blocks share a folder, a port and the server that is running."""

    def __init__(self, path, binary, folder):
        self.path, self.folder, self.port, self.server = path, folder, free_port(), None
        self.store, self.store_port = None, free_port()
        (folder / "bin").mkdir()
        (folder / "bin" / "thalweg").symlink_to(binary)
        shutil.copytree(WORK / "data", folder / "data", symlinks=False)
        venv = WORK / "venv" / "bin"
        self.environment = {**os.environ, "PATH": f"{folder / 'bin'}:{venv}:{os.environ['PATH']}"}

    def run(self):
        wrong = []
        for kind, text in BLOCK.findall(self.path.read_text()):
            text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
            if "127.0.0.1:9000" in text:
                self.ensure_store()
                text = text.replace("127.0.0.1:9000", f"127.0.0.1:{self.store_port}")
            problem = {"sh": self.shell, "python": self.python, "sh serve": self.serve}.get(kind, lambda _: None)(text)
            if problem:
                wrong.append(f"{self.path.name}: {problem}\n{text}")
        self.stop()
        if self.store is not None:
            self.store.terminate()
            self.store.wait(timeout=40)
        return wrong

    def ensure_store(self):
        if self.store is None:
            script = ROOT / "tests" / "common" / "s3_server.py"
            command = [sys.executable, script, self.folder, "--port", str(self.store_port)]
            self.store = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.store.stdout.readline()

    def ensure_server(self):
        if self.server is None:
            self.serve("thalweg serve data")

    def shell(self, text):
        self.ensure_server()
        return self.finished(["bash", "-euc", text], silent="-o" in text or "printf" in text or "-O" in text)

    def python(self, text):
        self.ensure_server()
        return self.finished([str(WORK / "venv" / "bin" / "python"), "-c", text], silent="assert" in text)

    def finished(self, command, silent):
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, errors="replace"
        )
        if done.returncode != 0:
            return f"status {done.returncode}: {done.stderr[-800:]}"
        if not silent and not done.stdout.strip():
            return f"printed nothing: {done.stderr[-800:]}"
        return None

    def serve(self, text):
        self.stop()
        log = self.folder / "server.log"
        words = text.split() + ["--listen", f"127.0.0.1:{self.port}"]
        with log.open("w") as err:
            self.server = subprocess.Popen(words, cwd=self.folder, env=self.environment, stderr=err)
        for _ in range(100):
            if "browse " in log.read_text(errors="replace"):
                return None
            time.sleep(0.05)
        return f"the server did not start: {log.read_text(errors='replace')}"

    def stop(self):
        if self.server is not None:
            self.server.terminate()
            self.server.wait(timeout=40)
            self.server = None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--server", default=os.environ.get("THALWEG"), required="THALWEG" not in os.environ)
    binary = Path(arguments.parse_args().server).resolve()
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    passed, wrong = 0, []
    for path in pages:
        blocks = [kind for kind, _ in BLOCK.findall(path.read_text()) if kind in ("sh", "python", "sh serve")]
        if not blocks:
            continue
        with tempfile.TemporaryDirectory() as folder:
            failures = Page(path, binary, Path(folder)).run()
        wrong += failures
        passed += len(blocks) - len(failures)
    for failure in wrong:
        print(failure, file=sys.stderr)
    print(f"documentation: {passed} blocks run")
    return 1 if wrong or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
