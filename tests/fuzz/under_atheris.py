"""The child of the driver: `python -m tests.fuzz.under_atheris TARGET [libFuzzer's options] FOLDER`."""

import sys
from hashlib import sha1
from pathlib import Path

import atheris

import kamtool  # its own finder goes in front of all others, so it must be there before atheris's  # noqa: F401

with atheris.instrument_imports(include=["kamtool", "wsproto", "h11"]):
    from tests.fuzz.targets import module_of

    TARGET = module_of(sys.argv[1])

PREFIX = "-artifact_prefix="


def run(data):
    """One input. libFuzzer keeps what crashes the process, but not always what only raises."""
    try:
        TARGET.run(data)
    except BaseException:
        prefix = next((word[len(PREFIX) :] for word in sys.argv if word.startswith(PREFIX)), "")
        Path(f"{prefix}crash-{sha1(data, usedforsecurity=False).hexdigest()}").write_bytes(data)
        raise


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], run)
    atheris.Fuzz()
