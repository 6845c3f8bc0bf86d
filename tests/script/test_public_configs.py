"""The public cfgs that Kamailio 5.6.3 accepts are accepted here, but for modules that are not built."""

import csv
import os
from pathlib import Path

import pytest

from kamtool.errors import ConfigError
from kamtool.module import find
from tests.script import public_configs

ACCEPTED = [entry for entry in public_configs.listed() if entry["kamailio_5_6_3_accepts"]]
TABLE = Path(__file__).with_name("public_configs.csv")
NO_ALARM = {"KT1150", "KT1130", "KT1132", "KT1153", "KT1310"}
"""Names: what a cfg that runs for years says of them is right."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the files are kept for the run."""
    kept = os.environ.get("KAMTOOL_PUBLIC_CONFIGS")
    if kept:
        return Path(kept)
    if not public_configs.is_reachable():
        pytest.skip("no network: the public cfgs are fetched from GitHub and kept nowhere")
    return tmp_path_factory.mktemp("public")


@pytest.mark.internet
@pytest.mark.skipif(not ACCEPTED, reason="the list of public cfgs is not beside the checkout")
@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: f"{entry['repo']}/{entry['path']}")
def test_a_cfg_that_kamailio_accepts_is_accepted(entry, folder):
    report = public_configs.check(entry, folder)
    if report is None:
        pytest.skip(f"{entry['repo']} does not have it any more")
    found = [error for error in report.errors if error.code != "KT1200"]
    assert [str(e) for e in found] == []
    assert [str(w) for w in report.warnings if w.code in NO_ALARM] == []


def test_the_table_has_a_verdict_for_each():
    rows = list(csv.DictReader(TABLE.open()))
    assert tuple(rows[0]) == public_configs.COLUMNS
    assert all(row["kamtool"] in ("loads", "needs modules", "refused") for row in rows)
    assert all(row["reason"] for row in rows if row["kamtool"] != "loads")
    listed = public_configs.listed()
    if listed:
        assert [row["path"] for row in rows] == [entry["path"] for entry in listed]


def test_what_the_table_calls_missing_is_missing():
    """Once a module is built, the table must be made anew: here for the files that Kamailio accepts."""
    for row in csv.DictReader(TABLE.open()):
        if row["kamtool"] == "needs modules" and row["kamailio 5.6.3"] == "accepts":
            assert not all(is_built(name) for name in row["reason"].split()), row["path"]


def is_built(name):
    try:
        return bool(find(name))
    except ConfigError:
        return False
