"""What is installed where there is no checkout, and no C compiler."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.timeout(900)  # pip and a compiler, on a machine that may be busy


def run(*command, **environment):
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the wheel of this checkout unpacked, built as on a machine that cannot compile."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "target"))
    files = run("git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "-q", "-w", wheels, source, CC="/bin/false")
    (wheel,) = wheels.glob("kamtool-*.whl")
    run(*pip, "install", "--no-deps", "-q", "--target", target, wheel)
    return target


def kamtool(installed, *arguments):
    code = "import sys; from kamtool.cli.main import main; main(sys.argv[1:])"
    return run(sys.executable, "-P", "-c", code, *arguments, PYTHONPATH=str(installed))


def test_without_a_compiler_the_pure_kernel_is_installed(installed):
    assert "pure Python kernel" in kamtool(installed, "--version")
    assert not list(installed.rglob("*.so"))


def test_the_wheel_carries_the_scripts_and_the_sql(installed, tmp_path):
    kamtool(installed, "init", tmp_path / "pbx")
    assert (tmp_path / "pbx/kamailio.cfg").read_text().startswith("#!KAMAILIO")
    assert str(installed) in kamtool(installed, "serve", "-I")
    kamtool(installed, "serve", "-c", "-f", tmp_path / "pbx/kamailio.cfg")


def test_the_wheel_has_no_sources_of_c_and_no_tests(installed):
    names = [path.name for path in installed.rglob("*")]
    assert not [name for name in names if name.endswith((".c", ".pyx"))]
    # Those of the example scripts are examples too: `kamtool test` runs them.
    assert [path.parent.name for path in installed.rglob("tests")] == ["cfg"]


PACKAGE_OF = {
    "baresip": "baresip-core", "curl": "curl", "fail2ban-regex": "fail2ban", "genhtml": "lcov",
    "groff": "groff-base",
    "kamailio": "kamailio", "kamcmd": "kamailio", "kamdbctl": "kamailio", "linphonec": "linphone-cli",
    "openssl": "openssl", "rtpengine": "rtpengine-daemon", "sipp": "sip-tester", "sngrep": "sngrep",
    "svmap": "sipvicious", "systemd-analyze": "systemd", "tshark": "tshark",
    "update-ca-certificates": "ca-certificates", "valgrind": "valgrind",
}  # fmt: skip
"""Of each program that a test looks for, the Debian package."""
ELSEWHERE = {"node", "npm"}
"""Only `--internet` asks for these."""


def test_the_test_command_installs_every_program_that_a_test_looks_for():
    (line,) = (line for line in (ROOT / "run").read_text().splitlines() if line.startswith("packages="))
    installs = set(line.removeprefix("packages=").strip('"').split())
    wanted = {
        name for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"""which\("([a-z0-9.-]+)"\)""", path.read_text())
    }  # fmt: skip
    assert len(wanted) > 15
    assert {PACKAGE_OF[name] for name in wanted - ELSEWHERE} <= installs
