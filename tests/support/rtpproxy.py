"""A stand-in for RTPproxy: it speaks the control protocol over UDP, keeps a log, and can play dead."""

import asyncio
import socket

import pytest_asyncio

VERSIONS = ("20040107", "20050322", "20071116", "20071218", "20080403", "20081102", "20081224")


class RtpProxy:
    """`log` has the commands without their cookies. Ports are given out from 40000 on, two a media stream."""

    def __init__(self, address="127.0.0.1", host="127.0.0.1", port=0, versions=VERSIONS):
        self.address, self.versions, self.log, self.cookies = address, versions, [], []
        self.silent, self.refuses, self.sessions = False, "", {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self.socket, self._readable)

    @property
    def url(self):
        return f"udp:127.0.0.1:{self.port}"

    def commands(self, *kinds):
        """The commands of these kinds (U, L, D …), all but the probes when none is named."""
        return [line for line in self.log if (line[0] in kinds if kinds else line[0] != "V")]

    def _readable(self):
        data, source = self.socket.recvfrom(65536)
        cookie, _, command = data.decode().strip().partition(" ")
        self.log.append(command)
        self.cookies.append(cookie)
        if not self.silent:
            self.socket.sendto(f"{cookie} {self.answer(command)}\n".encode(), source)

    def answer(self, command):
        """What RTPproxy would say."""
        words = command.split()
        if words[0] == "V":
            return self.versions[0]
        if words[0] == "VF":
            return "1" if words[1] in self.versions else "0"
        if self.refuses and words[0][0] in self.refuses:
            return "E7"
        if words[0][0] in "UL":
            key = (words[1], words[0][0], words[4].partition(";")[2])
            return f"{self.sessions.setdefault(key, 40000 + 2 * len(self.sessions))} {self.address}"
        return "0"

    def close(self):
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()


@pytest_asyncio.fixture
async def rtpproxy():
    """Makes stand-ins: `rtpproxy()`; `.silent = True` plays dead, `.refuses = "U"` answers E7."""
    made = []

    def make(**options):
        made.append(RtpProxy(**options))
        return made[-1]

    yield make
    for one in made:
        one.close()
