"""`kamtool serve --record`: what it needs before the server is made."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.debug.record.recorder import Recorder

HASHSEED = "PYTHONHASHSEED"


def same_hashes(seed: str = "") -> None:
    """Begin this process anew with a hash seed that is known: To-tags and branches are made of hashes.

    Python takes the seed only at its start. With `seed` it must be that one.
    """
    now = os.environ.get(HASHSEED, "")
    if now.isdigit() and seed in ("", now):
        return
    os.environ[HASHSEED] = seed or str(random.SystemRandom().randrange(1, 1 << 32))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def prepare(file: Path | None) -> None:
    """Before anything else of `serve --record`."""
    if file is not None:
        same_hashes()


def alone(file: Path | None, workers: int) -> None:
    """Raises UsageError when several workers were to be recorded."""
    if file is not None and workers > 1:
        raise UsageError("--record takes one worker", hint="the doings of several have no one order")


def begin(file: Path | None) -> Recorder | None:
    """The recorder, if one is wanted. Raises UsageError."""
    if file is None:
        return None
    from kamtool.debug.record.recorder import Recorder

    return Recorder(file)
