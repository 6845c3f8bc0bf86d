"""Many deadlines at once: the loop has its turn between them, and none is lost or repeated."""

import asyncio
from types import SimpleNamespace

from kamtool.server.options import Options
from kamtool.server.sweeps import Sweeps
from tests.support.offline import Offline, request
from tests.support.until import SOON

COUNT = 500
MOST = 64


def relaying():
    async def route(ctx):
        return await offline.tm.t_relay(ctx)

    offline = Offline(route)
    return offline


def layer(offline):
    return offline.server.transactions


def deadlines(offline):
    return layer(offline).expiries.count() + layer(offline).retransmissions.count()


def calls(offline, count=COUNT, method="OPTIONS"):
    for number in range(count):
        offline.receive(request(method, branch=f"c{number}", call_id=f"call-{number}"))


def held(offline):
    return len(offline.server.transactions)


def test_a_sweep_with_a_bound_does_so_much_and_says_that_there_is_more():
    offline = relaying()
    calls(offline)
    offline.clock += 40.0
    offline.wire.sent.clear()
    sweep = offline.server.transactions.sweep
    parts, due = 0, deadlines(offline)
    while sweep(offline.clock, MOST):
        parts += 1
        left = deadlines(offline)  # what is set anew may make it more, not less
        assert due - left <= MOST
        due = left
    assert parts > COUNT // MOST


def test_swept_in_parts_or_at_once_the_same_leaves():
    def told(most):
        offline = relaying()
        calls(offline, 100)
        seen = []
        for _ in range(1500):
            offline.clock += 0.05
            while layer(offline).sweep(offline.clock, most):
                pass
            seen.append(sorted(map(str, offline.taken())))
        assert held(offline) == 0
        return seen

    whole = told(0)
    assert sum(map(len, whole)) > 500
    assert told(7) == whole


def test_retransmissions_come_before_the_ends():
    offline = relaying()
    calls(offline, 100, "MESSAGE")
    offline.clock += 31.9  # the MESSAGEs end in a moment
    while layer(offline).sweep(offline.clock, 1000):
        pass
    calls(offline, 60, "INVITE")
    offline.clock += 1.0
    offline.wire.sent.clear()
    ends = layer(offline).expiries.count()
    assert layer(offline).sweep(offline.clock, layer(offline).retransmissions.count())
    again = offline.taken()
    assert {each.msg.method for each in again} == {"INVITE"}
    assert len(again) >= 60
    assert layer(offline).expiries.count() >= ends


def test_what_is_repeated_without_end_does_not_hold_up_the_ends():
    """A sweep in parts goes to where it began, though more becomes due with every part."""
    offline = relaying()
    calls(offline)
    for _ in range(200_000):
        offline.clock += 0.01  # each part takes so long that others are due again
        layer(offline).sweep(offline.clock, 1)
        if not held(offline):
            break
    assert held(offline) == 0


async def test_the_loop_reads_between_two_parts():
    loop, order = asyncio.get_running_loop(), []
    ended = asyncio.Event()

    def part(now, most):
        order.append("part")
        return order.count("part") < 5

    def other():
        order.append("other")
        if order.count("part") < 5:
            loop.call_soon(other)
        else:
            ended.set()

    server = SimpleNamespace(
        transactions=SimpleNamespace(sweep=part), gate=SimpleNamespace(look=lambda *late: None),
        options=Options(sweep=3600), now=loop.time,
    )  # fmt: skip
    sweeps = Sweeps(server)
    loop.call_soon(other)
    sweeps.start()
    async with asyncio.timeout(SOON):
        await ended.wait()
    sweeps.stop()
    assert "part part" not in " ".join(order)
