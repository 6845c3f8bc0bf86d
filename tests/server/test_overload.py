"""More calls than a server can hold: what is refused, what is dropped, what passes, and how it ends."""

from collections import Counter

import pytest

from kamtool.server import limits
from kamtool.server.refusing import HARD
from kamtool.server.relief import FALLEN, FLOOD, Relief
from tests.support.offline import BOB, Offline, answer, request

MOST = 100
SWEEP = 0.05


@pytest.fixture
def offline():
    async def route(ctx):
        return await made.tm.t_relay(ctx)

    made = Offline(route)
    return made


def looked(offline, seconds=0.0):
    """Let time pass; the gate looks as often as a server does."""
    end = offline.clock + seconds
    while True:
        offline.clock += SWEEP
        offline.server.transactions.sweep(offline.clock)
        offline.server.gate.look(0.0, 0.0, 0, MOST)
        if offline.clock >= end:
            return


def call(offline, number, method="INVITE", **more):
    return offline.receive(request(method, branch=f"b{number}", call_id=f"call-{number}", **more))


def full(offline, held=MOST):
    """So many calls that nobody answers; what Bob was sent."""
    sent = [each for number in range(held) for each in call(offline, number) if each.to == "bob"]
    looked(offline)
    return sent


def statuses(sent):
    return Counter(each.msg.status for each in sent if not each.msg.is_request)


def test_no_more_than_the_bound_is_held_however_many_come_and_all_of_it_goes(offline):
    """Callees that never answer, a minute of 400 new calls and 40 requests within dialogs a second."""
    server, most, refused, number = offline.server, 0, 0, 0
    for _ in range(int(60 / SWEEP)):
        for _ in range(20):
            number += 1
            refused += statuses(call(offline, number))[503]
            most = max(most, len(server.transactions))
        for _ in range(2):
            number += 1
            call(offline, number, "INFO", to_tag="bob")
            most = max(most, len(server.transactions))
        looked(offline)
    assert most <= MOST * HARD + 22  # those that come between two looks
    assert refused > number / 2
    assert server.stats["core:refused_requests"] == refused
    assert server.stats["core:dropped_requests"] > 0
    looked(offline, 200)
    assert len(server.transactions) == len(server.transactions.dialogs) == 0
    assert server.transactions.expiries.count() == server.transactions.retransmissions.count() == 0
    assert not server.gate.is_overloaded
    assert not server.gate._refused
    assert statuses(call(offline, "last"))[100] == 1


def test_at_the_bound_new_calls_are_refused_and_those_that_stand_go_on(offline):
    invites = full(offline)
    refused = call(offline, "new")
    assert statuses(refused) == {503: 1}
    assert refused[0].msg.header("Retry-After")
    answered = offline.receive(answer(invites[0], 200), BOB)
    assert statuses(answered) == {200: 1}
    bye = call(offline, "0-bye", "BYE", to_tag="bob")
    assert [each.to for each in bye if each.msg.is_request] == ["bob"]


def test_a_quarter_above_it_requests_in_dialogs_are_dropped_and_what_ends_something_passes(offline):
    invites = full(offline, int(MOST * HARD) + 1)
    assert call(offline, "bye", "BYE", to_tag="bob") == []
    assert call(offline, "info", "INFO", to_tag="bob") == []
    assert offline.server.stats["core:dropped_requests"] == 2
    assert statuses(offline.receive(answer(invites[1], 180), BOB)) == {180: 1}
    assert statuses(call(offline, 1, "CANCEL"))[200] == 1
    assert statuses(call(offline, 2)) == {100: 1}  # a retransmission
    assert statuses(offline.receive(answer(invites[3], 200), BOB)) == {200: 1}
    ack = call(offline, 3, "ACK", to_tag="bob")
    assert [str(each) for each in ack if each.to == "bob"]


@pytest.mark.parametrize(("left", "trimmed"), [(FLOOD, 0), (FLOOD // FALLEN, 1), (0, 1)])
def test_memory_goes_back_once_a_flood_is_over(left, trimmed):
    held, calls = [FLOOD], []
    relief = Relief(lambda: held[0], lambda: lambda: calls.append(1))
    relief.look()
    held[0] = left
    for _ in range(3):
        relief.look()
    assert len(calls) == trimmed


def test_memory_goes_back_once_more_when_the_last_of_a_flood_is_over():
    held, calls = [FLOOD], []
    relief = Relief(lambda: held[0], lambda: lambda: calls.append(held[0]))
    for now in (FLOOD, 1000, 900, 0, 0, 500, 0):
        held[0] = now
        relief.look()
    assert calls == [1000, 0]


def test_where_the_library_cannot_return_memory_nothing_happens():
    held = [FLOOD]
    relief = Relief(lambda: held[0], lambda: None)
    relief.look()
    held[0] = 0
    relief.look()


def test_the_bound_follows_from_the_memory(monkeypatch):
    monkeypatch.setattr(limits, "memory_allowed", lambda: 512 << 20)
    assert limits.most_transactions() == (512 << 20) // 4 // limits.TRANSACTION_BYTES
    monkeypatch.setattr(limits, "memory_allowed", lambda: 0)
    assert limits.most_transactions() == limits.memory_of_the_machine() // 4 // limits.TRANSACTION_BYTES
