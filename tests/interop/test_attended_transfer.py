"""Three Linphones on kamtool with rtpengine: an attended transfer (RFC 3891: Refer-To with Replaces)."""

import pytest

from tests.interop.test_linphone import ear, hear_more
from tests.interop.test_linphone import office as office
from tests.support.baresip import seconds_of
from tests.support.until import until

pytestmark = pytest.mark.interop

PHONES = {"alice": ("wonderland", 440), "bob": ("can-we-fix-it", 620), "carol": ("third", 850)}
# All that it sends goes by the server: nobody else knows the domain.
ACCOUNT = """
[proxy_0]
reg_proxy=<sip:127.0.0.1:{port}>
reg_route=<sip:127.0.0.1:{port};lr>
reg_identity=sip:{name}@office.test
reg_expires=600
reg_sendregister=1
publish=0
[auth_info_0]
username={name}
passwd={password}
realm=kamtool
"""


async def test_who_was_asked_first_takes_over_the_call(office, linphone):
    server, _ = office
    alice, bob, carol = [
        await linphone(name, hertz, ACCOUNT.format(port=server.port, name=name, password=password))
        for name, (password, hertz) in PHONES.items()
    ]
    await until(lambda: all(name in server.cli("ul", "show").stdout for name in PHONES))
    await calls(alice, bob)
    await alice.tell("pause")
    await alice.says("is now paused")
    await calls(alice, carol)
    await alice.tell("transfer 1 --to-call 2")
    await carol.says("Call 2 with sip:bob@office.test connected")
    await alice.says("Call 2 with .* (ended|released)")
    await hear_more(bob, carol)
    for phone in (alice, bob, carol):
        await phone.stop()
    for phone, other in ((bob, carol), (carol, bob)):
        assert seconds_of(*ear(phone), other.tone) > 0.5, phone.name
    assert "Replaces: " in carol.log()


async def calls(caller, callee):
    since = caller.mark()
    await caller.tell(f"call sip:{callee.name}@office.test")
    await callee.says("Receiving new incoming call")
    await callee.tell("answer")
    await caller.says("Media streams established", since=since)
