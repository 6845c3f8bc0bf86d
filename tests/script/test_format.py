"""fmt: what it changes, what it leaves, and that it never changes what a cfg means."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kamtool.errors import ConfigErrors
from kamtool.script.format import format_text, mistakes
from kamtool.script.format_shape import same
from kamtool.script.syntax import parse, source_of

HERE = Path(__file__).parents[2]
STOCK = Path("/etc/kamailio/kamailio.cfg")
CASES = HERE / "../shared/conformance/cfg_semantics.json"
FILES = [*sorted(HERE.glob("cfg/*.cfg")), *sorted(HERE.glob("tests/**/*.cfg")), STOCK]


def fmt(text, **options):
    return format_text(text, name="case.cfg", **options)


def route(*lines, indent="\t"):
    return "request_route {\n" + "".join(f"{indent}{line}\n" for line in lines) + "}\n"


def assert_is_kept(text, path=None):
    """Stable, and the same tree as before. True when the text could be parsed at all."""
    before = parse(source_of(text, "case.cfg", path))
    if mistakes(before):
        with pytest.raises(ConfigErrors):
            fmt(text, path=path)
        return False
    once = fmt(text, path=path)
    after = parse(source_of(once, "case.cfg", path))
    assert not mistakes(after)
    assert same(before.items, after.items)
    assert before.preprocessor.defines == after.preprocessor.defines
    assert fmt(once, path=path) == once
    return True


# What it changes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("if($rU==$null){exit;}", ["if ($rU == $null) { exit; }"]),
        ("if ( $a(x)=~'b' )\n{\nexit;\ndrop;\n}", ["if ($a(x) =~ 'b') {", "\texit;", "\tdrop;", "}"]),
        (
            "if(a())\n{\nb();\n}\nelse\n{\nc();\n}",
            ["if (a()) {", "\tb();", "} else {", "\tc();", "}"],
        ),
        ("if (a()) {b();c();}else if(d()) {e();}", None),
        ("$var(x)=1+-2*$var(y);", ["$var(x) = 1 + -2 * $var(y);"]),
        ("$var(x)=(int)$var(y);", ["$var(x) = (int)$var(y);"]),
        ("a();  b( 1,2 ) ;", ["a();", "b(1, 2);"]),
        ("if (!a()&&not b()) exit ;", ["if (!a() && not b()) exit;"]),
        ("if (src_ip==10.0.0.0/8) drop;", ["if (src_ip == 10.0.0.0/8) drop;"]),
        ("switch($rc){case 1: a(); break; default: b();}", None),
        ("if (a())\nb();\nc();", ["if (a())", "\tb();", "c();"]),
        ("if (a()\n&& b()) {\nc();\n}", ["if (a()", "\t\t&& b()) {", "\tc();", "}"]),
    ],
)
def test_a_statement_takes_its_usual_form(before, after):
    result = fmt(f"request_route{{\n{before}\n}}")
    if after is not None:
        assert result == route(*after)
    assert_is_kept(f"request_route{{\n{before}\n}}")


def test_labels_stand_in_the_switch_and_their_statements_below_them():
    cases = 'case 1:\nxlog("a");break;\ncase /"^2":\ncase 3: exit;\ndefault:\ndrop;\n'
    assert fmt(f"request_route{{ switch($rc){{{cases}}} }}") == route(
        "switch ($rc) {", "\tcase 1:", '\t\txlog("a");', "\t\tbreak;", '\tcase /"^2":', "\tcase 3: exit;",
        "\tdefault:", "\t\tdrop;", "}",
    )  # fmt: skip


def test_a_block_of_one_statement_stays_on_its_line():
    text = route('if (a()) { xlog("x"); }', "if (b()) { ; }")
    assert fmt(text) == text


def test_blanks_at_line_ends_go_and_empty_lines_stay():
    assert fmt("debug=2   \n\n\n\n\n\nrequest_route {\n\n\texit;  \n}\n\n\n") == (
        "debug=2\n\n\n\n\n\nrequest_route {\n\n\texit;\n}\n"
    )


def test_a_file_indented_with_blanks_goes_on_with_four():
    text = "request_route {\n  if (a()) {\n    b();\n  }\n}\n"
    assert fmt(text) == route("if (a()) {", "    b();", "}", indent="    ")
    assert fmt(text, unit="\t") == route("if (a()) {", "\tb();", "}")


def test_line_ends_of_other_systems_stay():
    assert (
        fmt("debug=2\r\nrequest_route{\r\nexit;\r\n}\r\n") == "debug=2\r\nrequest_route {\r\n\texit;\r\n}\r\n"
    )


# What it leaves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kept",
    [
        "#  any   comment  ;{  ",
        "// one   more",
        "/* two\n      lines  of\n it */",
        "a(); # behind   a statement",
        "a();     # where   the author put it",
        'xlog("a   b;{\n\tc" "d"\n\t\t"e");',
        "xlog('a   b;{');",
        "$var(x) = $(hdr(X)[ 0 ]{s.substr, 1,  2});",
    ],
)
def test_comments_and_strings_stay_byte_for_byte(kept):
    assert kept in fmt(f"request_route {{\n{kept}\nexit;\n}}")
    assert_is_kept(f"request_route {{\n{kept}\nexit;\n}}")


def test_commented_out_code_at_the_margin_stays_there():
    text = "request_route {\n#\tif(x)y();\n\t# said of what follows\n\texit;\n}\n"
    assert fmt(text) == text


@pytest.mark.parametrize(
    "directive",
    [
        '#!define  X   "a  b" ',
        "  #!trydef Y 1",
        '#!subst   "/a/b/"',
        "!!define Z 3",
        "#!define M {\\\n   a();\\\n\tb(); }",
    ],
)
def test_directives_stay_byte_for_byte(directive):
    assert f"{directive}\nrequest_route" in fmt(f"debug = 2\n{directive}\nrequest_route{{ exit; }}")


def test_a_branch_that_is_not_read_stays_byte_for_byte():
    unread = "#!ifdef NO\n  if(x()){ y( ) ;\n\n\n\n\n#!ifdef ALSO\n   ;;;\n#!endif\n  z\n#!else\n"
    text = f"request_route{{\n{unread}a( ) ;\n#!endif\nexit;\n}}"
    assert unread in fmt(text)
    assert "\ta();\n#!endif" in fmt(text)
    assert "if (x()) {" in fmt(text.replace("  z\n", "}\n").replace("   ;;;\n", ""), defines={"NO": None})


def test_includes_stay_and_are_not_formatted(tmp_path):
    part = tmp_path / "part.cfg"
    part.write_text("debug  =  3\n")
    main = tmp_path / "main.cfg"
    text = 'include_file   "part.cfg"\nimport_file "none.cfg"\nrequest_route {\n\texit;\n}\n'
    assert fmt(text, path=main) == text
    assert part.read_text() == "debug  =  3\n"


def test_the_rest_of_a_line_that_a_define_swallows_stays_on_it():
    text = "#!define OUT exit; # bye\nrequest_route {\nOUT drop( ;\na( );\n}\n"
    assert "OUT drop( ;\n\ta();" in fmt(text)


def test_a_file_of_defines_alone_is_formatted_too():
    assert (
        fmt("#!define  A 1\n\n   # said of B\n#!define B 2\n\n\n")
        == "#!define  A 1\n\n# said of B\n#!define B 2\n"
    )
    assert fmt("") == ""


def test_hosts_are_not_torn_nor_joined():
    text = "listen=udp:127.0.0.1:5060 advertise my-host.example.com:5061\nalias=a.b-c.d:5060\n"
    assert fmt(text + "request_route { exit; }\n").startswith(text)


# What it refuses -------------------------------------------------------------------------------------------


def test_a_file_with_errors_is_refused_with_all_of_them():
    with pytest.raises(ConfigErrors) as caught:
        fmt("request_route {\n\ta(;\n\tb)\n}\n")
    assert [error.span.line for error in caught.value.errors] == [2, 3]


# What must hold for every cfg ------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_cfg_here_is_kept(path):
    if not path.exists():
        pytest.skip(f"{path} is not installed")
    assert assert_is_kept(path.read_text(), path)


@pytest.mark.parametrize("path", sorted(HERE.glob("cfg/*.cfg")), ids=lambda path: path.name)
def test_our_own_examples_are_formatted(path):
    assert fmt(path.read_text(), path=path) == path.read_text(), f"run `kamtool fmt {path}`"


SWITCHES = (
    "MYSQL AUTH IPAUTH USRLOCDB ACCDB MULTIDOMAIN PRESENCE NAT RTPENGINE PSTN ALIASDB SPEEDDIAL ANTIFLOOD"
)


@pytest.mark.parametrize("switch", SWITCHES.split())
def test_the_stock_cfg_is_kept_with_each_switch(switch):
    if not STOCK.exists():
        pytest.skip(f"{STOCK} is not installed")
    text = f'#!KAMAILIO\n#!define WITH_{switch}\n#!trydef DBURL "x"\n{STOCK.read_text()}'
    assert assert_is_kept(text, STOCK)


def test_every_shared_case_is_kept_or_refused():
    if not CASES.exists():
        pytest.skip("the shared conformance cases are not here")
    texts = []
    for case in json.loads(CASES.read_text()):
        body = f"request_route {{ {case.get('snippet', '')} exit; }}"
        parts = (
            case.get("shebang", ""),
            case.get("pre", ""),
            case.get("globals", ""),
            body,
            case.get("routes", ""),
        )
        texts.append(case.get("config", "\n".join(parts)).replace("{{PORT}}", "5060"))
    kept = sum(assert_is_kept(text) for text in texts)
    assert kept > 100


WORDS = r"""
{ } { } ( ) ( ) [ ] ; ; ; , : . = == != =~ < > && || ! - + * / mod & | ~ if if while switch case default else
return exit; drop break route(A) a() a(1,2) xlog("a") $var(x) $var(x)=1; $ru "text" 'text' 5 0x1F ::1 10.0.0.1
@ruri.user strlen("x") (int) uri myself method src_ip M N P not and
"""
BLANKS = [
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\n\n\n\n",
    " # c\n",
    "\n\t# own\n",
    " /* r */ ",
    "\n#!ifdef Q\nz(\n#!endif\n",
]
PIECE = st.tuples(st.sampled_from(BLANKS), st.sampled_from(WORDS.split())).map("".join)
ROW = st.lists(PIECE, max_size=12).map("".join)

EXPRESSION = st.recursive(
    st.sampled_from(
        ["$var(x)", "1", '"t"', "a()", "uri==myself", "route(A)", "N", "src_ip!=10.1.2.0/24", "-3"]
    ),
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(["&&", "||", "+", " - ", "-", "*", "/", "==", " mod ", "|"]), inner
        ).map("".join),
        inner.map(lambda text: f"( {text})"),
        inner.map(lambda text: f"!{text}"),
        inner.map(lambda text: f"! ({text})"),
    ),
    max_leaves=5,
)
BLANK = st.sampled_from(["", " ", "\n", "\n\n\n", "\t", " # c\n", "\n# own\n", "/* r */", "\n#!define W 1\n"])
STATEMENT = st.recursive(
    st.one_of(
        st.sampled_from(
            ["exit;", "drop;", "a( 1,\n2 );", "xlog('x') ;", ";", "return  1;", "route( A );", "M"]
        ),
        EXPRESSION.map(lambda value: f"$var(y)={value};"),
    ),
    lambda inner: st.one_of(
        st.tuples(EXPRESSION, BLANK, inner).map(lambda t: f"if({t[0]}){t[1]}{t[2]}"),
        st.tuples(EXPRESSION, BLANK, st.lists(inner, min_size=1, max_size=3), BLANK, inner).map(
            lambda t: f"if({t[0]}){t[1]}{{{t[3].join(t[2])}{t[3]}}}{t[3]}else{t[1]} {t[4]}"
        ),
        st.tuples(EXPRESSION, BLANK, inner).map(lambda t: f"while({t[0]}){t[1]}{{{t[1]}{t[2]}{t[1]}}}"),
        st.tuples(EXPRESSION, BLANK, inner).map(
            lambda t: f"switch({t[0]}){{{t[1]}case 1:{t[1]}{t[2]}case '2' :default:{t[2]}{t[1]}break;}}"
        ),
    ),
    max_leaves=8,
)
HEAD = "#!define N 7\n#!define M exit;\n#!define P {\nroute[A]{exit;}\nrequest_route{"
RELAXED = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])


@RELAXED
@given(st.lists(st.tuples(STATEMENT, BLANK).map("".join), min_size=1, max_size=5).map("".join))
def test_any_statements_are_kept(body):
    assert_is_kept(f"{HEAD}{body} exit;}}")


@RELAXED
@given(ROW)
def test_any_row_of_tokens_is_kept_or_refused(body):
    assert_is_kept(f"{HEAD}{body}\n}}\n")


@RELAXED
@given(st.text(max_size=200))
def test_any_text_is_kept_or_refused(text):
    assert_is_kept(text)
