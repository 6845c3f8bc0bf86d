"""What somebody may have meant by a word that nobody knows."""

from __future__ import annotations

from collections.abc import Iterable


def likely(word: str, known: Iterable[str], most: int = 1, likeness: float = 0.7) -> list[str]:
    """Up to `most` of the known words, the likeliest first; `likeness` is 0.0 for any to 1.0 for the same."""
    import difflib  # a cfg without mistakes has no need of it

    return difflib.get_close_matches(word, list(known), most, likeness)
