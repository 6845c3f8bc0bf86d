"""For all tests: a skip in CI is a failure; soaks and what needs the Internet run only when asked for."""

import asyncio
import os
import pkgutil
from pathlib import Path

import pytest

# The programs that tests start keep their bytecode, whatever is set here: they start in a third of the time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
SUPPORT = Path(__file__).parent / "support"
pytest.register_assert_rewrite("tests.support")  # before one of them imports another
pytest_plugins = [f"tests.support.{entry.name}" for entry in pkgutil.iter_modules([str(SUPPORT)])]


ASKED_FOR = {"soak": "run the long tests too", "internet": "run the tests that fetch public files too"}


def pytest_addoption(parser):
    for name, meaning in ASKED_FOR.items():
        parser.addoption(f"--{name}", action="store_true", help=meaning)


def pytest_collection_modifyitems(config, items):
    """Those not asked for are deselected, not skipped: a skip says that something is missing."""
    unasked = {name for name in ASKED_FOR if not config.getoption(f"--{name}")}
    left_out = [item for item in items if unasked & {mark.name for mark in item.iter_markers()}]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def nothing_left_open():
    """A test that made a Host need not stop it: its databases are closed here."""
    yield
    from tests.support.host import Host

    for host in Host.made:
        asyncio.run(host.databases.close())
    Host.made.clear()


def fail_in_ci(report):
    """In CI everything can be installed, so a skipped test is a test that nobody runs: call it failed."""
    if os.environ.get("CI") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"a skip is a failure in CI: {reason.removeprefix('Skipped: ')}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    return fail_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    return fail_in_ci((yield))
