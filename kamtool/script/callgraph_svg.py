"""A call graph as a picture: columns from left to right, arrows for calls, dashed ones for what is armed.

The usual layers: a node stands right of all that lead to it (edges that close a circle are turned round for
that), long edges pass through every layer between, and each layer is put in the order of its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from xml.sax.saxutils import escape

from kamtool.script.callgraph import Edge, Graph, Key, title
from kamtool.script.callgraph_text import ANY_ROUTE

HEIGHT, GAP, BETWEEN, MARGIN = 30.0, 14.0, 90.0, 24.0
LETTER = 7.3
"""About the width of a letter of 12 pixels in a font of one width."""
SWEEPS = 12

Place = Key | None | int
"""A block, the unknown route, or a number: a place where a long edge passes."""


@dataclass(slots=True)
class Node:
    """Something in a layer."""

    layer: int
    width: float = 0.0
    x: float = 0.0
    y: float = 0.0
    before: list[Place] = field(default_factory=list)
    after: list[Place] = field(default_factory=list)

    @property
    def right(self) -> float:
        return self.x + self.width


@dataclass(slots=True)
class Arrow:
    """One edge and the places it passes, from its source to its target."""

    source: Key
    target: Key | None
    edges: list[Edge]
    path: list[Place] = field(default_factory=list)


def svg(graph: Graph) -> str:
    """The picture as one file that needs no other."""
    arrows = [Arrow(key, target, edges) for key in graph.blocks for target, edges in graph.targets(key)]
    nodes: dict[Place, Node] = {key: Node(0, _width(key)) for key in graph.keys}
    if any(arrow.target is None for arrow in arrows):
        nodes[None] = Node(0, _width(None))
    backward = _layer(graph, nodes, arrows)
    _pass_through(nodes, arrows, backward)
    layers = _order(nodes)
    _place(nodes, layers)
    return _draw(graph, nodes, arrows)


def _name(key: Key | None) -> str:
    return ANY_ROUTE if key is None else title(key)


def _width(key: Key | None) -> float:
    return len(_name(key)) * LETTER + 24


def _layer(graph: Graph, nodes: dict[Place, Node], arrows: list[Arrow]) -> set[tuple[Place, Place]]:
    """Give each node its layer; the edges that close a circle."""
    after: dict[Place, list[Place]] = {key: [] for key in nodes}
    for arrow in arrows:
        after[arrow.source].append(arrow.target)
    backward: set[tuple[Place, Place]] = set()
    finished: list[Place] = []
    state: dict[Place, int] = {}
    for start in [*graph.entries, *nodes]:
        if start in state:
            continue
        state[start] = 1
        stack = [(start, list(reversed(after[start])))]
        while stack:
            key, rest = stack[-1]
            if not rest:
                state[key] = 2
                finished.append(key)
                stack.pop()
                continue
            following = rest.pop()
            if state.get(following) == 1:
                backward.add((key, following))
            elif following not in state:
                state[following] = 1
                stack.append((following, list(reversed(after[following]))))
    for key in reversed(finished):
        for following in after[key]:
            if (key, following) not in backward:
                nodes[following].layer = max(nodes[following].layer, nodes[key].layer + 1)
    return backward


def _pass_through(nodes: dict[Place, Node], arrows: list[Arrow], backward: set[tuple[Place, Place]]) -> None:
    """Put a narrow place into each layer that an edge crosses, and tie neighbours together."""
    number = 0
    for arrow in arrows:
        ends: tuple[Place, Place] = (arrow.source, arrow.target)
        first, last = reversed(ends) if ends in backward else ends
        path: list[Place] = [first]
        for layer in range(nodes[first].layer + 1, nodes[last].layer):
            nodes[number] = Node(layer)
            path.append(number)
            number += 1
        path.append(last)
        if first != last:
            for one, other in pairwise(path):
                nodes[one].after.append(other)
                nodes[other].before.append(one)
        arrow.path = path[::-1] if ends in backward else path


def _order(nodes: dict[Place, Node]) -> list[list[Place]]:
    """The layers, each in the order of the middle of its neighbours, swept to and fro."""
    layers: list[list[Place]] = [
        [] for _ in range(1 + max((node.layer for node in nodes.values()), default=0))
    ]
    for key, node in nodes.items():
        layers[node.layer].append(key)
    rank = {key: float(place) for layer in layers for place, key in enumerate(layer)}
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for layer in layers if forth else reversed(layers):
            middles = [_middle(nodes[key].before if forth else nodes[key].after, rank) for key in layer]
            wishes = [rank[key] if m is None else m for key, m in zip(layer, middles, strict=True)]
            layer[:] = [key for _, _, key in sorted(zip(wishes, range(len(layer)), layer, strict=True))]
            rank.update((key, float(place)) for place, key in enumerate(layer))
    return layers


def _middle(neighbours: list[Place], rank: dict[Place, float]) -> float | None:
    return sum(rank[each] for each in neighbours) / len(neighbours) if neighbours else None


def _place(nodes: dict[Place, Node], layers: list[list[Place]]) -> None:
    """Coordinates: x by layer; y near the neighbours, none on another."""
    x = MARGIN
    for layer in layers:
        for key in layer:
            nodes[key].x = x
        widest = max((nodes[key].width for key in layer), default=0.0)
        for key in layer:
            if not nodes[key].width:
                nodes[key].width = widest  # an edge passes straight through
        x += widest + BETWEEN
        for place, key in enumerate(layer):
            nodes[key].y = place * (HEIGHT + GAP)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for layer in layers if forth else reversed(layers):
            wishes = []
            for key in layer:
                near = nodes[key].before if forth else nodes[key].after
                wishes.append(sum(nodes[k].y for k in near) / len(near) if near else nodes[key].y)
            _settle(nodes, layer, wishes)
    top = min((node.y for node in nodes.values()), default=0.0)
    for node in nodes.values():
        node.y += MARGIN - top


def _settle(nodes: dict[Place, Node], layer: list[Place], wishes: list[float]) -> None:
    """As near to the wishes as order and room allow: pushed down first, then as a whole to the mean."""
    lowest = float("-inf")
    for key, wish in zip(layer, wishes, strict=True):
        nodes[key].y = max(wish, lowest)
        lowest = nodes[key].y + (HEIGHT if isinstance(key, tuple | None) else HEIGHT / 2) + GAP
    if layer:
        shift = sum(w - nodes[k].y for k, w in zip(layer, wishes, strict=True)) / len(layer)
        for key in layer:
            nodes[key].y += shift


STYLE = """
text { font: 12px ui-monospace, monospace; fill: #1b2733; }
rect.block { fill: #f4f7fb; stroke: #4a6785; rx: 5px; }
rect.entry { fill: #dbe9f9; stroke-width: 2px; }
rect.unused { fill: #fff; stroke: #999; stroke-dasharray: 4 3; }
rect.undefined { fill: #fdeaea; stroke: #c22; }
text.unused { fill: #777; } text.undefined { fill: #c22; }
path.edge { fill: none; stroke: #5c7790; stroke-width: 1.3px; }
path.arms { stroke: #a0641e; stroke-dasharray: 5 3; }
text.arms { fill: #a0641e; font-size: 10px; }
text.small { fill: #667; font-size: 10px; }
""".strip()


def _draw(graph: Graph, nodes: dict[Place, Node], arrows: list[Arrow]) -> str:
    boxes = [node for key, node in nodes.items() if not isinstance(key, int)]
    width = max((node.right for node in boxes), default=0.0) + MARGIN + 30
    height = max((node.y for node in nodes.values()), default=0.0) + HEIGHT + 2 * MARGIN + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}"'
        f' width="{width:.0f}" height="{height:.0f}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"'
        ' orient="auto"><path d="M0 0L8 4L0 8z" fill="#5c7790"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    parts += [_arrow(nodes, arrow) for arrow in arrows]
    parts += [_box(graph, key, node) for key, node in nodes.items() if not isinstance(key, int)]
    parts.append(_legend(height - MARGIN + 6))
    return "\n".join([*parts, "</svg>\n"])


def _arrow(nodes: dict[Place, Node], arrow: Arrow) -> str:
    points = [nodes[key] for key in arrow.path]
    start, end = points[0], points[-1]
    middle = HEIGHT / 2
    if arrow.source == arrow.target:
        x, y = start.right, start.y
        line = f"M{x:.1f} {y + 8:.1f}c28 -14 28 30 2 14"
    elif end.layer > start.layer:
        line = f"M{start.right:.1f} {start.y + middle:.1f}"
        for one, other in pairwise(points):
            line += _curve(one.right, one.y + middle, other.x, other.y + middle)
            if other is not end:
                line += f"H{other.right:.1f}"
    else:
        line = f"M{start.x:.1f} {start.y + middle:.1f}"
        for one, other in pairwise(points):
            line += _curve(one.x, one.y + middle, other.right, other.y + middle)
            if other is not end:
                line += f"H{other.x:.1f}"
    by = ", ".join(dict.fromkeys(edge.by for edge in arrow.edges if edge.by != "route"))
    lines = ", ".join(dict.fromkeys(str(edge.span.line) for edge in arrow.edges))
    kind = "edge arms" if by else "edge"
    tip = escape(f"{title(arrow.source)} → {_name(arrow.target)}: {by or 'route'}, line {lines}")
    return f'<path class="{kind}" marker-end="url(#head)" d="{line}"><title>{tip}</title></path>'


def _curve(x1: float, y1: float, x2: float, y2: float) -> str:
    bend = (x2 - x1) / 2
    return f"C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"


def _box(graph: Graph, key: Key | None, node: Node) -> str:
    kind = ""
    if key is not None:
        kind = "entry" if key in graph.entries else "undefined" if key in graph.undefined else ""
        kind = "unused" if key in graph.unused or key in graph.unreachable else kind
    span = graph.blocks.get(key) if key is not None else None
    tip = f"<title>{escape(f'{span.file}:{span.line}')}</title>" if span else ""
    rect = (
        f'<rect class="block {kind}" x="{node.x:.1f}" y="{node.y:.1f}" width="{node.width:.1f}"'
        f' height="{HEIGHT:.0f}">{tip}</rect>'
    )
    text = (
        f'<text class="{kind}" x="{node.x + node.width / 2:.1f}" y="{node.y + HEIGHT / 2 + 4:.1f}"'
        f' text-anchor="middle">{escape(_name(key))}</text>'
    )
    return rect + text


def _legend(y: float) -> str:
    return (
        f'<text class="small" x="{MARGIN:.0f}" y="{y:.0f}">blue: run by the server · arrow: calls · '
        "dashed arrow: arms (t_on_…) · dashed box: nothing leads there · red: undefined</text>"
    )
