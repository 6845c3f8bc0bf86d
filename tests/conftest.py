"""For all tests: a skip in CI is a failure, and soaks run only when asked for."""

import os
import pkgutil
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parent / "support"
pytest_plugins = [f"tests.support.{entry.name}" for entry in pkgutil.iter_modules([str(SUPPORT)])]


def pytest_addoption(parser):
    parser.addoption("--soak", action="store_true", help="run the long tests too")


def pytest_collection_modifyitems(config, items):
    """Without --soak the long tests are deselected, not skipped: a skip says that something is missing."""
    if config.getoption("--soak"):
        return
    soaks = [item for item in items if item.get_closest_marker("soak")]
    if soaks:
        config.hook.pytest_deselected(items=soaks)
        items[:] = [item for item in items if not item.get_closest_marker("soak")]


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
