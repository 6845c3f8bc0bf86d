"""Baresip (Debian's baresip-core) as a phone: own folder and ports, a tone for a voice, an ear."""

import array
import asyncio
import json
import math
import shutil
import wave
from contextlib import suppress

import pytest

from tests.support.until import SOON

CONFIG = """\
sip_listen {listen}
ctrl_tcp_listen 127.0.0.1:{control}
rtp_ports {rtp}-{rtp_end}
audio_source aufile,{voice}
audio_player aubridge,{name}
audio_alert aubridge,{name}-alert
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
audio_buffer 20-160
jitter_buffer_type off
snd_path {folder}
call_local_timeout 60
call_max_calls 4
net_interface 127.0.0.1
module_path {modules}
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app contact.so
module_app menu.so
module_app ctrl_tcp.so
"""
MODULES = "/usr/lib/baresip/modules"


def missing():
    """Why there is no baresip here, or ''."""
    return "" if shutil.which("baresip") else "baresip is not installed (Debian: baresip-core)"


def write_tone(path, hertz, seconds=60, rate=8000):
    """A mono WAV of 16 bits with one sine."""
    samples = array.array(
        "h", (int(12000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(rate * seconds))
    )
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.tobytes())


def strength(samples, rate, hertz):
    """The share of the power that is at `hertz` (Goertzel's algorithm): 1 for a pure tone, 0 for none."""
    total = sum(sample * sample for sample in samples)
    if not total:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * hertz / rate)
    last = before = 0.0
    for sample in samples:
        last, before = sample + turn * last - before, last
    power = last * last + before * before - turn * last * before
    return 2 * power / (len(samples) * total)


def seconds_of(samples, rate, hertz):
    """For how long this tone was heard: in the twentieths of a second where it has most of the power.

    A busy machine loses packets and plays late, so there are gaps and jumps of the phase in what is recorded.
    """
    step = rate // 20
    parts = (samples[at : at + step] for at in range(0, len(samples) - step, step))
    return sum(max(part) > 300 and strength(part, rate, hertz) > 0.5 for part in parts) / 20


class Baresip:
    """One running baresip. Commands and events go over its control socket, as JSON in netstrings."""

    def __init__(self, name, folder, port, control, rtp, tone):
        self.name, self.folder, self.port, self.control, self.rtp, self.tone = (
            name,
            folder,
            port,
            control,
            rtp,
            tone,
        )
        self.events = []
        self._changed = asyncio.Condition()
        self._process = self._writer = self._listener = None

    async def start(self, account):
        """Start it with an account line, e.g. `<sip:alice@127.0.0.1:5060>;auth_pass=x`."""
        self.folder.mkdir()
        voice = self.folder / "voice.wav"
        write_tone(voice, self.tone)
        (self.folder / "config").write_text(
            CONFIG.format(
                listen=f"127.0.0.1:{self.port}", control=self.control, rtp=self.rtp, rtp_end=self.rtp + 20,
                voice=voice, name=self.name, folder=self.folder, modules=MODULES,
            )
        )  # fmt: skip
        (self.folder / "accounts").write_text("# given later, once we can hear of the registration\n")
        (self.folder / "contacts").write_text("")
        self.log = (self.folder / "log").open("wb")
        self._process = await asyncio.create_subprocess_exec(
            "baresip", "-f", str(self.folder), "-4", "-v",
            stdin=asyncio.subprocess.PIPE, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        await self._connect()
        await self.tell("uanew", account)

    async def _connect(self):
        for _ in range(200):
            with suppress(OSError):
                reader, self._writer = await asyncio.open_connection("127.0.0.1", self.control)
                self._listener = asyncio.ensure_future(self._listen(reader))
                return
            assert self._process.returncode is None, self.said()
            await asyncio.sleep(0.1)
        raise AssertionError(f"{self.name}: no control socket\n{self.said()}")

    async def _listen(self, reader):
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                size = int((await reader.readuntil(b":"))[:-1])
                message = json.loads((await reader.readexactly(size + 1))[:-1])
                async with self._changed:
                    self.events.append(message)
                    self._changed.notify_all()

    async def tell(self, command, params=""):
        """Send a command of baresip's menu: dial, accept, hangup …"""
        text = json.dumps({"command": command, "params": params, "token": "t"}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        await self._writer.drain()

    def mark(self):
        """The place in the list of events where the next one will stand."""
        return len(self.events)

    async def hears(self, *types, since=0, limit=SOON):
        """Wait for an event of one of the types, e.g. REGISTER_OK, CALL_ESTABLISHED, and return it."""

        def found():
            return next((e for e in self.events[since:] if e.get("event") and e["type"] in types), None)

        try:
            async with asyncio.timeout(limit), self._changed:
                await self._changed.wait_for(found)
        except TimeoutError:
            seen = [event.get("type", event) for event in self.events]
            raise AssertionError(f"{self.name} waited for {types}, saw {seen}\n{self.said()}") from None
        return found()

    def said(self):
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def heard(self):
        """What it received in its calls so far: samples and their rate."""
        samples, rate = array.array("h"), 8000
        for path in sorted(self.folder.glob("dump-*-dec.wav")):
            with wave.open(str(path)) as recording:
                rate = recording.getframerate()
                samples.frombytes(recording.readframes(recording.getnframes()))
        return samples, rate

    async def stop(self):
        """End the process, politely first so that its recordings are closed."""
        if self._process and self._process.returncode is None:
            with suppress(OSError):
                await self.tell("quit")
            try:
                await asyncio.wait_for(self._process.wait(), 10)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._listener:
            self._listener.cancel()
            self._writer.close()
        if self._process:
            self.log.close()


@pytest.fixture
async def baresip(tmp_path, free_port):
    """Makes phones: `await baresip("alice", account, tone=440)`."""
    if reason := missing():
        pytest.skip(reason)
    phones = []

    async def make(name, account, tone, folder=""):
        phone = Baresip(name, tmp_path / (folder or name), free_port(), free_port(), free_port(24), tone)
        phones.append(phone)
        await phone.start(account)
        return phone

    yield make
    for phone in phones:
        await phone.stop()
