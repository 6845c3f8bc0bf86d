"""Directives, defines, substitutions and includes: cfglang §3."""

import pytest

from kamtool import script as language
from kamtool.errors import ConfigErrors
from kamtool.script.ifexp import evaluate
from tests.support.script import OPTIONS, Run


def defines(text, **given):
    """The defines that stand after a text was read."""
    return dict(language.check(text + "\nrequest_route { exit; }", defines=given).preprocessor.defines)


def log_of(script, *lines, **options):
    return script(*lines, **options)(OPTIONS).log


def errors(text, **options):
    """Code, line and column of every error."""
    return [(e.code, e.span.line, e.span.column) for e in language.check(text, **options).errors]


def test_a_define_is_replaced_by_all_its_tokens(script):
    lines = '#!define BOTH xlog("a"); xlog("b");', "request_route { BOTH }"
    assert log_of(script, *lines) == ["a", "b"]


def test_a_define_without_value_vanishes(script):
    assert log_of(script, "#!define E", 'request_route { $var(a) = 1 E; xlog("$var(a)"); }') == ["1"]


def test_a_defines_value_keeps_its_comment_which_swallows_the_rest_of_the_line(script):
    lines = "#!define V 5 # five", "request_route {", "$var(a) = V junk ) junk", ';xlog("$var(a)"); }'
    assert log_of(script, *lines) == ["5"]


def test_a_block_comment_in_a_value_ends_by_itself(script):
    assert log_of(script, "#!define V 5 /* five */", 'request_route { $var(a) = V; xlog("$var(a)"); }') == [
        "5"
    ]


def test_backslash_newline_joins_the_lines_of_a_value():
    assert defines("#!define V one \\\ntwo")["V"] == "one two"


def test_trydef_keeps_the_first_and_redef_takes_the_last():
    found = defines("#!define A 1\n#!trydef A 2\n#!trydefine B 3\n#!define C 1\n#!redefine C 9\n!!redef D 4")
    assert (found["A"], found["B"], found["C"], found["D"]) == ("1", "3", "9", "4")


def test_defining_twice_is_an_error():
    assert errors("#!define A 1\n#!define A 2\nrequest_route { exit; }") == [("KT1011", 2, 1)]


def test_what_the_command_line_defines_cannot_be_defined_again():
    assert errors("#!define A 1\nrequest_route { exit; }", defines={"A": "2"}) == [("KT1011", 1, 1)]


def test_strings_variables_and_longer_names_are_left_alone(script):
    lines = "#!define V 5", 'request_route { $var(V) = 1; $var(VV) = V; xlog("V $var(V) $var(VV)"); }'
    assert log_of(script, *lines) == ["V 1 5"]


def test_words_of_the_language_are_never_replaced(script):
    assert log_of(
        script, "#!define exit 5", "#!define if 6", 'request_route { if (1) xlog("a"); exit; }'
    ) == ["a"]


def test_a_define_names_routes_flags_and_module_values(script):
    lines = (
        "#!define RN REAL", "#!define SIZE 100", 'modparam("xlog", "buf_size", SIZE)',
        'request_route { route(RN); route(REAL); }', 'route[RN] { xlog("real"); }',
    )  # fmt: skip
    run = script(*lines)
    assert run(OPTIONS).log == ["real", "real"]
    assert run.host.modules["xlog"].buf_size == 100


@pytest.mark.parametrize(
    "text",
    ["#!define A A\n", "#!define A B\n#!define B A\n", "#!define A (B)\n#!define B 1 + A\n"],
)
def test_a_define_that_leads_back_to_itself_is_an_error_and_ends(text):
    found = errors(text + "request_route {\n$var(x) = A;\n}")
    assert found[0][0] == "KT1010"
    assert found[0][1:] == (text.count("\n") + 2, 11)


def test_defines_that_grow_without_end_are_stopped():
    text = "".join(f"#!define A{n} A{n + 1} A{n + 1}\n" for n in range(40)) + "#!define A40 ;\n"
    assert "KT1010" in {code for code, _, _ in errors(text + "request_route { A0 exit; }")}


def test_ifdef_else_and_nesting():
    text = """#!define X
#!ifdef X
#!define A
#!ifndef X
#!define B
#!else
#!define C
#!endif
#!else
#!ifdef Y
#!define D
#!endif
#!define E
#!endif
"""
    assert set("ABCDE") & set(defines(text)) == {"A", "C"}


def test_a_branch_not_taken_is_not_read_at_all(script):
    lines = "#!ifdef NOPE", "this is \" no ' cfg /* at all $(", "#!endif", 'request_route { xlog("x"); }'
    assert log_of(script, *lines) == ["x"]


def test_a_directive_may_stand_in_the_middle_of_a_statement(script):
    lines = (
        'request_route { if ($rU == "zed"',
        "#!ifdef NOPE",
        " && 1",
        "#!else",
        " || 1",
        "#!endif",
        ') xlog("T"); }',
    )
    assert log_of(script, *lines) == ["T"]


def test_only_the_first_name_after_ifdef_counts():
    assert "OK" in defines("#!define A\n#!ifdef A || B\n#!define OK\n#!endif")


def test_an_endif_with_a_comment_behind_it_ends_nothing():
    found = language.check("#!ifdef A\n#!endif # A\nrequest_route { exit; }\n").errors
    assert found[0].code == "KT1013"
    assert (found[0].span.line, found[0].place.line) == (1, 3)


def test_an_else_with_a_comment_behind_it_is_a_comment():
    assert "B" not in defines("#!ifdef A\n#!else # not A\n#!define B\n#!endif")


def test_a_blank_after_the_mark_makes_a_comment():
    assert "A" not in defines("# !define A\n#! define A\n")


def test_a_directive_may_follow_code_on_its_line():
    assert "A" in defines("debug=1 #!define A\n")


def test_a_stray_endif_is_an_error_and_a_stray_else_a_warning():
    assert errors("#!endif\nrequest_route { exit; }") == [("KT1013", 1, 1)]
    report = language.check("#!else\nrequest_route { exit; }")
    assert (report.errors, [w.code for w in report.warnings]) == ((), ["KT1014"])


def test_a_hyphen_in_a_name_is_an_error():
    assert errors("#!define A-B 1\nrequest_route { exit; }") == [("KT1012", 1, 1)]


def test_mod_x_is_defined_from_its_loadmodule_on():
    text = (
        '#!ifdef MOD_pv\n#!define EARLY\n#!endif\nloadmodule "pv.so"\n#!ifdef MOD_pv\n#!define LATE\n#!endif'
    )
    assert {"EARLY", "LATE"} & set(defines(text)) == {"LATE"}


def test_the_version_is_defined():
    assert {"KAMAILIO_5", "KAMAILIO_5_6", "KAMAILIO_5_6_3"} <= set(defines(""))


# Substitutions


def test_subst_changes_strings_and_variables_but_not_words(script):
    lines = '#!subst "/FOO/BAR/"', 'request_route { $var(FOO) = 3; xlog("FOO $var(BAR) FOO"); }'
    assert log_of(script, *lines) == ["BAR 3 FOO"]


def test_subst_replaces_all_with_g_and_ignores_case_with_i(script):
    assert log_of(script, '#!subst "!foo!x!gi"', 'request_route { xlog("FOO foo"); }') == ["x x"]


def test_subst_rules_apply_in_order_to_what_the_previous_left(script):
    lines = '#!subst "/a/b/g"', '#!subst "/b/c/g"', 'request_route { xlog("ab"); }'
    assert log_of(script, *lines) == ["cc"]


def test_subst_counts_only_below_its_line(script):
    lines = 'request_route { xlog("X");', '#!subst "/X/Y/"', 'xlog("X"); }'
    assert log_of(script, *lines) == ["X", "Y"]


def test_subst_replacements_may_use_groups(script):
    assert log_of(script, r'#!subst "/(a+)(b+)/\2\1/"', 'request_route { xlog("aabb"); }') == ["bbaa"]


def test_substdef_also_defines_and_substdefs_quotes(script):
    lines = (
        '#!substdef "!PORT!5070!g"', '#!substdefs "!NAME!edge!g"',
        'request_route { $var(p) = PORT; $var(n) = NAME; xlog("$var(p) $var(n) PORT NAME"); }',
    )  # fmt: skip
    assert log_of(script, *lines) == ["5070 edge 5070 edge"]


@pytest.mark.parametrize("rule", ['"/a/b"', '"/a/b/z"', "/a/b/", '"/(/b/"', r'"/a/\1/"'])
def test_a_bad_subst_is_an_error_at_its_line(rule):
    found = errors(f"debug=1\n#!subst {rule}\nrequest_route {{ exit; }}")
    assert [(code, line) for code, line, _ in found] in ([("KT1021", 2)], [("KT1400", 2)])


def test_the_environment_can_be_defined(monkeypatch):
    monkeypatch.setenv("KT_HOST", "h.example")
    found = defines("#!defenv KT_HOST\n#!defenvs H=KT_HOST\n#!trydefenv NOPE\n#!trydefenvs N=NOPE2")
    assert (found["KT_HOST"], found["H"], "NOPE" in found) == ("h.example", '"h.example"', False)
    assert errors("#!defenv KT_NOPE\nrequest_route { exit; }") == [("KT1015", 1, 1)]


def test_env_and_def_are_read_once_in_a_substitution(monkeypatch, script):
    monkeypatch.setenv("KT_HOST", "h.example")
    lines = "#!define D dd", '#!substdef "!X!$env(KT_HOST)-$def(D)!"', 'request_route { xlog("X"); }'
    assert log_of(script, *lines) == ["h.example-dd"]


# Includes


def test_an_include_is_found_beside_the_file_that_includes_it(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.cfg").write_text(
        '#!KAMAILIO\nloadmodule "pv.so"\nloadmodule "xlog.so"\nrequest_route {\n'
        '#!include_file "sub/one.cfg"\nxlog("end");\n}\n'
    )
    (tmp_path / "sub/one.cfg").write_text('xlog("one");\ninclude_file "two.cfg"\nxlog("one-end");\n')
    (tmp_path / "sub/two.cfg").write_text('xlog("two");\n')
    run = Run(language.load(tmp_path / "main.cfg"))
    assert run(OPTIONS).log == ["one", "two", "one-end", "end"]


def test_an_error_in_an_included_file_names_it(tmp_path):
    (tmp_path / "main.cfg").write_text('debug=1\n!!include_file "bad.cfg"\nrequest_route { exit; }\n')
    (tmp_path / "bad.cfg").write_text("debug=1\n\nnosuch=5\n")
    with pytest.raises(ConfigErrors) as caught:
        language.load(tmp_path / "main.cfg")
    (error,) = caught.value.errors
    assert (error.span.file, error.span.line, error.span.column) == ("bad.cfg", 3, 1)


def test_a_missing_include_is_an_error_and_a_missing_import_is_not(tmp_path):
    assert errors('debug=1\n  include_file "nope.cfg"\nrequest_route { exit; }') == [("KT1017", 2, 3)]
    assert errors('import_file "nope.cfg"\nrequest_route { exit; }') == []


def test_a_file_that_includes_itself_ends_in_an_error(tmp_path):
    (tmp_path / "a.cfg").write_text('include_file "a.cfg"\nrequest_route { exit; }\n')
    found = language.check(tmp_path / "a.cfg").errors
    assert found[0].code == "KT1018"


def test_a_directory_or_nonsense_name_is_no_include(tmp_path):
    assert errors('include_file "."\nrequest_route { exit; }') == [("KT1017", 1, 1)]
    assert errors('include_file "a\\x00b"\nrequest_route { exit; }') == [("KT1017", 1, 1)]


def test_spans_stay_exact_through_includes_and_continuations(tmp_path):
    (tmp_path / "m.cfg").write_text(
        '#!define LONG a \\\n  b\nimport_file "i.cfg"\nrequest_route {\n  $nosuch(a) = \\\n 1; nope();\n}\n'
    )
    (tmp_path / "i.cfg").write_text("debug=1\n")
    places = [(e.span.line, e.span.column) for e in language.check(tmp_path / "m.cfg").errors]
    assert places == [(5, 3), (6, 5)]


# ifexp


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 == 0", 0),
        ("1 + 2 * 3 == 7", 1),
        ("!(1 && 0) || 0", 1),
        ("A", 1),
        ("NOPE", 0),
        ("B >= 5 && B < 6", 1),
        ('S == "text"', 1),
        ("-7 / 2", -3),
        ("KAMAILIO_VERSION >= 5006000", 1),
        ('OS_NAME == "linux"', 1),
        ("'a' != \"b\"", 1),
        ("A # and a comment", 1),
    ],
)
def test_ifexp_computes_as_c_does(text, value):
    known = {"A": 1, "B": "5", "S": '"text"', "KAMAILIO_VERSION": 5006003, "OS_NAME": "linux"}
    assert evaluate(text, lambda name: known.get(name, 0)) == value


@pytest.mark.parametrize("text", ["", "1 +", "(1", "1 / 0", "1 $ 2", ") 1", "(" * 5000])
def test_a_bad_ifexp_is_an_error(text):
    assert errors(f"#!ifexp {text}\n#!endif\nrequest_route {{ exit; }}")[0] == ("KT1016", 1, 1)


def test_ifexp_chooses_a_branch():
    assert "B" in defines("#!define V 5\n#!ifexp V > 4 && !defined_not\n#!define B\n#!endif")
    assert defines("#!defexp X 2 * 21")["X"] == "42"


def test_an_ifexp_without_endif_is_the_comment_that_5_6_takes_it_for():
    text = "#!ifdef A1\n#!ifexp 1 == 0\nnonsense\n#!endif\nrequest_route { exit; }\n"
    assert errors(text) == []
