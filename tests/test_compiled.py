"""The modules that mypyc compiles, and that their sources run where they should."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kamtool import compiled
from kamtool.server.outgoing import stateless_branch
from tests.support.host import Host

ROOT = Path(__file__).parent.parent
OPTIONS = """
OPTIONS sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKx1
From: <sip:alice@example.com>;tag=1
To: <sip:bob@example.com>
Call-ID: c
CSeq: 7 OPTIONS
"""
PROGRAM = """
from kamtool import compiled
from kamtool.sip import transaction
print(compiled.STATE, transaction.__file__)
"""


def run(folder=ROOT, **environment):
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True,
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
    )  # fmt: skip
    state, path = done.stdout.split()
    return state, Path(path).suffix


@pytest.fixture
def checkout(tmp_path):
    """A copy of this checkout's package, with what is built in it."""
    if not list(ROOT.glob("kamtool__mypyc.*")):
        pytest.skip("nothing is compiled here: python setup.py build_ext --inplace")
    shutil.copytree(ROOT / "kamtool", tmp_path / "kamtool", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("kamtool__mypyc.*"), ROOT / "setup.py"):
        shutil.copy2(path, tmp_path)
    newest = max(compiled.path_of(module).stat().st_mtime for module in compiled.MODULES)
    for path in tmp_path.glob("kamtool__mypyc.*"):
        os.utime(path, (newest + 1, newest + 1))
    return tmp_path


def test_what_is_compiled_is_a_file_of_the_package():
    for module in compiled.MODULES:
        assert compiled.path_of(module).is_file()


def test_the_compiled_modules_run_where_they_are_built(checkout):
    assert run(checkout, KAMTOOL_PURE="0") == ("compiled", ".so")


def test_kamtool_pure_forces_the_sources(checkout):
    assert run(checkout, KAMTOOL_PURE="1") == ("pure", ".py")


def test_an_edited_source_wins_over_what_was_compiled_of_it(checkout):
    source = checkout / "kamtool/server/relay.py"
    os.utime(source, (source.stat().st_mtime + 1e6,) * 2)
    assert run(checkout, KAMTOOL_PURE="0") == ("edited", ".py")


def test_a_fork_of_a_context_has_all_that_its_origin_has():
    """Compiled, `fork` copies attribute by attribute: none may be forgotten."""
    module = ast.parse(compiled.path_of("kamtool.script.context").read_text())
    context, copy = (
        next(node for node in module.body if getattr(node, "name", 0) == name)
        for name in ("Context", "_copy")
    )
    declared = {node.target.id for node in context.body if isinstance(node, ast.AnnAssign)}
    copied = {node.targets[0].attr for node in copy.body if isinstance(node, ast.Assign)}
    assert copied == declared


def test_a_stateless_branch_leaves_nothing_behind():
    """Compiled, an int of 63 bits that was made a text of stays for ever."""
    here = Host().context(OPTIONS)
    for _ in range(200):
        stateless_branch(here)
    before = sys.getallocatedblocks()
    for _ in range(4000):
        stateless_branch(here)
    assert sys.getallocatedblocks() - before < 400
