"""Debian's rtpengine between two phones: what one says the other hears, and only through the relay."""

import asyncio
import subprocess

import pytest

from tests.interop.test_baresip import ALICE_TONE, BOB_TONE, account, both_hear, staffed
from tests.support.baresip import seconds_of
from tests.support.until import until

pytestmark = pytest.mark.interop

CFG = """#!KAMAILIO
alias="office.test"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "kex.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "nathelper.so"
{relay}
modparam("nathelper|registrar", "received_avp", "$avp(received)")
request_route {{
    force_rport();
    if (has_totag()) {{
        if (loose_route()) {{
            if (is_gruu() && uri == myself && !lookup("location")) exit;
            if (is_method("INVITE|BYE|ACK|UPDATE")) {manage};
            t_on_reply("MEDIA");
            t_relay();
        }}
        exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (is_method("REGISTER")) {{ fix_nated_register(); save("location"); exit; }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    if (is_method("INVITE")) {manage};
    t_on_reply("MEDIA");
    t_relay();
}}
onreply_route[MEDIA] {{
    if (has_body("application/sdp") || status =~ "[3-6][0-9][0-9]") {manage};
}}
"""
RTPENGINE = 'loadmodule "rtpengine.so"\nmodparam("rtpengine", "rtpengine_sock", "udp:127.0.0.1:{ng}")'
RTPPROXY = 'loadmodule "rtpproxy.so"\nmodparam("rtpproxy", "rtpproxy_sock", "udp:127.0.0.1:{old}")'
WAYS = {
    "rtpengine": (RTPENGINE, 'rtpengine_manage("replace-origin replace-session-connection delete-delay=0")'),
    "rtpproxy": (RTPPROXY, 'rtpproxy_manage("co")'),
}


@pytest.mark.parametrize("way", WAYS)
async def test_two_phones_hear_each_other_through_the_relay_alone(served, baresip, rtpengine, tmp_path, way):
    """The relay stands on an address of its own, so where media come from says which way they went."""
    daemon = rtpengine(address="127.0.0.77")
    relay, manage = WAYS[way]
    path = tmp_path / "relay.cfg"
    path.write_text(CFG.format(relay=relay.format(ng=daemon.ng, old=daemon.old), manage=manage))
    server = staffed(served()).start("-f", path)
    alice = await baresip("alice", account("alice", server, "udp", "wonderland"), ALICE_TONE)
    bob = await baresip("bob", account("bob", server, "udp", "can-we-fix-it"), BOB_TONE)
    await alice.hears("REGISTER_OK")
    await bob.hears("REGISTER_OK")
    await alice.tell("dial", f"sip:bob@127.0.0.1:{server.port}")
    await bob.hears("CALL_INCOMING")
    await bob.tell("accept")
    await alice.hears("CALL_ESTABLISHED")
    await bob.hears("CALL_ESTABLISHED")
    await both_hear(alice, bob)
    calls = daemon.ask({"command": "list", "limit": 10})["calls"]
    assert len(calls) == 1
    counted = daemon.ask({"command": "query", "call-id": calls[0]})["totals"]["RTP"]
    assert counted["packets"] > 100, f"media did not go through the relay: {counted}"
    await alice.tell("hangup")
    await bob.hears("CALL_CLOSED")
    await until(lambda: not daemon.ask({"command": "list", "limit": 10})["calls"] or way == "rtpproxy")
    await alice.stop()
    await bob.stop()
    for phone, own, other in ((alice, ALICE_TONE, BOB_TONE), (bob, BOB_TONE, ALICE_TONE)):
        samples, rate = phone.heard()
        assert len(samples) > rate, f"{phone.name} heard less than a second\n{phone.said()}"
        assert seconds_of(samples, rate, other) > 1.0, f"{phone.name} did not hear the other's tone"
        assert not seconds_of(samples, rate, own), f"{phone.name} heard itself"


async def test_the_daemon_can_be_killed_and_calls_fail_over_to_another(kamtool, peer, rtpengine):
    from tests.modules.test_rtpengine import cfg, message, told
    from tests.support.server import port_of

    one, two = rtpengine(), rtpengine(address="127.0.0.78")
    urls = [f"udp:127.0.0.1:{daemon.ng}" for daemon in (one, two)]
    request = told('rtpengine_manage("replace-origin replace-session-connection delete-delay=0")')
    server = await kamtool(cfg(f"{urls[0]}=1000 {urls[1]}=1", request=request))
    phone = await peer()
    phone.send(message(phone), port_of(server))
    answer = await phone.expect(200)
    assert answer.header("X-Shown") == urls[0]
    assert b"c=IN IP4 127.0.0.1\r\n" in answer.body
    one.process.kill()
    await asyncio.to_thread(one.process.wait)
    phone.send(message(phone, call_id="second").replace("bK1", "bK2"), port_of(server))
    answer = await phone.expect(200)
    assert answer.header("X-Shown") == urls[1]
    assert b"c=IN IP4 127.0.0.78\r\n" in answer.body
    assert [node.usable for node in server.modules["rtpengine"].nodes.all] == [False, True]


async def test_rtpestat_counts_what_rtpengine_counts(kamtool, peer, rtpengine):
    from tests.modules.test_rtpengine import cfg, message, told
    from tests.support.server import port_of

    daemon = rtpengine()
    server = await kamtool(cfg(f"udp:127.0.0.1:{daemon.ng}", request=told("rtpengine_manage()", "$rtpestat")))
    phone, listener = await peer(), await peer()
    phone.send(message(phone, "UPDATE", to_tag="you"), port_of(server))
    answer = await phone.expect(200)
    assert answer.header("X-Shown") == "RTP: 0 bytes, 0 packets, 0 errors; RTCP: 0 bytes, 0 packets, 0 errors"
    port = int(answer.body.partition(b"m=audio ")[2].split()[0])
    listener.wire.sendto(b"\x80\x00" + bytes(170), ("127.0.0.1", port))
    await until(lambda: counted(daemon)["packets"] == 1)
    phone.send(message(phone, "UPDATE", to_tag="you").replace("bK1", "bK2"), port_of(server))
    assert "RTP: 172 bytes, 1 packets" in (await phone.expect(200)).header("X-Shown")


def counted(daemon):
    return daemon.ask({"command": "query", "call-id": "call"})["totals"]["RTP"]


STOCK = "/etc/kamailio/kamailio.cfg"


@pytest.mark.parametrize(
    ("defines", "relay"), [(("WITH_NAT",), "rtpproxy"), (("WITH_NAT", "WITH_RTPENGINE"), "rtpengine")]
)
def test_the_stock_cfg_with_nat_checks_clean(defines, relay):
    import sys
    from pathlib import Path

    if not Path(STOCK).exists():
        pytest.skip("Kamailio is not installed (Debian: kamailio)")
    arguments = [word for name in defines for word in ("-A", name)]
    done = subprocess.run(
        [sys.executable, "-m", "kamtool.cli.main", "check", *arguments, STOCK],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
