"""Calls that code generation spares: a function's inline expression, and the guard before its arguments."""

import ast
import logging

import pytest

from kamtool import script as language
from tests.support.script import INVITE, OPTIONS, Run

HEAD = "\n".join(f'loadmodule "{name}.so"' for name in ("pv", "textops", "xlog")) + "\n"


def load(body, head=HEAD):
    return language.load(f"#!KAMAILIO\n{head}request_route {{ {body} }}\n")


def python(body, head=HEAD):
    return "\n".join(ast.unparse(tree) for _, tree in load(body, head).python())


@pytest.mark.parametrize(
    ("names", "expression"),
    [
        ("INVITE", "ctx.msg.method == 'INVITE'"),
        ("invite | ACK", "ctx.msg.method in {'ACK', 'INVITE'}"),
    ],
)
def test_a_constant_method_is_compared_in_place(names, expression):
    source = python(f'if (is_method("{names}")) {{ exit; }}')
    assert expression in source
    assert "f_is_method" not in source


def test_is_method_in_place_sets_the_return_code():
    run = Run(
        load('is_method("OPTIONS"); $var(first) = $rc; is_method("INVITE|OPTIONS"); $var(second) = $rc;')
    )
    found = run.host.modules["pv"].variables
    run(INVITE)
    assert (found["first"], found["second"]) == (-1, 1)
    run(OPTIONS)
    assert (found["first"], found["second"]) == (1, 1)


def test_what_is_armed_is_asked_in_place():
    head = 'loadmodule "tm.so"\n'
    assert "ctx.transaction).on_branch != ''" in python('if (t_is_set("branch_route")) { exit; }', head)
    assert "f_t_is_set" in python('if (t_is_set("nothing")) { exit; }', head)


def test_the_text_of_a_level_that_is_off_is_never_made():
    run = Run(load('xlog("L_INFO", "to $ru"); xdbg("to $ru"); xlog("to $ru"); $var(code) = $rc;'))
    module, made = run.host.modules["xlog"], []
    module.logger = logging.Logger("test", logging.WARNING)
    module.logger.handle = made.append
    run(INVITE)
    assert [record.levelname for record in made] == ["ERROR"]
    assert run.host.modules["pv"].variables["code"] == 1
    assert "if module_xlog.logger.isEnabledFor(20):" in python('xlog("L_INFO", "to $ru");')
