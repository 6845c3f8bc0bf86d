"""Who reaches the faces that command a server: its own user, this machine, and others only by being told."""

import os
import socket
import stat
from pathlib import Path

import pytest

from kamtool.server.control import ControlSocket, tell_if_open
from kamtool.server.rpc import RpcTable

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


def test_a_face_that_is_open_to_others_is_named(caplog):
    for host in ("127.0.0.1", "::1", "localhost"):
        tell_if_open("ctl", host, 2046)
    assert not caplog.messages
    tell_if_open("ctl", "0.0.0.0", 2046)
    assert "whoever reaches 0.0.0.0:2046 commands this server" in caplog.text
