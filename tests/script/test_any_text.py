"""Whatever the text: it loads, or says what is wrong with places inside it, and it ends."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamtool import script as language
from kamtool.errors import ConfigError, ConfigErrors
from kamtool.script.program import MOST_ERRORS
from tests.support.script import BASE

WORDS = r"""
request_route route[A] failure_route[F] onreply_route[R] event_route[a:b] { } ( ) [ ] ; , : . = ==
!= =~ < > && || ! - + * / mod & | ^ ~ << >> if else while switch case default return exit drop break
route(A) route setflag(1) xlog("a") is_method("INVITE") $var(x) $ru $(ru{uri.user}) $avp(x) $nosuch
$( "text" 'text' "$rU" "un 5 0x1F 08 ::1 10.0.0.1 @ruri.user % defined strlen selval (int) (str) uri
myself method src_ip loadmodule "pv.so" "tm.so" modparam listen alias debug flags #!define A B
#!ifdef #!else #!endif #!subst "/a/b/" #!include_file "x" /* */ // # \\ \n \t include_file
import_file #!KAMAILIO #!SER group.name desc 99999999999999999999 é \x00
"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\t", "\x00", "é"])
CFG = st.lists(PIECES, max_size=60).map(" ".join)
ANY = st.text(max_size=400)
RELAXED = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def assert_is_read(text):
    """It loads, or every error stands in the text; nothing else happens."""
    lines = text.split("\n")
    report = language.check(text, name="any.cfg")
    for finding in report.findings:
        for span in (finding.span, finding.place):
            assert span.file == "any.cfg"
            assert 1 <= span.line <= len(lines)
            assert 1 <= span.column <= len(lines[span.line - 1]) + 1
            assert (span.line, span.column) <= (span.end_line, span.end_column)
            assert span.end_line <= len(lines)
        assert finding.message
    assert (report.script is None) == bool(report.errors)
    if report.script is None:
        with pytest.raises(ConfigErrors):
            language.load(text, name="any.cfg")
    else:
        report.script.python()


@RELAXED
@given(CFG)
def test_any_row_of_tokens_is_read(text):
    assert_is_read(text)


@RELAXED
@given(CFG)
def test_any_body_is_read(body):
    assert_is_read(f'{BASE}loadmodule "tm.so"\nrequest_route {{\n{body}\n}}\nroute[A] {{ exit; }}\n')


@RELAXED
@given(ANY)
def test_any_text_is_read(text):
    assert_is_read(text)


@RELAXED
@given(ANY)
def test_any_text_can_be_a_string(text):
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    assert_is_read(f'{BASE}request_route {{ xlog("{quoted}"); $var(x) = "{quoted}"; }}')


REAL = (Path(__file__).parents[2] / "cfg/default.cfg").read_text()


@settings(RELAXED, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, len(REAL)), st.integers(0, 40), PIECES), min_size=1, max_size=6))
def test_a_real_cfg_with_damage_is_read(damage):
    """A piece cut out here, another put in there."""
    text = REAL
    for place, length, piece in damage:
        text = text[:place] + piece + text[place + length :]
    assert_is_read(text)


@RELAXED
@given(st.binary(max_size=300))
def test_a_file_of_any_bytes_is_read(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "bytes.cfg"
    file.write_bytes(content)
    report = language.check(file)
    assert (report.script is None) == bool(report.errors)


def test_one_wrong_name_many_times_is_looked_up_once():
    """Thousands of calls of a function that nobody has, and as many strings with such a variable."""
    body = 'nosuch_at_all("$nosuch_at_all(x)");\nxlog("$nosuch_either");\n' * 3000
    report = language.check(f"{BASE}request_route {{\n{body}}}\n", name="any.cfg")
    assert {error.code for error in report.errors} == {"KT1150", "KT1130", "KT1000"}


@pytest.mark.parametrize("text", [
    "$" * 100_000,
    "".join(f"route[R{n}] {{ f{n}(); }}\n" for n in range(3000)),
    "".join(f'loadmodule "no{n}.so"\n' for n in range(3000)),
    "request_route {\n" + "".join(f"route(R{n});\n" for n in range(3000)) + "}",
])  # fmt: skip
def test_what_is_no_cfg_is_given_up_after_many_errors(text, monkeypatch):
    made = []
    init = ConfigError.__init__
    monkeypatch.setattr(ConfigError, "__init__", lambda *a, **k: made.append(1) or init(*a, **k))
    report = language.check(text, name="any.cfg")
    assert len(report.errors) == MOST_ERRORS + 1
    assert any(str(MOST_ERRORS) in error.message for error in report.errors)
    assert len(made) < 25 * MOST_ERRORS  # no work goes on behind the last one
