"""A check imports what modules name, and loads only what it uses."""

import subprocess
import sys

from kamtool.cli import idle

CFG = """#!KAMAILIO
loadmodule "tm.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
request_route { t_relay(); }
"""
CHECK = """
import sys
from kamtool.cli.main import main
try:
    main(["check", sys.argv[1]])
except SystemExit as left:
    assert not left.code, left.code
for name in ("asyncio.events", "sqlite3.dbapi2", "kamtool.transport.udp"):
    print(name, name in sys.modules)
import asyncio
print(asyncio.run(asyncio.sleep(0, "awake")))
from kamtool.modules.tm import suspending
print(suspending.asyncio.Event.__name__)
"""


def test_a_check_loads_neither_the_loop_nor_the_database_nor_sockets(tmp_path):
    (tmp_path / "some.cfg").write_text(CFG)
    words = [sys.executable, "-c", CHECK, str(tmp_path / "some.cfg")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-5:-2] == ["asyncio.events False", "sqlite3.dbapi2 False", "kamtool.transport.udp False"]
    assert lines[-2:] == ["awake", "Event"]


def test_what_was_loaded_before_is_left_alone():
    import asyncio

    with idle.imports():
        assert sys.modules["asyncio"] is asyncio


def test_an_idle_module_loads_at_its_first_use_and_makes_place(monkeypatch):
    monkeypatch.setattr(idle, "HEAVY", ("this", "colorsys"))
    for name in idle.HEAVY:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with idle.imports():
        import colorsys

        assert isinstance(colorsys, idle.Idle)
        assert colorsys.rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)
        assert not isinstance(sys.modules["colorsys"], idle.Idle)
        assert isinstance(sys.modules["this"], idle.Idle)
    assert "this" not in sys.modules
