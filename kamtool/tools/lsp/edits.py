"""Changes of text: a new name everywhere, a formatted file as the few lines that differ."""

from __future__ import annotations

import difflib
import re
from typing import Any

from kamtool.errors import KamtoolError
from kamtool.script.lexer import RESERVED
from kamtool.tools.lsp.document import Document
from kamtool.tools.lsp.names import Key
from kamtool.tools.lsp.workspace import Workspace

_DEFINE = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_ROUTE = re.compile(r"[\w.-]+", re.ASCII)


class BadName(KamtoolError):
    """A name that a route or define cannot have, or that another one has."""


def rename(workspace: Workspace, document: Document, key: Key, new: str) -> dict[str, Any]:
    """Every place of a name, in every file that belongs to the document. Raises BadName."""
    sort, kind, old = key
    if sort == "include":
        raise BadName("a file is not renamed here")
    if not (_DEFINE if sort == "define" else _ROUTE).fullmatch(new):
        raise BadName(f"{new!r} cannot be the name of a {sort}")
    if new in RESERVED:
        raise BadName(f"{new!r} is a word of the language")
    places = workspace.uses(document, key)
    if new != old and workspace.uses(document, (sort, kind, new)):
        raise BadName(f"there is a {sort} {new!r} already")
    plain = _DEFINE.fullmatch(new) is not None
    changes: dict[str, list[dict[str, Any]]] = {}
    for place in places:
        of, name = place.document, place.name
        bare = of.text[name.start - 1 : name.start] not in ('"', "'", "=")
        # `my-route` stands in quotes where a word could stand without.
        text = f'"{new}"' if sort == "route" and bare and not plain else new
        edit = {"range": of.range(name.start, name.end), "newText": text}
        changes.setdefault(of.uri, []).append(edit)
    return {"changes": changes}


def between(document: Document, text: str) -> list[dict[str, Any]]:
    """The edits that make a document's text into another, line by line."""
    old, new = _lines(document.text), _lines(text)
    edits = []
    for kind, first, last, begin, end in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        if kind != "equal":
            start = sum(map(len, old[:first]))
            stop = start + sum(map(len, old[first:last]))
            edits.append({"range": document.range(start, stop), "newText": "".join(new[begin:end])})
    return edits


def _lines(text: str) -> list[str]:
    rows = text.split("\n")
    return [f"{row}\n" for row in rows[:-1]] + rows[-1:] * bool(rows[-1])
