"""Sets of media relays: weights, which relay has a call, which are dead and when they are tried again."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from kamtool.errors import ConfigError
from kamtool.modules.rtpproxy.channel import Channel, RelayDead, split_url

log = logging.getLogger("kamtool.media")

MAX_CALLS = 100_000
_ENTRY = re.compile(r"\s*(?:(\d+)\s*==)?\s*([^\s=]+)(?:=(\d+))?")


@dataclass(eq=False, slots=True)
class Node:
    """One relay. `down_until` is 0 while it works; `disabled` is what an operator said."""

    index: int
    url: str
    weight: int
    channel: Channel
    disabled: bool = False
    down_until: float = 0.0
    features: frozenset[str] = frozenset()

    @property
    def usable(self) -> bool:
        return not self.disabled and not self.down_until and self.weight > 0


@dataclass(eq=False, slots=True)
class NodeSet:
    """The relays that share their calls by weight."""

    id: int
    nodes: list[Node] = field(default_factory=list)

    def pick(
        self, call_id: str, *, sha1: bool = False, without: frozenset[Node] = frozenset()
    ) -> Node | None:
        """The relay for a call: always the same one while the same ones work. None when none works."""
        usable = [node for node in self.nodes if node.usable and node not in without]
        total = sum(node.weight for node in usable)
        if not total:
            return None
        octets = call_id.encode("utf-8", "surrogateescape")
        number = int.from_bytes(hashlib.sha1(octets).digest()[:4], "big") if sha1 else sum(octets) & 0xFF
        cut = number % total
        for node in usable:
            if cut < node.weight:
                return node
            cut -= node.weight
        return usable[-1]


class Nodes:
    """All sets of a module, and which relay has which call.

    A node that does not answer is marked dead for `disable_seconds`, and at once all calls that wait for it
    go on with another. When that time is over it is probed, in the background: no call waits for that.
    """

    def __init__(
        self,
        owner: str,
        now: Callable[[], float],
        disable_seconds: float,
        probe: Callable[[Node], Awaitable[bool]],
    ) -> None:
        self.owner, self.now, self.disable_seconds, self._probe = owner, now, disable_seconds, probe
        self.channel: Callable[[str], Channel] = Channel
        self.sets: dict[int, NodeSet] = {}
        self._calls: OrderedDict[str, Node] = OrderedDict()
        self._count = 0

    @property
    def all(self) -> list[Node]:
        return [node for each in self.sets.values() for node in each.nodes]

    def add(self, set_id: int, url: str, weight: int = 1, *, disabled: bool = False) -> Node:
        """Add a relay to a set, or change its weight where it is there already. Raises ConfigError."""
        try:
            split_url(url)
        except ValueError as error:
            raise ConfigError(f"{self.owner}: {url!r}: {error}") from error
        members = self.sets.setdefault(set_id, NodeSet(set_id)).nodes
        for node in members:
            if node.url == url:
                node.weight, node.disabled = weight, disabled
                return node
        node = Node(self._count, url, weight, self.channel(url), disabled)
        self._count += 1
        members.append(node)
        return node

    def add_text(self, text: str, default_set: int = 0) -> None:
        """Add what a modparam says: `udp:10.0.0.1:7722=2 udp:…`, `3 == udp:…`. Raises ConfigError."""
        at, set_id = 0, default_set
        if not text.strip():
            raise ConfigError(f"{self.owner}: an empty list of relays")
        while text[at:].strip():
            found = _ENTRY.match(text, at)
            if found is None:
                raise ConfigError(f"{self.owner}: cannot read {text[at:]!r} in {text!r}")
            set_id = int(found[1]) if found[1] else set_id
            self.add(set_id, found[2], int(found[3]) if found[3] else 1)
            at = found.end()

    def drop(self, node: Node) -> None:
        """Take a relay out of its set."""
        for each in self.sets.values():
            if node in each.nodes:
                each.nodes.remove(node)
        node.channel.close()

    # Choosing

    def node_of(
        self, chosen: NodeSet, call: str, *, sha1: bool = False, without: frozenset[Node] = frozenset()
    ) -> Node | None:
        """The relay that has this call, while it works; else the one that should have it."""
        known = self._calls.get(call)
        if known is not None and known.usable and known not in without and known in chosen.nodes:
            return known
        return chosen.pick(call, sha1=sha1, without=without)

    def remember(self, call: str, node: Node) -> None:
        """This relay has the call now."""
        self._calls[call] = node
        self._calls.move_to_end(call)
        if len(self._calls) > MAX_CALLS:
            self._calls.popitem(last=False)

    def holder(self, call: str) -> Node | None:
        """The relay that has this call, whether it works or not."""
        return self._calls.get(call)

    def forget(self, call: str) -> None:
        self._calls.pop(call, None)

    @property
    def calls(self) -> int:
        """How many calls have a relay, as far as it is remembered."""
        return len(self._calls)

    # Dead or alive

    def fail(self, node: Node, error: Exception) -> None:
        """It does not answer: leave it alone for a while."""
        if not node.down_until:
            log.warning("%s: %s: not used for %g s", self.owner, error, self.disable_seconds)
        node.down_until = self.now() + self.disable_seconds
        node.channel.give_up("marked dead")

    async def probe(self, node: Node) -> bool:
        """Ask whether it lives, and remember the answer."""
        try:
            alive = await self._probe(node)
        except RelayDead as error:
            self.fail(node, error)
            return False
        if not alive:
            self.fail(node, RelayDead(f"{node.url}: answers, but not as it should"))
            return False
        if node.down_until:
            log.warning("%s: %s answers again", self.owner, node.url)
        node.down_until = 0.0
        return True

    def due(self) -> list[Node]:
        """The dead ones whose time is over."""
        now = self.now()
        return [node for node in self.all if node.down_until and not node.disabled and node.down_until <= now]

    def close(self) -> None:
        for node in self.all:
            node.channel.close()
