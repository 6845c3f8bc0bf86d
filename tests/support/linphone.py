"""Linphone (Debian's linphone-cli) as a phone: own folder and ports, a file for voice and one for ear."""

import asyncio
import os
import re
import shutil

import pytest

from tests.support.baresip import write_tone
from tests.support.until import SOON

CONFIG = """\
[sip]
sip_port={port}
sip_tcp_port={tcp_port}
sip_tls_port=0
use_ipv6=0
register_only_when_network_is_up=0
guess_hostname=1
inc_timeout=60
[rtp]
audio_rtp_port={rtp}
video_rtp_port={video_rtp}
[net]
mtu=1300
[misc]
file_transfer_server_url=
[video]
capture=0
display=0
"""


def missing():
    """Why there is no linphone here, or ''."""
    return "" if shutil.which("linphonec") else "linphonec is not installed (Debian: linphone-cli)"


class Linphone:
    """One running linphonec. Commands go to its standard input, what it says comes from its output."""

    def __init__(self, name, folder, port, rtp, tone):
        self.name, self.folder, self.port, self.rtp, self.tone = name, folder, port, rtp, tone
        self.text = ""
        self._changed = asyncio.Condition()
        self._process = self._reader = None

    @property
    def heard_path(self):
        return self.folder / "heard.wav"

    async def start(self, prefix=(), config="", *options):
        """Start it on files instead of a sound card: after `prefix`, with `config` below its settings."""
        self.folder.mkdir()
        write_tone(self.folder / "voice.wav", self.tone)
        path = self.folder / "linphonerc"
        ports = {"port": self.port, "tcp_port": self.port + 2, "rtp": self.rtp, "video_rtp": self.rtp + 10}
        path.write_text(CONFIG.format(**ports) + config)
        for place in (".local/share/linphone", ".config/linphone"):
            (self.folder / place).mkdir(parents=True)
        self._process = await asyncio.create_subprocess_exec(
            *prefix, "linphonec", "-c", str(path), *options, "-S", "-d", "6", "-l", str(self.folder / "log"),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, "HOME": str(self.folder)},
        )  # fmt: skip
        self._reader = asyncio.ensure_future(self._read())
        await self.says("linphonec>")
        await self.tell("soundcard use files")
        await self.tell(f"play {self.folder / 'voice.wav'}")
        await self.tell(f"record {self.heard_path}")

    async def _read(self):
        while data := await self._process.stdout.read(4096):
            async with self._changed:
                self.text += data.decode(errors="replace")
                self._changed.notify_all()

    async def tell(self, command):
        """A command line: call, answer, pause, resume, transfer, terminate …"""
        self._process.stdin.write(f"{command}\n".encode())
        await self._process.stdin.drain()

    def mark(self):
        """The place in its output where the next thing will stand."""
        return len(self.text)

    async def says(self, pattern, since=0, limit=SOON):
        """Wait until its output matches."""

        def found():
            return re.search(pattern, self.text[since:])

        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(found)
        except TimeoutError:
            raise AssertionError(f"{self.name} waited for {pattern!r}\n{self.text[-3000:]}") from None
        return found()

    def said(self):
        """The end of its output and of its log."""
        return self.text[-3000:] + self.log()[-6000:]

    def log(self):
        """All that it logged: its messages too."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def stop(self):
        """End the process, politely first so that its recording is closed."""
        if self._process and self._process.returncode is None:
            await self.tell("quit")
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._reader:
            self._reader.cancel()


@pytest.fixture
async def linphone(tmp_path, free_port):
    """Makes phones: `await linphone("carol", tone=850)`; they register when they are told."""
    if reason := missing():
        pytest.skip(reason)
    phones = []

    async def make(name, tone, config=""):
        phones.append(Linphone(name, tmp_path / name, free_port(4), free_port(24), tone))
        await phones[-1].start(config=config)
        return phones[-1]

    yield make
    for phone in phones:
        await phone.stop()
