"""How the blocks of a cfg hang together: names, calls between them, and what can never run."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, Span
from kamtool.module import Routes
from kamtool.script.check_calls import CallChecker
from kamtool.script.check_flow import check_flow
from kamtool.script.likely import likely
from kamtool.script.nodes import Item, ModParam, Route, Setting
from kamtool.script.scope import ROUTE_NAMES

if TYPE_CHECKING:
    from kamtool.script.checker import Checker


CORE_EVENTS = frozenset(["core", "tcp", "network", "sip", "server"])
"""What event routes begin with that belong to no module."""


class RouteChecker:
    """Checks each routing block as it comes, and the whole program at the end."""

    def __init__(self, checker: Checker, report: Callable[[ConfigError], None]) -> None:
        self.checker, self.report = checker, report
        self.by_name: dict[tuple[Routes, str], Route] = {}
        self.all_names: dict[tuple[Routes, str], Route] = {}
        self.used: dict[tuple[Routes, str], list[tuple[Span, str]]] = {}
        self.mentioned: set[str] = set()
        """Texts that functions are given: `async_route("RESUME", "2")` names a route."""
        self.is_dynamic = False
        """Whether some `route($x)` may call any route."""
        self.values = CallChecker(checker, self)

    def collect(self, items: Sequence[Item]) -> None:
        """Note all names first: a route may be called above where it stands."""
        for item in items:
            if isinstance(item, Route):
                self.all_names.setdefault((item.kind, item.name), item)

    def route(self, item: Route) -> None:
        """One block."""
        key = (item.kind, item.name)
        if item.name and key in self.by_name:
            first = self.by_name[key]
            end = Span(
                item.span.file,
                item.span.end_line,
                max(item.span.end_column - 1, 1),
                item.span.end_line,
                item.span.end_column,
            )
            self.checker.error(
                f"there are two {_shown(*key)}",
                item.name_span,
                "KT1155",
                f"the first one stands at line {first.span.line}",
                end,
            )
        self.by_name.setdefault(key, item)
        self.values.route(item)
        check_flow(item, self.checker)

    def called(self, name: str, span: Span) -> None:
        """`route(name)`."""
        self.used.setdefault((Routes.REQUEST, "" if name == "0" else name), []).append((span, "route"))

    def armed(self, kind: Routes, name: str, span: Span, by: str) -> None:
        """A function was given the name of a route to run later."""
        self.used.setdefault((kind, name), []).append((span, by))

    def undefined(self, unread: Iterable[str]) -> None:
        """Calls that go nowhere; `unread` names routes that could not be read but are there."""
        there = set(unread)
        for (kind, name), uses in self.used.items():
            if (kind, name) in self.all_names or (name == "0" and (kind, "") in self.all_names):
                continue
            if name in there or (there and not name):
                continue
            if not name and by_kind(self.all_names, kind):
                continue
            for span, by in uses:
                self._missing(kind, name, span, by)

    def whole_program(self) -> None:
        """What only shows when all routes are known: blocks that nothing calls, events that nothing runs."""
        if not self._is_foreign():
            self._unused()
        self._events()
        if self._is_foreign():
            return
        if not any(key == (Routes.REQUEST, "") for key in self.all_names):
            item = self.checker.items[-1] if self.checker.items else None
            if item is not None:
                self.checker.warn(
                    "there is no request_route: every request will be ignored", item.span, "KT1309"
                )

    def _is_foreign(self) -> bool:
        """Whether another language routes, which may call any block: `cfgengine "python"`."""
        engines = [
            item.value
            for item in self.checker.items
            if isinstance(item, Setting) and item.name == "cfgengine"
        ]
        return any(engine not in ("native", "default") for engine in engines)

    def _missing(self, kind: Routes, name: str, span: Span, by: str) -> None:
        if not name:
            if by == "route":
                self.checker.error("there is no request_route to call", span, "KT1153")
            return
        near = likely(name, [n for k, n in self.all_names if k is kind and n], 1, 0.6)
        hint = f"did you mean {_shown(kind, near[0])}?" if near else ""
        if by == "route":
            self.checker.error(f"there is no {_shown(kind, name)}", span, "KT1153", hint)
        else:
            self.checker.warn(f"there is no {_shown(kind, name)}: `{by}` does nothing", span, "KT1310", hint)

    def _events(self) -> None:
        """An event route is run by the module it names first: one that is not loaded never runs it."""
        for (kind, name), route in self.all_names.items():
            module = name.partition(":")[0]
            if (
                kind is Routes.EVENT
                and module not in self.checker.scope.modules
                and module not in self.checker.missing
                and module not in CORE_EVENTS
            ):
                self.checker.warn(
                    f"module `{module}` is not loaded: nothing runs event_route[{name}]",
                    route.name_span,
                    "KT1320",
                )

    def _unused(self) -> None:
        """A block that neither a call nor a modparam names. Event routes are called from outside."""
        texts = " ".join(str(item.value) for item in self.checker.items if isinstance(item, ModParam))
        for (kind, name), route in self.all_names.items():
            if not name or kind is Routes.EVENT or (kind is Routes.REQUEST and self.is_dynamic):
                continue
            if (
                (kind, name) not in self.used
                and name not in self.mentioned
                and not re.search(rf"\b{re.escape(name)}\b", texts)
            ):
                self.checker.warn(f"nothing calls {_shown(kind, name)}", route.name_span, "KT1311")


def by_kind(names: dict[tuple[Routes, str], Route], kind: Routes) -> bool:
    """Whether the unnamed block of a kind exists."""
    return (kind, "") in names


def _shown(kind: Routes, name: str) -> str:
    return f"{'route' if kind is Routes.REQUEST else ROUTE_NAMES[kind]}[{name}]"
