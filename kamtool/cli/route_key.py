"""The key by which default.cfg knows its own Record-Route again: made once, kept beside the database."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def route_key(folder: Path) -> str:
    """The key of this folder. Where none can be kept, calls under way do not outlive a restart."""
    path = folder / "route.key"
    with suppress(OSError):
        kept = path.read_text().strip()
        if len(kept) >= 32 and kept.isalnum():
            return kept
    key = secrets.token_hex(16)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"{key}\n")
    return key
