"""A call graph as text: a tree for people, JSON, Mermaid and DOT for programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kamtool.errors import Span
from kamtool.script.callgraph import Edge, Graph, Key, title
from kamtool.script.scope import ROUTE_NAMES

ANY_ROUTE = "route(…)"


def tree(graph: Graph) -> Iterator[str]:
    """From each entry down what it leads to; a block that stands above is not opened again."""
    shown: set[Key] = set()
    first = True
    for key in [*graph.entries, *sorted(graph.unused, key=title), *sorted(graph.unreachable, key=title)]:
        if key in shown and key not in graph.entries:
            continue
        if not first:
            yield ""
        first = False
        yield f"{title(key)}  {_place(graph.blocks[key])}{_mark(graph, key)}"
        shown.add(key)
        yield from _below(graph, key, "", shown, [key])


def _below(graph: Graph, key: Key, margin: str, shown: set[Key], path: list[Key]) -> Iterator[str]:
    targets = graph.targets(key)
    for number, (target, edges) in enumerate(targets):
        last = number == len(targets) - 1
        yield f"{margin}{'└─' if last else '├─'} {_row(graph, target, edges, shown, path)}"
        if target is not None and target in graph.blocks and target not in shown:
            shown.add(target)
            yield from _below(graph, target, margin + ("   " if last else "│  "), shown, [*path, target])


def _row(graph: Graph, target: Key | None, edges: list[Edge], shown: set[Key], path: list[Key]) -> str:
    by = ", ".join(dict.fromkeys(edge.by for edge in edges if edge.by != "route"))
    lines = ", ".join(dict.fromkeys(str(edge.span.line) for edge in edges))
    name = ANY_ROUTE if target is None else title(target)
    row = f"{by} → {name}" if by else name
    row += f"  line{'s' if ',' in lines else ''} {lines}"
    if target is None:
        return f"{row}  any route: the name is only known at run time"
    if target in graph.undefined:
        return f"{row}  UNDEFINED"
    if target in path:
        return f"{row}  again"
    return f"{row}  above" if target in shown and graph.targets(target) else row


def _mark(graph: Graph, key: Key) -> str:
    if key in graph.unused:
        return "  UNUSED"
    return "  UNREACHABLE" if key in graph.unreachable else ""


def _place(span: Span) -> str:
    return f"{span.file}:{span.line}"


def data(graph: Graph) -> dict[str, Any]:
    """The graph for programs: `blocks`, `edges`, `undefined`; `to` is null for a name of run time."""
    blocks = [
        {
            "title": title(key), "kind": ROUTE_NAMES[key[0]], "name": key[1], "file": span.file,
            "line": span.line, "end_line": span.end_line, "entry": key in graph.entries,
            "unused": key in graph.unused, "unreachable": key in graph.unreachable,
        }
        for key, span in graph.blocks.items()
    ]  # fmt: skip
    edges = [
        {
            "from": title(edge.source), "to": None if edge.target is None else title(edge.target),
            "by": edge.by, "file": edge.span.file, "line": edge.span.line, "column": edge.span.column,
        }
        for edge in graph.edges
    ]  # fmt: skip
    return {"blocks": blocks, "edges": edges, "undefined": sorted(map(title, graph.undefined))}


def _numbered(graph: Graph) -> tuple[dict[Key | None, str], list[tuple[Key | None, Key | None, list[Edge]]]]:
    """An identifier for each node, None's among them when it is wanted, and the edges, each pair once."""
    pairs = [(key, target, edges) for key in graph.blocks for target, edges in graph.targets(key)]
    names: dict[Key | None, str] = {key: f"n{number}" for number, key in enumerate(graph.keys)}
    if any(target is None for _, target, _ in pairs):
        names[None] = "any"
    return names, list(pairs)


def _label(edges: list[Edge]) -> str:
    return ", ".join(dict.fromkeys(edge.by for edge in edges if edge.by != "route"))


def mermaid(graph: Graph) -> Iterator[str]:
    """For an issue or a README: what stands between ```mermaid and ```."""
    names, pairs = _numbered(graph)
    yield "flowchart LR"
    for key, name in names.items():
        text = ANY_ROUTE if key is None else title(key).replace('"', "#quot;")
        left, right = ("([", "])") if key in graph.entries else ("[", "]")
        yield f'    {name}{left}"{text}"{right}{_class(graph, key)}'
    for source, target, edges in pairs:
        label = _label(edges)
        arrow = f"-. {label} .->" if label else "-->"
        yield f"    {names[source]} {arrow} {names[target]}"
    yield "    classDef unused stroke-dasharray: 4 3,color:#777"
    yield "    classDef undefined stroke:#c22,color:#c22"


def _class(graph: Graph, key: Key | None) -> str:
    if key in graph.undefined:
        return ":::undefined"
    return ":::unused" if key in graph.unused or key in graph.unreachable else ""


def dot(graph: Graph) -> Iterator[str]:
    """For Graphviz."""
    names, pairs = _numbered(graph)
    yield "digraph routes {"
    yield "    rankdir=LR; node [shape=box, fontname=sans];"
    for key, name in names.items():
        text = ANY_ROUTE if key is None else title(key)
        style = ", color=red" if key in graph.undefined else ""
        style = ", style=dashed" if key in graph.unused or key in graph.unreachable else style
        style = ", style=rounded" if key in graph.entries else style
        yield f'    {name} [label="{_escaped(text)}"{style}];'
    for source, target, edges in pairs:
        label = _label(edges)
        style = f' [style=dashed, label="{label}"]' if label else ""
        yield f"    {names[source]} -> {names[target]}{style};"
    yield "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
