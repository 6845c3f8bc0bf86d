"""SECURITY.md names what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`((?:tests|cfg)/[^`]+)`", TEXT))))
def test_every_file_that_it_names_exists(name):
    assert (ROOT / name).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\b(default|edge|block-floods)\.cfg", TEXT))))
def test_every_cfg_that_it_names_bans(name):
    text = (ROOT / "cfg" / f"{name}.cfg").read_text()
    assert "pike_check_req()" in text
    assert "ban" in text
