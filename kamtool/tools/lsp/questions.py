"""What an editor asks about an open file, each question a method: hover, completion, rename and their kin."""

from __future__ import annotations

from typing import Any

from kamtool.errors import ConfigErrors, KamtoolError
from kamtool.script.format import format_text
from kamtool.tools.lsp import completion, diagnostics, edits, hover
from kamtool.tools.lsp.document import Document
from kamtool.tools.lsp.names import blocks, defines_in, loads_in
from kamtool.tools.lsp.workspace import Place, Workspace

INVALID_REQUEST, NO_METHOD, INVALID_PARAMS = -32600, -32601, -32602
INTERNAL_ERROR, NOT_INITIALIZED, REQUEST_FAILED = -32603, -32002, -32803


class Refused(KamtoolError):
    """A request that cannot be answered; the editor shows why."""

    def __init__(self, message: str, code: int = REQUEST_FAILED) -> None:
        super().__init__(message)
        self.code = code


class Questions:
    """The answers. `params` and results are the protocol's."""

    workspace: Workspace

    def _document(self, params: dict[str, Any]) -> Document:
        uri = params["textDocument"]["uri"]
        found = self.workspace.open.get(uri)
        if found is None:
            raise Refused(f"{uri} is not open", INVALID_PARAMS)
        return found

    def _at(self, params: dict[str, Any]) -> tuple[Document, int]:
        document = self._document(params)
        return document, document.offset(params["position"])

    def _hover(self, params: dict[str, Any], now: float) -> Any:
        document, offset = self._at(params)
        found = hover.hover(self.workspace, document, offset)
        if found is None:
            return None
        text, start, end = found
        return {"contents": {"kind": "markdown", "value": text}, "range": document.range(start, end)}

    def _complete(self, params: dict[str, Any], now: float) -> Any:
        document, offset = self._at(params)
        return {"isIncomplete": False, "items": completion.complete(self.workspace, document, offset)}

    def _definition(self, params: dict[str, Any], now: float) -> Any:
        document, offset = self._at(params)
        place = self.workspace.key_at(document, offset)
        if place is None:
            return None
        if place.name.key[0] == "include":
            path = self.workspace.included(document, place.name.key[2])
            file = self.workspace.file(path) if path else None
            return {"uri": file.uri, "range": file.range(0, 0)} if file else None
        found = [each for each in self.workspace.uses(document, place.name.key) if each.name.defines]
        return [_location(each) for each in found]

    def _references(self, params: dict[str, Any], now: float) -> Any:
        document, offset = self._at(params)
        place = self.workspace.key_at(document, offset)
        if place is None:
            return None
        declared = bool((params.get("context") or {}).get("includeDeclaration", True))
        return [
            _location(each) for each in self.workspace.uses(document, place.name.key, definitions=declared)
        ]

    def _prepare_rename(self, params: dict[str, Any], now: float) -> Any:
        document, offset = self._at(params)
        place = self.workspace.key_at(document, offset)
        if place is None or place.name.key[0] == "include":
            return None
        return {
            "range": document.range(place.name.start, place.name.end), "placeholder": place.name.key[2],
        }  # fmt: skip

    def _rename(self, params: dict[str, Any], now: float) -> Any:
        document, offset = self._at(params)
        place = self.workspace.key_at(document, offset)
        if place is None:
            raise Refused("only routes and defines can be renamed")
        try:
            return edits.rename(self.workspace, document, place.name.key, str(params["newName"]))
        except edits.BadName as error:
            raise Refused(str(error)) from error

    def _symbols(self, params: dict[str, Any], now: float) -> Any:
        document = self._document(params)
        found = []
        for name, word in loads_in(document.words):
            found.append(_symbol(document, name, 2, word.start, word.end, word.start, word.end))
        for name, (_, start) in defines_in(document.words).items():
            found.append(_symbol(document, name, 14, start, start + len(name), start, start + len(name)))
        for block in blocks(document.words):
            title = " ".join(document.text[block.start : block.name_end].split())
            title += "]" if "[" in title else ""
            found.append(
                _symbol(document, title, 12, block.start, block.end, block.name_start, block.name_end)
            )
        return sorted(found, key=lambda symbol: symbol["range"]["start"]["line"])

    def _format(self, params: dict[str, Any], now: float) -> Any:
        document = self._document(params)
        defines = self.workspace.defines
        try:
            text = format_text(document.text, name=document.name, path=document.path, defines=defines)
        except ConfigErrors as error:
            raise Refused(f"a file with errors is not formatted: {error.message}") from error
        return edits.between(document, text)

    def _actions(self, params: dict[str, Any], now: float) -> Any:
        document = self._document(params)
        return list(diagnostics.actions(document, params["context"]["diagnostics"]))


def _location(place: Place) -> dict[str, Any]:
    return {"uri": place.document.uri, "range": place.document.range(place.name.start, place.name.end)}


def _symbol(
    document: Document, name: str, kind: int, start: int, end: int, name_start: int, name_end: int
) -> dict[str, Any]:
    return {
        "name": name, "kind": kind, "range": document.range(start, end),
        "selectionRange": document.range(name_start, name_end),
    }  # fmt: skip
