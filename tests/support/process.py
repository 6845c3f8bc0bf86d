"""`kamtool serve` as a process of its own, and the other commands beside it: what a user has."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.until import SOON

KAMTOOL = [sys.executable, "-m", "kamtool.cli.main"]
PATIENT = ["--overload-late", "0", "--overload-queue", "0"]
"""A busy machine makes every server late: what a test asks is not to be refused for that."""


class Served:
    """A running `kamtool serve`. Its database, control socket and log stand in `folder`."""

    def __init__(self, folder, port, address="127.0.0.1"):
        self.folder, self.port, self.address, self.process = folder, port, address, None
        self.environment = {
            **os.environ,
            "KAMTOOL_DB": str(folder / "kamtool.db"),
            "KAMTOOL_SOCKET": str(folder / "control.sock"),
            "NO_COLOR": "1",
        }
        self.log_path = folder / "serve.log"
        self.prefix = []
        """What starts it, if it is not to be started as it is."""

    def start(self, *arguments, limit=90):
        """Start it and wait until it answers on its control socket."""
        listen = [word for kind in ("udp", "tcp") for word in ("-l", f"{kind}:{self.address}:{self.port}")]
        command = [*self.prefix, *KAMTOOL, "serve", *PATIENT, *listen]
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.arguments = arguments
        end = time.monotonic() + limit
        while self.cli("rpc", "core.uptime").returncode:
            assert self.process.poll() is None, f"it ended with {self.process.returncode}:\n{self.log()}"
            assert time.monotonic() < end, f"it does not answer:\n{self.log()}"
            time.sleep(0.1)
        return self

    def cli(self, *arguments, text_in=None):
        """Run another command of kamtool on the same database and socket."""
        return subprocess.run(
            [*KAMTOOL, *map(str, arguments)],
            env=self.environment, input=text_in, capture_output=True, text=True, timeout=90, check=False,
        )  # fmt: skip

    def add_user(self, name, password):
        done = self.cli("user", "add", name, "--password-stdin", text_in=password + "\n")
        assert done.returncode == 0, done.stderr

    def end(self, number=signal.SIGTERM, limit=SOON):
        """Send a signal, wait for the end, return the exit code (negative: killed by that signal)."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(limit)

    def log(self):
        return self.log_path.read_text(errors="replace")


@pytest.fixture
def served(tmp_path, free_port):
    """Makes servers: `served()` has a port and a folder and is started with `.start(*options)`."""
    made = []

    def make():
        folder = tmp_path / f"server{len(made)}"
        folder.mkdir()
        made.append(Served(folder, free_port()))
        return made[-1]

    yield make
    for server in made:
        if server.process and server.process.poll() is None:
            server.process.kill()
            server.process.wait()
