"""The core functions, and what assigning variables does to a message (answers of Kamailio 5.6.3)."""

import logging

import pytest

from kamtool.errors import ScriptError
from kamtool.sip.flow import Flow
from tests.support.messages import BARE_OPTIONS, OK_200, PLAIN_INVITE
from tests.support.runtime import HERE, THERE, Runtime, changed_lines

EDITS = [
    (
        [("prefix", "12"), ("strip", 1)],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:2alice@example.com SIP/2.0"],
    ),
    (
        [("$ru", "sip:example.com"), ("prefix", "12")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:12@example.com SIP/2.0"],
    ),
    ([("strip", 10)], ["INVITE sip:alice@example.com SIP/2.0"], ["INVITE sip:example.com SIP/2.0"]),
    ([("strip_tail", 2)], ["INVITE sip:alice@example.com SIP/2.0"], ["INVITE sip:ali@example.com SIP/2.0"]),
    (
        [("rewritehostport", "h:5080")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:alice@h:5080 SIP/2.0"],
    ),
    (
        [("rewriteuserpass", "u:p")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:u:p@example.com SIP/2.0"],
    ),
    ([("rewriteuser", "u")], ["INVITE sip:alice@example.com SIP/2.0"], ["INVITE sip:u@example.com SIP/2.0"]),
    (
        [("$ru", "sip:u:p@h"), ("rewriteuser", "z")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:z:p@h SIP/2.0"],
    ),
    (
        [("$ru", "sip:h"), ("rewriteuser", "z")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:z@h SIP/2.0"],
    ),
    (
        [("rewriteport", "99")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:alice@example.com:99 SIP/2.0"],
    ),
    (
        [("$ru", "sip:a@h:5080;x=1"), ("rewritehost", "k")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:a@k:5080;x=1 SIP/2.0"],
    ),
    (
        [("$ru", "sip:a@h:5080;x=1"), ("rewritehostport", "k")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:a@k;x=1 SIP/2.0"],
    ),
    (
        [("$ru", "sip:a@h:5080;transport=tcp;x=1"), ("rewritehostporttrans", "k:5;transport=udp")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:a@k:5;transport=udp;x=1 SIP/2.0"],
    ),
    (
        [("userphone",)],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:alice@example.com;user=phone SIP/2.0"],
    ),
    (
        [("$ru", "sip:a@h;user=phone"), ("userphone",)],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:a@h;user=phone SIP/2.0"],
    ),
    ([("$ru", "sip:a@h"), ("revert_uri",)], [], []),
    (
        [("$ru", "tel:+123"), ("prefix", "0")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE tel:0+123 SIP/2.0"],
    ),
    ([("setflag", 31), ("append_hf", "R: $mf $mF\r\n")], [], ["R: 2147483648 80000000"]),
    (
        [("$fU", "new")],
        ['From: "Bob" <sip:bob@biloxi.example.org>;tag=ft1'],
        ['From: "Bob" <sip:new@biloxi.example.org>;tag=ft1'],
    ),
    (
        [("$fu", "sip:x@y")],
        ['From: "Bob" <sip:bob@biloxi.example.org>;tag=ft1'],
        ['From: "Bob" <sip:x@y>;tag=ft1'],
    ),
    (
        [("$fd", "newdom"), ("$fU", "zed")],
        ['From: "Bob" <sip:bob@biloxi.example.org>;tag=ft1'],
        ['From: "Bob" <sip:zed@newdom>;tag=ft1'],
    ),
    (
        [("$fn", '"Carol"')],
        ['From: "Bob" <sip:bob@biloxi.example.org>;tag=ft1'],
        ['From: "Carol" <sip:bob@biloxi.example.org>;tag=ft1'],
    ),
    (
        [("$fn", None)],
        ['From: "Bob" <sip:bob@biloxi.example.org>;tag=ft1'],
        ["From: <sip:bob@biloxi.example.org>;tag=ft1"],
    ),
    ([("$tn", '"Carol"')], ["To: <sip:alice@example.com>"], ['To: "Carol" <sip:alice@example.com>']),
    ([("$tU", "new")], ["To: <sip:alice@example.com>"], ["To: <sip:new@example.com>"]),
    (
        [("$rU", "12"), ("$ru", "sip:zz@yy;a=b"), ("$rd", "host9"), ("$rp", 5099)],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:zz@host9:5099;a=b SIP/2.0"],
    ),
    ([("$rU", None)], ["INVITE sip:alice@example.com SIP/2.0"], ["INVITE sip:example.com SIP/2.0"]),
    (
        [("$ru", "sip:u:p@h"), ("$rU", None)],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:h SIP/2.0"],
    ),
    (
        [("$ru", "sip:u:p@h:99"), ("$rp", None)],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:u:p@h SIP/2.0"],
    ),
    (
        [("$ru", "sip:u:p@h:99"), ("$rd", "[::1]")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:u:p@[::1]:99 SIP/2.0"],
    ),
    (
        [("$ru", "tel:+123"), ("$rd", "h")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:+123@h;user=phone SIP/2.0"],
    ),
    (
        [("$ru", "sip:a@[::1]:55"), ("$rU", "b")],
        ["INVITE sip:alice@example.com SIP/2.0"],
        ["INVITE sip:b@[::1]:55 SIP/2.0"],
    ),
]


@pytest.fixture(scope="module")
def runtime():
    return Runtime("pv", "textops", "kex", "corex")


@pytest.mark.parametrize(("steps", "removed", "added"), EDITS, ids=[repr(row[0]) for row in EDITS])
def test_what_leaves_the_server(runtime, steps, removed, added):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.run(ctx, steps)
    assert changed_lines(PLAIN_INVITE, runtime.sent(ctx)) == (removed, added)


@pytest.mark.parametrize(
    ("steps", "uri"),
    [
        ([("$rU", 12345)], "sip:alice@example.com"),
        ([("$rU", "")], "sip:example.com"),
        ([("$ru", "sip:u:p@h"), ("$rU", "z")], "sip:z:p@h"),
        ([("$rd", None)], "sip:alice@example.com"),
        ([("$ru", None)], "sip:alice@example.com"),
        ([("$rp", 5099)], "sip:alice@example.com:5099"),
        ([("$rp", "")], "sip:alice@example.com"),
        ([("rewriteuser", "$var(u)")], "sip:$var(u)@example.com"),
        ([("rewritehostport", "[::1]:99")], "sip:alice@[::1]:99"),
        ([("strip", 0)], "sip:alice@example.com"),
        ([("strip", 5)], "sip:example.com"),
        ([("strip_tail", 9)], "sip:example.com"),
        ([("$ru", "sip:h"), ("strip", 1)], "sip:h"),
        ([("$ru", "sip:h"), ("$rU", "a")], "sip:a@h"),
        ([("sethost", "x"), ("setport", "1"), ("setuser", "y"), ("revert_uri",)], "sip:alice@example.com"),
    ],
)
def test_the_r_uri_afterwards(runtime, steps, uri):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.run(ctx, steps)
    assert (ctx.new_uri or ctx.msg.uri) == uri


def test_an_unparsable_uri_reads_as_undefined(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.set(ctx, "$ru", "garbage")
    assert [runtime.get(ctx, text) for text in ("$ru", "$rU", "$rd", "$rp")] == [None] * 4
    assert runtime.call(ctx, "prefix", "1") == -1
    assert runtime.call(ctx, "revert_uri") == 1
    assert runtime.get(ctx, "$ru") == "sip:alice@example.com"


def test_a_reply_has_no_r_uri_to_change(runtime):
    ctx = runtime.message(OK_200)
    assert runtime.call(ctx, "rewritehost", "x") == -1
    with pytest.raises(ScriptError):
        runtime.set(ctx, "$rd", "x")


@pytest.mark.parametrize("flag", [0, 5, 31])
def test_a_message_flag_is_set_seen_and_cleared(runtime, flag):
    ctx = runtime.message(PLAIN_INVITE)
    assert runtime.call(ctx, "isflagset", flag) == -1
    assert runtime.call(ctx, "setflag", flag) == 1
    assert runtime.call(ctx, "isflagset", flag) == 1
    assert runtime.get(ctx, "$mf") == 1 << flag
    assert runtime.get(ctx, "$mF") == f"{1 << flag:08X}"
    assert runtime.call(ctx, "resetflag", flag) == 1
    assert runtime.get(ctx, "$mf") == 0


def test_a_destination_uri_is_set_read_and_cleared(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.set(ctx, "$du", "sip:10.0.0.1:5080;transport=tcp")
    names = ("$du", "$dd", "$dp", "$dP", "$nh(u)", "$nh(d)")
    assert [runtime.get(ctx, name) for name in names] == [
        "sip:10.0.0.1:5080;transport=tcp",
        "10.0.0.1",
        "5080",
        "tcp",
        "sip:10.0.0.1:5080;transport=tcp",
        "10.0.0.1",
    ]
    runtime.set(ctx, "$du", "garbage")  # kept, as Kamailio does: t_relay says -478
    assert runtime.get(ctx, "$du") == "garbage"
    runtime.set(ctx, "$du", None)
    assert runtime.get(ctx, "$du") is None


def test_a_socket_is_forced_by_address_or_name(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    runtime.set(ctx, "$fs", "udp:127.0.0.1:5070")
    assert (runtime.get(ctx, "$fs"), runtime.get(ctx, "$fsn")) == ("udp:127.0.0.1:5070", "side")
    runtime.set(ctx, "$fsn", "main")
    assert runtime.get(ctx, "$fs") == "udp:127.0.0.1:5060"
    runtime.set(ctx, "$fs", None)
    assert runtime.get(ctx, "$fs") is None
    assert runtime.call(ctx, "force_send_socket", "tcp:127.0.0.1:5060") == 1
    assert runtime.get(ctx, "$fs") == "tcp:127.0.0.1:5060"
    assert runtime.call(ctx, "force_send_socket", "udp:[::1]:5060") == 1
    assert runtime.get(ctx, "$fs") == "udp:[::1]:5060"


@pytest.mark.parametrize("socket", ["udp:10.9.9.9:1", "nonsense", "", "udp:", "tcp:127.0.0.1:5070"])
def test_only_a_listening_socket_can_be_forced(runtime, socket):
    ctx = runtime.message(PLAIN_INVITE)
    assert runtime.call(ctx, "force_send_socket", socket) == -1
    with pytest.raises(ScriptError):
        runtime.set(ctx, "$fs", socket)


def test_how_connections_are_used_is_remembered(runtime):
    ctx = runtime.message(PLAIN_INVITE)
    for name in (
        "force_rport",
        "add_local_rport",
        "force_tcp_alias",
        "set_forward_no_connect",
        "set_reply_close",
    ):
        assert runtime.call(ctx, name) == 1
    assert ctx.force_rport
    assert ctx.add_local_rport
    assert ctx.scratch["core.forward_no_connect"]
    assert "core.tcp_alias" not in ctx.scratch, "on UDP an alias means nothing"
    assert runtime.call(ctx, "set_advertised_address", "sip.example.com") == 1
    assert runtime.call(ctx, "set_advertised_port", 5080) == 1
    assert (ctx.advertised_host, ctx.advertised_port) == ("sip.example.com", 5080)
    assert runtime.call(ctx, "set_advertised_port", 70000) == -1


async def test_forward_goes_to_the_host_given_or_by_the_message(runtime):
    asked = []

    async def forward(ctx, uri, transport):
        asked.append((uri, transport))
        return len(asked) < 5

    runtime.forward = forward
    ctx = runtime.message(PLAIN_INVITE)
    codes = [
        await runtime.call(ctx, "forward"), await runtime.call(ctx, "forward", "h", "5080"),
        await runtime.call(ctx, "forward_tcp", "::1"), await runtime.call(ctx, "forward", "h"),
        await runtime.call(ctx, "forward"),
    ]  # fmt: skip
    assert codes == [1, 1, 1, 1, -1]
    assert asked == [("", ""), ("sip:h:5080", ""), ("sip:[::1]", "tcp"), ("sip:h", ""), ("", "")]


def test_a_shell_command_is_refused(runtime, caplog):
    assert runtime.call(runtime.message(PLAIN_INVITE), "exec", "touch /x") == -1
    assert "no shell commands" in caplog.text


def test_log_takes_its_text_as_written(runtime, caplog):
    with caplog.at_level(logging.DEBUG, "kamtool"):
        assert runtime.call(runtime.message(PLAIN_INVITE), "log", "L_WARN", "user $rU") == 1
        assert runtime.call(runtime.message(PLAIN_INVITE), "log", "plain") == 1
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "user $rU"),
        ("DEBUG", "plain"),
    ]


def test_len_gt_compares_the_length_of_the_message(runtime):
    ctx = runtime.message(BARE_OPTIONS)
    assert runtime.call(ctx, "len_gt", len(BARE_OPTIONS) - 1) == 1
    assert runtime.call(ctx, "len_gt", len(BARE_OPTIONS)) == -1


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        ([("$fU", "new")], 'From: "Bob" <sip:new@biloxi.example.org>;tag=ft1'),
        ([("$fd", "d"), ("$fU", "u")], 'From: "Bob" <sip:u@d>;tag=ft1'),
        ([("$fu", "sip:a@b"), ("$fU", "u")], 'From: "Bob" <sip:u@b>;tag=ft1'),
        ([("$fu", "sip:a@b"), ("$fn", '"X"')], 'From: "X" <sip:a@b>;tag=ft1'),
        ([("$fU", None)], 'From: "Bob" <sip:biloxi.example.org>;tag=ft1'),
        ([("$fn", '"A"'), ("$fn", '"B"')], 'From: "B" <sip:bob@biloxi.example.org>;tag=ft1'),
    ],
)
def test_assignments_to_from_work_on_one_another(runtime, steps, line):
    """Kamailio applies each to the received header and sends both results in a row."""
    ctx = runtime.message(PLAIN_INVITE)
    runtime.run(ctx, steps)
    assert line in runtime.sent(ctx).split("\r\n")


def test_a_bare_uri_gets_brackets_with_its_name(runtime):
    ctx = runtime.message(
        PLAIN_INVITE.replace("To: <sip:alice@example.com>", "To: sip:alice@example.com;x=1")
    )
    runtime.set(ctx, "$tn", "Al")
    assert "To: Al <sip:alice@example.com>;x=1" in runtime.sent(ctx).split("\r\n")


def test_an_instance_of_a_custom_group_is_selected_and_reset(runtime):
    from kamtool.script.settings import Settings

    runtime.settings = Settings(custom={"gw": {"ip": "1.1.1.1", "port": 5060}, "gw[2]": {"ip": "2.2.2.2"}})
    ctx = runtime.message(PLAIN_INVITE)
    shown = runtime.format("$sel(cfg_get.gw.ip) $sel(cfg_get.gw.port)")
    assert shown(ctx) == "1.1.1.1 5060"
    assert runtime.call(ctx, "cfg_select", "gw", 2) == 1
    assert shown(ctx) == "2.2.2.2 5060"
    assert runtime.call(ctx, "cfg_reset", "gw") == 1
    assert shown(ctx) == "1.1.1.1 5060"
    runtime.set(ctx, "$ccp(gw.port)", "5080")
    assert runtime.get(ctx, "$ccp(gw.port)") == 5080
    with pytest.raises(ScriptError):
        runtime.set(ctx, "$ccp(gw.nope)", 1)
    del runtime.settings


@pytest.mark.parametrize(("transport", "remembered"), [("udp", False), ("tcp", True), ("ws", True)])
def test_set_reply_no_connect_is_remembered_only_where_there_is_a_connection(transport, remembered):
    runtime = Runtime()
    ctx = runtime.message(BARE_OPTIONS, Flow(transport, HERE, THERE))
    assert runtime.modules["core"].set_reply_no_connect(ctx) == 1
    assert (ctx._scratch is not None) is remembered
