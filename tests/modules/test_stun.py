"""stun: answers on the SIP port, as Kamailio 5.6.3 gave them (but for its SOFTWARE attribute)."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.modules.stun import is_stun, respond
from kamtool.sip.flow import Address
from tests.support.server import port_of
from tests.support.until import SOON

HEAD = b"\x21\x12\xa4\x42" + bytes(range(12))
HERE = Address("127.0.0.1", 19131)


def message(kind, attributes=b"", head=HEAD):
    return kind.to_bytes(2, "big") + len(attributes).to_bytes(2, "big") + head + attributes


@pytest.mark.parametrize(
    ("attributes", "answer"),
    [
        (b"", "0101000c2112a442000102030405060708090a0b0020000800016ba95e12a443"),
        (b"\0\x06\0\x04abcd", "0101000c2112a442000102030405060708090a0b0020000800016ba95e12a443"),
        (b"\x80\x22\0\x04abcd", "0101000c2112a442000102030405060708090a0b0020000800016ba95e12a443"),
        (
            b"\0\x77\0\x04abcd",
            "011100242112a442000102030405060708090a0b0009001500000414"
            "556e6b6e6f776e20417474726962757465000000000a000200770000",
        ),
        (
            b"\0\x06\0\x09abcd",
            "011100142112a442000102030405060708090a0b0009000f00000400426164205265717565737400",
        ),
    ],
    ids=["plain", "username", "optional", "unknown", "bad length"],
)
def test_a_binding_request_is_answered_with_the_senders_address(attributes, answer):
    assert respond(message(1, attributes), HERE).hex() == answer


def test_a_client_of_rfc_3489_gets_its_address_unhidden():
    head = b"abcd" + bytes(range(12))
    assert respond(message(1, head=head), HERE).hex() == (
        "0101000c61626364000102030405060708090a0b0001000800014abb7f000001"
    )


def test_ipv6_is_hidden_with_the_transaction_id_too():
    answer = respond(message(1), Address("2001:db8::7", 5060))
    hidden = answer[-16:]
    assert bytes(one ^ other for one, other in zip(hidden, HEAD, strict=True)).hex() == (
        "20010db8000000000000000000000007"
    )


@pytest.mark.parametrize("kind", [0x0011, 0x0003, 0x0101, 0x0111])
def test_nothing_but_a_binding_request_is_answered(kind):
    """Kamailio answers an indication with an error; RFC 5389 7.3.2 does not."""
    assert respond(message(kind), HERE) == b""


@given(st.binary(max_size=120))
def test_any_datagram_is_passed_over_or_answered_in_good_form(data):
    if is_stun(data):
        answer = respond(data, HERE)
        assert not answer or is_stun(answer)


async def test_stun_and_sip_share_the_port(kamtool, peer):
    server = await kamtool(
        '#!KAMAILIO\nloadmodule "sl.so"\nloadmodule "stun.so"\nrequest_route { sl_send_reply("200", "OK"); }'
    )
    phone = await peer()
    phone.inbox_stun = asyncio.get_running_loop().create_future()
    phone.datagram_received = lambda data, source: phone.inbox_stun.set_result(data)
    phone.wire.sendto(message(1), ("127.0.0.1", port_of(server)))
    answer = await asyncio.wait_for(phone.inbox_stun, SOON)
    assert answer == respond(message(1), Address("127.0.0.1", phone.port))
    del phone.datagram_received
    phone.send(phone.request("OPTIONS", "sip:x@y"), port_of(server))
    await phone.expect(200)
    assert server.stats["stun:requests"] == 1
    assert server.stats["core:err_requests"] == 0
