"""`kill -9` in the middle of calls that topos and topoh hide: the next server carries them on."""

import asyncio
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.modules.test_topos import bye_of
from tests.support.until import SOON

pytestmark = pytest.mark.live

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "db_sqlite.so"
loadmodule "MODULE.so"
MORE
request_route {
    if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
    if (has_totag()) { if (loose_route()) { t_relay(); } else { sl_send_reply("404", "Not here"); } exit; }
    t_check_trans();
    record_route();
    $du = "sip:127.0.0.1:CALLEE";
    t_relay();
}
"""
MORE = {
    "topos": 'modparam("topos", "db_url", "sqlite:///FOLDER/kamtool.db")',
    "topoh": 'modparam("topoh", "mask_key", "of a test")\nmodparam("topoh", "mask_callid", 1)',
}


def committed(path, wanted, within=SOON):
    """Wait until the file has so many dialogs with both tags and so many without."""
    end, found = time.monotonic() + within, []
    while time.monotonic() < end:
        with closing(sqlite3.connect(path)) as file:
            found = file.execute("SELECT b_contact <> '' AND b_tag <> '' FROM topos_d").fetchall()
        if sorted(found) == sorted(wanted):
            return
        time.sleep(0.02)
    raise AssertionError(f"{found} instead of {wanted}")


async def invited(alice, bob, port, call_id):
    contact = f"Contact: <{alice.uri}>\r\n"
    alice.send(
        alice.request("INVITE", "sip:bob@example.com", branch=call_id, call_id=call_id, headers=contact), port
    )
    invite = await bob.expect("INVITE")
    await alice.expect(100)
    return invite


async def accepted(alice, bob, port, invite):
    bob.send(bob.answer(invite, 200, headers=f"Contact: <{bob.uri}>\r\n"), port)
    return await alice.expect(200)


def within(alice, method, ok, call_id, cseq):
    """A request of the caller in the dialog: to the Contact and by the Record-Routes that it was shown."""
    routes = "".join(f"Route: {route}\r\n" for route in reversed(ok.items("Record-Route")))
    return alice.request(
        method, ok.contacts[0].uri, branch=f"{call_id}{method}{cseq}", cseq=cseq, to_tag=ok.to_tag,
        call_id=call_id, headers=f"{routes}Contact: <{alice.uri};moved={cseq}>\r\n",
    )  # fmt: skip


def hidden(message, other):
    assert f":{other.port}".encode() not in message.data, message.data.decode()


@pytest.mark.parametrize("module", ["topos", "topoh"])
async def test_calls_go_on_after_a_kill(served, peer, tmp_path, module):
    server, alice, bob = served(), await peer(), await peer()
    cfg = tmp_path / "kamailio.cfg"
    more = MORE[module].replace("FOLDER", str(server.folder))
    cfg.write_text(CFG.replace("MORE", more).replace("MODULE", module).replace("CALLEE", str(bob.port)))
    server.start("-f", cfg)
    port = server.port
    talking = await invited(alice, bob, port, "talking")
    ok = await accepted(alice, bob, port, talking)
    alice.send(within(alice, "ACK", ok, "talking", 1), port)
    await bob.expect("ACK")
    ringing = await invited(alice, bob, port, "ringing")
    if module == "topos":
        await asyncio.to_thread(committed, server.folder / "kamtool.db", [(1,), (0,)])

    assert await asyncio.to_thread(server.end, signal.SIGKILL) == -signal.SIGKILL
    server.start("-f", cfg)

    late = await accepted(alice, bob, port, ringing)  # no transaction is left: by its Via, as §16.7 has it
    alice.send(within(alice, "ACK", late, "ringing", 1), port)
    assert (await bob.expect("ACK")).uri == bob.uri
    alice.send(within(alice, "INVITE", ok, "talking", 2), port)
    again = await bob.expect("INVITE")
    assert (again.uri, again.call_id) == (bob.uri, talking.call_id)
    await alice.expect(100)
    renewed = await accepted(alice, bob, port, again)
    for seen, other in ((late, bob), (again, alice), (renewed, bob)):
        hidden(seen, other)
    assert [renewed.call_id, late.call_id] == ["talking", "ringing"]

    route = "".join(f"Route: {route}\r\n" for route in talking.items("Record-Route"))
    bob.send(bye_of(bob, again, renewed).replace("\r\nFrom:", f"\r\n{route}From:", 1), port)
    bye = await alice.expect("BYE")
    hidden(bye, bob)
    assert bye.uri == f"{alice.uri};moved=2"
    alice.send(alice.answer(bye, 200), port)
    assert (await bob.expect(200)).call_id == talking.call_id
    alice.send(within(alice, "BYE", late, "ringing", 2), port)
    assert (await bob.expect("BYE")).uri == bob.uri
