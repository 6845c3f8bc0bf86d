"""What could be typed next."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from kamtool.module import Routes, available
from kamtool.script.check_calls import ARMED_BY
from kamtool.script.preprocess import DIRECTIVES
from kamtool.script.scope import Scope, signature
from kamtool.script.settings import NAMES
from kamtool.script.tokens import TOP_WORDS
from kamtool.tools.lsp import lore
from kamtool.tools.lsp.document import Document
from kamtool.tools.lsp.names import blocks, route_key
from kamtool.tools.lsp.workspace import Workspace

Items = Iterator[dict[str, Any]]
FUNCTION, VARIABLE, MODULE, PROPERTY, KEYWORD, FILE, CONSTANT, ROUTE = 3, 6, 9, 10, 14, 17, 21, 18
LONGEST = 2000
"""Letters before the pointer that are looked at."""
STATEMENTS = ("if", "else", "while", "switch", "case", "default", "break", "return", "exit", "drop", "route")


def complete(workspace: Workspace, document: Document, offset: int) -> list[dict[str, Any]]:
    """Everything that fits at an offset; the editor picks by what was typed."""
    begin = document.text.rfind("\n", 0, offset) + 1
    line = document.text[max(begin, offset - LONGEST) : offset]
    family = workspace.family(document)
    scope = lore.scope_of(workspace.modules(family))
    for pattern, offer in _OFFERS:
        found = re.search(pattern, line)
        if found is not None:
            start = offset - len(found[found.lastindex or 0])
            edit_range = document.range(start, offset)
            items = offer(_Wish(workspace, document, scope, found, offset))
            return [{**item, "textEdit": {"range": edit_range, "newText": item["label"]}} for item in items]
    return []


class _Wish:
    """What is asked: where, and what the line said before it."""

    def __init__(
        self, workspace: Workspace, document: Document, scope: Scope, found: re.Match[str], offset: int
    ) -> None:
        self.workspace, self.document, self.scope, self.found = workspace, document, scope, found
        self.offset = offset
        self.family = workspace.family(document)


def _item(label: str, kind: int, detail: str = "", doc: str = "") -> dict[str, Any]:
    item: dict[str, Any] = {"label": label, "kind": kind}
    if detail:
        item["detail"] = detail
    if doc:
        item["documentation"] = {"kind": "markdown", "value": doc}
    return item


def _variables(wish: _Wish) -> Items:
    for name, (module, pv) in sorted(wish.scope.pvs.items()):
        yield _item(
            f"${wish.found[1]}{name}",
            VARIABLE,
            f"{module}: {lore.first_line(pv.doc)}",
            lore.about_variable(module, pv),
        )


def _steps(wish: _Wish) -> Items:
    for name, (module, step) in sorted(wish.scope.transformations.items()):
        yield _item(name, FUNCTION, module, lore.about_transformation(wish.scope, name) or step.doc)


def _routes(wish: _Wish) -> Items:
    kind = ARMED_BY.get(wish.found[1], Routes.REQUEST)
    wanted = route_key(kind, "")[:2]
    seen: set[str] = set()
    for document in wish.family:
        for block in blocks(document.words):
            name = block.key[2]
            if block.key[:2] == wanted and name and name not in seen:
                seen.add(name)
                line = document.position(block.start)["line"] + 1
                yield _item(name, ROUTE, f"{document.name}:{line}")


def _modules(wish: _Wish) -> Items:
    for name in available():
        known = lore.declared(name)
        if known is not None:
            yield _item(f"{name}.so", MODULE, lore.first_line(known.doc))


def _loaded(wish: _Wish) -> Items:
    for name in wish.workspace.modules(wish.family):
        yield _item(name, MODULE)


def _parameters(wish: _Wish) -> Items:
    for module in wish.found[1].split("|"):
        known = lore.declared(module)
        for name, param in sorted(known.params.items()) if known else ():
            yield _item(name, PROPERTY, lore.first_line(param.doc), lore.about_parameter(module, param))


def _directives(wish: _Wish) -> Items:
    for name in sorted(DIRECTIVES):
        yield _item(name, KEYWORD)


def _defines(wish: _Wish) -> Items:
    for name, (value, _, _) in sorted(wish.workspace.defined(wish.family).items()):
        yield _item(name, CONSTANT, value)


def _words(wish: _Wish) -> Items:
    if any(block.start < wish.offset < block.end for block in blocks(wish.document.words)):
        for name, exported in sorted(wish.scope.functions.items()):
            module, function = exported[-1]
            yield _item(
                name, FUNCTION, f"{module}: {signature(function)}", lore.about_function(module, function)
            )
        for word in STATEMENTS:
            yield _item(word, KEYWORD)
    else:
        for word in sorted(TOP_WORDS):
            yield _item(word, KEYWORD)
        for name in sorted(NAMES | {"listen", "alias"}):
            yield _item(name, PROPERTY, "global parameter", lore.about_setting(name))
    yield from _defines(wish)


Offer = Callable[[_Wish], Items]
_OFFERS: tuple[tuple[str, Offer], ...] = (
    (r"\$[^\s;]*\{(?:[^{}]*\}\{)*([\w.]*)$", _steps),
    (r"(?=\$(\(?))(\$\(?[\w.]*)$", _variables),
    (rf"\b(route|{'|'.join(ARMED_BY)})\(\s*\"?([\w.-]*)$", _routes),
    (r'loadmodulex?\s+"(?:[^"]*/)?([\w.]*)$', _modules),
    (r'modparamx?\(\s*"([\w|]+)"\s*,\s*"(\w*)$', _parameters),
    (r'modparamx?\(\s*"(\w*)$', _loaded),
    (r"(?:#!|!!)(\w*)$", _directives),
    (r"(?:#!|!!)\w+\s+(\w*)$", _defines),
    (r"^(?:[^\"'#]|\"(?:[^\"\\]|\\.)*\"|'[^']*')*?(?<![\w$\"'])([A-Za-z_]\w*)$", _words),
)
