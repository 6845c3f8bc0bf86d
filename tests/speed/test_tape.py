"""Messages kept as octets for who watches, by both twins."""

import gc
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.sip.flow import Address, Flow
from kamtool.speed import tape as pure

HERE = Address("192.0.2.1", 5060)


@pytest.fixture(params=["pure", "native"], scope="module")
def twin(request):
    if request.param == "pure":
        return pure
    return pytest.importorskip("kamtool.speed._tape", reason="the kernel is not built")


def flow_to(port, connection=0):
    return Flow("tcp" if connection else "udp", HERE, Address("192.0.2.2", port), connection)


class Numbers:
    """Numbers flows, and holds them; `told` as a feed tells them."""

    def __init__(self):
        self.kept, self.noting, self.told = [], None, lambda number: None

    def __call__(self, flow):
        self.kept.append(flow)
        number = self.noting.numbers[id(flow)] = len(self.kept)
        self.told(number)
        return number


def made(kind, limit):
    numbers = Numbers()
    numbers.noting = kind(limit, numbers)
    return numbers.noting, numbers


def frames(octets):
    octets, found = bytes(octets), []
    while octets:
        kind, at, number, place, size = pure.HEAD.unpack_from(octets)
        found.append((kind, at, number, place, octets[pure.HEAD.size : pure.HEAD.size + size]))
        assert len(found[-1][-1]) == size
        octets = octets[pure.HEAD.size + size :]
    return found


def test_what_comes_and_goes_is_noted_in_order_and_goes_on_its_way(twin):
    tape, numbers = made(twin.Tape, 10_000)
    numbers.told = lambda number: tape.put(2, 0.0, number, 0, b"flow")
    got, here, http = [], flow_to(1), flow_to(3, connection=7)
    receive = tape.receiving(lambda data, flow: got.append((data, flow)))
    send = tape.sending(lambda flow, data: data != b"refused", lambda flow: flow is http)
    receive(b"INVITE", here)
    assert send(here, b"SIP/2.0 200") is True
    assert send(here, b"refused") is False
    assert send(here, b"\r\n\r\n")  # holds the way open
    assert send(http, b"HTTP/1.1 200")
    assert send(flow_to(4, connection=8), b"SIP/2.0 100")
    assert got == [(b"INVITE", here)]
    told = frames(tape.take())
    assert [(kind, number, data) for kind, _, number, _, data in told] == [
        (2, 1, b"flow"), (1, 1, b"INVITE"), (0, 1, b"SIP/2.0 200"), (2, 2, b"flow"), (0, 2, b"SIP/2.0 100"),
    ]  # fmt: skip
    assert all(at > 1.7e9 for kind, at, *_ in told if kind != 2)
    assert len(tape) == 0


def test_what_a_receiver_or_sender_raises_comes_through_and_wrong_kinds_are_refused(twin):
    tape, _ = made(twin.Tape, 10_000)

    def fails(*given):
        raise KeyError(given)

    with pytest.raises(KeyError):
        tape.receiving(fails)(b"abcdef", flow_to(1))
    with pytest.raises(KeyError):
        tape.sending(fails, fails)(flow_to(1), b"abcdef")
    assert [each[-1] for each in frames(tape.take())] == [b"abcdef"]
    tape.receiving(lambda data, flow: None)(bytearray(b"held"), flow_to(1))
    assert [each[-1] for each in frames(tape.take())] == [b"held"]
    if twin is not pure:
        for wrong in (None, "text", 7):
            with pytest.raises(TypeError):
                tape.note(0.0, True, flow_to(1), wrong)


def test_the_statement_that_runs_is_named_for_what_goes_out_with_its_call_id(twin):
    tape, _ = made(twin.Tape, 10_000)
    tape.place, tape.call_id = 9, b"a84b4c"
    for inbound, data in ((True, b"Call-ID: a84b4c"), (False, b"Call-ID: a84b4c"), (False, b"Call-ID: x")):
        tape((1.5, inbound, flow_to(1), data))
    tape.place = 0
    tape.note(1.5, False, flow_to(1), b"Call-ID: a84b4c")
    told = [(at, place) for _, at, _, place, _ in frames(tape.take())]
    assert told == [(1.5, 0), (1.5, 9), (1.5, 0), (1.5, 0)]


def test_what_finds_no_room_is_counted(twin):
    room = 3 * (pure.HEAD.size + 100)
    tape, _ = made(twin.Tape, room)
    flow = flow_to(1)
    for _ in range(5):
        tape.note(0.0, True, flow, bytes(100))
    tape.put(4, 0.0, 7, 0, b"needed")
    assert tape.dropped == 2
    assert [kind for kind, *_ in frames(tape.take())] == [1, 1, 1, 4]
    tape.note(0.0, True, flow, bytes(100))
    tape.note(0.0, True, flow, bytes(room))
    assert tape.dropped == 3
    assert len(tape) == pure.HEAD.size + 100


def test_what_was_taken_stays_as_it_was_while_somebody_looks(twin):
    """A slow client holds what it was sent while the tape goes on; also rooms that had to grow."""
    tape, _ = made(twin.Tape, 1 << 30)
    flow, held = flow_to(1), []
    for number in range(60):
        data = bytes([number]) * (50_000 * (number % 9) + 1)
        tape.note(1.0, True, flow, data)
        held.append((tape.take(), data))
        if number % 4 == 3:
            assert all(frames(view)[0][-1] == data for view, data in held)
            del held[: number % 3 + 1]
    gc.collect()
    assert all(frames(view)[0][-1] == data for view, data in held)


def test_a_flow_is_numbered_once_until_all_are_numbered_anew(twin):
    tape, numbers = made(twin.Tape, 1 << 20)
    flows = [flow_to(port) for port in range(2000)]
    for flow in flows * 2:
        tape.note(1.0, True, flow, b"x")
    assert len(numbers.kept) == 2000
    assert [number for _, _, number, _, _ in frames(tape.take())] == [*range(1, 2001)] * 2
    tape.number_anew()
    assert tape.numbers == {}
    tape.note(1.0, True, flows[5], b"x")
    assert frames(tape.take())[0][2] == 2001


@given(st.integers(0, 400), st.lists(st.integers(0, 150), max_size=60), st.data())
def test_a_ring_has_the_last_of_what_went_by(limit, sizes, data):
    native = pytest.importorskip("kamtool.speed._tape", reason="the kernel is not built")
    rings = [made(kind, limit)[0] for kind in (pure.Ring, native.Ring)]
    went, flow = [], flow_to(1)
    for number, size in enumerate(sizes):
        row = (float(number + 1), bool(number % 2), 1, bytes([number]) * size)
        went.append(row)
        for ring in rings:
            ring.note(row[0], row[1], flow, row[3])
            kept = list(ring)
            assert went[len(went) - len(kept) :] == kept
            assert (len(ring), ring.forgotten) == (len(kept), len(went) - len(kept))
            assert ring.size == sum(pure.HEAD.size + len(each[3]) for each in kept) <= max(limit, 0)
    slow, quick = rings
    # The compiled one keeps each message in one piece: it may have to leave a gap at its end.
    assert slow.size - quick.size <= 2 * (pure.HEAD.size + max(sizes, default=0))


def test_nothing_is_held_that_has_gone(twin):
    tape, numbers = made(twin.Tape, 1 << 20)
    flow = flow_to(1)
    before = sys.getrefcount(flow)
    for _ in range(1000):
        tape.note(1.0, True, flow, b"x" * 100)
        tape.take()
    assert sys.getrefcount(flow) - before <= 2
    view = tape.take()
    del view
    assert numbers.kept == [flow]


class Context:
    """Anything with an identity."""


@given(st.lists(st.tuples(st.sampled_from(["at", "begin", "end", "reply"]), st.integers(0, 3)), max_size=60))
def test_the_twins_remember_the_same_steps(doings):
    """Whatever begins within whatever, and ends in whatever order."""
    native = pytest.importorskip("kamtool.speed._tape", reason="the kernel is not built")
    contexts, actions = [Context() for _ in range(4)], [Context() for _ in range(7)]
    found = []
    for kind in (pure, native):
        tape, _ = made(kind.Tape, 1000)
        steps = kind.Steps(tape, lambda action: actions.index(action) + 1, 9)
        told = []
        for place, (what, number) in enumerate(doings):
            ctx = contexts[number]
            if what == "at":
                assert steps.at(actions[place % 7], ctx) is None
            elif what == "begin":
                steps.begin(ctx, b"call %d" % number, place)
            elif what == "reply" and steps.of(ctx) is not None:
                steps.of(ctx).replied.append(place)
            elif what == "end":
                visit = steps.end(ctx)
                told.append(visit and (visit.call_id, visit.route, visit.path, visit.replied))
            told.append((tape.place, tape.call_id))
        found.append(told)
    assert found[0] == found[1]


def test_a_statement_is_numbered_once_and_a_path_ends(twin):
    asked = []
    tape, _ = made(twin.Tape, 1000)
    steps = twin.Steps(tape, lambda action: asked.append(action) or len(asked), 50)
    ctx, actions = Context(), [Context() for _ in range(3000)]
    steps.begin(ctx, b"c", 4)
    for action in actions * 2:
        steps.at(action, ctx)
    assert asked == actions
    assert tape.place == 3000
    visit = steps.end(ctx)
    assert memoryview(visit.path).cast("I").tolist() == list(range(1, 51))
    assert (visit.route, tape.place) == (4, 0)
    with pytest.raises(ZeroDivisionError):
        twin.Steps(tape, lambda action: 1 // 0, 5).at(actions[0], ctx)


def test_what_is_passed_on_may_go_elsewhere(twin):
    said = []
    passing = twin.Passing(lambda one, other: said.append((one, other)) or 7)
    assert passing(1, 2) == 7
    passing.to = max
    assert passing(1, 2) == 2
    assert said == [(1, 2)]
