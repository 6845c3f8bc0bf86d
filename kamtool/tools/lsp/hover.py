"""What stands under the pointer, explained."""

from __future__ import annotations

import re

from kamtool.script.explain import EXPLANATIONS
from kamtool.script.scope import Scope
from kamtool.tools.lsp import lore
from kamtool.tools.lsp.document import Document
from kamtool.tools.lsp.names import Key
from kamtool.tools.lsp.scan import Word
from kamtool.tools.lsp.workspace import Workspace

_VARIABLE = re.compile(r"\$(\(*)([A-Za-z_][\w.]*|\?)", re.ASCII)
_STEP = re.compile(r"\{([a-z]\w*(?:\.\w+)*)", re.ASCII)


def hover(workspace: Workspace, document: Document, offset: int) -> tuple[str, int, int] | None:
    """Markdown, and the offsets of what it is about."""
    family = workspace.family(document)
    scope = lore.scope_of(workspace.modules(family))
    named = workspace.key_at(document, offset)
    if named is not None and (text := _named(workspace, document, named.name.key)):
        return text, named.name.start, named.name.end
    number = document.word_at(offset)
    if number < 0:
        return None
    word = document.words[number]
    if word.kind in ("pv", "string") and (found := _variable(word, offset, scope)):
        return found
    if word.kind == "string":
        text = _string(document.words, number)
    elif word.kind == "word":
        text = _word(document.words, number, scope)
    else:
        return None
    return (text, word.start, word.end) if text else None


def _named(workspace: Workspace, document: Document, key: Key) -> str:
    sort, _, name = key
    if sort == "define":
        found = workspace.defined(workspace.family(document)).get(name)
        if found is None:
            return ""
        value, where, start = found
        line = where.position(start)["line"]
        return f"```kamailio\n#!define {name} {value}\n```\n{where.name}:{line + 1}"
    if sort == "route":
        for one in workspace.uses(document, key):
            if one.name.defines:
                where, line = one.document, one.document.position(one.name.start)["line"]
                head = where.line(line).rstrip(" {")
                return f"```kamailio\n{head}\n```\n{where.name}:{line + 1}{_comment(where, line)}"
        return f"there is no `{name}` of this kind of route"
    path = workspace.included(document, name)
    return f"`{path}`" if path else f"there is no file `{name}`"


def _comment(document: Document, line: int) -> str:
    """The comment above a block."""
    rows: list[str] = []
    while line > 0:
        line -= 1
        text = document.line(line).strip()
        if not text.startswith("#") or text.startswith("#!"):
            break
        rows.insert(0, text.strip("#").strip())
    return "\n\n" + "\n".join(rows) if rows else ""


def _variable(word: Word, offset: int, scope: Scope) -> tuple[str, int, int] | None:
    """The variable or transformation at an offset, in code or inside a string."""
    place = offset - word.start
    for found in _STEP.finditer(word.text):
        if found.start(1) <= place <= found.end(1) and (text := lore.about_transformation(scope, found[1])):
            return text, word.start + found.start(1), word.start + found.end(1)
    best: re.Match[str] | None = None
    for found in _VARIABLE.finditer(word.text):
        if found.start() <= place <= found.end():
            best = found
    if best is None:
        return None
    name = best[2]
    while name and name not in scope.pvs:
        name = name[:-1] if word.kind == "string" else ""
    if not name:
        return None
    module, pv = scope.pvs[name]
    return lore.about_variable(module, pv), word.start + best.start(), word.start + best.start(2) + len(name)


def _string(words: list[Word], number: int) -> str:
    """The name of a module or of its parameter."""
    before = [word.text for word in words[max(number - 4, 0) : number]]
    name = words[number].inner
    if before[-1:] in (["loadmodule"], ["loadmodulex"]):
        return lore.about_module(name.rpartition("/")[2].removesuffix(".so"))
    if len(before) > 1 and before[-2] in ("modparam", "modparamx"):
        return "\n\n".join(filter(None, (lore.about_module(each) for each in name.split("|"))))
    if len(before) == 4 and before[0] in ("modparam", "modparamx"):
        for module in words[number - 2].inner.split("|"):
            known = lore.declared(module)
            if known is not None and name in known.params:
                return lore.about_parameter(module, known.params[name])
    return ""


def _word(words: list[Word], number: int, scope: Scope) -> str:
    name = words[number].text
    following = words[number + 1].text if number + 1 < len(words) else ""
    if following != "=" and (found := lore.function_named(scope, name)):
        return lore.about_function(*found)
    return lore.about_setting(name) if following == "=" else ""


def explanation(code: str) -> str:
    """What `kamtool explain` says of a code, "" for none."""
    found = EXPLANATIONS.get(code)
    return f"**{found.title}**\n\n{found.text}" if found else ""
