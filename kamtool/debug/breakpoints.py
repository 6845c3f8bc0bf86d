"""Where to stop: lines, routes, functions, assignments; and when a header, value, response or error says so.

The first four are found once and cost nothing elsewhere. The others must look after every statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from kamtool.debug.words import ROUTE, Mistake, near
from kamtool.errors import ConfigError, ScriptError
from kamtool.script import snippet
from kamtool.script.guards import Action
from kamtool.script.scope import ROUTE_NAMES

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

STATIC = ("line", "route", "function", "assign")
LOOKING = ("header", "watch")
"""Kinds that compare after every statement."""

_LINE = re.compile(r"(?:(?P<file>.+):)?(?P<line>\d+)")
_STATUS = re.compile(r"[1-6](?:\d\d|xx)", re.IGNORECASE)


@dataclass(slots=True)
class Breakpoint:
    """One place to stop. `ignore` hits are let pass first; a log point writes and does not stop."""

    number: int
    text: str
    kind: str
    what: str
    actions: frozenset[Action] = frozenset()
    condition: str = ""
    once: bool = False
    ignore: int = 0
    log: str = ""
    commands: tuple[str, ...] = ()
    enabled: bool = True
    hits: int = 0
    trouble: str = ""
    """Why the condition could not be asked, the last time."""
    holds: Callable[[Any], bool] | None = None
    shown: Callable[[Any], str] | None = None
    value: Callable[[Any], Any] | None = None
    place: str = ""

    def facts(self) -> dict[str, Any]:
        """For a client."""
        return {
            "number": self.number, "text": self.text, "kind": self.kind, "condition": self.condition,
            "once": self.once, "ignore": self.ignore, "log": self.log, "commands": list(self.commands),
            "enabled": self.enabled, "hits": self.hits, "trouble": self.trouble, "place": self.place,
        }  # fmt: skip

    def meets(self, ctx: Context) -> bool:
        """Whether its condition holds and enough hits were let pass; counts the hit."""
        if not self.enabled:
            return False
        if self.holds is not None:
            rc = ctx.rc
            try:
                held = self.holds(ctx)
            except (ScriptError, ConfigError) as error:
                self.trouble, held = str(error), False
            ctx.rc = rc
            if not held:
                return False
        self.hits += 1
        return self.hits > self.ignore

    def matches_status(self, status: int) -> bool:
        """Whether a `reply 4xx` means this response."""
        text = str(status)
        return all(mine in ("x", theirs) for mine, theirs in zip(self.what, text, strict=True))


@dataclass(slots=True)
class Wish:
    """A breakpoint as a client asks for it."""

    text: str
    condition: str = ""
    once: bool = False
    ignore: int = 0
    log: str = ""
    commands: Sequence[str] = field(default_factory=tuple)


def make(number: int, wish: Wish, server: Server, actions: Sequence[Action]) -> Breakpoint:
    """A breakpoint. Raises Mistake for what cannot be a place, ConfigError for a wrong expression."""
    text, _, condition = wish.text.strip().partition(" if ")
    text, condition = text.strip(), (condition or wish.condition).strip()
    kind, what = _kind_of(text)
    made = Breakpoint(
        number, text, kind, what, once=wish.once, ignore=wish.ignore, log=wish.log, condition=condition,
        commands=tuple(wish.commands),
    )  # fmt: skip
    if kind in STATIC:
        found = _FINDERS[kind](what, actions)
        made.actions = frozenset(found)
        first = found[0]
        made.place = f"{first.span.file}:{first.span.line}"
    elif kind == "watch":
        watched = snippet.expression(what, server.script, server)
        if watched.waits:
            raise Mistake(f"`{what}` waits for something and cannot be watched")
        made.value = watched.run
    if condition:
        made.holds = snippet.condition(condition, server.script, server)
    if wish.log:
        made.shown = server.script.format(wish.log, server)
    return made


def _kind_of(text: str) -> tuple[str, str]:
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    if text.startswith("fn:"):
        return "function", text[3:].strip()
    if word in ("fn", "func", "function") and rest:
        return "function", rest
    if word in ("assign", "watch") and rest:
        return word, rest if rest.startswith(("$", '"')) or word == "watch" else f"${rest}"
    if word == "header" and rest:
        return "header", rest.lower()
    if word == "reply" and _STATUS.fullmatch(rest):
        return "reply", rest.lower()
    if text == "error":
        return "error", ""
    if ROUTE.fullmatch(text):
        return "route", text
    if _LINE.fullmatch(text):
        return "line", text
    raise Mistake(
        f"`{text}` is no place to stop",
        "a line `57` or `file.cfg:57`, `route[NAME]`, `fn:t_relay`, `assign $du`, `header Contact`, "
        "`reply 4xx`, `error`, `watch $ru`",
    )


def _lines(what: str, actions: Sequence[Action]) -> list[Action]:
    match = _LINE.fullmatch(what)
    assert match is not None
    line = int(match["line"])
    file = match["file"] or (actions[0].span.file if actions else "")
    here = [action for action in actions if same_file(action.span.file, file)]
    if not here:
        files = sorted({PurePath(action.span.file).name for action in actions})
        raise Mistake(f"no statement stands in {file}", f"the cfg is made of {', '.join(files)}")
    # A line without a statement means the next one that has one, as in every debugger.
    lines = sorted(action.span.line for action in here if action.span.line >= line)
    if not lines:
        raise Mistake(f"there is no statement at or behind line {line}")
    return [action for action in here if action.span.line == lines[0]]


def same_file(file: str, wish: str) -> bool:
    """Whether a file is meant: by its whole name, or by the end of its path."""
    return file == wish or PurePath(file).parts[-len(PurePath(wish).parts) :] == PurePath(wish).parts


def block_of(action: Action) -> str:
    """The block that a statement stands in, as the cfg writes it."""
    word = ROUTE_NAMES[action.kind]
    if word == "request_route":
        return f"route[{action.route}]" if action.route else word
    return f"{word}[{action.route}]" if action.route else word


def _routes(what: str, actions: Sequence[Action]) -> list[Action]:
    wish = "request_route" if what in ("route", "request_route", "route[0]") else what
    found = [action for action in actions if block_of(action) == wish]
    if not found:
        raise Mistake(f"there is no {what} with a statement in it", near(what, map(block_of, actions)))
    return found[:1]


def _functions(what: str, actions: Sequence[Action]) -> list[Action]:
    name = what.removesuffix("()")
    found = [action for action in actions if action.name == name]
    if not found:
        raise Mistake(f"the cfg does not call {name}", near(name, (action.name for action in actions)))
    return found


def _assignments(what: str, actions: Sequence[Action]) -> list[Action]:
    def spelt(text: str) -> str:
        return text.replace(" ", "").replace("$(", "$").removesuffix(")") if text.startswith("$(") else text

    found = [action for action in actions if action.target and spelt(action.target) == spelt(what)]
    if not found:
        targets = (action.target for action in actions if action.target)
        raise Mistake(
            f"nothing is assigned to {what} in the cfg",
            near(what, targets) or f"`break watch {what}` also sees what functions do to it",
        )
    return found


_FINDERS: dict[str, Callable[[str, Sequence[Action]], list[Action]]] = {
    "line": _lines, "route": _routes, "function": _functions, "assign": _assignments,
}  # fmt: skip


def by_action(breakpoints: Iterable[Breakpoint]) -> dict[Action, tuple[Breakpoint, ...]]:
    """The breakpoints of each statement that has any."""
    found: dict[Action, tuple[Breakpoint, ...]] = {}
    for each in breakpoints:
        if each.enabled:
            for action in each.actions:
                found[action] = (*found.get(action, ()), each)
    return found
