"""The kernel and its pure twin side by side, and messages to feed them."""

import tarfile
from pathlib import Path

import pytest

from kamtool.errors import ParseError
from kamtool.speed import pure

SHARED = Path(__file__).parents[2] / "../shared/testdata"

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5070;rport;branch=z9hG4bK776asdhds\r\n"
    b"Max-Forwards: 70\r\n"
    b"Route: <sip:one.example.com;lr>, <sip:two.example.com;lr>\r\n"
    b"To: Bob <sip:bob@example.com>\r\n"
    b'From: "Alice" <sip:alice@example.com>;tag=1928301774\r\n'
    b"Call-ID: a84b4c76e66710@pc33.example.com\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Record-Route: <sip:edge.example.com;lr>\r\n"
    b"Timestamp: 54\r\n"
    b"Contact: <sip:alice@192.0.2.1:5070>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 4\r\n"
    b"\r\nv=0\n"
)

ATTRIBUTES = (
    "data", "is_request", "method", "status", "uri", "uri_start", "uri_end", "uri_scheme", "uri_user",
    "uri_host", "uri_port", "first_line_end", "head_end", "body_start", "call_id", "branch", "cseq",
    "cseq_method", "from_address", "from_user", "from_host", "from_tag", "to_address", "to_tag", "to_end",
    "max_forwards",
    "max_forwards_start", "max_forwards_end", "content_length",
    "via_transport", "via_host", "via_port", "via_received", "via_rport", "via_line",
    "via_start", "via_end", "via_insert", "received_start", "received_end", "rport_start", "rport_end",
    "body", "reason", "row_count",
)  # fmt: skip

NAMES = ("Via", "v", "CONTACT", "Route", "X-Foo", "NewFangledHeader", "to", "")


def kernel():
    """The native twin; skips where it was not built."""
    found = pytest.importorskip(
        "kamtool.speed._kernel", reason="the kernel is not built: python setup.py build_ext"
    )
    if any(not hasattr(found, name) for name in pure.__all__):
        pytest.skip("the kernel is older than its sources: python setup.py build_ext")
    return found


@pytest.fixture(params=["pure", "native"])
def twin(request):
    """Each twin in turn: modules of one API."""
    return pure if request.param == "pure" else kernel()


def outcome(function, *arguments):
    """What a call returns, or all that its ParseError says."""
    try:
        return function(*arguments)
    except ParseError as error:
        return ("ParseError", error.reason, error.header, error.offset, error.status)


def facts(twin, data, stream=False, salvage=False):
    """All that a twin knows of a message, and the messages it makes of it."""
    index = outcome(twin.Index, data, stream, salvage)
    if isinstance(index, tuple):
        return index
    known = {name: getattr(index, name) for name in ATTRIBUTES}
    known["rows"] = [tuple(index.row(place)) for place in range(index.row_count)]
    known["values"] = [index.value(place) for place in range(index.row_count)]
    for name in NAMES:
        known[name] = index.find(name), index.header(name), index.headers(name), index.entries(name)
    size = len(index.data)
    edits = [(min(3, size), min(3, size), b"!"), (0, min(5, size), b""), (0, 0, b"#")]
    known["forward"] = twin.forward(index, b"Via: us\r\n", b"sip:x", 12, b"2001:db8::1", 5061, edits)
    known["relay"] = twin.relay(index, edits)
    known["ringing"] = twin.respond(
        index, 180, b"SIP/2.0 180 R", b"tag", b"192.0.2.7", 7, b"A: b\r\n", b"body"
    )
    known["trying"] = twin.respond(index, 100, b"SIP/2.0 100 T")
    return known


def torture_files():
    """The RFC 4475 and RFC 5118 messages; none where the shared data is absent."""
    return sorted((SHARED / "torture").glob("*/*.dat"))


def malformed(every=1):
    """Messages from the malformed archives, one in `every`, as (name, bytes). Skips when they are absent."""
    folder = SHARED / "malformed"
    if not folder.is_dir():
        pytest.skip("no ../shared/testdata/malformed")
    for archive in sorted(folder.glob("*.tar.xz")):
        with tarfile.open(archive) as members:
            number = 0
            for member in members:
                if not member.isfile():
                    continue
                number += 1
                if number % every and "protos" in archive.name:
                    continue
                yield member.name, invite_of(members.extractfile(member).read())


def invite_of(case):
    """The message in a PROTOS case, its macros filled in; anything else as it is."""
    length, space, rest = case.partition(b" ")
    if not space or not length.isdigit() or b"<From" not in rest:
        return case
    message = rest[: int(length)]
    values = {
        b"<From>": b"tester@127.0.0.1", b"<To>": b"bob@127.0.0.1", b"<From-Address>": b"127.0.0.1",
        b"<From-IP>": b"127.0.0.1", b"<Local-Port>": b"5070", b"<Call-ID>": b"1@127.0.0.1", b"<CSeq>": b"1",
        b"<Branch-ID>": b"z9hG4bK1", b"<Content-Length>": b"0", b"<Teardown-Method>": b"CANCEL",
    }  # fmt: skip
    for macro, value in values.items():
        message = message.replace(macro, value)
    return message.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
