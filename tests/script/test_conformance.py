"""What Kamailio 5.6.3 was seen to do with 150 small cfgs, and with ours beside them: kamtool does the same.

The cases and their runner stand beside the checkout. `recorded.json` holds cases of our own in the same form,
recorded with the runner's `--record`.
"""

import argparse
import importlib.util
import json
import shlex
import tempfile
from operator import itemgetter
from pathlib import Path

import pytest

from tests.support.ports import OURS
from tests.support.process import KAMTOOL, PATIENT

pytestmark = pytest.mark.live

FOLDER = Path(__file__).parents[2] / "../shared/conformance"
SHARED = FOLDER / "cfg_semantics.json"
RECORDED = Path(__file__).with_name("recorded.json")
ON_PURPOSE = {
    # The second assignment wins. Kamailio strings both texts together; what comes of that is mostly no URI
    # (RFC 3261 25.1), `sip:a@b@host` of two users: test_from_twice.py has what it sends.
    "fU-assign": "two changes of one From are both made: Kamailio writes `sip:x@ychanged` into the message",
    # The runner compares every reply that arrives, and Kamailio sends two final ones for one INVITE: 500, and
    # once the transaction is released 478. RFC 3261 17.2.1 has no such server transaction.
    "tm-relay-bad-dest": "one final response to a request (RFC 3261 17.2.1): Kamailio sends 500 and 478",
}


def cases():
    """Every case, ours and the shared ones."""
    found = json.loads(RECORDED.read_text())
    return found + (json.loads(SHARED.read_text()) if SHARED.is_file() else [])


@pytest.fixture(scope="module")
def runner():
    """The shared runner as a Python module."""
    path = FOLDER / "run_cfg_semantics.py"
    if not path.is_file():
        pytest.skip(f"the shared cases and their runner are not at {FOLDER}")
    spec = importlib.util.spec_from_file_location("run_cfg_semantics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.free_port = OURS.choose
    return module


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_kamtool_does_what_kamailio_does(case, runner, monkeypatch, request):
    if case["id"] in ON_PURPOSE:
        request.applymarker(pytest.mark.xfail(strict=True, reason=ON_PURPOSE[case["id"]]))
    compare(case, runner, monkeypatch)


@pytest.mark.parametrize("case", [case for case in cases() if case["id"] in ON_PURPOSE], ids=itemgetter("id"))
def test_with_the_quirks_it_does_so_where_an_rfc_says_otherwise(case, runner, monkeypatch):
    compare(case, runner, monkeypatch, "-A KAMTOOL_QUIRKS")


def compare(case, runner, monkeypatch, more=""):
    """Run a case as the runner does, `more` on the command line of the server."""
    with tempfile.TemporaryDirectory(prefix="kt-") as folder:  # short: it holds a socket
        monkeypatch.setenv("KAMTOOL_DB", f"{folder}/kamtool.db")
        serve = f"{shlex.join(map(str, KAMTOOL))} serve {shlex.join(PATIENT)}"
        options = argparse.Namespace(
            server=f"{serve} -s {folder}/control.sock -DD -E {more} -f {{cfg}} {{args}}",
            check=f"{serve} -c -f {{cfg}} {{args}}",
            tmp=folder, start_timeout=30, verbose=False,
        )  # fmt: skip
        result = runner.run_case(case, options)
        if not runner.same(case, result, "line"):  # the runner asks again where a busy machine is slow
            result = runner.run_case(case, options)
    if not runner.same(case, result, "line"):
        assert result == case["expected"]


@pytest.mark.skipif(not SHARED.is_file(), reason=f"the shared cases are not at {FOLDER}")
def test_all_shared_cases_are_run():
    assert len(json.loads(SHARED.read_text())) == 150
