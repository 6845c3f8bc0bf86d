"""xlog: levels, places, limits."""

import logging

import pytest

from kamtool.errors import ConfigError
from kamtool.server.log import KamailioFormatter
from tests.support.messages import BARE_OPTIONS, PLAIN_INVITE
from tests.support.runtime import Runtime


@pytest.fixture
def runtime():
    return Runtime("pv", "xlog")


@pytest.fixture
def ctx(runtime):
    return runtime.message(PLAIN_INVITE)


@pytest.fixture
def log(caplog):
    with caplog.at_level(logging.DEBUG, "kamtool"):
        yield lambda: [(r.levelname, r.getMessage()) for r in caplog.records]


LEVELS = [
    ("L_ALERT", "ALERT"), ("L_BUG", "BUG"), ("L_CRIT", "CRITICAL"), ("L_ERR", "ERROR"), ("L_WARN", "WARNING"),
    ("L_INFO", "INFO"), ("L_DBG", "DEBUG"), ("-1", "ERROR"), ("2", "INFO"), ("INFO", "INFO"), ("9", "DEBUG"),
]  # fmt: skip


@pytest.mark.parametrize(("level", "name"), LEVELS)
def test_a_level_is_a_name_or_a_number(runtime, ctx, log, level, name):
    assert runtime.call(ctx, "xlog", level, "hello $rU\n") == 1
    assert log() == [(name, "hello alice\n")]


def test_a_notice_stands_between_info_and_warning(runtime, ctx, caplog, log):
    runtime.call(ctx, "xlog", "L_NOTICE", "n")
    assert logging.INFO < caplog.records[0].levelno < logging.WARNING


def test_one_argument_is_an_error(runtime, ctx, log):
    runtime.call(ctx, "xlog", "to $ru, $$5")
    assert log() == [("ERROR", "to sip:alice@example.com, $5")]


def test_a_variable_may_hold_the_level(runtime, ctx, log):
    runtime.set(ctx, "$var(l)", 2)
    runtime.call(ctx, "xlog", "$var(l)", "x")
    assert log() == [("INFO", "x")]


def test_an_unknown_level_is_false(runtime, ctx, log):
    assert runtime.call(ctx, "xlog", "L_FOO", "x") == -1


SHORT = [("xdbg", "DEBUG"), ("xinfo", "INFO"), ("xwarn", "WARNING"), ("xerr", "ERROR"), ("xcrit", "CRITICAL"),
         ("xalert", "ALERT"), ("xbug", "BUG")]  # fmt: skip


@pytest.mark.parametrize(("name", "level"), SHORT)
def test_the_short_forms(runtime, ctx, log, name, level):
    assert runtime.call(ctx, name, "$rm") == 1
    assert log() == [(level, "INVITE")]


def test_what_is_above_the_threshold_is_not_logged(runtime, ctx, caplog):
    with caplog.at_level(logging.WARNING, "kamtool"):
        runtime.call(ctx, "xlog", "L_INFO", "quiet")
        runtime.call(ctx, "xlog", "L_WARN", "loud")
    assert [r.getMessage() for r in caplog.records] == ["loud"]


def test_a_text_beyond_the_buffer_is_cut_with_an_error(runtime, ctx, log):
    runtime.modules["xlog"].set_param("buf_size", 100)
    runtime.call(ctx, "xlog", "L_INFO", "x" * 100)
    error, text = log()
    assert error == ("ERROR", "xlog: a text of 100 octets was cut at buf_size 100")
    assert text == ("INFO", "x" * 99)


def test_xlogl_begins_with_the_line_of_the_script(runtime, ctx, log):
    """Compiled routes carry the cfg's file and lines: a stand-in for one."""
    module = runtime.modules["xlog"]
    source = "\n" * 41 + "xlogl(ctx, 'L_INFO', 'here')\nxdbgl(ctx, 'there')\nxlogl(ctx, 'alone')"
    code = compile(source, "/etc/kamailio.cfg", "exec")
    exec(code, {"xlogl": module.xlogl, "xdbgl": module.xdbgl, "ctx": ctx})
    module.set_param("long_format", 1)
    exec(code, {"xlogl": module.xlogl, "xdbgl": module.xdbgl, "ctx": ctx})
    assert [text for _, text in log()] == [
        "42: here", "43: there", "44: alone",
        "/etc/kamailio.cfg:42: here", "/etc/kamailio.cfg:43: there", "/etc/kamailio.cfg:44: alone",
    ]  # fmt: skip


def test_xlogm_alone_is_silent_for_the_methods_of_the_filter(runtime, ctx, log):
    runtime.modules["xlog"].set_param("methods_filter", 1)
    runtime.call(ctx, "xinfo", "invite")
    runtime.call(ctx, "xlogm", "L_INFO", "filtered")
    runtime.call(runtime.message(BARE_OPTIONS), "xlogm", "L_INFO", "options")
    assert log() == [("INFO", "invite"), ("INFO", "options")]


async def test_another_prefix_goes_with_the_record(runtime, ctx, caplog, log):
    runtime.modules["xlog"].set_param("prefix", "<edge>: ")
    await runtime.modules["xlog"].start()
    runtime.call(ctx, "xinfo", "x")
    assert caplog.records[0].prefix == "<edge>: "


async def test_a_facility_that_does_not_exist_is_a_mistake(runtime):
    runtime.modules["xlog"].set_param("log_facility", "LOG_NOPE")
    with pytest.raises(ConfigError):
        await runtime.modules["xlog"].start()


async def test_only_the_colours_of_a_script_reach_the_terminal(runtime, caplog):
    """And those go to syslog only when force_color says so."""

    text = "$C(rx)$hdr(Subject)$C(xx)"
    ctx = runtime.message(PLAIN_INVITE.replace("hello world hello", "\x1b[2J"))
    runtime.call(ctx, "xerr", text)
    runtime.modules["xlog"].set_param("force_color", 1)
    await runtime.modules["xlog"].start()
    runtime.call(ctx, "xerr", text)
    plain, forced = caplog.records
    shown = "ERROR: <script>: \x1b[0;31;49m\\x1b[2J\x1b[0;39;49m"
    assert KamailioFormatter(stream=True).format(plain) == shown
    assert KamailioFormatter().format(forced) == shown
    assert "\x1b" not in KamailioFormatter().format(plain)
