"""Every code that a check may give: it is explained, and its example shows it."""

import re
from pathlib import Path

import pytest

from kamtool import script as language
from kamtool.script.explain import EXPLANATIONS

ROOT = Path(__file__).parents[2]
HEAD = "".join(f'loadmodule "{name}.so"\n' for name in ("sl", "pv", "xlog", "tm", "rr", "textops", "htable"))
WITHOUT_EXAMPLE = {"KT1000"}
BY_A_FILE = {"KT1018"}
BY_A_RELOAD = {"KT1210"}
"""Shown in tests/server/test_reload.py."""


def codes_of(text):
    return {finding.code for finding in language.check(text, name="example.cfg").findings}


def places(example):
    """The example as a file of its own, between the items of one, and inside a route."""
    yield example
    yield f"#!KAMAILIO\n{HEAD}{example}\nrequest_route {{ exit; }}\n"
    yield f"#!KAMAILIO\n{HEAD}request_route {{\n{example}\n}}\n"
    yield f"{HEAD}request_route {{\n{example}\n}}\n"


def test_every_code_in_the_source_is_explained_and_every_explanation_is_used():
    used = set()
    for path in (ROOT / "kamtool").rglob("*.py"):
        if path.name not in ("explain.py", "examples.py"):
            used.update(re.findall(r'"(KT1\d{3})"', path.read_text()))
    assert used == set(EXPLANATIONS)


@pytest.mark.parametrize("code", sorted(set(EXPLANATIONS) - WITHOUT_EXAMPLE - BY_A_FILE - BY_A_RELOAD))
def test_the_example_of_a_code_gives_that_code(code):
    example = EXPLANATIONS[code].example
    assert example
    found = [codes_of(text) for text in places(example)]
    assert any(code in codes for codes in found), found


def test_a_file_that_includes_itself_is_refused(tmp_path):
    file = tmp_path / "kamailio.cfg"
    file.write_text(EXPLANATIONS["KT1018"].example.partition("#")[0] + "\nrequest_route { exit; }\n")
    assert {error.code for error in language.check(file).errors} >= {"KT1018"}
