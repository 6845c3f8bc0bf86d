"""One editor's session: requests in, answers and diagnostics out. No streams; time is a number."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kamtool import __version__
from kamtool.tools.lsp import diagnostics
from kamtool.tools.lsp.document import Document
from kamtool.tools.lsp.questions import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    NO_METHOD,
    NOT_INITIALIZED,
    Questions,
    Refused,
)
from kamtool.tools.lsp.workspace import Workspace

log = logging.getLogger("kamtool.lsp")

DELAY = 0.25
"""Seconds of silence after a change before the check runs."""

CAPABILITIES: dict[str, Any] = {
    "textDocumentSync": {"openClose": True, "change": 2, "save": {"includeText": False}},
    "hoverProvider": True,
    "completionProvider": {"triggerCharacters": ["$", "(", '"', "{", "!", "."]},
    "definitionProvider": True,
    "referencesProvider": True,
    "renameProvider": {"prepareProvider": True},
    "documentSymbolProvider": True,
    "documentFormattingProvider": True,
    "codeActionProvider": {"codeActionKinds": ["quickfix"]},
}


class Session(Questions):
    """From `initialize` to `exit`. `send` gets each message for the editor."""

    def __init__(
        self, send: Callable[[dict[str, Any]], None], defines: dict[str, str | None] | None = None
    ) -> None:
        self.send = send
        self.workspace = Workspace(defines)
        self.exit_code: int | None = None
        """Set when the session is over."""
        self._started = self._stopped = False
        self._due: dict[str, float] = {}
        self._published: set[str] = set()

    # Messages -----------------------------------------------------------------------------------------

    def handle(self, message: dict[str, Any], now: float) -> None:
        """One message. What it asks is answered; nothing it holds raises from here."""
        method, identity = message.get("method"), message.get("id")
        if method is None:
            return  # an answer: we ask nothing
        params = message.get("params") or {}
        try:
            result = self._dispatch(str(method), params, now)
        except Refused as error:
            self._fail(identity, error.code, str(error))
        except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
            # The parameters are the editor's; they were not of the shape that the protocol gives them.
            log.debug("%s: %r", method, error, exc_info=True)
            self._fail(
                identity, INVALID_PARAMS, f"{method}: the parameters are not as they should be ({error!r})"
            )
        except Exception:
            log.exception("%s failed", method)
            self._fail(identity, INTERNAL_ERROR, f"{method} failed")
        else:
            if identity is not None:
                self.send({"jsonrpc": "2.0", "id": identity, "result": result})

    def broken(self, reason: str, code: int) -> None:
        """What came was no message: say so, and end this session."""
        self._fail(None, code, reason, always=True)
        self.exit_code = 1

    def _fail(self, identity: Any, code: int, message: str, *, always: bool = False) -> None:
        if identity is not None or always:
            self.send({"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message}})

    def _dispatch(self, method: str, params: Any, now: float) -> Any:
        if method == "exit":
            self.exit_code = 0 if self._stopped else 1
            return None
        if not self._started and method != "initialize":
            raise Refused("the session has not begun", NOT_INITIALIZED)
        if self._stopped:
            raise Refused("the session is over", INVALID_REQUEST)
        known = _METHODS.get(method)
        if known is None:
            if method.startswith("$/") or method in _IGNORED:
                return None
            raise Refused(f"{method} is not known here", NO_METHOD)
        if not isinstance(params, dict):
            raise Refused(f"{method}: parameters are an object", INVALID_PARAMS)
        return known(self, params, now)

    # Life ---------------------------------------------------------------------------------------------

    def _initialize(self, params: dict[str, Any], now: float) -> Any:
        options = params.get("initializationOptions") or {}
        given = options.get("defines") or {} if isinstance(options, dict) else {}
        if isinstance(given, dict):
            self.workspace.defines.update({str(k): None if v is None else str(v) for k, v in given.items()})
        general = (params.get("capabilities") or {}).get("general") or {}
        encodings = general.get("positionEncodings") or ["utf-16"]
        encoding = "utf-32" if "utf-32" in encodings else "utf-16"
        self.workspace.is_wide = encoding == "utf-16"
        self._started = True
        return {
            "capabilities": {**CAPABILITIES, "positionEncoding": encoding},
            "serverInfo": {"name": "kamtool", "version": __version__},
        }

    def _shutdown(self, params: dict[str, Any], now: float) -> None:
        self._stopped = True

    # Documents ----------------------------------------------------------------------------------------

    def _opened(self, params: dict[str, Any], now: float) -> None:
        given = params["textDocument"]
        wide = self.workspace.is_wide
        document = Document(given["uri"], given["text"], given.get("version", 0), is_wide=wide)
        self.workspace.open[document.uri] = document
        self._check_at(document, now)

    def _changed(self, params: dict[str, Any], now: float) -> None:
        document = self._document(params)
        for change in params["contentChanges"]:
            document.change(change)
        document.version = params["textDocument"].get("version", 0)
        self._check_at(document, now + DELAY)

    def _saved(self, params: dict[str, Any], now: float) -> None:
        self._check_at(self._document(params), now)

    def _closed(self, params: dict[str, Any], now: float) -> None:
        document = self._document(params)
        del self.workspace.open[document.uri]
        self._due.pop(document.uri, None)
        if not any(document in self.workspace.below(root) for root in self.workspace.open.values()):
            self._publish(document.uri, [])

    def _check_at(self, document: Document, at: float) -> None:
        for root in self.workspace.roots(document):
            self._due[root.uri] = at

    @property
    def due_at(self) -> float | None:
        """When `tick` has something to do, None for never."""
        return min(self._due.values(), default=None)

    def tick(self, now: float) -> None:
        """Check what has been left alone long enough."""
        for uri in [uri for uri, at in self._due.items() if at <= now]:
            del self._due[uri]
            document = self.workspace.open.get(uri)
            if document is None:
                continue
            try:
                found = diagnostics.of(self.workspace, document)
            except Exception:
                log.exception("the check of %s failed", uri)
                continue
            for of, rows in found.items():
                self._publish(of, rows)

    def _publish(self, uri: str, rows: list[dict[str, Any]]) -> None:
        if not rows and uri not in self._published and uri not in self.workspace.open:
            return  # a file that nobody looks at and that has nothing to hide
        (self._published.add if rows else self._published.discard)(uri)
        params: dict[str, Any] = {"uri": uri, "diagnostics": rows}
        if uri in self.workspace.open:
            params["version"] = self.workspace.open[uri].version
        self.send({"jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params})


_METHODS: dict[str, Callable[[Session, dict[str, Any], float], Any]] = {
    "initialize": Session._initialize,
    "shutdown": Session._shutdown,
    "textDocument/didOpen": Session._opened,
    "textDocument/didChange": Session._changed,
    "textDocument/didSave": Session._saved,
    "textDocument/didClose": Session._closed,
    "textDocument/hover": Session._hover,
    "textDocument/completion": Session._complete,
    "textDocument/definition": Session._definition,
    "textDocument/references": Session._references,
    "textDocument/prepareRename": Session._prepare_rename,
    "textDocument/rename": Session._rename,
    "textDocument/documentSymbol": Session._symbols,
    "textDocument/formatting": Session._format,
    "textDocument/codeAction": Session._actions,
}
_IGNORED = frozenset(
    """
    initialized workspace/didChangeConfiguration workspace/didChangeWatchedFiles textDocument/willSave
    workspace/didChangeWorkspaceFolders
    """.split()  # noqa: SIM905
)
