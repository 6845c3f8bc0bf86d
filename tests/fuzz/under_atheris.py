"""The child of the driver: `python -m tests.fuzz.under_atheris TARGET [libFuzzer's options] FOLDER`."""

import sys

import atheris

import kamtool  # its own finder goes in front of all others, so it must be there before atheris's  # noqa: F401

with atheris.instrument_imports(include=["kamtool", "wsproto", "h11"]):
    from tests.fuzz.targets import module_of

    TARGET = module_of(sys.argv[1])

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGET.run)
    atheris.Fuzz()
