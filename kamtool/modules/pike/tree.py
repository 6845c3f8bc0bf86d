"""The tree of addresses, an octet a level, that grows where requests come from.

A node becomes the parent of a further octet once it was hit for a quarter of the limit, and hands its hits
down; a whole address is a leaf, and red when it was hit for the limit in this unit of time or the last.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

RED, NEWLY_RED = 1, 2


class Node:
    """One octet of an address. The counts are those of the unit `unit`; see Tree._turn."""

    __slots__ = (
        "before", "current", "family", "is_leaf", "is_red", "key", "kids", "leaf_before", "leaf_current",
        "unit",
    )  # fmt: skip

    def __init__(self, key: bytes, family: int, current: int, unit: int) -> None:
        self.key, self.family = key, family
        self.kids: dict[int, Node] = {}
        self.before, self.current = 0, current
        self.leaf_before, self.leaf_current = 0, 0
        self.is_leaf = self.is_red = False
        self.unit = unit


class Tree:
    """All that is known of the addresses that sent something lately. Its times are the caller's."""

    def __init__(self, limit: int, latency: float) -> None:
        self.limit, self.latency = limit, latency
        self.unit = 0
        self._tops: dict[int, dict[int, Node]] = {4: {}, 16: {}}
        """The first octets of IPv4 and of IPv6 addresses."""
        self._deadlines: dict[Node, float] = {}
        """When each node at an end of the tree is dropped, the next one first."""
        self._red: dict[Node, None] = {}

    def mark(self, key: bytes, now: float) -> int:
        """Count a request from the address with these octets: 0, or RED, or NEWLY_RED."""
        top = self._tops[len(key)]
        node = top.get(key[0])
        if node is None:
            node = top[key[0]] = Node(key[:1], len(key), 1, self.unit)
            self._touch(node, now)
            return 0
        depth = 1
        while depth < len(key):
            kid = node.kids.get(key[depth])
            if kid is None:
                break
            node = kid
            depth += 1
        self._turn(node)
        if depth == len(key):
            return self._hit(node, now)
        node.current += 1
        if self._is_warm(node):
            node = self._split(node, key[: depth + 1])
        self._touch(node, now)
        return 0

    def _hit(self, leaf: Node, now: float) -> int:
        leaf.leaf_current += 1
        self._touch(leaf, now)
        if leaf.is_red:
            return RED
        if not self.is_hot(leaf.leaf_before, leaf.leaf_current):
            return 0
        leaf.is_red = True
        self._red[leaf] = None
        return NEWLY_RED

    def _split(self, node: Node, key: bytes) -> Node:
        kid = Node(key, node.family, max(0, node.current - 1), self.unit)
        kid.is_leaf = len(key) == node.family
        node.kids[key[-1]] = kid
        self._deadlines.pop(node, None)
        return kid

    def _turn(self, node: Node) -> None:
        """Bring the counts of a node into this unit of time."""
        passed = self.unit - node.unit
        if passed:
            node.before = node.current if passed == 1 else 0
            node.leaf_before = node.leaf_current if passed == 1 else 0
            node.current = node.leaf_current = 0
            node.unit = self.unit

    def _touch(self, node: Node, now: float) -> None:
        if not node.kids:
            self._deadlines.pop(node, None)
            self._deadlines[node] = now + self.latency

    def _is_warm(self, node: Node) -> bool:
        quarter = self.limit >> 2
        both = (node.before + node.current) >> 1
        return node.before >= quarter or node.current >= quarter or both >= quarter

    def is_hot(self, before: int, current: int) -> bool:
        """Whether a leaf with these counts is over the limit."""
        return before >= self.limit or current >= self.limit or (before + current) >> 1 >= self.limit

    def next_unit(self) -> list[bytes]:
        """Begin a new unit of time; the addresses that are red no longer."""
        self.unit += 1
        free = []
        for leaf in list(self._red):
            self._turn(leaf)
            if not self.is_hot(leaf.leaf_before, 0):
                leaf.is_red = False
                del self._red[leaf]
                free.append(leaf.key)
        return free

    def forget(self, now: float) -> None:
        """Drop the ends of the tree that were not touched for `latency`; what they stood on follows later."""
        due = list(itertools.takewhile(lambda item: item[1] <= now, self._deadlines.items()))
        for node, _ in due:
            del self._deadlines[node]
            self._red.pop(node, None)
            parent, kids = self._parent(node)
            del kids[node.key[-1]]
            if parent is not None and not kids:
                self._deadlines[parent] = now + self.latency

    def _parent(self, node: Node) -> tuple[Node | None, dict[int, Node]]:
        """What a node stands on, None for the ground, and its kids."""
        parent, kids = None, self._tops[node.family]
        for octet in node.key[:-1]:
            parent = kids[octet]
            kids = parent.kids
        return parent, kids

    def leaves(self) -> Iterator[Node]:
        """Every whole address."""
        return (node for node in list(self._deadlines) if node.is_leaf)

    def leaf_hits(self, leaf: Node) -> tuple[int, int]:
        """How often an address was heard in the last unit of time and in this one."""
        self._turn(leaf)
        return leaf.leaf_before, leaf.leaf_current

    def expires_at(self, leaf: Node) -> float:
        """When an address is dropped if it stays quiet."""
        return self._deadlines[leaf]

    def __len__(self) -> int:
        return len(self._deadlines)
