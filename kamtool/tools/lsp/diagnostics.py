"""The findings of the check as an editor shows them, and what can be done about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kamtool.errors import ConfigError
from kamtool.tools.lsp.document import Document
from kamtool.tools.lsp.names import loads_in
from kamtool.tools.lsp.workspace import Workspace

SEVERITY = {"error": 1, "warning": 2, "hint": 4}
_NEAR = re.compile(r"did you mean (?:\w*route\[(?P<route>[^\]]+)\]|`\{?(?P<word>[^`}]+)\}?`)")
_FUNCTION = re.compile(r"module \w+ has `(?P<word>\w+)\(")
_PARAMETER = re.compile(r"it has `(?P<word>\w+)`")
_APART = re.compile(r"write `(?P<word>\$\([\w.]+\)[\w.]*)`", re.ASCII)
_LOAD = re.compile(r'(?:comes with|add) loadmodule "(?P<module>\w+)\.so"')
_WORD = re.compile(r"\$?\w+", re.ASCII)
_QUOTED = re.compile(r"`\{?([^`}]+)\}?`")


def of(workspace: Workspace, root: Document) -> dict[str, list[dict[str, Any]]]:
    """The diagnostics of a document and of what it includes, by URI; [] for those without any."""
    found: dict[str, list[dict[str, Any]]] = {each.uri: [] for each in workspace.below(root)}
    for finding in workspace.report(root).findings:
        document = _document(workspace, root, finding)
        found.setdefault(document.uri, []).append(_diagnostic(document, finding))
    return found


def _document(workspace: Workspace, root: Document, finding: ConfigError) -> Document:
    """The file that a finding is about: an include is known by the name in its directive."""
    for document in (root, *workspace.below(root)):
        if document.path is not None and str(document.path) == finding.span.file:
            return document
    path = workspace.included(root, finding.span.file) if finding.span.file else None
    found = workspace.file(path) if path is not None and path != Path() else None
    return found or root


def _diagnostic(document: Document, finding: ConfigError) -> dict[str, Any]:
    message = finding.message + (f"\n{finding.hint}" if finding.hint else "")
    return {
        "range": document.range_of(finding.span), "severity": SEVERITY[finding.severity],
        "code": finding.code, "source": "kamtool", "message": message, "data": {"hint": finding.hint},
    }  # fmt: skip


# What can be done ------------------------------------------------------------------------------------------


def actions(document: Document, diagnostics: list[Any]) -> Iterator[dict[str, Any]]:
    """A quick fix for each diagnostic whose hint names one."""
    for diagnostic in diagnostics:
        if not isinstance(diagnostic, dict) or diagnostic.get("source") != "kamtool":
            continue
        hint = str((diagnostic.get("data") or {}).get("hint") or diagnostic.get("message", ""))
        edit = _near(document, diagnostic, hint) or _load(document, hint)
        if edit is not None:
            title, change = edit
            yield {
                "title": title, "kind": "quickfix", "diagnostics": [diagnostic], "isPreferred": True,
                "edit": {"changes": {document.uri: [change]}},
            }  # fmt: skip


def _near(document: Document, diagnostic: Any, hint: str) -> tuple[str, dict[str, Any]] | None:
    found = _NEAR.search(hint) or _FUNCTION.search(hint) or _PARAMETER.search(hint) or _APART.search(hint)
    if found is None:
        return None
    new = found.groupdict().get("route") or found["word"]
    if found.re is not _APART:
        new = new.partition("(")[0].strip('"')
    old, place = _wrong(document, diagnostic)
    if not old or not re.fullmatch(r"\$?[\w.-]+|\$\(.*", new) or new.startswith("$") != old.startswith("$"):
        return None
    change = {"range": document.range(place, place + len(old)), "newText": new}
    return f"Replace `{old}` by `{new}`", change


def _wrong(document: Document, diagnostic: Any) -> tuple[str, int]:
    """The word that a finding complains of, and where it stands: named in the message, else the first one."""
    where = diagnostic["range"]
    start, end = document.offset(where["start"]), document.offset(where["end"])
    for named in _QUOTED.finditer(str(diagnostic["message"]).partition("\n")[0]):
        place = document.text.find(named[1], start, end)
        if place >= 0:
            return named[1], place
    found = _WORD.search(document.text, start, end)
    return (found[0], found.start()) if found else ("", 0)


def _load(document: Document, hint: str) -> tuple[str, dict[str, Any]] | None:
    found = _LOAD.search(hint)
    loads = loads_in(document.words)
    if found is None or not loads:
        return None
    # Below the last one that stands at the margin: others may be in a branch that is not taken.
    at_margin = [word for _, word in loads]
    line = document.position(at_margin[-1].end)["line"] + 1
    start = {"line": line, "character": 0}
    text = f'loadmodule "{found["module"]}.so"'
    return f"Add {text}", {"range": {"start": start, "end": start}, "newText": f"{text}\n"}
