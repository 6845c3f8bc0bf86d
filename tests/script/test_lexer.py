"""Tokens: cfglang §2."""

import pytest

from kamtool.script.lexer import Lexer
from kamtool.script.preprocess import Preprocessor
from kamtool.script.source import Source
from kamtool.script.tokens import Mode, T


def lex(text):
    """All tokens and all errors of a text."""
    errors = []
    lexer = Lexer(Source("t.cfg", text), Preprocessor.start({}), errors.append)
    tokens = []
    while (token := lexer.next()).kind is not T.END:
        tokens.append(token)
    return tokens, errors, lexer


def texts(text):
    tokens, errors, _ = lex(text)
    assert errors == []
    return [token.text for token in tokens]


def value(text):
    tokens, errors, _ = lex(text)
    assert errors == []
    assert len(tokens) == 1, tokens
    return tokens[0].value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("5", 5), ("0x1F", 31), ("0X1f", 31), ("010", 8), ("101b", 5), ("11b", 3),
        ("2147483647", 2147483647), ("2147483648", -2147483648), ("4294967295", -1), 
        ("99999999999", 1215752191),
        ("0xffffffff", -1), ("yes", 1), ("true", 1), ("on", 1), ("enable", 1), ("no", 0),
        ("false", 0), ("off", 0),
        ("disable", 0), ("INET", 2), ("ipv6", 10), ("9" * 5000, -1),
    ],
)  # fmt: skip
def test_numbers_are_c_ints(text, number):
    assert value(text) == number


@pytest.mark.parametrize("text", ["08", "1abc", "3com", "0x"])
def test_digits_with_letters_are_host_parts(text):
    tokens, _, _ = lex(text)
    assert tokens[0].kind is T.HOSTPART


@pytest.mark.parametrize(
    ("text", "string"),
    [
        (r'"a\n\r\t\\\"z"', 'a\n\r\t\\"z'),
        (r'"\x41\x4a"', "AJ"),
        (r'"\101\60"', "A0"),
        (r'"\1"', "\\1"),
        (r'"\d\s"', "\\d\\s"),
        ('"a\\\nb"', "ab"),
        ('"a\nb"', "a\nb"),
        ("'a\\n\"b'", 'a\\n"b'),
        ('"a"  \n "b" "c"', "abc"),
        ('"héllo"', "héllo"),
        (r'"\xff"', "\udcff"),
    ],
)
def test_strings_and_their_escapes(text, string):
    assert value(text) == string


def test_single_quoted_strings_are_not_joined():
    tokens, _, _ = lex("'a' 'b'")
    assert len(tokens) == 2


def test_a_comment_stands_between_strings_and_keeps_them_apart():
    tokens, _, _ = lex('"a" /* c */ "b"')
    assert [token.value for token in tokens] == ["a", "b"]


def test_block_comments_nest():
    assert texts("a /* b /* c */ d */ e // f\n g # h\n i") == ["a", "e", "g", "i"]


@pytest.mark.parametrize(
    "text",
    [
        "$ru",
        "$var(x)",
        "$(ru{uri.user})",
        "$avp( sp )",
        "$hdr(X(Y))",
        "$sht(a=>$fU::x)",
        "$?",
        "$(avp(x)[*])",
    ],
)
def test_a_pseudo_variable_is_one_token(text):
    assert texts(text) == [text]


def test_a_name_in_code_ends_at_a_dot():
    tokens, _, _ = lex("#!KAMAILIO\n$err.class")
    assert [token.text for token in tokens] == ["$err", ".", "class"]


def test_old_attributes_keep_their_dot_in_the_older_dialects():
    assert texts("$fu.x $g.y") == ["$fu.x", "$g.y"]


@pytest.mark.parametrize("text", ["::1", "fe80::1", "2001:db8:0:1:1:1:1:1", "::", "::ffff:10.0.0.1"])
def test_ipv6_addresses_are_tokens(text):
    tokens, _, _ = lex(text)
    assert [token.kind for token in tokens] == [T.IPV6]


def test_an_ipv4_address_is_numbers_and_dots():
    assert texts("10.0.0.1") == ["10", ".", "0", ".", "0", ".", "1"]


def test_words_for_operators_become_the_operators():
    assert texts("a and b or not c mod d eq e") == ["a", "&&", "b", "||", "!", "c", "mod", "d", "eq", "e"]


def test_casts_are_one_token_only_without_blanks():
    assert texts("(int)5 ( int )") == ["(int)", "5", "(", "int", ")"]


def test_double_negation_is_no_directive():
    assert texts("if (!!$x) !!defined") == ["if", "(", "!", "!", "$x", ")", "!", "!", "defined"]


@pytest.mark.parametrize(
    ("line", "mode"),
    [("#!KAMAILIO", Mode.KAMAILIO), ("#!SER", Mode.SER), ("#!ALL", Mode.ALL),
     ("#!KAMAILIO x", Mode.MAXCOMPAT),
     ("#!KAMAILIOX", Mode.MAXCOMPAT), ("", Mode.MAXCOMPAT)],
)  # fmt: skip
def test_a_whole_line_marks_the_dialect(line, mode):
    assert lex(line + "\n")[2].mode is mode


def test_columns_count_characters_and_a_tab_is_one():
    tokens, _, _ = lex('\tab "é" $x\r\n  y')
    assert [(t.span.line, t.span.column, t.span.end_column) for t in tokens] == [
        (1, 2, 4), (1, 5, 8), (1, 9, 11), (2, 3, 4),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ('x = "abc\n', "KT1004", (1, 5)),
        ("x = 'abc", "KT1004", (1, 5)),
        ("a /* b /* c */\n", "KT1003", (1, 3)),
        ("x = $var(a\n;", "KT1005", (1, 5)),
        ("x = ? 1", "KT1002", (1, 5)),
        ("x = $ 1", "KT1002", (1, 5)),
    ],
)
def test_what_cannot_be_a_token_is_an_error_at_its_first_character(text, code, place):
    _, errors, _ = lex(text)
    assert [(e.code, (e.span.line, e.span.column)) for e in errors] == [(code, place)]
