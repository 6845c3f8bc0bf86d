"""usrloc's own keepalives (`ka_mode`), seen by phones on real sockets."""

import asyncio

import pytest

from kamtool.errors import ConfigError
from tests.support.server import port_of
from tests.support.until import until

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "kex.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "timer_interval", 1)
modparam("usrloc", "nat_bflag", 6)
modparam("usrloc", "ka_from", "sip:keeper@kamtool.invalid")
modparam("usrloc", "ka_domain", "kamtool.invalid")
{more}
request_route {{
    if ($hdr(X-Nat) != $null) setbflag(6);
    save("location");
}}
"""


def cfg(**params):
    lines = (f'modparam("usrloc", "{name}", {value})' for name, value in params.items())
    return CFG.format(more="\n".join(lines))


async def registered(phone, server, user, headers="", contact=""):
    text = phone.request("REGISTER", "sip:example.com", branch=user, call_id=f"r-{user}")
    text = text.replace("sip:you@", f"sip:{user}@")
    contact = contact or f"<sip:{user}@{phone.host}:{phone.port}>"
    lines = f"Contact: {contact};expires=600\r\n{headers}Max-Forwards"
    phone.send(text.replace("Max-Forwards", lines), port_of(server, phone.transport))
    await phone.expect(200)


def facts(dumped, user):
    (domain,) = dumped["Domains"]
    for entry in domain["Domain"]["AoRs"]:
        if entry["Info"]["AoR"] == user:
            return entry["Info"]["Contacts"][0]["Contact"]
    return None


async def test_a_phone_is_asked_and_its_round_trip_is_shown(kamtool, peer):
    server = await kamtool(cfg(ka_mode=1))
    phone = await peer()
    await registered(phone, server, "alice")
    asked = await phone.expect("OPTIONS sip:alice@")
    assert asked.from_.uri == "sip:keeper@kamtool.invalid"
    assert asked.to.uri == "sip:alice@kamtool.invalid"
    phone.send(phone.answer(asked, 404), port_of(server))
    usrloc = server.modules["usrloc"]
    await until(lambda: usrloc.keepalive.round_trips)
    shown = facts(await usrloc.ul_dump(), "alice")
    assert shown["Keepalive"] == 1
    assert 0 < shown["KA-Roundtrip"] < 60_000_000
    assert (await phone.expect("OPTIONS")).call_id != asked.call_id


async def test_only_phones_behind_a_nat_are_asked_with_mode_2_and_by_the_method_named(kamtool, peer):
    server = await kamtool(cfg(ka_mode=2, ka_method='"NOTIFY"'))
    behind, open_ = await peer(), await peer()
    await registered(open_, server, "open")
    await registered(behind, server, "behind", "X-Nat: 1\r\n")
    await behind.expect("NOTIFY")
    await behind.expect("NOTIFY")
    assert open_.inbox.empty()


async def test_a_phone_over_tcp_is_asked_over_its_connection_and_not_with_mode_4(kamtool, peer):
    for mode in (1, 4):
        server = await kamtool(cfg(ka_mode=mode))
        phone, other = await peer(tcp=port_of(server, "tcp")), await peer()
        await registered(phone, server, "tina", contact="<sip:tina@127.0.0.1:9;transport=tcp>")
        await registered(other, server, "udo")
        await other.expect("OPTIONS")
        if mode == 1:
            await phone.expect("OPTIONS")
        else:
            await other.expect("OPTIONS")
            assert phone.inbox.empty()


async def test_a_silent_phone_is_removed_and_one_that_answers_stays(kamtool, peer):
    server = await kamtool(cfg(ka_mode=1, ka_timeout=2))
    alive, dead = await peer(), await peer()
    await registered(alive, server, "alive")
    await registered(dead, server, "dead")
    usrloc = server.modules["usrloc"]
    table = usrloc.locations["location"].table

    async def answer():
        while True:
            alive.send(alive.answer(await alive.expect("OPTIONS"), 200), port_of(server))

    answering = asyncio.ensure_future(answer())
    await until(lambda: "dead" not in table.records)
    assert "alive" in table.records
    assert len(usrloc.keepalive.asked) == 1
    answering.cancel()


@pytest.mark.parametrize("params", [{"ka_mode": 1, "ka_from": '"nobody"'}, {"flash": 60}])
async def test_what_cannot_act_is_refused(kamtool, params):
    with pytest.raises(ConfigError):
        await kamtool(cfg(**params))
