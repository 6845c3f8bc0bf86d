"""In which slot Kamailio keeps a key, for the order of its answers; kamtool's tables are dicts."""

from __future__ import annotations

from kamtool.script.values import to_octets


def hash_of(key: str) -> int:
    """Kamailio's 32-bit hash of a key: four octets at a time, big-endian, without regard to case."""
    octets = to_octets(key).lower()
    total = 0
    whole = len(octets) & ~3
    for place in range(0, whole + 1, 4):
        word = int.from_bytes(octets[place : place + 4], "big")
        total += word ^ (word >> 3)
    total &= 0xFFFFFFFF
    return (total + (total >> 11) + (total >> 13) + (total >> 23)) & 0xFFFFFFFF
