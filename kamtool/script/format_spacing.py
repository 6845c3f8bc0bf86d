"""Which blanks stand between two tokens of one line.

Where a blank has a meaning (hosts such as `my-host.example.com`, selects, numbers beside letters) the
author's stays: two tokens that touch go on touching, two that do not stay apart.
"""

from __future__ import annotations

import re

from kamtool.script.tokens import OPERATOR_WORDS

ROUTE_WORDS = frozenset(
    """
    route request_route reply_route onreply_route failure_route branch_route onsend_route event_route
    """.split()  # noqa: SIM905
)
HEADS = frozenset(["if", "while", "switch"])
LEAVING = frozenset(["return", "exit", "drop", "break"])
VALUE_WORDS = LEAVING | HEADS | {"case", "else"}
"""Words behind which a value begins, so that a `-` is a sign."""
ALWAYS_BINARY = frozenset(
    ["&&", "||", "==", "!=", "=~", "<=", ">=", "<", ">", "<<", ">>", "+", "|", "&", "^"]
)
MAYBE_BINARY = frozenset(["*", "-", "/"])
CASTS = frozenset(["(int)", "(str)"])
_WORD = re.compile(r"[A-Za-z_]\w*", re.ASCII)


Tokens = tuple[str, str, str, str]


def is_word(text: str) -> bool:
    """Whether a token is a word of letters, be it of the language, a name or a define."""
    return _WORD.fullmatch(text) is not None


def gap(tokens: Tokens, *, touches: bool, inside: bool, label: bool) -> str:
    """The blank between the second and the third of four tokens that follow each other.

    `inside` a route the operators are set apart; outside of it `=` and its kin stay as they are. In the
    `label` of a `case` the colon touches.
    """
    kept = "" if touches else " "
    _, previous, following, _ = tokens
    if following in (";", ",") and previous not in ("{", ";"):
        return ""
    if previous == ",":
        return " "
    if previous in ("(", "[") or following in (")", "]"):
        # `( int )` must not become the cast `(int)`.
        return kept if "int" in (previous, following) or "str" in (previous, following) else ""
    if following == "{" or previous == "{" or following == "}":
        return " "
    if previous == "}" and is_word(following):
        return " "
    if following == "(":
        return _before_parenthesis(previous, kept, inside)
    if following == "[" and previous in ROUTE_WORDS:
        return ""
    if label and following == ":":
        return ""
    if not inside:
        return kept
    return _between(tokens, kept)


def _between(tokens: Tokens, kept: str) -> str:
    before, previous, following, beyond = tokens
    if following == "=" or previous == "=" or following in ALWAYS_BINARY:
        return " "
    if previous in ("!", "~") and following not in ("!", "~"):
        return ""
    if previous in ALWAYS_BINARY:
        return "" if previous == "+" and not _is_value(before) else " "
    if following in MAYBE_BINARY:
        return " " if following == "*" or _is_apart(previous) or _is_apart(beyond) else kept
    if previous in MAYBE_BINARY:
        if not _is_value(before):
            return "" if previous == "-" else kept
        apart = previous == "*" or _is_apart(before) or _is_apart(following)
        return " " if apart and before != "case" else kept
    if previous in OPERATOR_WORDS or previous in VALUE_WORDS:
        return " "
    return kept


def _before_parenthesis(previous: str, kept: str, inside: bool) -> str:
    if previous in HEADS or previous in OPERATOR_WORDS:
        return " "
    if previous in ("!", "~", "("):
        return ""
    if previous in VALUE_WORDS or previous in CASTS or previous[:1] == "$":
        return kept
    if is_word(previous):
        return ""
    if inside and (previous in ALWAYS_BINARY or previous == "="):
        return " "
    return kept


def _is_value(text: str) -> bool:
    """Whether an operand ends with this token, so that the operator behind it takes two."""
    if text in OPERATOR_WORDS or text in VALUE_WORDS or text in CASTS:
        return False
    return text in (")", "]", "}") or text[:1] in "$\"'" or text[:1].isalnum() or text[:1] == "_"


def _is_apart(text: str) -> bool:
    """Whether this can be no part of a host name: a variable, a string, a closed parenthesis."""
    return text == ")" or text[:1] in ("$", '"', "'")
