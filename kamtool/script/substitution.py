r"""Substitutions as sed writes them: `/regex/replacement/flags`, of subst() and `{re.subst,…}`.

Any character may stand for `/`. In the replacement `\0` is the match, `\1` to `\9` its groups, `\n \r \t`
what they are in C, `$rU` a pseudo-variable. Flags: `g` every match, `i` ignore case, `s` line ends are no
borders: `.` matches them and `^` and `$` only match at the ends of the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from kamtool.errors import ConfigError
from kamtool.script.regex import compile_ere
from kamtool.script.substitute import split_rule

Format = Callable[[Any], str]
Piece = str | int | Format
"""A part of a replacement: text, the number of a group, or a format to evaluate."""

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_VARIABLE = re.compile(r"\$(?:\$|\()|\$[A-Za-z_]")


class SedSubstitution:
    """A compiled substitution; kamtool.module.Substitution."""

    __slots__ = ("every", "pattern", "pieces")

    def __init__(self, pattern: re.Pattern[str], pieces: tuple[Piece, ...], every: bool) -> None:
        self.pattern, self.pieces, self.every = pattern, pieces, every

    def edits(self, ctx: Any, text: str) -> list[tuple[int, int, str]]:
        """The span of each match and what takes its place."""
        found = []
        for match in self.pattern.finditer(text):
            found.append((match.start(), match.end(), self._replacement(ctx, match)))
            if not self.every:
                break
        return found

    def _replacement(self, ctx: Any, match: re.Match[str]) -> str:
        pieces = []
        for piece in self.pieces:
            if isinstance(piece, str):
                pieces.append(piece)
            elif isinstance(piece, int):
                pieces.append((match[piece] or "") if piece <= self.pattern.groups else "")
            else:
                pieces.append(piece(ctx))
        return "".join(pieces)

    def apply(self, ctx: Any, text: str) -> str | None:
        """The text with its matches replaced, or None when nothing matched."""
        result, last = [], 0
        for start, end, replacement in self.edits(ctx, text):
            result += [text[last:start], replacement]
            last = end
        return "".join([*result, text[last:]]) if result else None


def _pieces(replacement: str, compile_format: Callable[[str], Format] | None) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for part in re.split(r"(\\.)", replacement, flags=re.DOTALL):
        if len(part) == 2 and part[0] == "\\":
            following = part[1]
            pieces.append(int(following) if following in "0123456789" else _ESCAPES.get(following, following))
        elif part and compile_format is not None and _VARIABLE.search(part):
            pieces.append(compile_format(part))
        elif part:
            pieces.append(part)
    return tuple(pieces)


def compile_substitution(text: str, compile_format: Callable[[str], Format] | None = None) -> SedSubstitution:
    """Compile `/regex/replacement/flags`. Without `compile_format` a `$` is a `$`. Raises ConfigError."""
    regex, replacement, letters = split_rule(text)
    if unknown := set(letters) - set("gis"):
        raise ConfigError(f"unknown flag {min(unknown)!r} in {text!r}", hint="flags: g i s", code="KT1202")
    pattern = compile_ere(regex, re.IGNORECASE if "i" in letters else 0, line_mode="s" not in letters)
    return SedSubstitution(pattern, _pieces(replacement, compile_format), "g" in letters)
