"""rtpengine: the relays, their sets, and a request to the one that has the call."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, StoreError
from kamtool.module import Host, Variable
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.rtpengine.bencode import BencodeError, decode, encode
from kamtool.modules.rtpengine.parameters import Parameters
from kamtool.modules.rtpproxy.channel import Channel, RelayDead
from kamtool.modules.rtpproxy.nodes import Node, Nodes, NodeSet
from kamtool.script.values import to_int
from kamtool.store.databases import require_version

if TYPE_CHECKING:
    from collections.abc import Callable

    from kamtool.script.context import Context

log = logging.getLogger("kamtool.rtpengine")

Reply = dict[str, Any]
SETS = "rtpengine.sets"


class Engine(Parameters):
    """What the functions of rtpengine ask of the relays."""

    server: Host
    nodes: Nodes
    _instance: Variable | None
    _set_variable: Variable | None
    _from_table: set[str]
    every: Callable[..., None]

    async def _open(self) -> None:
        """Read the sets. Raises ConfigError or StoreError."""
        if self.rtpengine_tout_ms < 1 or self.rtpengine_retr < 1:
            raise ConfigError("rtpengine: rtpengine_tout_ms and rtpengine_retr are at least 1")
        self.nodes = Nodes("rtpengine", self.server.now, float(self.rtpengine_disable_tout), self._probe)
        self.nodes.channel = lambda url: Channel(
            url, source=self.force_send_interface, tos=self.control_cmd_tos
        )
        for text in self.__dict__["rtpengine_sock"]:
            self.nodes.add_text(text, self.setid_default)
        if self.db_url:
            await self._load()
        for node in self.nodes.all if self.ping_mode else ():
            self._check(node)
        self.every(1, self._retry)

    async def _load(self) -> None:
        """Make the nodes what the table says; those of `rtpengine_sock` stay. Raises StoreError."""
        database = await open_database(self.server, self.db_url, "rtpengine")
        await require_version(database, self.table_name, 1)
        columns = ", ".join((self.setid_col, self.url_col, self.weight_col, self.disabled_col))
        known, told = set(self.nodes.all), set[Node]()
        query = f"SELECT {columns} FROM {self.table_name} ORDER BY id"
        for set_id, url, weight, disabled in await database.query(query):
            try:
                told.add(self.nodes.add(int(set_id), str(url), max(0, int(weight)), disabled=bool(disabled)))
            except (TypeError, ValueError, ConfigError) as error:
                raise StoreError(f"{database.path}: {self.table_name}: {url!r}: {error}") from error
        for node in known - told:
            if node.url in self._from_table:
                self.nodes.drop(node)
        self._from_table = {node.url for node in told}
        for node in told - known:
            self._check(node)

    # Alive?

    def _check(self, node: Node) -> None:
        async def check() -> None:
            await self.nodes.probe(node)

        self.server.spawn(check(), f"rtpengine: probe {node.url}")

    def _retry(self) -> None:
        for node in self.nodes.due():
            node.down_until += self.nodes.disable_seconds
            self._check(node)

    async def _probe(self, node: Node) -> bool:
        return (await self._ask(node, {"command": "ping"})).get("result") == "pong"

    async def _ask(self, node: Node, request: Reply) -> Reply:
        """Raises RelayDead, also for an answer that cannot be read."""
        answer = await node.channel.ask(
            encode(request), tries=self.rtpengine_retr, seconds=self.rtpengine_tout_ms / 1000
        )
        try:
            reply = decode(answer)
        except BencodeError as error:
            raise RelayDead(f"{node.url}: {error}") from error
        if not isinstance(reply, dict):
            raise RelayDead(f"{node.url}: its answer is no dictionary")
        return reply

    # Which one

    def _set_of(self, ctx: Context) -> NodeSet | None:
        """The set that this message uses: chosen by set_rtpengine_set, `setid_avp`, or the default."""
        chosen = self._sets(ctx)
        if chosen:
            return self.nodes.sets.get(chosen[0])
        if self._set_variable is not None and (value := self._set_variable.get(ctx)) is not None:
            return self.nodes.sets.get(to_int(value))
        if self.setid_default in self.nodes.sets:
            return self.nodes.sets[self.setid_default]
        return next(iter(self.nodes.sets.values()), None)

    def _sets(self, ctx: Context) -> tuple[int, ...]:
        for holder in (ctx, ctx._origin):
            if holder is not None and holder._scratch is not None and SETS in holder._scratch:
                found: tuple[int, ...] = holder._scratch[SETS]
                return found
        return ()

    async def _send(self, ctx: Context, request: Reply, chosen: NodeSet | None = None) -> Reply | None:
        """Ask the relay of the call, or the next that works. None when none does, or the relay says no."""
        call_id, tried = request["call-id"], frozenset[Node]()
        chosen = chosen or self._set_of(ctx)
        while chosen is not None and len(tried) < self.queried_nodes_limit:
            node = self._node(chosen, call_id, tried)
            if node is None:
                node = await self._redetect(chosen, tried)
            if node is None:
                log.error("%s: no relay of set %d can be used", call_id, chosen.id)
                return None
            try:
                reply = await self._ask(node, request)
            except RelayDead as error:
                self.nodes.fail(node, error)
                tried |= {node}
                continue
            if reply.get("result") == "load limit":
                tried |= {node}
                continue
            return self._answered(ctx, node, request, reply)
        return None

    def _node(self, chosen: NodeSet, call_id: str, tried: frozenset[Node]) -> Node | None:
        if self.rtpengine_allow_op:
            known = self.nodes.holder(call_id)
            if known is not None and not known.down_until and known not in tried and known in chosen.nodes:
                return known
        return self.nodes.node_of(chosen, call_id, sha1=self.hash_algo == 1, without=tried)

    async def _redetect(self, chosen: NodeSet, tried: frozenset[Node]) -> Node | None:
        """With `aggressive_redetection`, ask the dead ones of a set whether they are back."""
        if not self.aggressive_redetection:
            return None
        for node in chosen.nodes:
            if node.down_until and not node.disabled and node not in tried and await self.nodes.probe(node):
                return node
        return None

    def _answered(self, ctx: Context, node: Node, request: Reply, reply: Reply) -> Reply | None:
        if request["command"] == "delete":
            self.nodes.forget(request["call-id"])
        else:
            self.nodes.remember(request["call-id"], node)
        if self._instance is not None:
            self._instance.set(ctx, node.url)
        if reply.get("result") not in ("ok", "pong"):
            reason = reply.get("error-reason", reply.get("result"))
            log.error("%s: %s: %s refused: %s", request["call-id"], node.url, request["command"], reason)
            return None
        if "warning" in reply:
            log.warning("%s: %s: %s", request["call-id"], node.url, reply["warning"])
        return reply
