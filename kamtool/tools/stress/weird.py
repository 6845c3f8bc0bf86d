"""Messages broken by chance: octets, lines, numbers, lengths."""

from __future__ import annotations

import random
from collections.abc import Callable

Change = Callable[[bytes, random.Random], bytes]


def mutate(data: bytes, choice: random.Random) -> bytes:
    """`data` after one to four changes."""
    for _ in range(choice.randint(1, 4)):
        data = choice.choice(CHANGES)(data, choice)
    return data


def _octets(data: bytes, choice: random.Random) -> bytes:
    made = bytearray(data)
    for _ in range(choice.randint(1, 8)):
        if made:
            made[choice.randrange(len(made))] = choice.randrange(256)
    return bytes(made)


def _cut(data: bytes, choice: random.Random) -> bytes:
    return data[: choice.randrange(len(data) + 1)]


def _line(data: bytes, choice: random.Random) -> bytes:
    """A line taken away, doubled or moved."""
    lines = data.split(b"\r\n")
    place = choice.randrange(len(lines))
    what = choice.randrange(3)
    if what == 0:
        del lines[place]
    elif what == 1:
        lines.insert(choice.randrange(len(lines) + 1), lines[place])
    else:
        lines.insert(choice.randrange(len(lines)), lines.pop(place))
    return b"\r\n".join(lines)


def _long(data: bytes, choice: random.Random) -> bytes:
    """One place blown up."""
    at = choice.randrange(len(data) + 1)
    return (
        data[:at] + bytes([choice.choice(b'A;,<>"%\\ \t0(')]) * choice.choice((100, 1000, 8000)) + data[at:]
    )


def _number(data: bytes, choice: random.Random) -> bytes:
    """A number made absurd."""
    digits = [i for i, octet in enumerate(data) if 48 <= octet <= 57]
    if not digits:
        return data
    at = choice.choice(digits)
    absurd = choice.choice((b"-1", b"4294967296", b"99999999999999999999", b"0x1", b"", b"1e9", b"\x00"))
    return data[:at] + absurd + data[at + 1 :]


CHANGES: tuple[Change, ...] = (_octets, _cut, _line, _long, _number)
