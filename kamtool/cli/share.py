"""Where the example scripts are: in the checkout, or in the copy that a wheel carries."""

from __future__ import annotations

from pathlib import Path

import kamtool
from kamtool.errors import UsageError

PACKAGE = Path(kamtool.__file__).parent


def cfg_folder() -> Path:
    """The folder with default.cfg."""
    for folder in (PACKAGE.parent / "cfg", PACKAGE / "data/cfg"):
        if (folder / "default.cfg").is_file():
            return folder
    raise UsageError("default.cfg is missing from this installation of kamtool", exit_code=1)
