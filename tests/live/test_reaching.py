"""What reaches a phone: its GRUU, its alias behind a NAT, Service-Route; nonces that workers share."""

import sqlite3

import pytest

from kamtool.store.migrate import migrate
from tests.support.digest import authorization, nonce_of
from tests.support.server import MODULES, port_of
from tests.support.workers import cfg_file, one_for_each

REGISTRAR = MODULES + 'loadmodule "usrloc.so"\nloadmodule "registrar.so"\nloadmodule "nathelper.so"\n'
CFG = """
request_route {
    if (is_method("REGISTER")) { save("location"); exit; }
    if (has_totag()) { loose_route(); t_relay(); exit; }
    record_route();
    if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
    t_relay();
}
"""
URN = "urn:uuid:00000000-0000-1000-8000-00000000000"


async def register(peer, port, instance, number):
    """Register one of alice's phones; its GRUUs by name."""
    headers = f'Contact: <{peer.uri}>;+sip.instance="<{URN}{instance}>"\r\nSupported: gruu\r\n'
    text = peer.request(
        "REGISTER", "sip:example.com", branch=f"r{number}", call_id=f"reg{number}", headers=headers
    )
    peer.send(text.replace("sip:you@", "sip:alice@"), port)
    reply = await peer.expect("200")
    mine = next(contact for contact in reply.contacts if str(peer.port) in contact.uri)
    return {name: mine.params[name].strip('"') for name in ("pub-gruu", "temp-gruu")}


async def test_a_call_to_a_gruu_reaches_that_instance_alone_and_stays_with_it(kamtool, peer):
    """RFC 5627 5.3: both kinds of GRUU, also once the phone has registered from another address."""
    port = port_of(await kamtool(REGISTRAR + CFG))
    desk, mobile, caller = await peer(), await peer(), await peer()
    gruus = await register(desk, port, 1, 1)
    await register(mobile, port, 2, 2)
    assert gruus["pub-gruu"] == f"sip:alice@example.com;gr={URN}1"
    assert gruus["temp-gruu"].endswith(";gr")
    moved = await peer()
    again = await register(moved, port, 1, 3)
    assert again["pub-gruu"] == gruus["pub-gruu"]
    for number, uri in enumerate([gruus["pub-gruu"], gruus["temp-gruu"], again["temp-gruu"]]):
        headers = f"Contact: <{caller.uri}>\r\n"
        caller.send(
            caller.request("INVITE", uri, branch=f"i{number}", call_id=f"g{number}", headers=headers), port
        )
        await caller.expect("100")
        invite = await moved.expect("INVITE")
        assert invite.uri == moved.uri
        moved.send(moved.answer(invite, 200, headers=f"Contact: <{uri}>\r\n"), port)
        ok = await caller.expect("200")
        assert ok.contacts[0].uri == uri
    await mobile.silence(0.1)
    await desk.silence(0.1)


async def test_a_gruu_of_an_instance_that_has_gone_is_not_found(kamtool, peer):
    port = port_of(await kamtool(REGISTRAR + CFG))
    phone, caller = await peer(), await peer()
    gruus = await register(phone, port, 1, 1)
    headers = "Contact: *\r\nExpires: 0\r\n"
    text = phone.request(
        "REGISTER", "sip:example.com", branch="x", call_id="reg1", cseq=2, headers=headers
    )  # fmt: skip
    phone.send(text.replace("sip:you@", "sip:alice@"), port)
    await phone.expect("200")
    for number, uri in enumerate(gruus.values()):
        caller.send(caller.request("OPTIONS", uri, branch=f"o{number}", call_id=f"o{number}"), port)
        await caller.expect("404")


async def test_an_alias_set_before_save_is_registered_and_leads_back(kamtool, peer):
    """set_contact_alias() and save() in one route, as many cfgs have it, handle_ruri_alias() for the call."""
    cfg = CFG.replace("save(", "set_contact_alias(); save(").replace(
        "    t_relay();\n}", "    handle_ruri_alias();\n    t_relay();\n}"
    )
    port = port_of(await kamtool(REGISTRAR + cfg))
    phone, caller = await peer(), await peer()
    headers = "Contact: <sip:alice@192.0.2.44:5099>\r\n"
    text = phone.request("REGISTER", "sip:example.com", headers=headers)
    phone.send(text.replace("sip:you@", "sip:alice@"), port)
    reply = await phone.expect("200")
    assert reply.contacts[0].uri == f"sip:alice@192.0.2.44:5099;alias=127.0.0.1~{phone.port}~1"
    caller.send(caller.request("OPTIONS", "sip:alice@example.com", branch="o"), port)
    assert (await phone.expect("OPTIONS")).uri == "sip:alice@192.0.2.44:5099"


@pytest.mark.parametrize(
    ("call", "kept"),
    [
        ("set_contact_alias();", "sip:a@192.0.2.9;alias=127.0.0.1~{port}~1"),
        ("fix_nated_contact();", "sip:a@127.0.0.1:{port}"),
        ("add_contact_alias();", "sip:a@192.0.2.9"),
    ],
)
async def test_save_sees_of_a_changed_contact_what_kamailios_does(kamtool, peer, call, kept):
    """Observed on 5.6.3; with several entries in one header they change the last."""
    port = port_of(await kamtool(REGISTRAR + CFG.replace("save(", f"{call} save(")))
    phone = await peer()
    headers = "Contact: <sip:first@192.0.2.8>;q=1, <sip:a@192.0.2.9>;q=0.5\r\n"
    phone.send(phone.request("REGISTER", "sip:example.com", headers=headers), port)
    uris = [contact.uri for contact in (await phone.expect("200")).contacts]
    assert uris == ["sip:first@192.0.2.8", kept.format(port=phone.port)]


async def test_a_service_route_goes_with_the_200_and_not_with_a_refusal(kamtool, peer):
    """RFC 3608 5: in a 200 to REGISTER, and nowhere else."""
    line = 'append_to_reply("Service-Route: <sip:edge.example.com;lr>\\r\\n"); save("location");'
    port = port_of(await kamtool(REGISTRAR + CFG.replace('save("location");', line)))
    phone = await peer()
    contact = f"Contact: <{phone.uri}>\r\n"
    phone.send(phone.request("REGISTER", "sip:example.com", branch="1", headers=contact), port)
    assert (await phone.expect("200")).items("Service-Route") == ["<sip:edge.example.com;lr>"]


@pytest.mark.parametrize("param", ["one_time_nonce", "nonce_count"])
async def test_a_nonce_used_at_one_worker_is_used_at_the_other(served, peer, tmp_path, param):
    database = tmp_path / "auth.db"
    migrate(database)
    with sqlite3.connect(database) as file:
        file.execute("INSERT INTO subscriber (username, domain, password) VALUES ('alice', 'x', 'secret')")
    text = (
        MODULES
        + 'loadmodule "db_sqlite.so"\nloadmodule "auth.so"\nloadmodule "auth_db.so"\n'
        + f'modparam("auth_db", "db_url", "sqlite:///{database}")\n'
        + 'modparam("auth_db", "calculate_ha1", 1)\nmodparam("auth_db", "password_column", "password")\n'
        + f'modparam("auth", "{param}", 1)\nmodparam("auth", "qop", "auth")\n'
        + """request_route {
    if (is_method("OPTIONS")) { sl_send_reply("200", "$pp"); exit; }
    $var(rc) = www_authenticate("kamtool", "subscriber");
    if ($var(rc) < 0) { append_to_reply("X-Code: $var(rc)\\r\\n"); www_challenge("kamtool", "1"); exit; }
    sl_send_reply("200", "OK");
}
"""
    )
    server = served().start("-f", cfg_file(tmp_path, text), "--workers", 2)
    one, other = (await one_for_each(peer, server.port, 2)).values()

    async def ask(peer, number, credentials=""):
        headers = f"Authorization: {credentials}\r\n" if credentials else ""
        peer.send(
            peer.request("REGISTER", "sip:example.com", branch=f"n{number}", cseq=number, headers=headers),
            server.port,
        )
        return await peer.expect()

    nonce = nonce_of(await ask(one, 1))
    first = authorization(nonce, nc=1)
    assert (await ask(other, 2, first)).status == 200, "a nonce of one worker is good at the other"
    for number, peer_ in ((3, one), (4, other)):
        repeated = await ask(peer_, number, first)
        assert (repeated.status, repeated.header("X-Code")) == (401, "-6"), "and is used up at both"
    second = (await ask(one, 5, authorization(nonce, nc=2))).status
    assert second == (200 if param == "nonce_count" else 401)
    assert (await ask(other, 6, authorization(nonce, nc=2))).status == 401
    assert server.end() == 0
