"""kex: branch flags, script flags, the destination URI (answers of Kamailio 5.6.3)."""

import logging

import pytest

from tests.support.messages import PLAIN_INVITE
from tests.support.runtime import Runtime


@pytest.fixture
def runtime():
    return Runtime("pv", "kex", "corex")


@pytest.fixture
def ctx(runtime):
    return runtime.message(PLAIN_INVITE)


def test_a_script_flag_is_set_seen_and_cleared(runtime, ctx):
    codes = [
        runtime.call(ctx, name, 3)
        for name in ("issflagset", "setsflag", "issflagset", "resetsflag", "issflagset")
    ]
    assert codes == [-1, 1, 1, 1, -1]


def test_a_branch_flag_belongs_to_its_branch(runtime, ctx):
    runtime.call(ctx, "setbflag", 3)
    runtime.call(ctx, "append_branch", "sip:b1@h")
    runtime.call(ctx, "setbflag", 2, 1)
    assert runtime.format("$bf $bF $(branch(flags)[0])")(ctx) == "8 00000008 12"
    assert [runtime.call(ctx, "isbflagset", 2, branch) for branch in (0, 1, 2)] == [-1, 1, -1]
    assert runtime.call(ctx, "resetbflag", 3, 1) == 1
    assert runtime.get(ctx, "$(branch(flags)[0])") == 4
    assert runtime.call(ctx, "setbflag", 2, 9) == -1


def test_the_destination_uri_is_set_asked_for_and_cleared(runtime, ctx):
    assert runtime.call(ctx, "isdsturiset") == -1
    assert runtime.call(ctx, "setdsturi", "sip:x@y") == 1
    assert (ctx.dst_uri, runtime.call(ctx, "isdsturiset")) == ("sip:x@y", 1)
    assert runtime.call(ctx, "setdsturi", "garbage") == -1
    assert runtime.call(ctx, "resetdsturi") == 1
    assert ctx.dst_uri is None


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("sip:a@127.0.0.1:5060", 1),
        ("sip:127.0.0.1", 1),
        ("$ru", -1),
        ("sip:127.0.0.1:9", -1),
        ("127.0.0.1:5060", -1),
    ],
)
def test_myself(runtime, ctx, uri, code):
    assert runtime.call(ctx, "is_myself", uri) == code


def test_pv_printf_assigns_a_format(runtime, ctx):
    assert runtime.call(ctx, "pv_printf", "$var(x)", "<$rU>") == 1
    assert runtime.call(ctx, "avp_printf", "$avp(x)", "$rd") == 1
    assert runtime.format("$var(x) $avp(x)")(ctx) == "<alice> example.com"


def test_setdebug_holds_until_resetdebug(runtime, ctx):
    logger = logging.getLogger("kamtool")
    before = logger.level
    try:
        runtime.call(ctx, "setdebug", 3)
        assert logger.level == logging.DEBUG
        runtime.call(ctx, "setdebug", -1)
        assert logger.level == logging.ERROR
        runtime.call(ctx, "resetdebug")
        assert logger.level == before
    finally:
        logger.setLevel(before)


def test_a_branch_is_the_r_uri_or_the_uri_given(runtime, ctx):
    ctx.dst_uri = "sip:hop"
    assert runtime.call(ctx, "km_append_branch") == 1
    assert runtime.call(ctx, "append_branch", "sip:b1@h") == 1
    assert runtime.call(ctx, "append_branch", "sip:b2@h", "0.5") == 1
    assert [(b.uri, b.dst_uri, b.q) for b in ctx.branches] == [
        ("sip:alice@example.com", "sip:hop", -1), ("sip:b1@h", None, -1), ("sip:b2@h", None, 500),
    ]  # fmt: skip
    assert runtime.get(ctx, "$branch(count)") == 3
    assert runtime.get(ctx, "$br") == "sip:alice@example.com"
    assert runtime.get(ctx, "$bR") == "sip:alice@example.com, sip:b1@h, <sip:b2@h>;q=0.5"
    assert runtime.get(ctx, "$ds") == "Contact: <sip:alice@example.com>, <sip:b1@h>, <sip:b2@h>;q=0.5"
    assert runtime.get(ctx, "$(branch(uri)[*])") == "sip:alice@example.com"
    assert runtime.get(ctx, "$(branch(q)[2])") == 500
    assert runtime.get(ctx, "$(branch(uri)[-1])") == "sip:b2@h"
    assert runtime.get(ctx, "$(branch(uri)[9])") is None


def test_a_branch_is_changed_and_dropped_through_its_variable(runtime, ctx):
    runtime.call(ctx, "append_branch", "sip:b1@h")
    runtime.call(ctx, "append_branch", "sip:b2@h")
    for name, value in (
        ("uri", "sip:x@y"),
        ("q", 300),
        ("dst_uri", "sip:d"),
        ("path", "<sip:p>"),
        ("flags", 5),
    ):
        runtime.set(ctx, f"$(branch({name})[1])", value)
        assert runtime.get(ctx, f"$(branch({name})[1])") == value
    runtime.set(ctx, "$(branch(send_socket)[1])", "udp:127.0.0.1:5060")
    assert runtime.get(ctx, "$(branch(send_socket)[1])") == "udp:127.0.0.1:5060"
    runtime.set(ctx, "$(branch(uri)[0])", None)
    assert [b.uri for b in ctx.branches] == ["sip:x@y"]


def test_the_twelfth_branch_is_refused(runtime, ctx):
    """One is the R-URI's own, so eleven may be added."""
    assert [runtime.call(ctx, "append_branch", f"sip:b{n}@h") for n in range(12)] == [1] * 11 + [-1]


def test_branches_are_removed_and_cleared(runtime, ctx):
    for number in range(3):
        runtime.call(ctx, "append_branch", f"sip:b{number}@h")
    assert runtime.call(ctx, "remove_branch", 1) == 1
    assert [b.uri for b in ctx.branches] == ["sip:b0@h", "sip:b2@h"]
    assert runtime.call(ctx, "remove_branch", 5) == -1
    assert runtime.call(ctx, "clear_branches") == 1
    assert runtime.get(ctx, "$branch(count)") is None
