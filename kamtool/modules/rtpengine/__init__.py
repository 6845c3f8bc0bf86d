"""rtpengine: media through rtpengine."""

from __future__ import annotations

import json
import logging
import socket as sockets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, RpcError
from kamtool.module import ANY, FAILURE_ROUTE, Host, Module, Value, Variable, function, pv, rpc
from kamtool.modules.rtpengine import bencode, stats
from kamtool.modules.rtpengine.commands import Commands
from kamtool.modules.rtpengine.engine import SETS, Engine, Reply
from kamtool.modules.rtpengine.flags import FlagError, read_flags
from kamtool.modules.rtpengine.request import ANSWER, DELETE, OFFER, build
from kamtool.modules.rtpproxy.channel import RelayDead
from kamtool.modules.rtpproxy.nodes import Node, Nodes
from kamtool.script import sdp_body
from kamtool.script.values import from_octets, to_octets, to_str

if TYPE_CHECKING:
    from collections.abc import Callable

    from kamtool.script.context import Context

log = logging.getLogger("kamtool.rtpengine")

STAT_SECONDS = 0.05
FRAGMENT = "application/trickle-ice-sdpfrag"


class Rtpengine(Commands, Engine, Module):
    """Send the media of calls through rtpengine: offers, answers, transcoding, SRTP, ICE, recording.

    `rtpengine_manage("replace-origin replace-session-connection")` in the routes of INVITE, BYE and CANCEL
    and of their replies does all that a call needs. The flags are one text of words; what this module does
    not know is passed on, so that flags of a newer rtpengine work. Relays stand in sets and share their calls
    by weight; one that does not answer delays only the calls that asked it, and only until it is taken for
    dead.
    """

    name = "rtpengine"
    tables = ("rtpengine",)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.nodes = Nodes("rtpengine", server.now, 60.0, self._probe)
        self._instance: Variable | None = None
        self._set_variable: Variable | None = None
        self._from_table: set[str] = set()
        self._quality: dict[str, dict[tuple[str, str], Variable]] = {}
        self._labels: dict[str, Callable[[Any], str]] = {}

    async def start(self) -> None:
        """Read the sets and begin to probe. Raises ConfigError or StoreError."""
        if self.wsapi:
            raise ConfigError("rtpengine: wsapi is not supported: relays are asked over UDP")
        self._extra_id = self._optional(self.extra_id_pv)
        self._instance = self._optional(self.rtp_inst_pvar)
        self._set_variable = self._optional(self.setid_avp)
        self._read, self._write = self._optional(self.read_sdp_pv), self._optional(self.write_sdp_pv)
        self._duration = self._optional(self.media_duration)
        for party in ("", "A", "B"):
            self._quality[party] = dict(self._quality_variables(party))
        for party in ("A", "B"):
            label = getattr(self, f"mos_{party}_label_pv")
            if label:
                self._labels[party] = self.server.format(label)
        await self._open()

    def _optional(self, text: str) -> Variable | None:
        return self.server.variable(text) if text else None

    def _quality_variables(self, party: str) -> list[tuple[tuple[str, str], Variable]]:
        found = []
        for kind in stats.KINDS:
            for field in stats.FIELDS:
                middle = "_".join(filter(None, (kind, field, party)))
                text = getattr(self, f"mos_{middle}_pv", "")
                if isinstance(text, str) and text:
                    found.append(((kind, field), self.server.variable(text)))
        return found

    async def stop(self) -> None:
        self.nodes.close()

    # Sets

    @function("set_rtpengine_set", routes=ANY)
    def set_rtpengine_set(self, ctx: Context, number: int, second: int = -1) -> bool:
        """Use this set for what follows in this message; false when there is none of that number.

        With a second set, media go through a relay of each, one after the other.
        """
        chosen = (number,) if second < 0 else (number, second)
        if any(one not in self.nodes.sets for one in chosen):
            return False
        ctx.scratch[SETS] = chosen
        return True

    # Calls

    def _request(self, ctx: Context, command: str, text: str) -> Reply | None:
        try:
            return build(ctx, command, read_flags(text), self._extra_id)
        except FlagError as error:
            log.error("%s: rtpengine %s: %s", ctx.msg.call_id, command, error)
            return None

    async def _command(self, ctx: Context, command: str, flags: str) -> Reply | None:
        """Send a command that has no SDP; with two sets, to a relay of each."""
        request = self._request(ctx, command, flags)
        if request is None:
            return None
        sets = [self.nodes.sets[number] for number in self._sets(ctx) if number in self.nodes.sets]
        replies = [await self._send(ctx, dict(request), one) for one in sets] or [
            await self._send(ctx, request)
        ]
        return None if None in replies else replies[0]

    async def _exchange(self, ctx: Context, command: str, flags: str, *, fragment: bool = False) -> int:
        given = self._read.get(ctx) if self._read is not None else None
        place = (ctx.msg.body_start, len(ctx.msg.data)) if fragment else sdp_body.span(ctx.msg)
        if given is None and place is None:
            return -1
        sdp = to_octets(to_str(given)) if given is not None else ctx.msg.data[slot(place)]
        request = self._request(ctx, command, flags)
        if request is None or not sdp:
            return -1
        sets = [self.nodes.sets[number] for number in self._sets(ctx) if number in self.nodes.sets]
        for one in (*(sets if command == OFFER else sets[::-1]),) or (None,):
            reply = await self._send(ctx, {**request, "sdp": sdp}, one)
            if reply is None or not isinstance(reply.get("sdp"), str):
                return -1
            sdp = to_octets(reply["sdp"])
        if self._write is not None:
            self._write.set(ctx, from_octets(sdp))
        elif place is not None:
            sdp_body.replace(ctx, *place, sdp)
        else:
            return -1
        return 1

    @function("rtpengine_offer", routes=ANY)
    async def rtpengine_offer(self, ctx: Context, flags: str = "") -> int:
        """Give the SDP of an offer to the relay and put what it makes of it into the message."""
        return await self._exchange(ctx, OFFER, flags)

    @function("rtpengine_answer", routes=ANY)
    async def rtpengine_answer(self, ctx: Context, flags: str = "") -> int:
        """The same for an answer: in a reply to an INVITE with SDP, or in an ACK."""
        if ctx.msg.is_request and ctx.msg.method not in ("ACK", "PRACK"):
            return -1
        return await self._exchange(ctx, ANSWER, flags)

    @function("rtpengine_info", routes=ANY)
    async def rtpengine_info(self, ctx: Context, flags: str = "") -> int:
        """Give the candidates of trickle ICE to the relay: an INFO with `application/trickle-ice-sdpfrag`."""
        fragment = ctx.msg.content_type == FRAGMENT
        return await self._exchange(ctx, OFFER, f"{flags} fragment" if fragment else flags, fragment=fragment)

    @function("rtpengine_delete", routes=ANY)
    async def rtpengine_delete(self, ctx: Context, flags: str = "") -> int:
        """End the call at the relay. Then the `mos_…_pv` tell what its quality was."""
        reply = await self._command(ctx, DELETE, flags)
        if reply is None:
            return -1
        if self._duration is not None and isinstance(reply.get("created"), int):
            self._duration.set(ctx, max(0, int(time.time()) - reply["created"]))
        for party, variables in self._quality.items():
            label = self._labels[party](ctx) if party in self._labels else ""
            if variables and (label or not party):
                stats.store(ctx, reply, label, variables)
        return 1

    @function("rtpengine_manage", routes=ANY)
    async def rtpengine_manage(self, ctx: Context, flags: str = "") -> int:
        """Do what the message asks for: offer, answer, or delete.

        Deletes on BYE and CANCEL, on a reply from 300 on, and for an INVITE in a failure_route; offers for
        INVITE and UPDATE with SDP; answers for ACK with SDP, and for replies with SDP when the request had
        one (else they are offers). -1 for what needs nothing.
        """
        msg = ctx.msg
        if msg.method not in ("INVITE", "ACK", "CANCEL", "BYE", "UPDATE"):
            return -1
        if msg.method in ("CANCEL", "BYE"):
            return await self.rtpengine_delete(ctx, flags)
        has_sdp = sdp_body.span(msg) is not None
        if msg.is_request:
            if ctx.route_kind is FAILURE_ROUTE and msg.method == "INVITE":
                return await self.rtpengine_delete(ctx, flags)
            return (
                await self._exchange(ctx, ANSWER if msg.method == "ACK" else OFFER, flags) if has_sdp else -1
            )
        if msg.status >= 300:
            return await self.rtpengine_delete(ctx, flags)
        if not has_sdp:
            return -1
        origin = ctx._origin
        late = msg.method == "INVITE" and origin is not None and sdp_body.span(origin.msg) is None
        return await self._exchange(ctx, OFFER if late else ANSWER, flags)

    @function("rtpengine_query_v", routes=ANY)
    async def rtpengine_query_v(self, ctx: Context, form: str, variable: Variable) -> int:
        """Store what the relay knows of the call as JSON: on one line, or with `p` as the form indented."""
        reply = await self._command(ctx, "query", "")
        if reply is None:
            return -1
        variable.set(ctx, json.dumps(reply, indent=2 if form.startswith("p") else None))
        return 1

    @pv("rtpestat", "rtpstat", kind=str)
    def rtpestat(self, ctx: Context) -> Value:
        """The bytes, packets and errors of the call. Ask before it is deleted.

        A variable cannot wait as functions do: a relay that is silent holds the server up for 50 ms, once,
        for then it is taken for dead.
        """
        request, chosen = self._request(ctx, "query", ""), self._set_of(ctx)
        node = self.nodes.node_of(chosen, ctx.msg.call_id) if chosen is not None else None
        if request is None or node is None:
            return None
        reply = self._ask_now(node, request)
        return None if reply is None else stats.totals(reply)

    def _ask_now(self, node: Node, request: Reply) -> Reply | None:
        host, _, port = node.channel.address.rpartition(":")
        try:
            family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
            with sockets.socket(family, sockets.SOCK_DGRAM) as asking:
                asking.settimeout(STAT_SECONDS)
                asking.connect((host.strip("[]"), int(port)))
                asking.send(node.channel.cookie() + b" " + bencode.encode(request))
                with suppress(bencode.BencodeError):
                    reply = bencode.decode(asking.recv(65535).partition(b" ")[2])
                    return reply if isinstance(reply, dict) else None
        except OSError as error:
            self.nodes.fail(node, RelayDead(f"{node.url}: {error}"))
        return None

    # RPC

    def _rows(self, which: str) -> list[tuple[int, Node]]:
        rows = [(each.id, node) for each in self.nodes.sets.values() for node in each.nodes]
        meant = [row for row in rows if which in ("all", row[1].url, str(row[0]))]
        if not meant:
            raise RpcError(404, f"no relay {which!r}")
        return meant

    def _shown(self, set_id: int, node: Node) -> dict[str, Any]:
        left = max(0, round(node.down_until - self.server.now())) if node.down_until else 0
        return {
            "url": node.url, "set": set_id, "index": node.index, "weight": node.weight,
            "disabled": f"{int(not node.usable)}{' (permanent)' if node.disabled else ''}",
            "recheck_ticks": "N/A" if node.disabled else left,
        }  # fmt: skip

    @rpc("rtpengine.show")
    def rpc_show(self, which: str) -> list[dict[str, Any]]:
        """The relays: `all`, those of a set by its number, or one by its URL."""
        return [self._shown(*row) for row in self._rows(which)]

    @rpc("rtpengine.enable", workers="all")
    def rpc_enable(self, which: str, on: int) -> list[dict[str, Any]]:
        """Use relays (1) or no longer (0): `all`, those of a set, or one by its URL."""
        rows = self._rows(which)
        for _, node in rows:
            node.disabled = not on
            if on:
                node.down_until = 0.0
        return [self._shown(*row) for row in rows]

    @rpc("rtpengine.ping")
    async def rpc_ping(self, which: str) -> list[dict[str, Any]]:
        """Ask relays whether they live: `all`, those of a set, or one by its URL."""
        rows = self._rows(which)
        alive = [await self.nodes.probe(node) for _, node in rows]
        answers = zip(rows, alive, strict=True)
        return [{**self._shown(*row), "ping_result": "success" if yes else "fail"} for row, yes in answers]

    @rpc("rtpengine.reload", workers="all")
    async def rpc_reload(self) -> None:
        """Read the relays from the database again."""
        if not self.db_url:
            raise RpcError(500, "db_url is not set")
        await self._load()

    @rpc("rtpengine.get_hash_total")
    def rpc_get_hash_total(self) -> int:
        """How many calls are remembered with their relay."""
        return self.nodes.calls


def slot(place: tuple[int, int] | None) -> slice:
    """A span as a slice."""
    return slice(*place) if place is not None else slice(0, 0)
