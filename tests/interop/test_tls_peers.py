"""TLS with programs that others wrote: openssl s_client, baresip, and Kamailio on both sides."""

import asyncio
import contextlib
import shutil
import socket
from pathlib import Path

import pytest

from tests.support.baresip import missing
from tests.support.kamailio import Launched
from tests.support.server import SOON, port_of
from tests.support.tls import BASE, tls_cfg

pytestmark = [pytest.mark.live, pytest.mark.interop]

HERE = 'request_route { if (is_method("OPTIONS")) sl_send_reply("200", "Here"); else t_relay(); }'
OFFICE = """
request_route {
    if (is_method("REGISTER")) {
        if (!pv_www_authenticate("kamtool.test", "secret", "0")) { www_challenge("kamtool.test", "1"); exit; }
        save("location");
        exit;
    }
    if (has_totag()) { loose_route(); t_relay(); exit; }
    record_route();
    if (!lookup("location")) { sl_send_reply("404", "Nobody"); exit; }
    t_relay();
}
"""
REGISTRAR = 'loadmodule "auth.so"\nloadmodule "usrloc.so"\nloadmodule "registrar.so"\n'


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
async def test_openssl_verifies_the_server_and_gets_an_answer(tls_server, authority, version):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    port = port_of(await tls_server(HERE), "tls")
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "sip.example.com", version,
        "-CAfile", str(authority.certificate_file), "-verify_return_error", "-quiet",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    process.stdin.write(
        b"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bKo\r\n"
        b"From: <sip:a@b>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n"
        b"Max-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
    )
    answer = await asyncio.wait_for(process.stdout.readline(), SOON)
    process.kill()
    errors = (await process.communicate())[1]
    assert answer == b"SIP/2.0 200 Here\r\n", errors.decode()


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
async def test_openssl_with_an_old_version_is_refused_unless_legacy(tls_server, authority, version):
    async def can_connect(port):
        process = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"127.0.0.1:{port}", version, "-cipher", "ALL:@SECLEVEL=0",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said = (await asyncio.wait_for(process.communicate(), SOON))[0].decode()
        return "Cipher is (NONE)" not in said

    assert not await can_connect(port_of(await tls_server(HERE), "tls"))
    assert await can_connect(port_of(await tls_server(HERE, server="method = TLSv1+\nlegacy = yes"), "tls"))


async def test_a_client_may_not_renegotiate(tls_server, tls_peer):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    process = await asyncio.create_subprocess_exec(
        "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said = await asyncio.wait_for(process.stdout.readuntil(b"Extended master secret"), SOON)
    process.stdin.write(b"R\n")
    async with asyncio.timeout(SOON):
        while piece := await process.stdout.read(4096):
            said += piece
    await process.wait()
    assert b"RENEGOTIATING" in said
    assert b"no renegotiation" in said


async def test_baresip_registers_and_calls_over_tls(tls_server, baresip):
    if missing():
        pytest.skip(missing())
    server = await tls_server(OFFICE, modules=BASE + REGISTRAR, settings='alias="kamtool.test"')
    port = port_of(server, "tls")

    def account(name):
        outbound = f'outbound="sip:127.0.0.1:{port};transport=tls"'
        return f"<sip:{name}@127.0.0.1:{port};transport=tls>;auth_pass=secret;regint=600;{outbound}"

    alice = await baresip("alice", account("alice"), 440)
    bob = await baresip("bob", account("bob"), 620)
    await alice.hears("REGISTER_OK")
    await bob.hears("REGISTER_OK")
    await alice.tell("dial", f"sip:bob@127.0.0.1:{port};transport=tls")
    await bob.hears("CALL_INCOMING")
    await bob.tell("accept")
    await alice.hears("CALL_ESTABLISHED")
    await bob.hears("CALL_ESTABLISHED")
    assert {flow["transport"] for flow in await server.rpc.call("tls.list")} == {"tls"}
    await alice.tell("hangup")
    await bob.hears("CALL_CLOSED")


KAMAILIO = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=1
enable_tls=yes
listen=udp:127.0.0.1:{udp}
listen=tls:127.0.0.1:{tls}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "tls.so"
modparam("tls", "config", "{cfg}")
"""


@contextlib.contextmanager
def kamailio_with_tls(folder, authority, issued, udp, tls, route):
    if not shutil.which("kamailio") or not Path("/usr/lib/x86_64-linux-gnu/kamailio/modules/tls.so").exists():
        pytest.skip("Kamailio with TLS is not installed (Debian: kamailio kamailio-tls-modules)")
    folder.mkdir()
    cfg = tls_cfg(
        folder, authority, issued, server="verify_certificate = yes\nrequire_certificate = yes",
        client=f"verify_certificate = yes\ncertificate = {issued.certificate}\nprivate_key = {issued.key}",
    )  # fmt: skip
    (folder / "kamailio.cfg").write_text(KAMAILIO.format(udp=udp, tls=tls, cfg=cfg) + route)
    launched = Launched(folder / "kamailio.cfg", folder, lambda: connects(tls), "-x", "fm")
    try:
        yield
    finally:
        launched.end()


def connects(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


FAR = """
request_route {{
    if ($pr == "udp") $du = "sip:127.0.0.1:{far};transport=tls";
    t_relay();
}}
"""


async def test_kamailio_over_tls_in_both_directions(tls_server, peer, authority, issued, tmp_path, free_port):
    """From a phone on one server, over TLS to the other, to a phone there; each verifies the other."""
    udp, tls = free_port(), free_port()
    own = f"verify_certificate = yes\ncertificate = {issued.certificate}\nprivate_key = {issued.key}"
    server = await tls_server(
        FAR.format(far=tls), server="verify_certificate = yes\nrequire_certificate = yes", client=own
    )
    route = FAR.format(far=port_of(server, "tls"))
    alice, bob = await peer(), await peer()
    with kamailio_with_tls(tmp_path / "kamailio", authority, issued, udp, tls, route):
        for branch, port in (("out", port_of(server)), ("in", udp)):
            alice.send(alice.request("MESSAGE", bob.uri, branch=branch, call_id=branch), port)
            message = await bob.expect("MESSAGE")
            assert [via.split()[0] for via in message.items("Via")] == [
                "SIP/2.0/UDP",
                "SIP/2.0/TLS",
                "SIP/2.0/UDP",
            ]
            bob.send(bob.answer(message, 200), udp if branch == "out" else port_of(server))
            await alice.expect("200")
    rows = await server.rpc.call("tls.list")
    assert all(row["verified"] for row in rows)
