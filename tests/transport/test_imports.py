"""What the server process is spared."""

import subprocess
import sys

import pytest

QUIET = "import sys, kamtool.server.server, {}; print(sorted(set(sys.modules) & {{{}}}))"


@pytest.mark.parametrize(
    ("loads", "spared"),
    [
        ("kamtool.modules.tls, kamtool.modules.xhttp, kamtool.modules.websocket", "'cryptography', 'rich'"),
        ("kamtool.modules.tls", "'h11', 'wsproto', 'cryptography'"),
    ],
)
def test_libraries_that_are_not_needed_are_not_loaded(loads, spared):
    code = QUIET.format(loads, spared)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
