"""Who calls which route, and which route arms which: the call graph of a cfg."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kamtool.errors import ConfigError, Span
from kamtool.module import Kind, Routes
from kamtool.script.check_calls import ARMED_BY
from kamtool.script.fold import fold
from kamtool.script.nodes import (
    Call,
    Expression,
    Item,
    Load,
    ModParam,
    Number,
    Route,
    RouteCall,
    String,
    Word,
)
from kamtool.script.scope import ROUTE_NAMES, Scope
from kamtool.script.walk import walk

Key = tuple[Routes, str]


def title(key: Key) -> str:
    """A block as a cfg names it: `route[RELAY]`, `request_route`."""
    kind, name = key
    if not name:
        return ROUTE_NAMES[kind]
    return f"{'route' if kind is Routes.REQUEST else ROUTE_NAMES[kind]}[{name}]"


@dataclass(frozen=True, slots=True)
class Edge:
    """One place where a block names another. `by` is `route` or the function that arms it.

    `target` is None where only the running script knows which route is called.
    """

    source: Key
    target: Key | None
    by: str
    span: Span


@dataclass(slots=True)
class Graph:
    """All blocks of a cfg, those that are named and do not exist among them."""

    blocks: dict[Key, Span] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    entries: list[Key] = field(default_factory=list)
    """What the server itself runs: unnamed blocks, event routes, and what a modparam names."""
    undefined: set[Key] = field(default_factory=set)
    unused: set[Key] = field(default_factory=set)
    """Blocks that nothing names."""
    unreachable: set[Key] = field(default_factory=set)
    """Blocks that only unused ones lead to."""

    @property
    def keys(self) -> list[Key]:
        """Every block, then every name that is none."""
        return [*self.blocks, *sorted(self.undefined, key=title)]

    def targets(self, source: Key) -> list[tuple[Key | None, list[Edge]]]:
        """What a block leads to, each once, with the places that do so, in their order."""
        found: dict[Key | None, list[Edge]] = {}
        for edge in self.edges:
            if edge.source == source:
                found.setdefault(edge.target, []).append(edge)
        return list(found.items())


def call_graph(items: Sequence[Item]) -> Graph:
    """The graph of a parsed cfg, be it complete or not."""
    graph = Graph()
    routes = [item for item in items if isinstance(item, Route)]
    for route in routes:
        graph.blocks.setdefault((route.kind, route.name), route.span)
    armed = _arming(items)
    for route in routes:
        graph.edges += _edges(route, armed, graph)
    texts = " ".join(str(item.value) for item in items if isinstance(item, ModParam))
    graph.entries = [
        key
        for key in graph.blocks
        if not key[1] or key[0] is Routes.EVENT or re.search(rf"(?<!\w){re.escape(key[1])}(?!\w)", texts)
    ]
    _mark(graph)
    return graph


def _arming(items: Sequence[Item]) -> dict[str, tuple[int, Routes]]:
    """Functions that take the name of a route: which argument, and which kind."""
    scope = Scope.core()
    for item in items:
        if isinstance(item, Load) and item.name not in scope.modules:
            try:
                scope.load(item.name)
            except (ConfigError, ImportError):
                continue  # a module that is not built: its functions are not known
    # These are known even where their module is loaded by a file that was not read.
    found = {name: (0, kind) for name, kind in ARMED_BY.items()}
    for name, exported in scope.functions.items():
        for place, parameter in enumerate(exported[-1][1].parameters):
            if parameter.kind is Kind.ROUTE:
                found[name] = (place, ARMED_BY.get(name, Routes.REQUEST))
    return found


def _edges(route: Route, armed: dict[str, tuple[int, Routes]], graph: Graph) -> Iterator[Edge]:
    source = (route.kind, route.name)
    for node in walk(route.body):
        if isinstance(node, RouteCall):
            name = _constant(node.name)
            target = None if name is None else _existing(graph, Routes.REQUEST, name)
            yield Edge(source, target, "route", node.span)
        elif isinstance(node, Call) and node.name in armed:
            place, kind = armed[node.name]
            name = _constant(node.arguments[place]) if place < len(node.arguments) else ""
            # t_on_failure("0") disarms.
            if name != "" and not (name == "0" and (kind, "") not in graph.blocks):
                target = None if name is None else _existing(graph, kind, name)
                yield Edge(source, target, node.name, node.span)


def _existing(graph: Graph, kind: Routes, name: str) -> Key:
    """`route(0)` is the request_route."""
    return (kind, "") if name == "0" and (kind, "") in graph.blocks else (kind, name)


def _constant(expression: Expression) -> str | None:
    value = fold(expression)
    if not isinstance(value, Word | String | Number):
        return None
    text = str(value.value)
    return None if isinstance(value, String) and "$" in text else text


def _mark(graph: Graph) -> None:
    named = {edge.target for edge in graph.edges if edge.target is not None and edge.target != edge.source}
    targets = {edge.target for edge in graph.edges if edge.target is not None}
    graph.undefined = targets - set(graph.blocks)
    reached = set(graph.entries)
    waiting = list(graph.entries)
    while waiting:
        for target, _ in graph.targets(waiting.pop()):
            # A name that only the running script knows may be that of any route.
            found = [target] if target is not None else [k for k in graph.blocks if k[0] is Routes.REQUEST]
            waiting += [key for key in found if key not in reached]
            reached.update(found)
    for key in graph.blocks:
        if key not in reached:
            (graph.unreachable if key in named else graph.unused).add(key)
