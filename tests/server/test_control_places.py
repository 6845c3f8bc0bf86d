"""Who reaches the faces that command a server: its own user, this machine, and others only by being told."""

import asyncio
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from kamtool.errors import ConfigError
from kamtool.server.admission import Admission
from kamtool.server.control import ControlSocket
from kamtool.server.listen import ipv4_addresses, ipv6_addresses
from kamtool.server.rpc import RpcTable
from tests.support.until import SOON

CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "FACE.so"
modparam("FACE", "PARAM", "VALUE")
request_route { exit; }
"""


@pytest.fixture
def generous():
    """A umask that would let everybody in."""
    old = os.umask(0)
    yield
    os.umask(old)


async def test_the_control_socket_is_for_its_user_alone_whatever_the_umask(tmp_path, generous):
    control = ControlSocket(RpcTable(), tmp_path / "run" / "kamtool.sock")
    await control.start()
    try:
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
        for path in (tmp_path / "run").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    finally:
        await control.stop()


def hosts_of(transport, port):
    """The IPv4 addresses, as the kernel writes them, at which this port is open."""
    rows = [line.split()[1] for line in Path(f"/proc/net/{transport}").read_text().splitlines()[1:]]
    return [row.partition(":")[0] for row in rows if row.endswith(f":{port:04X}")]


@pytest.mark.parametrize(
    ("face", "param", "begin"), [("ctl", "binrpc", "tcp:"), ("jsonrpcs", "dgram_socket", "udp:")]
)
async def test_a_network_face_without_a_host_is_for_this_machine_alone(
    kamtool, free_port, face, param, begin
):
    port = free_port()
    value = f"{begin}{port}" if face == "ctl" else f"{begin}:{port}"
    text = CFG.replace("FACE", face).replace("PARAM", param).replace("VALUE", value)
    await kamtool(
        text
        if face == "ctl"
        else text.replace("request_route", 'modparam("jsonrpcs", "transport", 4)\nrequest_route')
    )
    rows = hosts_of("tcp" if face == "ctl" else "udp", port)
    if not rows:  # it chose ::1
        with (
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other,
            pytest.raises(OSError, match="in use"),
        ):
            other.bind(("::1", port))
    assert set(rows) <= {"0100007F"}


def test_a_face_that_is_open_to_others_is_named_with_who_is_answered(caplog):
    for host in ("127.0.0.1", "::1", "localhost"):
        Admission("ctl", ()).tell(host, 2046)
    assert not caplog.messages
    Admission("ctl", ()).tell("0.0.0.0", 2046)
    assert "0.0.0.0:2046 asks for no password: it answers this machine, and nobody else" in caplog.text
    Admission("ctl", ["10.0.0.5, 10.1.0.0/16"]).tell("0.0.0.0", 2046)
    assert "this machine, and 10.0.0.5/32 and 10.1.0.0/16" in caplog.text


def test_this_machine_and_whom_the_cfg_trusts_are_admitted(caplog):
    admission = Admission("ctl", ["192.0.2.5, 198.51.100.0/24", "2001:db8::/32"])
    for host in (
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "192.0.2.5",
        "198.51.100.77",
        "2001:db8::7",
        "::ffff:192.0.2.5",
    ):
        assert admission.admits(host), host
    for host in (*ipv4_addresses(), *ipv6_addresses()):
        assert admission.admits(host), host
    assert not caplog.messages
    for host in ("192.0.2.6", "198.51.101.1", "2001:db9::1", "fe80::1%lo", "::ffff:192.0.2.6", "192.0.2.6"):
        assert not admission.admits(host), host
    assert caplog.text.count("192.0.2.6 is not answered") == 1
    assert 'modparam("ctl", "trusted", "192.0.2.6")' in caplog.text


@pytest.mark.parametrize("face", ["ctl", "jsonrpcs"])
async def test_what_is_no_address_is_refused_at_the_start(kamtool, face):
    with pytest.raises(ConfigError, match="neither an address nor a network"):
        await kamtool(CFG.replace("FACE", face).replace("PARAM", "trusted").replace("VALUE", "192.0.2.0/33"))


class Guest(Admission):
    """Takes this machine for others, which are known or not."""

    def __init__(self, known):
        super().__init__("test", ())
        self.known = known

    def admits(self, host):
        return next(self.known)


async def test_a_stranger_is_not_answered_over_tcp(kamtool, free_port):
    port = free_port()
    text = CFG.replace("FACE", "ctl").replace("PARAM", "binrpc").replace("VALUE", f"tcp:0.0.0.0:{port}")
    server = await kamtool(text)
    request = bytes.fromhex("a1030c000001910d") + b"core.uptime\0"
    server.modules["ctl"].admission = Guest(iter([True, False]))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    assert await asyncio.wait_for(reader.read(1), SOON)
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    with suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), SOON) == b""
    writer.close()


async def test_a_stranger_is_not_answered_over_udp(kamtool, free_port):
    port = free_port()
    text = (
        CFG.replace("FACE", "jsonrpcs")
        .replace("PARAM", "dgram_socket")
        .replace("VALUE", f"udp:0.0.0.0:{port}")
    )
    server = await kamtool(
        text.replace("request_route", 'modparam("jsonrpcs", "transport", 4)\nrequest_route')
    )
    module, loop = server.modules["jsonrpcs"], asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect(("127.0.0.1", port))
        known = iter([False, True])  # the datagrams are read in order
        module.admission = Guest(known)
        for name in (b"stranger", b"friend"):
            client.send(b'{"jsonrpc": "2.0", "method": "core.uptime", "id": "%s"}' % name)
        answer = await asyncio.wait_for(loop.sock_recv(client, 65536), SOON)
    assert b"friend" in answer
    assert next(known, None) is None
