"""regex: Perl-compatible expressions in Python's `re`, and groups from a file."""

import contextlib
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError, RpcError
from kamtool.modules.regex.pcre import Pcre
from tests.support.host import Host

OPTIONS = """
OPTIONS sip:a@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5999;branch=z9hG4bK1
From: <sip:b@127.0.0.1>;tag=1
To: <sip:a@127.0.0.1>
Call-ID: 1
CSeq: 1 OPTIONS
"""
GROUPS = "### c\n[5]\n# x\n^Twinkle/1\n^X-Lite\n\n[7]\n^a\\d{4}$\n"


@pytest.fixture
def host():
    return Host()


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"(?i)^TWINKLE", b"twinkle/3", True),
        (r"a(?i)b|c", b"aB", True),
        (r"a(?i)b|c", b"C", True),
        (r"a(?i)b|c", b"AB", False),
        (r"(a(?i)b)c", b"aBc", True),
        (r"(a(?i)b)c", b"aBC", False),
        (r"(?-i)a", b"A", False),
        (r"^[[:digit:]]{3}$", b"123", True),
        (r"^[^[:alpha:]]$", b"x", False),
        (r"^\Qa.b\E$", b"a.b", True),
        (r"^\Qa.b\E$", b"axb", False),
        (r"^(?<x>a|b)\k<x>$", b"aa", True),
        (r"^(?<x>a|b)\k{x}$", b"ab", False),
        (r"^(a)\g{-1}$", b"aa", True),
        (r"^(a)\g1$", b"aa", True),
        (r"^a\x{2e}b\x2E$", b"a.b.", True),
        (r"^\d+$", "\u0663".encode(), False),
        (r"^..$", "é".encode(), True),
        (r"^a$", b"a\n", True),
        (r"^a\z", b"a\n", False),
        (r"^a\Z", b"a\n", True),
        (r"^a\Rb", b"a\r\nb", True),
        (r"^\h+\v$", b" \t\x0b", True),
        (r"^(?>a+)ab", b"aaab", False),
        (r"^a++ab", b"aaab", False),
        (r"(?<=a)b(?!c)", b"abd", True),
        (r"^(?#note)a(?x) b # more", b"ab", True),
        (r"^[]a]+$", b"]a]", True),
        (r"^[\b\012]$", b"\n", True),
        (r"^(a)?(?(1)b|c)$", b"c", True),
        (r"", b"", True),
    ],
)
def test_an_expression_means_what_pcre_says(pattern, text, found):
    assert Pcre(pattern).matches(text) is found


@pytest.mark.parametrize(
    "pattern", ["(b", "b)", "[a", "a\\", "*a", "(?R)", "(*UTF8)a", r"\p{L}", r"a\Kb", "(?|a|b)"]
)
def test_what_is_wrong_or_not_supported_is_refused_by_name(pattern):
    with pytest.raises(ConfigError, match="bad regular expression"):
        Pcre(pattern)


@given(st.text(alphabet="ab(?i:|)[]^$\\QEdxg{12}<>-*+.#= ", max_size=20), st.binary(max_size=20))
def test_any_text_compiles_or_is_refused(pattern, octets):
    with contextlib.suppress(ConfigError, TimeoutError):
        Pcre(pattern).matches(octets)


def test_a_hostile_text_cannot_stall_the_server():
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("searches are bounded on the main thread, where the server runs")
    hostile = Pcre(r"^(a+)+$")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        hostile.matches(b"a" * 60 + b"b")
    assert time.monotonic() - began < 5
    assert hostile.matches(b"aaa")


async def test_the_return_codes_are_kamailio_s(host, tmp_path, caplog):
    (tmp_path / "groups").write_text(GROUPS)
    module = await host.load("regex", file=str(tmp_path / "groups"))
    ctx = host.context(OPTIONS)
    assert module.pcre_match(ctx, "twinkle/3", "(?i)^TWINKLE") == 1
    assert module.pcre_match(ctx, "abc", "^b") == -1
    assert module.pcre_match(ctx, "abc", "(b") == -4
    assert "missing )" in caplog.text
    assert module.pcre_match(ctx, "", "a*") == 1
    assert module.pcre_match_group(ctx, "Twinkle/1") == 1
    assert module.pcre_match_group(ctx, "twinkle/1") == -1
    assert module.pcre_match_group(ctx, "a1234", 1) == 1
    assert module.pcre_match_group(ctx, "a1234", 9) == -4
    assert module.pcre_match_group(ctx, "a1234", -1) == -1


async def test_options_hold_for_all_expressions(host, tmp_path):
    (tmp_path / "groups").write_text("[0]\n^ a . b $\n")
    module = await host.load(
        "regex",
        file=str(tmp_path / "groups"),
        pcre_caseless=1,
        pcre_dotall=1,
        pcre_extended=1,
        pcre_multiline=1,
    )
    ctx = host.context(OPTIONS)
    assert module.pcre_match_group(ctx, "x\nA\nB") == 1
    assert module.pcre_match(ctx, "x\nA\nB", "a.b") == 1


async def test_reload_takes_the_new_file_or_keeps_the_old_groups(host, tmp_path):
    place = tmp_path / "groups"
    place.write_text(GROUPS)
    module = await host.load("regex", file=str(place))
    ctx = host.context(OPTIONS)
    place.write_text("[0]\n(b\n")
    with pytest.raises(RpcError, match="missing"):
        await module.rpc_reload()
    assert module.pcre_match_group(ctx, "X-Lite") == 1
    place.write_text("[0]\n^new\n")
    await module.rpc_reload()
    assert module.pcre_match_group(ctx, "newer") == 1
    assert len(module.groups) == 1


@pytest.mark.parametrize(
    ("text", "params", "reason"),
    [
        ("^a\n", {}, "begins with"),
        ("[0]\n[1]\na\n", {}, "empty"),
        ("[0]\na\n[1]\nb\n", {"max_groups": 1}, "max_groups"),
        ("[0]\n" + "a" * 30, {"group_max_size": 20}, "group_max_size"),
    ],
)
async def test_a_wrong_file_is_refused_at_start(host, tmp_path, text, params, reason):
    (tmp_path / "groups").write_text(text)
    with pytest.raises(ConfigError, match=reason):
        await host.load("regex", file=str(tmp_path / "groups"), **params)


async def test_a_missing_file_is_refused_at_start(host, tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        await host.load("regex", file=str(tmp_path / "none"))
