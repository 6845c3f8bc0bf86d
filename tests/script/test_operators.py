"""The operators, as Kamailio 5.6.3 answered: cfglang §6 and the surprises of §18."""

import pytest

from tests.support.script import OPTIONS, value_of

SETUP = (
    '$var(s) = "3"; $var(i) = 5; $var(n) = -1; $var(p) = 2; $var(z) = 0; $var(t) = "abc"; $var(o) = "05"; '
    '$var(seven) = "7"; $var(e) = "";'
)

VALUES = [
    # precedence: comparison binds tighter than | & ^ << >>, and | & ^ among themselves are not C's
    ("1 + 2 * 3", 7),
    ("10 - 4 - 3", 3),
    ("2 * 3 mod 4", 2),
    ("1 << 2 == 4", 1),
    ("6 & 3 ^ 1", 2),
    ("5 | 1 == 1", 5),
    ("$var(p) | 1 == 1", 3),
    ("5 - - 3", 8),
    # C's arithmetic
    ("-7 / 2", -3),
    ("7 / -2", -3),
    ("-7 mod 2", -1),
    ("2147483647 + 1", -2147483648),
    ("2147483648", -2147483648),
    ("99999999999", 1215752191),
    ("1 << 33", 2),
    ("1 << -1", -2147483648),
    ("$var(n) >> 1", -1),
    ("~$var(p)", -3),
    # number words and forms
    ("0x1F", 31),
    ("010", 8),
    ("11b", 3),
    ("yes", 1),
    ("INET6", 10),
    # + asks its left side
    ("$var(s) + 4", "34"),
    ("4 + $var(s)", 7),
    ("$var(i) + 2 + $var(s)", 10),
    ('"a" + 1 + 2', "a12"),
    ("$avp(u) + 5", "5"),
    ("5 + $avp(u)", 5),
    ("$null + 1", "1"),
    ("0 + $var(seven)", 7),
    ('$var(p) + ""', 2),
    # == asks its left side, an undefined one the right
    ("$var(o) == 5", 0),
    ("5 == $var(o)", 1),
    ("$var(o) == $var(i)", 0),
    ("$var(i) == $var(o)", 1),
    ("0 == $var(t)", 1),
    ("$var(t) == 0", 0),
    ("$avp(u) == 0", 1),
    ('$avp(u) == ""', 1),
    ('$avp(u) == "0"', 0),
    ("$avp(u) != 0", 0),
    ("$avp(u) == $avp(v)", 1),
    ("$avp(u) == $var(e)", 1),
    ('$var(i) == "05"', 1),
    ('$var(i) == "5x"', 0),
    ('"a" == 5', 0),
    # $null right of == is a question of its own
    ("$var(never) == $null", 0),
    ("$vn(never) == $null", 1),
    ("$null == $var(z)", 1),
    ("$(avp(u){s.len}) == $null", 1),
    ("$(hdr(Nope){s.len}) == 0", 1),
    # words for both conversions
    ("$var(seven) eq 7", 1),
    ("$var(p) ieq $var(seven)", 0),
    ('"5" eq 5', 1),
    # =~ ignores case, is unanchored, keeps unknown backslashes
    ('"Hello" =~ "^h"', 1),
    (r'"a b" =~ "\s"', 1),
    ('$avp(u) =~ "^$"', 1),
    # truth and its folding
    ("$var(seven) && 1", "7"),
    ("1 && $var(n)", -1),
    ("$var(n) || 0", -1),
    ("$var(n) || 1", 1),
    ("$var(n) && 0", 0),
    ("$var(n) && $var(p)", 1),
    ("!$var(n)", 0),
    ("!!$var(n)", 1),
    ("!$var(t)", 1),
    ("$var(p) - 5 < 0", 1),
    # conversions and questions
    ('(int)"-3" * 2', -6),
    ('(int)"0x1f"', 31),
    ('(int)"12abc"', 0),
    ("(str)5 + 3", "53"),
    ('strlen("abc")', 3),
    ("strlen($avp(u))", 0),
    ("strempty($avp(u))", 1),
    ("defined $avp(u)", 0),
    ("defined $var(never)", 1),
    ('selval($var(p), "a", 3)', "a"),
    ('selval($var(n), "a", 3)', 3),
    # calls: the code itself when assigned alone, else 1 or 0
    ('is_method("INVITE")', -1),
    ('(is_method("INVITE"))', -1),
    ('is_method("INVITE") + 5', 5),
    ('-is_method("OPTIONS")', -1),
    ('"a" + is_method("INVITE")', "a0"),
    ("{ return 7; }", 7),
    ("{ return -3; }", -3),
    ("@ruri.user", "alice"),
    ('method == "OPTIONS"', 1),
    ("method == OPTIONS", 1),
    ("method == INVITE", 0),
    ("src_ip == 127.0.0.0/8", 1),
    ("src_ip == 10.0.0.0/255.0.0.0", 0),
    ("src_ip == 127.0.0.1", 1),
    ("src_ip == localhost", 0),
    ("proto == udp", 1),
    ("proto == UDP", 1),
    ("af == INET", 1),
    ("src_port == 5999", 1),
    ("msg:len > 100", 1),
    ('from_uri =~ "BILOXI"', 1),
    ('uri == "sip:alice@example.com;transport=udp"', 1),
    # typed variables are specialised: the answers must not differ
    ('$rU == "alice"', 1),
    ('$rU != "alice"', 0),
    ('$du == ""', 1),
    ("$du == 0", 1),
    ('$du == "x"', 0),
    ("$du != $null", 0),
    ("$sp == 5999", 1),
    ('$sp == "5999"', 1),
    ('$sp == "abc"', 0),
    ("$rp == 5060", 1),
    ("$rp + 1", "50601"),
    ("$sp + 1", 6000),
    ("$cs + 1", "71"),
    ("$rU == $fU", 0),
    ("$mf == 0", 1),
]


@pytest.mark.parametrize(("expression", "expected"), VALUES, ids=[row[0] for row in VALUES])
def test_an_expression_has_the_value_that_kamailio_gives_it(expression, expected):
    assert value_of(expression, SETUP) == expected


CONDITIONS = [
    ("$rU", False),
    ("$var(seven)", True),
    ("$var(n)", False),
    ("($var(n))", False),
    ("-1", False),
    ("!!$var(n)", True),
    ("$var(n) == -1", True),
    ("$var(n) && 1", False),
    ("1 && $var(n)", False),
    ("$var(n) && $var(p)", True),
    ("$var(n) || $var(z)", True),
    ("-$var(n)", True),
    ('"abc"', False),
    ('"5"', True),
    ('is_method("OPTIONS")', True),
    ('is_method("INVITE")', False),
    ('!is_method("INVITE")', True),
    ("5 / $var(z) == 1", False),
    ('is_method("OPTIONS") && $rU == "alice"', True),
    ('is_method("INVITE") || $rU == "alice"', True),
    ('$rU == "bob" || is_method("OPTIONS") && src_ip == 127.0.0.1', True),
]


@pytest.mark.parametrize(("condition", "expected"), CONDITIONS, ids=[row[0] for row in CONDITIONS])
def test_an_if_is_true_only_above_zero(script, condition, expected):
    run = script("request_route { " + SETUP + f"if ({condition}) $avp(r) = 1; else $avp(r) = 0; }}")
    assert run(OPTIONS)["avp(r)"] == expected


def test_an_assignment_that_fails_leaves_the_old_value(script):
    run = script(
        "request_route { $var(x) = 77; $var(z) = 0; $var(x) = 5 / $var(z); $var(y) = 5 mod $var(z); }"
    )
    left = run(OPTIONS)
    assert left["var(x)"] == 77
    about = "(request_route, Call-ID options@case)"
    assert left.log == [f"test.cfg:6: division by zero {about}", f"test.cfg:6: modulo zero {about}"]


def test_a_bad_pattern_at_run_time_is_logged_and_false(script):
    run = script('request_route { $var(re) = "(["; if ($rU =~ $var(re)) exit; return 5; }')
    left = run(OPTIONS)
    assert left.code == 5
    assert "bad regular expression" in left.log[0]
