"""Octets of a header, where they stand and the text they are: what both kernels share."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One header field: `data[start:end]` is all its lines with their line ends."""

    id: int
    start: int
    name_end: int
    value_start: int
    value_end: int
    end: int


def encode(text: str) -> bytes:
    """Header text as the octets it came from."""
    return text.encode("utf-8", "surrogateescape")


def decode(octets: bytes) -> str:
    """Octets as header text: UTF-8, and what is not survives as surrogates."""
    return octets.decode("utf-8", "surrogateescape")


def unfold(octets: bytes) -> bytes:
    """A value with each of its folds made one space (RFC 3261 §7.3.1)."""
    return b" ".join([line for part in octets.split(b"\n") if (line := part.strip(b" \t\r"))])
