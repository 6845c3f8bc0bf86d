"""The kernel and its twin agree on the Route of a request."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kamtool.errors import ParseError
from kamtool.speed import pure

kernel = pytest.importorskip("kamtool.speed._kernel")
if not hasattr(kernel, "own_route"):
    pytest.skip("the kernel was built before there was own_route: build it again", allow_module_level=True)

PIECES = [
    "<sip:h;lr>", "sip:u@h:5070", "<sips:[::1]:5061;transport=TCP;lr;ftag=a%20b>", "<", ">", ",", ";lr",
    '"n, m" ', "\r\n ", " ", "é", "<tel:+1>", "<sip:>", "<sip:u:p@h;x=y?a=b>", "<sip:h:99999>",
    "<sip:h;Transport=udp>", "<sip:u:p@h:1;transport;x?y>",
]  # fmt: skip
VALUES = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=4).map("".join)


def request(values):
    lines = "".join(f"Route: {value}\r\n" for value in values)
    return (
        "BYE sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\n"
        f"{lines}To: <sip:a@h>;tag=2\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n"
    ).encode("utf-8", "surrogateescape")


@settings(max_examples=600)
@given(st.lists(VALUES, max_size=2))
@example(["<sip:h;lr>"])
@example(["<sip:h;lr>\r\n ;x"])
def test_the_twins_read_the_same_of_a_lone_route(values):
    try:
        data = request(values)
        pair = kernel.Index(data), pure.Index(data)
    except (ParseError, UnicodeEncodeError):
        return
    assert kernel.lone_route(pair[0]) == pure.lone_route(pair[1])
    place = kernel.own_route(pair[0], {})
    assert place == pure.own_route(pair[1], {})
    if place is not None:
        known = {place: True}
        assert kernel.own_route(pair[0], known) == pure.own_route(pair[1], known)


@pytest.mark.parametrize("twin", [kernel, pure])
@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([], ()),
        (["<sip:me@h:5070;lr;ftag=1>"], ("me", "h", 5070, ";lr;ftag=1")),
        (["<sip:[::1];lr>"], ("", "[::1]", None, ";lr")),
        (["<sip:a;lr>", "<sip:b;lr>"], None),
        (["<sip:a;lr>, <sip:b;lr>"], None),
        (["<sip:a;lr"], None),
        (["<tel:+1>"], None),
    ],
)
def test_only_a_lone_route_is_read(twin, values, found):
    data = request(values)
    answer = twin.lone_route(twin.Index(data))
    assert (answer[2:] if answer else answer) == found
    if answer:
        assert data[answer[0] : answer[1]] == f"Route: {values[0]}\r\n".encode()


@pytest.mark.parametrize("twin", [kernel, pure])
@pytest.mark.parametrize(
    ("value", "place", "params"),
    [
        ("<sip:me@h:5070;lr;ftag=1>", b"sip:me@h:5070", ";lr;ftag=1"),
        ("sip:h;lr", b"sip:h", ""),
        ("<sips:[::1]?a=b>", b"sips:[::1]", ""),
        ("<sip:h;transport=tcp;lr>", None, ""),
        ("<sip:h;transports=2;lr>", b"sip:h", ";transports=2;lr"),
    ],
)
def test_a_route_is_known_by_its_uri_without_parameters(twin, value, place, params):
    data = request([value])
    index = twin.Index(data)
    assert twin.own_route(index, {}) == place
    if place is not None:
        start, end, given = twin.own_route(index, {place: True})
        assert (data[start:end], given) == (f"Route: {value}\r\n".encode(), params)
