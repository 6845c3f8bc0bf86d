"""What the kernel matches requests by, and reads of From at once."""

import pytest

from tests.support.twins import INVITE, twin  # noqa: F401


def test_a_request_with_the_magic_cookie_is_matched_by_branch_sent_by_and_method(twin):  # noqa: F811
    key = twin.match_key(twin.Index(INVITE), "INVITE")
    assert key == "z9hG4bK776asdhds 192.0.2.1 5070 INVITE"


@pytest.mark.parametrize("branch", [b"z9hG4bK\xff\xfe", "z9hG4bKé".encode()])
def test_a_branch_may_hold_any_octet(twin, branch):  # noqa: F811
    key = twin.match_key(twin.Index(INVITE.replace(b"z9hG4bK776asdhds", branch)), "ÄCK")
    assert key == f"{branch.decode('utf-8', 'surrogateescape')} 192.0.2.1 5070 ÄCK"


@pytest.mark.parametrize("branch", [b"", b"z9hG4bK", b"1", b"\xff\xfe", b"Z9hG4bK776"])
def test_without_the_cookie_the_rules_of_rfc_2543_hold(twin, branch):  # noqa: F811
    index = twin.Index(INVITE.replace(b"z9hG4bK776asdhds", branch))
    via = index.data[index.via_start : index.via_end]
    expected = (
        "sip:bob@example.com", "1928301774", "a84b4c76e66710@pc33.example.com", 314159, via, "INVITE"
    )  # fmt: skip
    assert twin.match_key(index, "INVITE") == expected


@pytest.mark.parametrize(
    ("uri", "user", "host"),
    [
        (b"sip:alice@example.com", "alice", "example.com"),
        (b"sip:a%20b@EXAMPLE.com:5070;x=y", "a%20b", "EXAMPLE.com"),
        (b"sip:example.com", "", "example.com"),
        (b"sips:alice:secret@[2001:db8::1]", "alice", "[2001:db8::1]"),
        (b"sip:@", "", ""),
    ],
)
def test_user_and_host_of_from_are_read_as_written(twin, uri, user, host):  # noqa: F811
    index = twin.Index(INVITE.replace(b"sip:alice@example.com", uri))
    assert [index.from_user, index.from_host] == [user, host]
    assert [index.from_user, index.from_host] == [user, host]


@pytest.mark.parametrize(
    ("value", "limit", "left"),
    [(b"70", 70, b"69"), (b"1", 70, b"0"), (b"255", 70, b"69"), (b"255", 2**40, b"254"), (b"9", 0, b"-1")],
)
def test_one_hop_less_is_an_edit(twin, value, limit, left):  # noqa: F811
    index = twin.Index(INVITE.replace(b"Max-Forwards: 70", b"Max-Forwards: " + value))
    ((start, end, text),) = twin.fewer_hops(index, limit)
    assert (index.data[start:end], text) == (value, left)


@pytest.mark.parametrize("line", [b"Max-Forwards: 0\r\n", b""])
def test_no_hop_is_less_than_none(twin, line):  # noqa: F811
    assert twin.fewer_hops(twin.Index(INVITE.replace(b"Max-Forwards: 70\r\n", line)), 70) is None
