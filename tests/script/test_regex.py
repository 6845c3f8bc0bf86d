"""POSIX extended regular expressions: glibc's answers, and bounded work."""

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.errors import ConfigError
from kamtool.script.regex import Ere, compile_ere


def first(pattern, text, **options):
    found = compile_ere(pattern, **options).search(text)
    return None if found is None else found.group()


@pytest.mark.parametrize(
    ("pattern", "text", "match"),
    [
        ("[[:digit:]]+", "ab12c", "12"),
        (r"\d+", "ab12ddd", "ddd"),  # `\d` is a plain d
        (r"\w+", "--ab_1--", "ab_1"),
        ("[]a]+", "x]a]", "]a]"),
        ("[^]a]+", "]ax", "x"),
        (r"[\n]+", "\\n", "\\n"),  # a backslash in brackets is itself
        ("[a-]+", "-a-", "-a-"),
        ("[[.-.]]", "-", "-"),
        ("[[=a=]]", "a", "a"),
        ("a|ab|abc", "abcd", "abc"),  # the longest, not the first
        ("(a|ab)(c|bcd)", "abcd", "abcd"),
        ("a+?", "aaa", "aaa"),  # not lazy: an optional a+
        ("a**", "aaa", "aaa"),
        ("x*", "aaa", ""),
        ("a{2}", "aaa", "aa"),
        ("a{2,}", "aaaa", "aaaa"),
        ("a{,2}", "aaaa", "aa"),
        ("a)", "a)", "a)"),  # an unmatched ) is a character
        ("()", "a", ""),
        ("a|", "b", ""),
        ("^b", "a\nb", None),
        ("a$", "a\n", None),
        ("a.b", "a\nb", "a\nb"),
        (r"(.)\1", "abccd", "cc"),
        (r"\<b", "ab b", "b"),
        (r"a\.b", "axb a.b", "a.b"),
        ("^sip:([0-9]{3,5})@", "sip:12345@h", "sip:12345@"),
    ],
)
def test_an_expression_means_what_posix_says(pattern, text, match):
    assert first(pattern, text) == match


def test_line_mode_knows_lines():
    assert first("^b$", "a\nb\nc", line_mode=True) == "b"
    assert first("a.b", "a\nb", line_mode=True) is None
    assert first("a[^x]b", "a\nb", line_mode=True) is None


def test_case_is_ignored_when_asked():
    assert first("^H[[:lower:]]", "hELLO", flags=re.IGNORECASE) == "hE"
    assert first("^H", "hELLO") is None


@pytest.mark.parametrize(
    "pattern",
    ["(", "a(b", "[a", "*a", "a|*b", "a{2,1}", "a{x}", "a{", "a{99999}", "[[:nope:]]", "[z-a]", "\\", r"\1"],
)
def test_a_mistake_is_named(pattern):
    with pytest.raises(ConfigError, match="bad regular expression"):
        compile_ere(pattern)


def test_groups_are_kept_by_the_automaton_too():
    pattern = Ere("(a|ab)(c|bcd)(d*)", 0, False)
    found = pattern.search("xabcd")
    assert found.span() == (1, 5)
    assert found.group(0) == "abcd"


def test_every_match_is_found_from_left_to_right():
    assert [m.group() for m in compile_ere("a|ab").finditer("ab a ab")] == ["ab", "a", "ab"]
    assert [m.span() for m in compile_ere("x*").finditer("axa")] == [(0, 0), (1, 2), (2, 2), (3, 3)]


def test_sub_replaces_all_or_the_first():
    pattern = compile_ere("a|ab")
    assert pattern.sub(lambda match: f"<{match.group()}>", "ab a") == "<ab> <a>"
    assert pattern.sub(lambda match: "", "ab a", 1) == " a"


HOSTILE = ["(a+)+$", "(a|a)*b", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)b", "(a|aa)+$", "(x+x+)+y", "a.*a.*a.*a.*b"]


def test_a_hostile_text_does_not_stall_the_server():
    """In a process of its own, so that a failure ends: the limit is generous, the work is not."""
    script = (
        "from kamtool.script.regex import compile_ere\n"
        f"for pattern in {HOSTILE!r}:\n"
        "    for text in ('a' * 2000 + '!', 'x' * 2000):\n"
        "        compile_ere(pattern).search(text)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


SAFE = st.text(alphabet="ab|()*+?.^$[]{}1,\\", max_size=12)


@given(SAFE, st.text(alphabet="abc\n", max_size=12))
@settings(max_examples=400)
def test_automaton_and_backtracking_agree(pattern, text):
    try:
        ere = Ere(pattern, 0, False)
    except ConfigError:
        return
    if ere._irregular or ere._budget < len(text):
        return
    fast = ere._fast.search(text)
    linear = ere._linear()
    assert linear.found_in(text) == (fast is not None)
    spans = linear.spans(text, 0)
    assert (spans is None) == (fast is None)
    if fast is not None:
        assert spans[0] == fast.start()
        assert spans[1] >= fast.end()
        if ere._first_is_longest and not re.search(r"[*+?}][*+?{]|\)[*+?{]", pattern):
            assert spans[1] == fast.end()
