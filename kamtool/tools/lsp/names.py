"""Where routes, defines and includes are named in a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from kamtool.module import Routes
from kamtool.script.check_calls import ARMED_BY
from kamtool.script.parser import ROUTE_WORDS
from kamtool.tools.lsp.scan import Word

Sort = Literal["route", "define", "include"]
Key = tuple[Sort, str, str]
"""What is named: sort, kind of route ("" for others), name."""

_DIRECTIVE = re.compile(r"(?:#!|!!)(\w+)[ \t]*", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_DEFINING = frozenset("define def trydef trydefine redef redefine defenv trydefenv defexp defexps".split())  # noqa: SIM905
_IN_VARIABLE = re.compile(r"\$defn?\((\w+)\)", re.ASCII)
_IN_PARAMETER = re.compile(r"route=([\w.-]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Name:
    """One place that names something; `defines` when it is where that is made."""

    key: Key
    start: int
    end: int
    defines: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """A routing block: its heading's key, and where it begins, is named and ends."""

    key: Key
    start: int
    name_start: int
    name_end: int
    end: int


def route_key(kind: Routes, name: str) -> Key:
    return ("route", kind.name or "", name)


def blocks(words: Sequence[Word]) -> Iterator[Block]:
    """Every routing block, the unfinished last one too."""
    number = 0
    while number < len(words):
        word = words[number]
        if word.kind != "word" or word.text not in ROUTE_WORDS or not _heads(words, number):
            number += 1
            continue
        unnamed, named = ROUTE_WORDS[word.text]
        kind, name, first, last = unnamed, "", word, word
        following = number + 1
        if _text(words, following) == "[":
            closing = following
            while closing < len(words) and words[closing].text not in ("]", "{"):
                closing += 1
            inside = words[following + 1 : closing]
            if inside:
                kind, first, last = named, inside[0], inside[-1]
                name = "".join(each.inner for each in inside)
            following = closing + 1
        end, number = _closing(words, following)
        yield Block(route_key(kind, name), word.start, first.start, last.end, end)


def _heads(words: Sequence[Word], number: int) -> bool:
    return _text(words, number + 1) in ("[", "{")


def _text(words: Sequence[Word], number: int) -> str:
    return words[number].text if 0 <= number < len(words) else ""


def _closing(words: Sequence[Word], number: int) -> tuple[int, int]:
    """The end of the block that opens at a token, and the token behind it."""
    depth = 0
    while number < len(words):
        text = words[number].text
        depth += (text == "{") - (text == "}")
        number += 1
        if depth <= 0:
            break
    return (words[number - 1].end if number else 0), number


def names(words: Sequence[Word], defines: frozenset[str]) -> Iterator[Name]:
    """Every name in a file; `defines` are those that any file makes."""
    for block in blocks(words):
        if block.key[2]:
            yield _named(block.key, block.name_start, block.name_end, words, True)
    for number, word in enumerate(words):
        if word.kind == "directive":
            yield from _in_directive(word, defines)
        elif word.kind == "word":
            if word.text in ("include_file", "import_file") and number + 1 < len(words):
                following = words[number + 1]
                if following.kind == "string":
                    yield Name(("include", "", following.inner), following.start, following.end)
            elif word.text in defines:
                yield Name(("define", "", word.text), word.start, word.end)
            elif word.text == "route" or word.text in ARMED_BY:
                yield from _call(words, number)
            elif word.text in ("modparam", "modparamx"):
                yield from _parameter(words, number)
        elif word.kind in ("pv", "string"):
            for found in _IN_VARIABLE.finditer(word.text):
                if found[1] in defines:
                    yield Name(
                        ("define", "", found[1]), word.start + found.start(1), word.start + found.end(1)
                    )


def _named(key: Key, start: int, end: int, words: Sequence[Word], defines: bool) -> Name:
    """Without the quotes that may stand around it."""
    for word in words:
        if word.start == start and word.end == end and word.kind == "string":
            return Name(key, start + 1, end - 1, defines)
        if word.start > start:
            break
    return Name(key, start, end, defines)


def _call(words: Sequence[Word], number: int) -> Iterator[Name]:
    """`route(NAME)` and `t_on_failure("NAME")`."""
    if _text(words, number + 1) != "(" or number + 2 >= len(words) or _text(words, number + 3) != ")":
        return
    word, name = words[number], words[number + 2]
    if name.kind not in ("word", "string", "number"):
        return
    kind = ARMED_BY.get(word.text, Routes.REQUEST)
    quoted = int(name.kind == "string")
    yield Name(route_key(kind, name.inner), name.start + quoted, name.start + quoted + len(name.inner))


def _parameter(words: Sequence[Word], number: int) -> Iterator[Name]:
    """A module's parameter that names a route: `timer=t;route=NAME`, or on_sl_reply."""
    strings = [word for word in words[number + 1 : number + 7] if word.kind == "string"]
    if len(strings) < 3:
        return
    value = strings[2]
    for found in _IN_PARAMETER.finditer(value.text):
        start = value.start + found.start(1)
        yield Name(route_key(Routes.REQUEST, found[1]), start, start + len(found[1]))
    if strings[1].inner == "on_sl_reply":
        yield Name(
            route_key(Routes.ONREPLY, value.inner), value.start + 1, value.start + 1 + len(value.inner)
        )


def _in_directive(word: Word, defines: frozenset[str]) -> Iterator[Name]:
    found = _DIRECTIVE.match(word.text)
    if found is None:
        return
    directive, rest = found[1], found.end()
    if directive in ("include_file", "import_file"):
        text = word.text[rest:].strip().strip('"')
        start = word.start + word.text.find(text, rest)
        yield Name(("include", "", text), start, start + len(text))
        return
    if directive.startswith("subst"):
        if directive != "subst" and (name := _NAME.search(word.text, rest)):
            yield Name(("define", "", name[0]), word.start + name.start(), word.start + name.end(), True)
        return
    for place, name in enumerate(_NAME.finditer(word.text, rest)):
        makes = place == 0 and directive in _DEFINING
        if makes or name[0] in defines:
            yield Name(("define", "", name[0]), word.start + name.start(), word.start + name.end(), makes)


def defines_in(words: Sequence[Word]) -> dict[str, tuple[str, int]]:
    """The names that directives make, each with its value as written and where."""
    found: dict[str, tuple[str, int]] = {}
    for word in words:
        if word.kind != "directive":
            continue
        for name in _in_directive(word, frozenset()):
            if name.defines:
                value = word.text[name.end - word.start :].strip()
                found.setdefault(name.key[2], (value, name.start))
    return found


def loads_in(words: Sequence[Word]) -> list[tuple[str, Word]]:
    """The modules that are loaded, in any branch, each with its string."""
    return [
        (words[number + 1].inner.rpartition("/")[2].removesuffix(".so"), words[number + 1])
        for number, word in enumerate(words[:-1])
        if word.text in ("loadmodule", "loadmodulex") and words[number + 1].kind == "string"
    ]
