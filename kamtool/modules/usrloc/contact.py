"""One binding of an address-of-record (RFC 3261 §10): what a phone told us in REGISTER."""

from __future__ import annotations

from kamtool.speed import Contact
from kamtool.speed.details import ALL_METHODS, PLAIN, Details

__all__ = ["ALL_METHODS", "PLAIN", "Contact", "Details", "format_q"]


def format_q(q: int) -> str:
    """A q value as text: 500 is `0.5`, 1000 is `1`."""
    return f"{q / 1000:.3f}".rstrip("0").rstrip(".")
