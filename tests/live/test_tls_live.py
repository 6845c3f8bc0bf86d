"""SIP over TLS on real sockets: handshakes, names, certificates, reloads, and peers that mean no good."""

import asyncio
import os
import socket
import ssl

import pytest

from kamtool.errors import RpcError
from tests.support.server import SOON, port_of
from tests.support.tls import client_context, tls_cfg
from tests.support.until import until

pytestmark = pytest.mark.live

HERE = 'request_route { if (is_method("OPTIONS")) sl_send_reply("200", "Here"); else t_relay(); }'
SHOW = """
request_route {
    $var(p) = $tls_peer_subject_cn;
    append_to_reply("X: $tls_version $tls_peer_server_name $tls_peer_verified $var(p) $pr\\r\\n");
    if (is_peer_verified()) sl_send_reply("200", "Verified"); else sl_send_reply("200", "Unknown");
}
"""


def options(peer, port, branch="1"):
    return peer.request("OPTIONS", f"sip:127.0.0.1:{port};transport=tls", branch=branch)


async def ask(peer, port):
    peer.send(options(peer, port))
    return await peer.expect("200")


async def test_a_request_over_tls_is_answered_on_its_connection(tls_server, tls_peer):
    port = port_of(await tls_server(SHOW), "tls")
    answer = await ask(await tls_peer(port), port)
    assert answer.header("X") == "TLSv1.3 sip.example.com 0 0 tls"
    assert answer.data.startswith(b"SIP/2.0 200 Unknown")


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
async def test_a_client_certificate_is_verified(tls_server, tls_peer, authority, version):
    server = await tls_server(SHOW, server="verify_certificate = yes")
    port = port_of(server, "tls")
    alice = authority.issue(["example.com"], user="alice", stem=f"alice{version}")
    wanted = getattr(ssl.TLSVersion, version)
    one = await tls_peer(port, context=client_context(authority, alice, maximum_version=wanted))
    answer = await ask(one, port)
    assert answer.header("X") == f"{version.replace('_', '.')} sip.example.com 1 alice tls"
    assert answer.data.startswith(b"SIP/2.0 200 Verified")


async def test_selects_say_what_the_variables_say(tls_server, tls_peer, authority):
    paths = (
        "version",
        "cipher.bits",
        "server_name",
        "peer.verified",
        "peer.subj.commonName",
        "peer.issuer.st",
        "me.notAfter",
    )
    shown = " ".join(f"$sel(tls.{path})" for path in paths)
    cfg = f"""request_route {{
        append_to_reply("X: {shown}\\r\\n");
        if (@tls.my.subject.cn == "sip.example.com" && @tls.peer.sn == $tls_peer_serial)
            sl_send_reply("200", "OK");
        else
            sl_send_reply("500", "Not the same");
    }}"""
    server = await tls_server(cfg, server="verify_certificate = yes")
    alice = authority.issue(["example.com"], user="alice", stem="selects")
    port = port_of(server, "tls")
    answer = await ask(await tls_peer(port, context=client_context(authority, alice)), port)
    assert (answer.header("X") or "").startswith("TLSv1.3 256 sip.example.com 1 alice <null> ")
    assert (answer.header("X") or "").endswith(" GMT")


async def test_what_may_wait_for_a_connection_changes_while_the_server_runs(tls_server):
    server = await tls_server(HERE, modparams='loadmodule "cfg_rpc.so"')
    rpc = server.modules["cfg_rpc"]
    assert rpc.get("tls", "con_ct_wq_max") == 65_536
    await rpc.set_now_int("tls", "con_ct_wq_max", 1000)
    await rpc.set_now_int("tls", "connection_timeout", 7)
    assert server.transports.tcp.options.max_queue_bytes == 1000
    assert server.modules["tls"].idle_seconds == 7
    await rpc.set_now_string("tls", "config", "nowhere.cfg")
    with pytest.raises(RpcError, match=r"nowhere\.cfg.*the old set goes on"):
        await server.modules["tls"].rpc_reload()


async def closes(connecting):
    """A connection that the server ends, in the handshake or (TLS 1.3) right behind it."""
    try:
        peer = await connecting
    except (OSError, ssl.SSLError):
        return True
    await asyncio.wait_for(peer.closed.wait(), SOON)
    return True


async def test_without_the_certificate_that_is_required_there_is_no_connection(
    tls_server, tls_peer, authority
):
    port = port_of(await tls_server(SHOW, server="verify_certificate=yes\nrequire_certificate = yes"), "tls")
    assert await closes(tls_peer(port))
    alice = authority.issue(["example.com"], user="alice", stem="required")
    await ask(await tls_peer(port, context=client_context(authority, alice)), port)


async def test_a_certificate_that_was_revoked_is_refused_after_a_reload(
    tls_server, tls_peer, authority, tmp_path, issued
):
    crl = authority.folder / "crl.pem"
    sections = "verify_certificate=yes\nrequire_certificate=yes\ncrl = " + str(crl)
    server = await tls_server(SHOW, server=sections)
    port = port_of(server, "tls")
    alice = authority.issue(["example.com"], user="alice", stem="revoked")
    bob = authority.issue(["example.com"], user="bob", stem="kept")
    before = await tls_peer(port, context=client_context(authority, alice))
    await ask(before, port)
    authority.revoke(alice)
    await server.rpc.call("tls.reload")
    assert await closes(tls_peer(port, context=client_context(authority, alice)))
    await ask(await tls_peer(port, context=client_context(authority, bob)), port)
    await ask(before, port)


async def test_the_name_asked_for_chooses_certificate_and_rules(tls_server, tls_peer, authority):
    other = authority.issue(["other.example.com"], stem="other")
    more = (
        f"[server:any]\nserver_name = other.example.com\ncertificate = {other.certificate}\n"
        f"private_key = {other.key}\nverify_certificate = yes\nrequire_certificate = yes\n"
        f"ca_list = {authority.certificate_file}\n"
    )
    port = port_of(await tls_server(SHOW, more=more), "tls")
    plain = await tls_peer(port)
    await ask(plain, port)
    assert ("DNS", "sip.example.com") in plain.secure.getpeercert()["subjectAltName"]
    assert await closes(tls_peer(port, name="other.example.com")), "the section wants a certificate"
    context = client_context(authority, other)
    named = await tls_peer(port, name="other.example.com", context=context)
    await ask(named, port)
    assert ("DNS", "other.example.com") in named.secure.getpeercert()["subjectAltName"]


async def test_a_reload_changes_the_certificate_and_keeps_connections(
    tls_server, tls_peer, authority, issued
):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    before = await tls_peer(port)
    await ask(before, port)
    serial = before.secure.getpeercert()["serialNumber"]
    authority.issue(issued.names, stem=os.path.basename(issued.certificate)[:-4], replace=True)
    assert "reloaded" in await server.rpc.call("tls.reload")
    after = await tls_peer(port)
    await ask(after, port)
    assert after.secure.getpeercert()["serialNumber"] != serial
    await ask(before, port)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("colour = red", "no attribute `colour`"),
        ("certificate = {other.certificate}\nprivate_key = {own.key}", "does not belong to the certificate"),
        ("certificate = {other.certificate}\nprivate_key = gone.key", "cannot use private key"),
    ],
)
async def test_a_reload_of_a_bad_file_says_where_and_keeps_the_old_set(
    tls_server, tls_peer, authority, issued, more, said
):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    before = await tls_peer(port)
    other = authority.issue(["other.example"], stem="reload-other", replace=True)
    text = server.tls_cfg.read_text()
    server.tls_cfg.write_text(text + "[server:any]\n" + more.format(own=issued, other=other) + "\n")
    with pytest.raises(RpcError, match=rf"tls\.cfg:\d+:.*{said}.*the old set goes on"):
        await server.rpc.call("tls.reload")
    await ask(await tls_peer(port), port)
    await ask(before, port)


# Going out -----------------------------------------------------------------------------------------------


def server_context(issued, authority=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if authority is not None:
        context.load_verify_locations(authority.certificate_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def relayed(server, alice, bob, uri="", branch="r"):
    uri = uri or f"sip:bob@127.0.0.1:{bob.port};transport=tls"
    alice.send(alice.request("MESSAGE", uri, branch=branch), port_of(server))
    return await bob.expect("MESSAGE")


async def test_a_request_goes_out_over_tls_once_the_handshake_is_done(tls_server, tls_peer, peer, issued):
    server = await tls_server(HERE)
    bob, alice = await tls_peer(server_context=server_context(issued)), await peer()
    message = await relayed(server, alice, bob)
    assert message.header("Via").startswith("SIP/2.0/TLS 127.0.0.1:")
    bob.send(bob.answer(message, 200))
    await alice.expect("200")


async def test_a_sips_uri_goes_over_tls(tls_server, tls_peer, peer, issued):
    """RFC 3261 19.1, 26.2.2."""
    server = await tls_server(HERE)
    bob, alice = await tls_peer(server_context=server_context(issued)), await peer()
    message = await relayed(server, alice, bob, f"sips:bob@127.0.0.1:{bob.port}")
    assert message.header("Via").startswith("SIP/2.0/TLS ")


async def test_a_client_section_shows_its_certificate(tls_server, tls_peer, peer, authority, issued):
    client = f"verify_certificate = no\ncertificate = {issued.certificate}\nprivate_key = {issued.key}"
    server = await tls_server(HERE, client=client)
    bob, alice = await tls_peer(server_context=server_context(issued, authority)), await peer()
    await relayed(server, alice, bob)
    shown = (await bob.accepted.get()).getpeercert()
    assert ("DNS", "sip.example.com") in shown["subjectAltName"]


async def test_a_server_whose_certificate_is_not_trusted_gets_nothing(
    tls_server, tls_peer, peer, tmp_path, issued
):
    from kamtool.tools.tls_authority import Authority

    stranger = Authority.create(tmp_path / "stranger", "stranger").issue(["127.0.0.1"])
    server = await tls_server(HERE, client="verify_certificate = yes\nrequire_certificate = yes")
    bob, alice = await tls_peer(server_context=server_context(stranger)), await peer()
    alice.send(alice.request("MESSAGE", f"sip:bob@127.0.0.1:{bob.port};transport=tls"), port_of(server))
    await alice.expect("477")
    good = await tls_peer(server_context=server_context(issued))
    await relayed(server, alice, good, branch="second")


async def test_a_server_must_be_named_in_its_certificate(tls_server, tls_peer, peer, authority, issued):
    """RFC 5922 4, 7.2."""
    server = await tls_server(HERE, client="verify_certificate = yes\nserver_name = elsewhere.example.com")
    bob, alice = await tls_peer(server_context=server_context(issued)), await peer()
    alice.send(alice.request("MESSAGE", f"sip:bob@127.0.0.1:{bob.port};transport=tls"), port_of(server))
    await alice.expect("477")


async def test_the_script_chooses_the_profile_and_may_refuse_a_connection(tls_server, tls_peer, peer, issued):
    own = f"certificate = {issued.certificate}\nprivate_key = {issued.key}"
    more = f"[client:10.9.8.7:5061]\nserver_id = trunk\n{own}"
    route = """
request_route {
    if ($rU == "trunk") {
        $xavp(tls=>server_id) = "trunk";
        $xavp(tls[0]=>server_name) = "chosen.example.com";
    }
    t_relay();
}
event_route[tls:connection-out] {
    if ($tls_my_subject_cn == $null) drop;
}
"""
    server = await tls_server(route, more=more, modparams='modparam("tls", "xavp_cfg", "tls")')
    bob, alice = await tls_peer(server_context=server_context(issued)), await peer()
    alice.send(alice.request("MESSAGE", f"sip:other@127.0.0.1:{bob.port};transport=tls"), port_of(server))
    await alice.expect("477")
    message = await relayed(server, alice, bob, f"sip:trunk@127.0.0.1:{bob.port};transport=tls", "second")
    assert message.method == "MESSAGE"
    rows = await server.rpc.call("tls.list")
    assert [row["server_name"] for row in rows] == ["chosen.example.com"]


# Limits --------------------------------------------------------------------------------------------------


def raw(port, data=b""):
    """A TCP connection that need not speak TLS."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setblocking(False)
    if data:
        sock.send(data)
    return sock


async def is_closed(sock):
    loop = asyncio.get_running_loop()

    async def read():
        try:
            while await loop.sock_recv(sock, 4096):
                pass
        except ConnectionError:
            pass

    await asyncio.wait_for(read(), SOON)
    sock.close()
    return True


@pytest.mark.parametrize(
    "garbage", [b"OPTIONS sip:x SIP/2.0\r\n\r\n", b"\x16\x03\x01\x00\x00", b"x" + bytes(200)]
)
async def test_what_is_no_tls_is_closed_at_once(tls_server, tls_peer, garbage):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    assert await is_closed(raw(port, garbage))
    await ask(await tls_peer(port), port)


async def test_a_handshake_that_stalls_ends_and_holds_up_nobody(tls_server, tls_peer):
    server = await tls_server(HERE, settings="tls_handshake_timeout=1")
    port = port_of(server, "tls")
    stalled = [raw(port), raw(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"), raw(port, b"\x16")]
    await until(lambda: server.transports.tcp.tls_count == 3)
    await ask(await tls_peer(port), port)
    for sock in stalled:
        assert await is_closed(sock)
    assert server.transports.tcp.tls_count == 1
    assert not server.transports.tcp.handshakes.open


async def test_no_more_tls_connections_than_allowed(tls_server, tls_peer):
    server = await tls_server(HERE, settings="tls_max_connections=2")
    port = port_of(server, "tls")
    held = [await tls_peer(port), await tls_peer(port)]
    assert await closes(tls_peer(port))
    await held[0].close()
    await until(lambda: server.transports.tcp.tls_count == 1)
    await ask(await tls_peer(port), port)


async def test_an_idle_connection_is_closed_after_connection_timeout(tls_server, tls_peer):
    server = await tls_server(HERE, modparams='modparam("tls", "connection_timeout", 1)')
    idle = await tls_peer(port_of(server, "tls"))
    await asyncio.wait_for(idle.closed.wait(), SOON)


async def test_large_messages_come_and_go_whole(tls_server, tls_peer, peer):
    server = await tls_server(
        'request_route { append_to_reply("X: $rb\\r\\n"); sl_send_reply("200", "OK"); }'
    )
    port = port_of(server, "tls")
    one = await tls_peer(port)
    body = "v" * 50_000
    for number in range(3):
        one.send(
            one.request("MESSAGE", f"sip:127.0.0.1:{port};transport=tls", branch=f"b{number}", body=body)
        )
    for _ in range(3):
        assert (await one.expect("200")).header("X") == body


async def test_a_phone_comes_back_by_the_ticket_that_it_was_given(tls_server, authority):
    server = await tls_server(HERE)
    port, context = port_of(server, "tls"), client_context(authority)

    def talk(session):
        plain = socket.create_connection(("127.0.0.1", port), SOON)
        with context.wrap_socket(plain, server_hostname="sip.example.com", session=session) as secure:
            secure.sendall(b"\r\n\r\n")
            assert secure.recv(2) == b"\r\n"
            return secure.session, secure.session_reused

    session, _ = await asyncio.to_thread(talk, None)
    assert session.has_ticket
    assert (await asyncio.to_thread(talk, session))[1]


async def test_rpc_shows_and_closes_connections(tls_server, tls_peer):
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    one = await tls_peer(port)
    await ask(one, port)
    [row] = await server.rpc.call("tls.list")
    assert (row["src_port"], row["dst_port"], row["state"]) == (one.port, port, "established")
    assert (await server.rpc.call("tls.info"))["opened_connections"] == 1
    await server.rpc.call("tls.kill", [row["id"]])
    await asyncio.wait_for(one.closed.wait(), SOON)
    assert (await server.rpc.call("tls.info"))["opened_connections"] == 0


async def test_without_a_working_certificate_the_server_does_not_start(
    tls_server, tmp_path, authority, issued
):
    from kamtool.errors import ConfigErrors

    with pytest.raises(ConfigErrors) as caught:
        await tls_server(HERE, server="private_key = /none.key")
    assert caught.value.errors[0].span.file == str(tls_cfg(tmp_path, authority, issued))


@pytest.mark.parametrize("shows_certificate", [True, False])
async def test_an_alias_is_believed_only_of_a_peer_with_a_certificate(
    tls_server, tls_peer, authority, shows_certificate
):
    """RFC 5923 5."""
    server = await tls_server(HERE, server="verify_certificate = yes", settings="tcp_accept_aliases=yes")
    port = port_of(server, "tls")
    alice = authority.issue(["example.com"], user="alice", stem=f"alias{shows_certificate}")
    one = await tls_peer(port, context=client_context(authority, alice if shows_certificate else None))
    one.send(options(one, port).replace(";branch", ";alias;branch").replace(f":{one.port};", ":5099;"))
    await one.expect("200")
    assert (server.transports.tcp.find("tls", ("127.0.0.1", 5099)) is not None) == shows_certificate


async def test_records_in_a_thousand_crumbs_end_the_connection(tls_server, authority):
    """What costs us a wake-up and carries nothing is bounded."""
    server = await tls_server(HERE)
    port = port_of(server, "tls")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(authority).wrap_bio(incoming, outgoing, server_hostname="sip.example.com")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    while True:
        try:
            client.do_handshake()
            break
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await asyncio.wait_for(reader.read(16_384), SOON))
    writer.write(outgoing.read())
    client.write(b"x" * 5000)
    record = outgoing.read()
    connection = next(iter(server.transports.tcp.connections.values()))
    for at in range(len(record)):
        if not connection.is_open:
            break
        writer.write(record[at : at + 1])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not connection.is_open
    writer.close()
