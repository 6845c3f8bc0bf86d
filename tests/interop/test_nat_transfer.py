"""Linphone behind a NAT holds a call and transfers it, between phones that stand outside."""

import json

import pytest

from tests.interop.test_nat_mapping import ACCOUNT
from tests.interop.test_nat_namespaces import (
    CFG,
    heard,
    linphone_behind,
    phone,
    serving,
    wait_for,
)
from tests.support.baresip import seconds_of

pytestmark = pytest.mark.interop


@pytest.mark.parametrize("kind", [pytest.param("full cone", marks=pytest.mark.soak), "symmetric"])
async def test_a_phone_behind_a_nat_holds_and_transfers_its_call(served, tmp_path, kind):
    async with linphone_behind(kind, tmp_path) as (net, alice):
        await transfers(net, served(), alice, tmp_path)


async def transfers(net, server, alice, tmp_path):
    await serving(net, server, tmp_path, CFG)
    await alice.start(["ip", "netns", "exec", net.home], ACCOUNT.replace("=6\n", "=600\n"), "-a")
    account = "<sip:{}@203.0.113.1>;regint=600;answermode=auto"
    bob, carol = (
        phone(net, net.public, tmp_path / name, name, address, account.format(name), hertz)
        for name, address, hertz in (("bob", "203.0.113.2", 620), ("carol", "203.0.113.3", 850))
    )

    def told():
        return f"{alice.said()}\n{bob.said()}\n{carol.said()}\n{server.log()}"

    def all_there():
        shown = json.dumps(json.loads(server.cli("ul", "show", "-o", "json").stdout or "[]"))
        return all(name in shown for name in ("alice", "bob", "carol"))

    await wait_for(all_there, told)
    await alice.tell("call sip:bob@203.0.113.1")
    await alice.says("Media streams established")
    await wait_for(lambda: alice.heard_path.exists() and alice.heard_path.stat().st_size > 16_000, told)
    await alice.tell("pause")
    await alice.says("is now paused")
    mark = alice.mark()
    await alice.tell("resume")
    await alice.says("Media streams established", since=mark)
    await alice.tell("transfer sip:carol@203.0.113.1")

    def recorded():
        latest = [max(one.folder.glob("dump-*-dec.wav"), default=None) for one in (bob, carol)]
        return (
            all(latest)
            and len(list(bob.folder.glob("dump-*-dec.wav"))) > 1
            and (min(path.stat().st_size for path in latest) > 24_000)
        )

    await wait_for(recorded, told)
    await alice.says("Call 1 with .* (ended|released)")
    net.stack.close()
    samples, rate = heard(carol)
    assert seconds_of(samples, rate, 620) > 0.5, "carol hears bob"
    samples, rate = heard(bob)
    assert seconds_of(samples, rate, 850) > 0.5, "bob hears carol at last"
