"""rtpengine: a stand-in that speaks its protocol and keeps a log, and the real daemon in user space."""

import asyncio
import os
import shutil
import socket
import subprocess
import time

import pytest
import pytest_asyncio

from kamtool.modules.rtpengine import bencode
from tests.support.until import SOON

RELAYED = "v=0\r\no=- 1 1 IN IP4 9.9.9.9\r\ns=-\r\nc=IN IP4 9.9.9.9\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0\r\n"


class FakeRtpengine:
    """`log` has the requests, but for pings. `answers` by command take the place of the usual ones."""

    def __init__(self):
        self.log, self.pings, self.silent, self.answers = [], 0, False, {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self.socket, self._readable)

    @property
    def url(self):
        return f"udp:127.0.0.1:{self.port}"

    def _readable(self):
        data, source = self.socket.recvfrom(65536)
        cookie, _, payload = data.partition(b" ")
        request = bencode.decode(payload)
        command = request["command"]
        self.pings += command == "ping"
        if command != "ping":
            self.log.append(request)
        if self.silent:
            return
        reply = self.answers.get(command) or {"result": "pong" if command == "ping" else "ok"}
        if "sdp" in request and reply["result"] == "ok":
            reply = {"sdp": RELAYED, **reply}
        self.socket.sendto(cookie + b" " + bencode.encode(reply), source)

    def close(self):
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


@pytest_asyncio.fixture
async def fake_rtpengine():
    """Makes stand-ins: `fake_rtpengine()`; `.silent = True` plays dead."""
    made = []

    def make():
        made.append(FakeRtpengine())
        return made[-1]

    yield make
    for one in made:
        one.close()


class Daemon:
    """Debian's rtpengine-daemon on loopback, in user space: `ng` and `old` are its control ports."""

    def __init__(self, folder, ng, old, first_port, address="127.0.0.1"):
        self.folder, self.ng, self.old, self.address = folder, ng, old, address
        self.log = (folder / "rtpengine.log").open("wb")
        self.process = subprocess.Popen(
            [
                "rtpengine", "--foreground", "--log-stderr", "--table=-1", f"--interface={address}",
                f"--listen-ng=127.0.0.1:{ng}", f"--listen-udp=127.0.0.1:{old}", "--log-level=6",
                f"--port-min={first_port}", f"--port-max={first_port + 180}",
                f"--pidfile={folder / 'rtpengine.pid'}", "--config-file=none",
            ],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        end = time.monotonic() + SOON
        while self.ask({"command": "ping"}) != {"result": "pong"}:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.05)

    def ask(self, request):
        """One request; None when there is no answer."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(1)
            asking.connect(("127.0.0.1", self.ng))
            try:
                asking.send(os.urandom(4).hex().encode() + b" " + bencode.encode(request))
                return bencode.decode(asking.recv(65536).partition(b" ")[2])
            except OSError:
                return None

    def said(self):
        return (self.folder / "rtpengine.log").read_text(errors="replace")[-4000:]

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(SOON)
        self.log.close()


@pytest.fixture
def rtpengine(tmp_path, free_port):
    """Starts the daemon: `rtpengine()`; skips where it is not installed."""
    made = []

    def start(**options):
        if not shutil.which("rtpengine"):
            pytest.skip("rtpengine is not installed (Debian: rtpengine-daemon)")
        folder = tmp_path / f"rtpengine{len(made)}"
        folder.mkdir()
        made.append(Daemon(folder, free_port(), free_port(), free_port(200), **options))
        return made[-1]

    yield start
    for one in made:
        one.stop()
