"""maxfwd (answers of Kamailio 5.6.3)."""

import pytest

from tests.support.messages import PLAIN_INVITE
from tests.support.runtime import Runtime


@pytest.fixture
def runtime():
    return Runtime("maxfwd", "textops")


def message(runtime, line):
    return runtime.message(PLAIN_INVITE.replace("Max-Forwards: 70\r\n", line))


def lines(runtime, ctx):
    return [line for line in runtime.sent(ctx).split("\r\n") if line.startswith("Max-Forwards")]


@pytest.mark.parametrize(
    ("value", "code", "sent"),
    [("70", 1, "69"), ("1", 1, "0"), ("300", 1, "69"), ("0", -1, "0")],
)
def test_max_forwards_is_counted_down(runtime, value, code, sent):
    ctx = message(runtime, f"Max-Forwards: {value}\r\n")
    assert runtime.call(ctx, "mf_process_maxfwd_header", "10") == code
    assert lines(runtime, ctx) == [f"Max-Forwards: {sent}"]


def test_a_missing_one_is_added_once(runtime):
    ctx = message(runtime, "")
    assert runtime.call(ctx, "mf_process_maxfwd_header", 10) == 2
    assert lines(runtime, ctx) == ["Max-Forwards: 10"]


def test_it_is_counted_down_at_each_call(runtime):
    ctx = message(runtime, "Max-Forwards: 5\r\n")
    assert [runtime.call(ctx, "mf_process_maxfwd_header", 10) for _ in range(2)] == [1, 1]
    assert lines(runtime, ctx) == ["Max-Forwards: 3"]


def test_a_removed_one_stays_removed(runtime):
    ctx = message(runtime, "Max-Forwards: 5\r\n")
    runtime.call(ctx, "remove_hf", "Max-Forwards")
    assert runtime.call(ctx, "mf_process_maxfwd_header", 10) == 1
    assert lines(runtime, ctx) == []


def test_max_limit_is_believed_at_most(runtime):
    runtime.modules["maxfwd"].set_param("max_limit", 20)
    ctx = message(runtime, "Max-Forwards: 70\r\n")
    runtime.call(ctx, "mf_process_maxfwd_header", 10)
    assert lines(runtime, ctx) == ["Max-Forwards: 19"]


@pytest.mark.parametrize(
    ("line", "code"), [("Max-Forwards: 4\r\n", 1), ("Max-Forwards: 5\r\n", -1), ("", -2)]
)
def test_a_low_limit(runtime, line, code):
    assert runtime.call(message(runtime, line), "is_maxfwd_lt", 5) == code
