"""What kamtool has formatted is the same to Kamailio."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kamtool.script.format import format_text

STOCK = Path("/etc/kamailio/kamailio.cfg")

pytestmark = pytest.mark.interop


def verdict(path, *defines):
    """The exit code of `kamailio -c`, and how many errors it names."""
    words = [word for define in defines for word in ("-A", define)]
    command = ["kamailio", "-c", "-f", str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, len(re.findall(r"ERROR|CRITICAL", done.stderr))


@pytest.mark.parametrize("switches", ["", "NAT", "ANTIFLOOD", "AUTH USRLOCDB ACCDB MYSQL"])
def test_the_formatted_stock_file_is_judged_as_it_was(tmp_path, switches):
    if not shutil.which("kamailio") or not STOCK.exists():
        pytest.skip("kamailio is not installed")
    defines = {f"WITH_{switch}": None for switch in switches.split()}
    text = STOCK.read_text()
    formatted = format_text(text, defines=defines)
    assert formatted != text
    (tmp_path / "formatted.cfg").write_text(formatted)
    assert verdict(tmp_path / "formatted.cfg", *defines) == verdict(STOCK, *defines)


def test_a_statement_broken_by_hand_is_seen_by_the_comparison(tmp_path):
    if not shutil.which("kamailio") or not STOCK.exists():
        pytest.skip("kamailio is not installed")
    (tmp_path / "broken.cfg").write_text(STOCK.read_text().replace("exit;", "exi;", 1))
    assert verdict(tmp_path / "broken.cfg") != verdict(STOCK)
