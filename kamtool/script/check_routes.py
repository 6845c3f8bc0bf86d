"""Checks of routes: every name in them, every call, every type, and how the blocks hang together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, Span
from kamtool.module import Routes
from kamtool.script.check_values import ValueChecker
from kamtool.script.nodes import Item, Route
from kamtool.script.scope import ROUTE_NAMES

if TYPE_CHECKING:
    from kamtool.script.check import Checker


class RouteChecker:
    """Checks each routing block as it comes, and the whole program at the end."""

    def __init__(self, checker: Checker, report: Callable[[ConfigError], None]) -> None:
        self.checker, self.report = checker, report
        self.by_name: dict[tuple[Routes, str], Route] = {}
        self.all_names: dict[tuple[Routes, str], Span] = {}
        self.values = ValueChecker(checker, self)

    def collect(self, items: Sequence[Item]) -> None:
        """Note all names first: a route may be called above where it stands."""
        for item in items:
            if isinstance(item, Route):
                self.all_names.setdefault((item.kind, item.name), item.name_span)

    def route(self, item: Route) -> None:
        """One block."""
        key = (item.kind, item.name)
        if item.name and key in self.by_name:
            first = self.by_name[key]
            shown = "route" if item.kind is Routes.REQUEST else ROUTE_NAMES[item.kind]
            self.checker.error(f"there are two {shown}[{item.name}]", item.name_span, "KT1155",
                               f"the first one stands at line {first.span.line}",
                               Span(item.span.file, item.span.end_line, max(item.span.end_column - 1, 1),
                                    item.span.end_line, item.span.end_column))  # fmt: skip
        self.by_name.setdefault(key, item)
        self.values.route(item)

    def whole_program(self) -> None:
        """What only shows when all routes are known."""
