"""What may be logged as it is: the kernel and its twin agree, and no secret passes."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kamtool.errors import veiled
from kamtool.server.log import shown
from kamtool.speed import saying

PIECES = st.lists(
    st.sampled_from([
        ":", "@", " ", "sip:", "sips:", "a", "alice", "/", "://", "response=", "RESPONSE=", "rspauth=", "Rsp",
        "auth", "inline:", "INLINE:", "nline", "modparam(", "MODPARAM", "x", '"', ",", "password", "ſ", "K",
        "0123456789abcdef0123456789abcdef", "\n", "\x1b", "\x7f", "\t", "é", "\udc80", "p", "esp", "mod",
    ]),
    max_size=14,
).map("".join)  # fmt: skip


@settings(max_examples=2000)
@given(PIECES | st.text(max_size=60))
@example("ACC: transaction answered: method=INVITE;call_id=1@h;code=200")
@example("http://x foo@bar RESPONSE=0123456789abcdef0")
def test_what_is_unremarkable_is_shown_as_it_is_and_has_no_secret(text):
    if saying.unremarkable(text):
        assert shown(text) == text
        assert veiled(text) == text


@settings(max_examples=2000)
@given(PIECES | st.text(max_size=60))
@example("esponse")
@example("modparam")
@example("xnline:")
def test_the_kernel_and_its_twin_agree(text):
    kernel = pytest.importorskip("kamtool.speed._kernel")
    assert kernel.unremarkable(text) is saying.unremarkable(text)


@pytest.mark.parametrize(
    "text",
    [
        "sip:alice:secret@h", 'response="0123456789abcdef"', "a=crypto inline:d0RmdmcmVCspeEc3QGZi",
        "\x1b[2J", "RSPAUTH=1", 'modparam("auth", "secret", "x")', "two\nlines", "naïve",
    ],
)  # fmt: skip
def test_secrets_and_what_moves_a_cursor_are_remarked(text):
    assert not saying.unremarkable(text)


def test_a_line_of_acc_is_unremarkable():
    assert saying.unremarkable(
        "ACC: transaction answered: timestamp=1795451702;method=INVITE;from_tag=a;to_tag=t;call_id=c@h;"
        "code=200;reason=OK;src_user=alice;src_domain=example.com;src_ip=127.0.0.1"
    )
