"""The ClientHello is read before OpenSSL sees it."""

import ssl
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.transport.hello import MAX_HELLO, Hello, NotTls, read_hello


def hello_of(name):
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("name", ["sip.example.com", None, "a" * 60 + ".example.com"])
def test_the_name_that_the_client_asks_for(name):
    assert read_hello(hello_of(name)) == Hello(name or "")


def test_in_pieces_it_says_how_much_is_needed_and_never_more_than_there_is():
    data = hello_of("sip.example.com")
    for size in range(len(data)):
        needed = read_hello(data[:size])
        assert isinstance(needed, int)
        assert size < needed <= len(data)


def test_a_hello_in_several_records_is_read():
    data = hello_of("sip.example.com")
    body, head = data[5:], data[:3]
    pieces = [body[at : at + 40] for at in range(0, len(body), 40)]
    split = b"".join(head + len(piece).to_bytes(2, "big") + piece for piece in pieces)
    assert read_hello(split) == Hello("sip.example.com")


OTHERS = [
    b"OPTIONS sip:x SIP/2.0\r\n", b"\x80\x2e\x01", b"\x16\x03\x01\x00\x00", b"\x16\x03\x01\xff\xff",
    b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
]  # fmt: skip


@pytest.mark.parametrize("data", OTHERS)
def test_what_is_no_hello_is_refused_at_once(data):
    with pytest.raises(NotTls):
        read_hello(data)


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(data):
    for text in (data, b"\x16\x03\x01" + data, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + data):
        try:
            found = read_hello(text)
        except NotTls:
            continue
        assert isinstance(found, Hello) or len(text) < found <= MAX_HELLO + 5


@given(st.data())
def test_a_damaged_hello_is_read_or_refused(data):
    text = bytearray(hello_of("sip.example.com"))
    for _ in range(data.draw(st.integers(1, 5))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    with suppress(NotTls):
        read_hello(bytes(text))
