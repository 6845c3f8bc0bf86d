"""Our example scripts are Kamailio's too."""

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("cfg", sorted((ROOT / "cfg").glob("*.cfg")), ids=lambda path: path.name)
def test_kamailio_accepts_the_script(cfg):
    if not shutil.which("kamailio"):
        pytest.skip("Kamailio is not installed (Debian: kamailio kamailio-sqlite-modules)")
    done = subprocess.run(
        ["kamailio", "-c", "-f", str(cfg)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "config file ok" in done.stderr


@pytest.mark.parametrize("cfg", sorted((ROOT / "cfg").glob("*.cfg")), ids=lambda path: path.name)
def test_a_script_opens_with_how_to_try_it(cfg):
    lines = cfg.read_text().splitlines()
    head = "\n".join(lines[: next(n for n, line in enumerate(lines[1:], 1) if not line.startswith("#"))])
    assert f"# {cfg.name}: " in head
    assert "#   kamtool serve" in head
