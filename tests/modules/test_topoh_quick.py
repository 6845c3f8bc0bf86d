"""The masks in C and those in Python, side by side: the same octets, or a closer look is asked for."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.modules.topoh.hooks import read
from kamtool.modules.topoh.quick import quick_masks
from tests.modules.test_topoh import SLIDE_IN, SLIDE_OUT, masks, relayed

BITS = (
    b",", b'"', b"<", b">", b";", b"\r\n ", b"\r\n", b";tag=", b";tag", b";TH=div", b";TH=ucr", b"*",
    b";line=sr-", b";branch=z9hG4bKsr-", b"!!:", b" ", b"\t", b":", b";ftag=", b"\\", b"\x7f", b"\xff", b"\0",
    b"?", b"sip:",
)  # fmt: skip
LINES = (
    b"Via: SIP/2.0/UDP a;branch=b", b"Contact: *", b"Record-Route: <sip:1.2.3.4>",
    b"Route: <sip:192.168.178.26>", b"Replaces: abc", b"Refer-To: <sip:a>", b"CSeq: 50 REGISTER", b"nothing",
    b"v: SIP/2.0/TLS [::1]:1",
)  # fmt: skip


def both(call_id):
    """The masks in Python and in C."""
    slow = masks(call_id=call_id)
    slow.is_ours = lambda item: b"192.168.178.26" in item.partition(b";")[0]
    quick = quick_masks(slow.code, slow.marks, slow.is_ours, {})
    if quick is None:
        pytest.skip("the kernel is not built: python setup.py build_ext")
    return slow, quick


def seeds():
    """Messages of a call at each of its stations."""
    slow = masks(call_id=True)
    request = relayed(slow.arrived(read(SLIDE_IN)))
    left = slow.leaving(read(request))
    first = ("via", "record", "from", "to:", "call-id", "cseq")
    kept = [line for line in left.split(b"\r\n") if line.decode().lower().startswith(first)]
    contact = b"Contact: <sip:bob@127.0.0.1:4711>"
    answer = b"\r\n".join((b"SIP/2.0 180 Ringing", *kept, contact, b"Content-Length: 0\r\n\r\n"))
    back = slow.arrived(read(answer))
    top = back.index(b"Via:")
    passed_on = back[:top] + back[back.index(b"Via:", top + 1) :]
    uri = b"sip:10.1.1.10;line=sr-ORylIHvlTJS.IXenCXNciHvPItcZTMWfC6m.T5**"
    bye = (
        b"BYE %b SIP/2.0\r\nVia: SIP/2.0/TCP x.y:1;branch=z9hG4bKabc\r\n"
        b"Route: <sip:192.168.178.26;lr=on;ftag=166646806>\r\nRoute: <%b>\r\nf: <sip:a@b>;tag=xx\r\n"
        b't: "105" <sip:105@192.168.178.26>;tag=166646806\r\nCall-ID: !!:%b\r\nCSeq: 3 BYE\r\n'
        b'm: "a b" <sip:q@1.2.3.4>;+sip.instance="<urn:uuid:1>"\r\n\r\n'
        % (uri, uri, slow.code.encode(b"abc@def"))
    )  # fmt: skip
    inside = bye.replace(b"BYE", b"INVITE")
    return SLIDE_IN, request, left, answer, passed_on, bye, inside, slow.arrived(read(inside))


SEEDS = seeds()


@st.composite
def written_otherwise(draw):
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            at = draw(st.integers(0, len(data)))
            end = at + draw(st.sampled_from((0, 0, 1, 2, 5)))
            data = data[:at] + draw(st.sampled_from(BITS) | st.binary(max_size=3)) + data[end:]
        else:
            lines = data.split(b"\r\n")
            lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from((*LINES, *lines))))
            data = b"\r\n".join(lines)
    return data


@pytest.mark.parametrize("call_id", [False, True])
@pytest.mark.parametrize("way", ["arrived", "leaving"])
def test_both_make_the_same_octets_of_a_message(way, call_id):
    slow, quick = both(call_id)

    @given(written_otherwise())
    def same(data):
        found, msg = getattr(quick, way)(data), read(data)
        if found is not None and msg is not None and msg.data == data:
            assert getattr(slow, way)(msg) == found

    same()


def test_the_slides_invite_takes_no_closer_look():
    _, quick = both(False)
    assert quick.leaving(relayed(quick.arrived(SLIDE_IN))) == SLIDE_OUT


@pytest.mark.parametrize("data", SEEDS[:-1], ids=range(len(SEEDS) - 1))
def test_a_plain_call_takes_no_closer_look(data):
    _, quick = both(False)
    assert quick.arrived(data) is not None
    assert quick.leaving(data) is not None


@given(st.binary(max_size=300))
def test_any_octets_are_left_alone_or_become_octets(data):
    for way in map(partial(getattr, both(True)[1]), ("arrived", "leaving")):
        assert isinstance(way(data), bytes | None)


@pytest.mark.parametrize("count", [25, 200])
def test_more_hops_than_are_foreseen_take_a_closer_look(count):
    """Room is bounded: what is longer goes the long way, whole."""
    slow, quick = both(False)
    hops = b"".join(b"Via: SIP/2.0/UDP 10.0.0.%d;branch=z9hG4bK%d\r\n" % (n, n) for n in range(count))
    data = SEEDS[1].replace(b"From:", hops + b"From:", 1)
    assert quick.leaving(data) is None
    assert slow.leaving(read(data)).count(b"Via: SIP/2.0/UDP 10.1.1.10;") == count + 1


def test_a_via_longer_than_the_room_goes_the_long_way():
    slow, quick = both(False)
    data = SEEDS[1].replace(b"z9hG4bK321149767", b"z9hG4bK" + 20_000 * b"a")
    assert quick.leaving(data) is None
    hidden = slow.leaving(read(data))
    assert quick.arrived(hidden) is not None


def test_what_is_remembered_of_foreign_routes_stays_small():
    """Anybody can send any Route: a thousand short ones at most are kept, and no long one."""
    asked = []
    slow = masks()
    quick = quick_masks(slow.code, slow.marks, lambda item: bool(asked.append(item)), {})
    if quick is None:
        pytest.skip("the kernel is not built: python setup.py build_ext")
    data = SEEDS[1].replace(b"<sip:192.168.178.26;lr=on>", b"<sip:%b>")
    for host in (b"a", b"a", 1000 * b"b", 1000 * b"b"):
        quick.leaving(data % host)
    assert [len(item) for item in asked] == [7, 1006, 1006]
    for number in range(1100):
        quick.leaving(data % (b"h%d" % number))
    quick.leaving(data % b"a")
    assert asked[-1] == b"<sip:a>"
