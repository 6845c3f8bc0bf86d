"""Which twin runs, and that the program runs on either."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kamtool import speed

ROOT = Path(__file__).parents[2]
PROGRAM = """
from kamtool import speed
from kamtool.sip import build
from kamtool.sip.message import parse
message = parse(open(0, "rb").read())
print(speed.NATIVE, type(message).__mro__[2].__module__, build.response(message, 200).count(b"\\r\\n"))
"""


def run(**environment):
    from tests.support.twins import INVITE

    return subprocess.run(
        [sys.executable, "-c", PROGRAM], input=INVITE, capture_output=True, timeout=60, cwd=ROOT, check=True,
        env={**os.environ, **environment},
    ).stdout.split()  # fmt: skip


def test_kamtool_pure_forces_the_twin():
    assert run(KAMTOOL_PURE="1") == [b"False", b"kamtool.speed.index", b"9"]


def test_without_it_the_kernel_runs_where_it_was_built():
    if not speed.NATIVE:
        pytest.skip("the kernel is not built: python setup.py build_ext --inplace")
    assert run(KAMTOOL_PURE="0") == [b"True", b"kamtool.speed._kernel", b"9"]


def test_both_twins_have_the_same_names():
    from kamtool.speed import pure
    from tests.support.twins import kernel

    assert set(pure.__all__) <= set(dir(kernel()))
    assert {name for name in dir(pure.Index) if not name.startswith("_")} <= set(dir(kernel().Index))


def test_no_module_of_the_room_hides_a_function_of_its_name():
    """Importing kamtool.speed.x binds `x` in the package, after whatever stood there."""
    modules = {path.stem for path in (ROOT / "kamtool/speed").glob("*.py")}
    assert not modules & set(speed.__all__)
