"""The four machines, arrow by arrow. Time is a number; each case names the paragraph it comes from."""

import pytest

from kamtool.sip import transaction as t
from kamtool.sip.transaction import (
    ACCEPTED,
    ACK,
    ACKED,
    ARM_EXPIRY,
    ARM_RETRANSMIT,
    CALLING,
    CANCEL,
    CANCELLING,
    COMPLETED,
    CONFIRMED,
    ERROR,
    EXPIRE,
    FAILED,
    FAILURE,
    IDLE,
    PASS,
    PROCEEDING,
    PROVISIONAL,
    REPEAT,
    REQUEST,
    RETRANSMIT,
    SEND,
    SUCCESS,
    TERMINATED,
    TIMEOUT,
    TRYING,
    Event,
    InviteClient,
    InviteServer,
    NonInviteClient,
    NonInviteServer,
    State,
)  # fmt: skip

ENDED = State.TERMINATED
T1, T2, T4 = 0.5, 4.0, 5.0
NOW = 100.0
BOTH = ARM_RETRANSMIT | ARM_EXPIRY


def machine(cls, state=IDLE, *, reliable=False, **timers):
    tx = cls(t.durations(reliable=reliable, **timers))
    tx.state = state
    tx.interval = T1
    return tx


# machine, state, event, paragraph -> next state, effects, seconds to the retransmission and to the expiry;
# 0 is stopped, None is left as it was
ROWS = [
    (InviteClient, IDLE, REQUEST, "17.1.1.2", CALLING, SEND | BOTH, T1, 64 * T1),
    (InviteClient, CALLING, RETRANSMIT, "17.1.1.2", CALLING, REPEAT | ARM_RETRANSMIT, 2 * T1, None),
    (InviteClient, CALLING, EXPIRE, "17.1.1.2 timer B", ENDED, TIMEOUT | TERMINATED, None, None),
    (InviteClient, CALLING, ERROR, "17.1.4", ENDED, FAILED | TERMINATED, None, None),
    (InviteClient, CALLING, PROVISIONAL, "17.1.1.2", PROCEEDING, PASS | ARM_EXPIRY, 0, 180),
    (InviteClient, CALLING, SUCCESS, "RFC 6026 7.2", ACCEPTED, PASS | ARM_EXPIRY, 0, 64 * T1),
    (InviteClient, CALLING, FAILURE, "17.1.1.2", COMPLETED, PASS | ACK | ARM_EXPIRY, 0, 64 * T1),
    (InviteClient, PROCEEDING, PROVISIONAL, "16.7 step 2", PROCEEDING, PASS | ARM_EXPIRY, None, 180),
    (InviteClient, PROCEEDING, SUCCESS, "RFC 6026 7.2", ACCEPTED, PASS | ARM_EXPIRY, None, 64 * T1),
    (InviteClient, PROCEEDING, FAILURE, "17.1.1.2", COMPLETED, PASS | ACK | ARM_EXPIRY, None, 64 * T1),
    (InviteClient, PROCEEDING, EXPIRE, "16.8 timer C", PROCEEDING, TIMEOUT, None, None),
    (InviteClient, PROCEEDING, CANCEL, "9.1", CANCELLING, ARM_EXPIRY, None, 64 * T1),
    (InviteClient, CANCELLING, PROVISIONAL, "9.1", CANCELLING, PASS, None, None),
    (InviteClient, CANCELLING, SUCCESS, "9.1", ACCEPTED, PASS | ARM_EXPIRY, None, 64 * T1),
    (InviteClient, CANCELLING, FAILURE, "9.1", COMPLETED, PASS | ACK | ARM_EXPIRY, None, 64 * T1),
    (InviteClient, CANCELLING, EXPIRE, "9.1", ENDED, TIMEOUT | TERMINATED, None, None),
    (InviteClient, ACCEPTED, SUCCESS, "RFC 6026 7.2", ACCEPTED, PASS, None, None),
    (InviteClient, ACCEPTED, EXPIRE, "RFC 6026 7.2 timer M", ENDED, TERMINATED, None, None),
    (InviteClient, COMPLETED, FAILURE, "17.1.1.2", COMPLETED, ACK, None, None),
    (InviteClient, COMPLETED, ERROR, "17.1.1.2", ENDED, FAILED | TERMINATED, None, None),
    (InviteClient, COMPLETED, EXPIRE, "17.1.1.2 timer D", ENDED, TERMINATED, None, None),
    (NonInviteClient, IDLE, REQUEST, "17.1.2.2", TRYING, SEND | BOTH, T1, 64 * T1),
    (NonInviteClient, TRYING, RETRANSMIT, "17.1.2.2", TRYING, REPEAT | ARM_RETRANSMIT, 2 * T1, None),
    (NonInviteClient, TRYING, EXPIRE, "17.1.2.2 timer F", ENDED, TIMEOUT | TERMINATED, None, None),
    (NonInviteClient, TRYING, ERROR, "17.1.4", ENDED, FAILED | TERMINATED, None, None),
    (NonInviteClient, TRYING, PROVISIONAL, "17.1.2.2", PROCEEDING, PASS, None, None),
    (NonInviteClient, TRYING, SUCCESS, "17.1.2.2", COMPLETED, PASS | ARM_EXPIRY, 0, T4),
    (NonInviteClient, TRYING, FAILURE, "17.1.2.2", COMPLETED, PASS | ARM_EXPIRY, 0, T4),
    (NonInviteClient, PROCEEDING, RETRANSMIT, "17.1.2.2", PROCEEDING, REPEAT | ARM_RETRANSMIT, T2, None),
    (NonInviteClient, PROCEEDING, EXPIRE, "17.1.2.2 timer F", ENDED, TIMEOUT | TERMINATED, None, None),
    (NonInviteClient, PROCEEDING, ERROR, "17.1.4", ENDED, FAILED | TERMINATED, None, None),
    (NonInviteClient, PROCEEDING, PROVISIONAL, "17.1.2.2", PROCEEDING, PASS, None, None),
    (NonInviteClient, PROCEEDING, SUCCESS, "17.1.2.2", COMPLETED, PASS | ARM_EXPIRY, 0, T4),
    (NonInviteClient, PROCEEDING, FAILURE, "17.1.2.2", COMPLETED, PASS | ARM_EXPIRY, 0, T4),
    (NonInviteClient, COMPLETED, EXPIRE, "17.1.2.2 timer K", ENDED, TERMINATED, None, None),
    (InviteServer, IDLE, REQUEST, "17.2.1", PROCEEDING, PASS, None, None),
    (InviteServer, PROCEEDING, REQUEST, "17.2.1", PROCEEDING, REPEAT, None, None),
    (InviteServer, PROCEEDING, PROVISIONAL, "17.2.1", PROCEEDING, SEND, None, None),
    (InviteServer, PROCEEDING, SUCCESS, "RFC 6026 7.1", ACCEPTED, SEND | ARM_EXPIRY, None, 64 * T1),
    (InviteServer, PROCEEDING, FAILURE, "17.2.1", COMPLETED, SEND | BOTH, T1, 64 * T1),
    (InviteServer, PROCEEDING, ERROR, "RFC 6026 7.1", PROCEEDING, FAILED, None, None),
    (InviteServer, ACCEPTED, SUCCESS, "RFC 6026 7.1", ACCEPTED, SEND, None, None),
    (InviteServer, ACCEPTED, ACKED, "RFC 6026 7.1", ACCEPTED, PASS, None, None),
    (InviteServer, ACCEPTED, ERROR, "RFC 6026 7.1", ACCEPTED, FAILED, None, None),
    (InviteServer, ACCEPTED, EXPIRE, "RFC 6026 7.1 timer L", ENDED, TERMINATED, None, None),
    (InviteServer, COMPLETED, REQUEST, "17.2.1", COMPLETED, REPEAT, None, None),
    (InviteServer, COMPLETED, RETRANSMIT, "17.2.1 timer G", COMPLETED, REPEAT | ARM_RETRANSMIT, 2 * T1, None),
    (InviteServer, COMPLETED, ACKED, "17.2.1", CONFIRMED, ARM_EXPIRY, 0, T4),
    (InviteServer, COMPLETED, ERROR, "RFC 6026 7.1", COMPLETED, FAILED, None, None),
    (InviteServer, COMPLETED, EXPIRE, "17.2.1 timer H", ENDED, TIMEOUT | TERMINATED, None, None),
    (InviteServer, CONFIRMED, EXPIRE, "17.2.1 timer I", ENDED, TERMINATED, None, None),
    (NonInviteServer, IDLE, REQUEST, "17.2.2", TRYING, PASS, None, None),
    (NonInviteServer, TRYING, PROVISIONAL, "17.2.2", PROCEEDING, SEND, None, None),
    (NonInviteServer, TRYING, SUCCESS, "17.2.2", COMPLETED, SEND | ARM_EXPIRY, None, 64 * T1),
    (NonInviteServer, TRYING, FAILURE, "17.2.2", COMPLETED, SEND | ARM_EXPIRY, None, 64 * T1),
    (NonInviteServer, PROCEEDING, REQUEST, "17.2.2", PROCEEDING, REPEAT, None, None),
    (NonInviteServer, PROCEEDING, PROVISIONAL, "17.2.2", PROCEEDING, SEND, None, None),
    (NonInviteServer, PROCEEDING, SUCCESS, "17.2.2", COMPLETED, SEND | ARM_EXPIRY, None, 64 * T1),
    (NonInviteServer, PROCEEDING, FAILURE, "17.2.2", COMPLETED, SEND | ARM_EXPIRY, None, 64 * T1),
    (NonInviteServer, PROCEEDING, ERROR, "17.2.4", ENDED, FAILED | TERMINATED, None, None),
    (NonInviteServer, COMPLETED, REQUEST, "17.2.2", COMPLETED, REPEAT, None, None),
    (NonInviteServer, COMPLETED, ERROR, "17.2.4", ENDED, FAILED | TERMINATED, None, None),
    (NonInviteServer, COMPLETED, EXPIRE, "17.2.2 timer J", ENDED, TERMINATED, None, None),
]
TABLES = {
    InviteClient: t.INVITE_CLIENT,
    NonInviteClient: t.NON_INVITE_CLIENT,
    InviteServer: t.INVITE_SERVER,
    NonInviteServer: t.NON_INVITE_SERVER,
}


@pytest.mark.parametrize(
    ("cls", "state", "event", "paragraph", "target", "effects", "retransmit", "expire"),
    ROWS,
    ids=lambda part: getattr(part, "__name__", None) or getattr(part, "name", None),
)
def test_an_arrow_of_the_figure(cls, state, event, paragraph, target, effects, retransmit, expire):
    tx = machine(cls, state)
    tx.retransmit_at, tx.expire_at = before = (55.0, 66.0)
    assert tx.step(event, NOW) == effects, paragraph
    assert tx.state == target, paragraph
    wanted = 0.0 if retransmit == 0 else before[0] if retransmit is None else NOW + retransmit
    assert tx.retransmit_at == wanted, paragraph
    assert tx.expire_at == (before[1] if expire is None else NOW + expire), paragraph


def test_every_row_of_every_table_is_a_case_above():
    covered = {(row[0], row[1], row[2]) for row in ROWS}
    rows = {(cls, *key) for cls, table in TABLES.items() for key in table}
    assert covered == rows


@pytest.mark.parametrize("cls", TABLES, ids=lambda cls: cls.__name__)
def test_an_arrow_that_the_figure_lacks_does_nothing(cls):
    for state in State:
        for event in Event:
            if (state, event) in TABLES[cls]:
                continue
            tx = machine(cls, state)
            assert tx.step(event, NOW) == 0
            assert (tx.state, tx.retransmit_at, tx.expire_at) == (state, 0.0, 0.0)


def test_an_invite_without_an_answer_is_repeated_at_doubling_intervals_for_64_t1():
    """RFC 3261 17.1.1.2: 0, .5, 1.5, 3.5, 7.5, 15.5, 31.5, and at 32 seconds timer B."""
    tx = machine(InviteClient)
    tx.step(REQUEST, 0.0)
    times = []
    while tx.retransmit_at < tx.expire_at:
        times.append(tx.retransmit_at)
        assert tx.step(RETRANSMIT, tx.retransmit_at) == REPEAT | ARM_RETRANSMIT
    assert times == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert tx.expire_at == 32.0


def test_another_request_is_repeated_at_most_every_t2():
    """RFC 3261 17.1.2.2: .5, 1, 2, 4, 4 ..."""
    tx = machine(NonInviteClient)
    tx.step(REQUEST, 0.0)
    gaps, last = [], 0.0
    for _ in range(6):
        gaps.append(tx.retransmit_at - last)
        last = tx.retransmit_at
        tx.step(RETRANSMIT, last)
    assert gaps == [0.5, 1, 2, 4, 4, 4]


def test_a_final_answer_to_an_invite_is_repeated_until_the_ack():
    """RFC 3261 17.2.1, timers G, H and I."""
    tx = machine(InviteServer)
    tx.step(REQUEST, 0.0)
    assert tx.step(FAILURE, 1.0) == SEND | BOTH
    assert tx.retransmit_at == 1.5
    assert tx.step(RETRANSMIT, 1.5) == REPEAT | ARM_RETRANSMIT
    assert tx.retransmit_at == 2.5
    tx.step(ACKED, 2.0)
    assert (tx.state, tx.retransmit_at, tx.expire_at) == (CONFIRMED, 0.0, 7.0)
    assert tx.step(RETRANSMIT, 2.5) == 0


@pytest.mark.parametrize(
    ("cls", "events"),
    [
        (InviteClient, [REQUEST, FAILURE]),
        (NonInviteClient, [REQUEST, SUCCESS]),
        (NonInviteServer, [REQUEST, SUCCESS]),
        (InviteServer, [REQUEST, FAILURE, ACKED]),
    ],
)
def test_on_a_reliable_transport_nothing_lingers(cls, events):
    """RFC 3261 table 4: timers D, I, J and K are zero, A, E and G are not used."""
    tx = machine(cls, reliable=True)
    effects = [tx.step(event, NOW) for event in events]
    assert effects[-1] & TERMINATED
    assert tx.ended
    assert tx.retransmit_at == 0.0


@pytest.mark.parametrize(("cls", "state"), [(InviteClient, CALLING), (InviteServer, PROCEEDING)])
def test_on_a_reliable_transport_a_2xx_is_still_awaited_again(cls, state):
    """RFC 6026 7.1 and 7.2: L and M are 64*T1 on every transport: the 2xx is repeated end to end."""
    tx = machine(cls, state, reliable=True)
    tx.step(SUCCESS, NOW)
    assert (tx.state, tx.expire_at) == (ACCEPTED, NOW + 32)


def test_the_timers_are_the_owners_choice():
    short = t.durations(reliable=False, t1=0.01, t2=0.04, t4=0.05, fr=0.3, fr_inv=0.7, wait=0.2)
    a, b, c, d, e, f, g, h, i, j, k, last, m, t2 = short
    assert (a, e, g, t2) == (0.01, 0.01, 0.01, 0.04)
    assert (b, f, h, c) == (0.3, 0.3, 0.3, 0.7)
    assert {d, i, j, k, last, m} == {0.2}


def test_a_status_is_an_arrow():
    statuses = (100, 199, 200, 299, 300, 699)
    assert [t.received(status) for status in statuses] == [
        PROVISIONAL, PROVISIONAL, SUCCESS, SUCCESS, FAILURE, FAILURE,
    ]  # fmt: skip
