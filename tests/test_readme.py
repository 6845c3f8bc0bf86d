"""Every command that the README shows works, in the order in which it shows them."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.until import SOON

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```|`(\./run [^`]+)`", README, re.DOTALL | re.MULTILINE)
SHOWN = list(dict.fromkeys(line for block in BLOCKS for line in "\n".join(block).split("\n") if line.strip()))
WHOLE_SUITE = "./run test"
pytestmark = pytest.mark.timeout(900)  # many commands, one after the other


def test_the_readme_opens_with_the_two_commands():
    assert SHOWN[:2] == ["./run serve", WHOLE_SUITE]


@pytest.fixture
def newcomer(tmp_path, free_port):
    """Runs commands as one who has just read the README: own home, own database, the environment made."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    for name, target in {
        "python": "",
        "kamtool": "-m kamtool.cli.main",
        "ruff": "-m ruff",
        "mypy": "-m mypy",
    }.items():
        script = venv / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {sys.executable} {target} "$@"\n')
        script.chmod(0o755)
    inputs = '{ echo "$PWD"; cat pyproject.toml setup.py kamtool/speed/*.p[yx][xi]; } | cksum'
    stamp = subprocess.run(["sh", "-c", inputs], cwd=ROOT, capture_output=True, check=True).stdout
    for name in ("kamtool-set-up", "kamtool-set-up-dev"):
        (venv / name).write_bytes(stamp)
    return Newcomer(tmp_path, venv, free_port)


class Newcomer:
    def __init__(self, folder, venv, free_port):
        self.folder, self.free_port, self.servers = folder, free_port, []
        self.environment = {
            **os.environ,
            "HOME": str(folder),
            "KAMTOOL_VENV": str(venv),
            "KAMTOOL_DB": str(folder / "kamtool.db"),
            "KAMTOOL_SOCKET": str(folder / "control.sock"),
        }

    def words(self, command):
        """The command, on a port of our own and without the terminal that asks for passwords."""
        words = [str(self.folder / word[2:]) if word.startswith("~/") else word for word in command.split()]
        words = [re.sub(r"(127\.0\.0\.1):50\d\d", rf"\1:{self.free_port()}", word) for word in words]
        if words[1] == "serve":
            words += ["-l", f"127.0.0.1:{self.free_port()}"]
        return words + ["--password-stdin"] * ("user add" in command)

    def run(self, command):
        done = subprocess.run(
            self.words(command), cwd=ROOT, env=self.environment, input="secret\n",
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        assert "setting up" not in done.stderr, "the environment of this test is out of date"

    def serve(self, command):
        """Start a server beside those that run, and wait for its last words of greeting."""
        log = self.folder / f"serve{len(self.servers)}.log"
        environment = self.environment
        if self.servers:  # a second one at the same time has a control socket of its own
            environment = {**environment, "KAMTOOL_SOCKET": str(self.folder / f"{len(self.servers)}.sock")}
        with log.open("w") as out:
            server = subprocess.Popen(self.words(command), cwd=ROOT, env=environment, stdout=out, stderr=out)
        self.servers.append(server)
        end = time.monotonic() + 60
        while "\n  control " not in log.read_text():
            assert server.poll() is None, f"{command}\n{log.read_text()}"
            assert time.monotonic() < end, f"{command}\n{log.read_text()}"
            time.sleep(0.1)
        return log.read_text()

    def stop(self):
        for server in self.servers:
            server.terminate()
        return [server.wait(SOON) for server in self.servers]


def test_every_command_of_the_readme_works(newcomer):
    try:
        for command in SHOWN:
            if command == WHOLE_SUITE:
                continue  # it is what runs this test
            if " serve" in command:
                greeting = newcomer.serve(command)
                if command == SHOWN[0]:
                    assert "next: ./run kamtool user add alice" in greeting
                    assert str(newcomer.folder / "kamtool.db") in greeting
            else:
                newcomer.run(command)
    finally:
        codes = newcomer.stop()
    assert codes == [0] * len(codes)


def test_every_folder_that_the_readme_names_is_there():
    named = re.findall(r"^\| (`[^|]+`) \|", README, re.MULTILINE)
    paths = [path.strip("`") for cell in named for path in cell.split(", ")]
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_module_that_the_readme_shows_is_one(tmp_path, monkeypatch):
    from kamtool.module import declaration

    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (tmp_path / "greeting.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    greeting = __import__("greeting")
    assert list(declaration(greeting.Greeting).functions) == ["greet"]
