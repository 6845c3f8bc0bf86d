"""The kernel's choice of a worker is the one that Dispatch would make."""

import contextlib
import socket
from random import Random

import pytest

from kamtool.server import workers_steering
from kamtool.server.workers_steering import steer, steering, worker_of

PREFIX = "z9hG4bKa1b2c3"
SIZE = 3


@pytest.fixture
def group():
    """Makes SIZE sockets on one port, with the program, and a function that says who gets what."""
    with contextlib.ExitStack() as stack:

        def make(*, by_call_id=True, size=SIZE):
            made = []
            for _ in range(size):
                one = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(made[0].getsockname() if made else ("127.0.0.1", 0))
                one.setblocking(False)
                made.append(one)
            if not steer(made[0], size, PREFIX, by_call_id=by_call_id):
                pytest.skip("this kernel takes no program for sockets that share a port")
            return made

        yield make


def takers(group, data, tries=1):
    """The numbers of the sockets that get it, sent from so many ports."""
    found = set()
    for _ in range(tries):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(data, group[0].getsockname())
        for number, one in enumerate(group):  # on loopback it is there when sendto returns
            with contextlib.suppress(BlockingIOError):
                assert one.recv(65536) == data
                found.add(number)
    return found


def response(branch, via="SIP/2.0/UDP 127.0.0.1:5060", reason="OK"):
    return (
        f"SIP/2.0 200 {reason}\r\nVia: {via};branch={branch}\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n"
        "From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def request(call_id, method="INVITE", name="Call-ID: ", before=""):
    return (
        f"{method} sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\n{before}"
        f"From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\n{name}{call_id}\r\n"
        f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("reason", ["OK", "Ringing", "", "Call/Transaction Does Not Exist"])
@pytest.mark.parametrize("number", range(SIZE))
def test_a_response_goes_to_the_worker_of_its_branch(group, number, reason):
    data = response(f"{PREFIX}{number:02x}0123456789abcd.0", reason=reason)
    assert takers(group(), data, tries=6) == {number}


def test_more_than_nine_workers_have_two_digits(group):
    assert takers(group(size=12), response(f"{PREFIX}0b0123456789abcd.0"), tries=3) == {11}


@pytest.mark.parametrize("branch", ["z9hG4bKffffff0100", "z9hG4bKa1b2", f"{PREFIX}7f00", "1"])
def test_a_response_that_is_not_ours_falls_to_the_kernels_choice(group, branch):
    assert len(takers(group(), response(branch), tries=40)) > 1


def test_a_request_goes_to_the_worker_of_its_call_id_wherever_it_comes_from(group):
    made, random = group(), Random(4)
    letters = "0123456789abcdefABCDEF-.@"
    for size in (1, 2, 3, 8, 20, 47, 48, 49, 90):
        call_id = "".join(random.choice(letters) for _ in range(size))
        assert takers(made, request(call_id), tries=4) == {worker_of(call_id.encode(), SIZE)}, call_id


@pytest.mark.parametrize("place", range(8))
@pytest.mark.parametrize("name", ["Call-ID: ", "call-id:", "CALL-ID: "])
def test_it_is_found_wherever_it_lies(group, place, name):
    before = f"Subject: {'x' * place}\r\nContact: <sip:caller@callcenter.example.com>\r\n"
    data = request("a84b4c76e66710@pc33", name=name, before=before)
    assert takers(group(), data, tries=4) == {worker_of(b"a84b4c76e66710@pc33", SIZE)}


@pytest.mark.parametrize(
    "data",
    [
        request("7", "REGISTER"),
        request("7", "OPTIONS"),
        request("7", name="i: "),
        request("7", before=f"Subject: {'x' * 1000}\r\n"),
        request("7")[:90],
        b"INVITE sip:a SIP/2.0\r\n\r\n",
        b"x",
        b"\r\n\r\n",
    ],
)
def test_what_stays_or_is_not_found_falls_to_the_kernels_choice(group, data):
    assert len(takers(group(), data, tries=40)) > 1


def test_by_source_requests_stay(group):
    made = group(by_call_id=False)
    assert len(takers(made, request("7"), tries=40)) > 1
    assert takers(made, response(f"{PREFIX}020123456789abcd.0"), tries=6) == {2}


def test_any_bytes_are_taken_by_somebody(group):
    made, random = group(), Random(7)
    whole = request("a84b4c76e66710@pc33.example.com")
    for _ in range(300):
        cut = whole[: random.randrange(1, len(whole))]
        assert takers(made, random.choice([cut, random.randbytes(random.randrange(1, 300))]))


def test_a_program_is_as_long_as_the_kernel_takes():
    assert len(steering(64, PREFIX, by_call_id=True)) // 8 <= 4096


def test_where_the_kernel_takes_no_long_program_responses_are_steered(monkeypatch):
    taken = []

    class Small:
        def setsockopt(self, level, option, filters):
            if int.from_bytes(filters[:2], "little") > 2000:
                raise OSError(12, "Cannot allocate memory")
            taken.append(option)

    assert steer(Small(), 2, PREFIX, by_call_id=True)
    assert taken == [workers_steering.SO_ATTACH_REUSEPORT_CBPF]
