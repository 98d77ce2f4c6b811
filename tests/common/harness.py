"""What scripts that start servers and judge them have in common."""

import socket
import sys
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, what):
    """Until `process` accepts connections at `port`; the end of everything when it does not within 20 s."""
    for _ in range(400):
        if process.poll() is not None:
            sys.exit(f"{what} ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    sys.exit(f"{what} does not listen")


class Checks:
    """Counts what holds, and keeps what does not."""

    def __init__(self):
        self.count, self.wrong = 0, []

    def that(self, holds, what):
        self.count += 1
        if not holds:
            self.wrong.append(what)
