"""Slips of the finger: when one name is most likely meant for another."""

from __future__ import annotations


def is_slip(wrong: str, right: str) -> bool:
    """Whether one letter too many, too few, exchanged or swapped makes one of the other. Digits count."""
    if len(wrong) < 4 or abs(len(wrong) - len(right)) > 1:
        return False
    start = 0
    while start < min(len(wrong), len(right)) and wrong[start] == right[start]:
        start += 1
    one, other = wrong[start:], right[start:]
    if one[:1].isdigit() and other[:1].isdigit():
        return False  # FLAG_1 and FLAG_2 are two names
    swapped = one[1:2] + one[:1] + one[2:] == other
    return swapped or one[1:] == other[1:] or one[1:] == other or one == other[1:]
