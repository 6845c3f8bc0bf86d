"""Linphone behind a NAT whose line drops: it registers by a new mapping, and calls find it there."""

import json

import pytest

from tests.interop.test_linphone import ear
from tests.interop.test_nat_namespaces import (
    CFG,
    NAT,
    heard,
    linphone_behind,
    phone,
    serving,
    wait_for,
)
from tests.support.baresip import seconds_of

pytestmark = pytest.mark.interop

ACCOUNT = """
[proxy_0]
reg_proxy=<sip:203.0.113.1>
reg_identity=sip:alice@203.0.113.1
reg_expires=6
reg_sendregister=1
publish=0
"""
SHORT = 'modparam("registrar", "min_expires", 5)\nrequest_route {'


@pytest.mark.parametrize("kind", NAT)
async def test_a_phone_is_reached_by_its_new_mapping_once_it_has_registered_again(served, tmp_path, kind):
    async with linphone_behind(kind, tmp_path) as (net, alice):
        await changes(net, served(), alice, tmp_path)


async def changes(net, server, alice, tmp_path):
    await serving(net, server, tmp_path, CFG.replace("request_route {", SHORT, 1))
    await alice.start(["ip", "netns", "exec", net.home], ACCOUNT, "-a")

    def seen_at(address):
        rows = json.loads(server.cli("ul", "show", "-o", "json").stdout or "[]")
        return next((row for row in rows if f"sip:{address}:" in json.dumps(row)), None)

    def told():
        return alice.said() + server.log()

    first = await wait_for(lambda: seen_at("203.0.113.254"), told)

    # The line drops, and comes back with another address: `masquerade` forgets all its mappings.
    net.ip(net.router, "link", "set", "out0", "down")
    net.ip(net.router, "addr", "del", "203.0.113.254/24", "dev", "out0")
    net.ip(net.router, "addr", "add", "203.0.113.253/24", "dev", "out0")
    net.ip(net.router, "link", "set", "out0", "up")
    second = await wait_for(lambda: seen_at("203.0.113.253"), told)
    assert first["received"] != second["received"]

    bob = phone(
        net, net.public, tmp_path / "bob", "bob", "203.0.113.2", "<sip:bob@203.0.113.1>;regint=0", 620,
        "/dial sip:alice@203.0.113.1",
    )  # fmt: skip

    def recorded():
        size = sum(path.stat().st_size for path in bob.folder.glob("dump-*-dec.wav"))
        return size > 40_000 and alice.heard_path.exists() and alice.heard_path.stat().st_size > 40_000

    await wait_for(recorded, lambda: f"{told()}\n{bob.said()}")
    await alice.stop()
    net.stack.close()
    for (samples, rate), own, other in ((ear(alice), 440, 620), (heard(bob), 620, 440)):
        assert seconds_of(samples, rate, other) > 4 * seconds_of(samples, rate, own)
