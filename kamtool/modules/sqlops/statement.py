"""What a script wrote as a query, made fit for SQLite: its texts, and whether it reads or writes.

Scripts escape as MySQL does (`sql.val`, `s.escape.common`): a backslash before a quote. SQLite knows no such
thing: to it `'x\\' OR 1=1 --'` is a short text and a condition that somebody else wrote. So texts are read
here with their backslashes, and given to SQLite in its own spelling.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kamtool.errors import ScriptError

_TOKEN = re.compile(
    r"""
    (?P<escape> \bESCAPE \s* '\\' (?!') )
  | (?P<text>   ' (?: [^'\\]+ | \\. | '' )*+ ' | " (?: [^"\\]+ | \\. | "" )*+ " )
  | (?P<skip>   -- [^\n]* | /\* .*? (?: \*/ | \Z ) | ` [^`]* ` | \[ [^\]]* \] )
  | (?P<open>   ['"] )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_FIRST = re.compile(r"\s*(\w+)")
_READS = frozenset(["SELECT", "WITH", "VALUES", "EXPLAIN", "PRAGMA"])
_TRANSACTION = frozenset(["BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"])


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement in SQLite's spelling."""

    sql: str
    reads: bool
    """It begins like one that only reads; a `WITH … INSERT` does too."""


def statement(query: str) -> Statement:
    """Read a query. Raises ScriptError: it is empty, a text in it does not end, it is more than one
    statement, or it begins or ends a transaction, for the connection is shared."""
    parts: list[str] = []
    code: list[str] = []
    place = 0
    for found in _TOKEN.finditer(query):
        if found.lastgroup == "open":
            raise ScriptError(f"the text at {found[0]}{query[found.end() : found.end() + 20]} does not end")
        between = query[place : found.start()]
        parts += between, _respelt(found[0]) if found.lastgroup == "text" else found[0]
        code += between, " "
        place = found.end()
    parts.append(query[place:])
    code.append(query[place:])
    bare = "".join(code)
    first = _FIRST.match(bare)
    keyword = first[1].upper() if first else ""
    if not keyword:
        raise ScriptError("there is no statement")
    if bare.rstrip("; \t\r\n").count(";") and keyword != "CREATE":  # a trigger's body holds some
        raise ScriptError("there is more than one statement")
    if keyword in _TRANSACTION or re.search(r"\bOR\s+ROLLBACK\b", bare, re.IGNORECASE):
        raise ScriptError("each query is a transaction of its own")
    return Statement("".join(parts), keyword in _READS)


def _respelt(text: str) -> str:
    """A quoted text with its backslash escapes undone and its quotes doubled."""
    if "\\" not in text:
        return text
    quote, holds_nul = text[0], False

    def undo(found: re.Match[str]) -> str:
        nonlocal holds_nul
        if found[1] == "0":
            holds_nul = True
            return "\0"
        if found[1] == quote:
            return quote * 2
        return found[1] if found[1] in "'\"\\" else found[0]

    inner = _ESCAPED.sub(undo, text[1:-1])
    whole = f"{quote}{inner}{quote}"
    return "(" + whole.replace("\0", "'||char(0)||'") + ")" if holds_nul and quote == "'" else whole
