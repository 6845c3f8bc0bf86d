"""rtpproxy: media through RTPproxy."""

from __future__ import annotations

import socket as sockets
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, RpcError, StoreError
from kamtool.module import ANY, FAILURE_ROUTE, Host, Module, Param, Value, Variable, function, pv, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.rtpproxy import media
from kamtool.modules.rtpproxy.call import Call, call_of
from kamtool.modules.rtpproxy.channel import RelayDead
from kamtool.modules.rtpproxy.flags import Flags, read_flags
from kamtool.modules.rtpproxy.nodes import Node, Nodes, NodeSet
from kamtool.script import sdp_body
from kamtool.script.values import from_octets, to_octets
from kamtool.store.databases import require_version

if TYPE_CHECKING:
    from kamtool.script.context import Context

VERSION = "20040107"
SEVERAL_STREAMS, REPACKETIZE, NOTIFY = "20050322", "20071116", "20081102"
MARKED = -2
STAT_SECONDS = 0.05
_SET = "rtpproxy.set"


class Rtpproxy(Module):
    """Send the media of calls through RTPproxy: offers, answers, recording, announcements.

    `rtpproxy_manage("co")` in the route of INVITE, BYE and CANCEL, and in a branch_route or onreply_route,
    does all that a call needs. Relays stand in sets and share their calls by weight. One that does not answer
    delays only the calls that asked it, and only until it is taken for dead; it is tried again in the
    background.
    """

    name = "rtpproxy"
    tables = ("rtpproxy",)

    rtpproxy_sock = Param(
        "", "relays with their weights: `udp:127.0.0.1:7722=2 unix:/run/r.sock`, `1 == udp:…`", repeat=True
    )
    rtpproxy_disable_tout = Param(60, "seconds that a relay which did not answer is left alone")
    rtpproxy_tout = Param(1, "seconds to wait for an answer before asking again")
    rtpproxy_tout_ms = Param(0, "the same in milliseconds, where seconds are too coarse (kamtool's own)")
    rtpproxy_retr = Param(5, "how often a relay is asked before it is taken for dead")
    nortpproxy_str = Param(
        "a=nortpproxy:yes", "the SDP line that marks what was taken care of; empty for none"
    )
    timeout_socket = Param(
        "", "where RTPproxy tells that a call's media have ended, e.g. `http://127.0.0.1:8000/RPC2`"
    )
    extra_id_pv = Param("", "the pseudo-variable that flag `b` makes a part of the call's name")
    rtp_inst_pvar = Param("", "the pseudo-variable that gets the URL of the relay that was used")
    ice_candidate_priority_avp = Param(
        "", "an AVP of `low-priority`, `high-priority`: add the relay as ICE candidate"
    )
    db_url = Param("", "the database with the relays; then `rtpproxy_sock` is not needed")
    table_name = Param("rtpproxy", "the table of relays in it")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.nodes = Nodes("rtpproxy", server.now, 60.0, self._probe)
        self._extra_id: Variable | None = None
        self._instance: Variable | None = None

    # Start

    async def start(self) -> None:
        """Read the sets and begin to probe. Raises ConfigError or StoreError."""
        if self.ice_candidate_priority_avp:
            raise ConfigError("rtpproxy: ice_candidate_priority_avp is not supported; rtpengine speaks ICE")
        self._timeout = self.rtpproxy_tout_ms / 1000 or float(self.rtpproxy_tout)
        if self._timeout <= 0 or self.rtpproxy_retr < 1:
            raise ConfigError("rtpproxy: rtpproxy_tout and rtpproxy_retr are at least 1")
        self.nodes.disable_seconds = float(self.rtpproxy_disable_tout)
        self._extra_id = self.server.variable(self.extra_id_pv) if self.extra_id_pv else None
        self._instance = self.server.variable(self.rtp_inst_pvar) if self.rtp_inst_pvar else None
        for text in self.__dict__["rtpproxy_sock"]:
            self.nodes.add_text(text)
        if self.db_url:
            await self._load()
        for node in self.nodes.all:
            self._check(node)
        self.every(1, self._retry)

    async def stop(self) -> None:
        self.nodes.close()

    async def _load(self) -> None:
        database = await open_database(self.server, self.db_url, "rtpproxy")
        await require_version(database, self.table_name, 1)
        for set_id, url, weight in await database.query(
            f"SELECT setid, url, weight FROM {self.table_name} ORDER BY id"
        ):
            try:
                self.nodes.add(int(set_id or 0), str(url), max(0, int(weight)))
            except (ValueError, ConfigError) as error:
                raise StoreError(f"{database.path}: {self.table_name}: {error}") from error

    def _check(self, node: Node) -> None:
        async def check() -> None:
            await self.nodes.probe(node)

        self.server.spawn(check(), f"rtpproxy: probe {node.url}")

    def _retry(self) -> None:
        for node in self.nodes.due():
            node.down_until += self.nodes.disable_seconds
            self._check(node)

    async def _probe(self, node: Node) -> bool:
        """Ask what it can. Raises RelayDead."""
        if (await self._ask(node, "V")).partition(" ")[0] != VERSION:
            return False
        features = {
            name
            for name in (SEVERAL_STREAMS, REPACKETIZE, NOTIFY)
            if await self._ask(node, f"VF {name}") == "1"
        }
        node.features = frozenset(features)
        return True

    async def _ask(self, node: Node, command: str) -> str:
        answer = await node.channel.ask(to_octets(command), tries=self.rtpproxy_retr, seconds=self._timeout)
        return from_octets(answer).strip()

    # Sets

    @function("set_rtpproxy_set", "set_rtp_proxy_set", routes=ANY)
    def set_rtpproxy_set(self, ctx: Context, number: int) -> bool:
        """Use this set for what follows in this message; false when there is none of that number."""
        if number not in self.nodes.sets:
            return False
        ctx.scratch[_SET] = number
        return True

    def _chosen(self, ctx: Context) -> NodeSet | None:
        number = ctx.scratch.get(_SET) if ctx._scratch is not None else None
        if number is None and ctx._origin is not None and ctx._origin._scratch is not None:
            number = ctx._origin._scratch.get(_SET)
        if number is not None:
            return self.nodes.sets.get(number)
        return self.nodes.sets.get(0) or next(iter(self.nodes.sets.values()), None)

    async def _send(self, ctx: Context, call: Call, commands: list[str]) -> list[str] | None:
        """Send commands to the relay of the call, or to the next that works; None when none does."""
        chosen, tried = self._chosen(ctx), frozenset[Node]()
        while chosen is not None:
            node = self.nodes.node_of(chosen, call.call_id, without=tried)
            if node is None:
                return None
            try:
                answers = [await self._ask(node, command) for command in commands]
            except RelayDead as error:
                self.nodes.fail(node, error)
                tried |= {node}
                continue
            self.nodes.remember(call.call_id, node)
            if self._instance is not None:
                self._instance.set(ctx, node.url)
            return answers
        return None

    # Offers and answers

    @function("rtpproxy_offer", routes=ANY)
    async def rtpproxy_offer(self, ctx: Context, flags: str = "", address: str = "") -> int:
        """Give the caller's media to the relay and put the relay into the SDP.

        -2 when the SDP is marked as taken care of (flag `f` goes on all the same). `address` is put into the
        SDP in place of the relay's. The flags: `a` asymmetric, `w` symmetric, `i` and `e` bridge between the
        internal and the external network, `x` the same by the SDP's family, `r` trust the SDP's addresses,
        `zNN` repacketize, `1` `2` `3` `b` make the call's name longer (Via branch, `extra_id_pv`).
        """
        return await self._exchange(ctx, flags, address, offer=True)

    @function("rtpproxy_answer", routes=ANY)
    async def rtpproxy_answer(self, ctx: Context, flags: str = "", address: str = "") -> int:
        """The same for the answer: in a reply to an INVITE with SDP, or in an ACK."""
        if ctx.msg.is_request and ctx.msg.method != "ACK":
            return -1
        return await self._exchange(ctx, flags, address, offer=False)

    async def _exchange(self, ctx: Context, text: str, address: str, *, offer: bool) -> int:
        flags = read_flags(text)
        body = sdp_body.read(ctx.msg)
        if flags is None or body is None:
            return -1
        if flags.lookup_only:
            if not offer or ctx.msg.is_request:
                return -1
            offer = False
        mark = self.nortpproxy_str.strip()
        if mark and not flags.force and any(line.text == mark for line in body.lines()):
            return MARKED
        call, streams = call_of(ctx, flags, self._extra_id), media.streams_of(body)
        if call is None or not streams or (not offer and not call.to_tag):
            return -1
        first, second = call.from_tag, call.to_tag
        if offer is not ctx.msg.is_request:  # an offer in a reply is the callee's, its answer is in the ACK
            first, second = second, first
        if not first:
            return -1
        commands = [
            self._command(ctx, flags, call, stream, number, "U" if offer else "L", first, second)
            for number, stream in enumerate(streams, 1)
        ]
        answers = await self._send(ctx, call, commands)
        given = [media.read_answer(answer) for answer in answers or ()]
        if not given or None in given:
            return -1
        media.rewrite(ctx, body, streams, [to for to in given if to is not None], address, mark)
        return 1

    def _command(
        self, ctx: Context, flags: Flags, call: Call, stream: media.Stream, number: int, kind: str,
        first: str, second: str,
    ) -> str:  # fmt: skip
        six = ":" in stream.host.address
        options = flags.options
        if flags.bridge_by_family:
            options += "EI" if six else "IE"
        if six:
            options += "6"
        if stream.payloads:
            options += f"c{stream.payloads}"
        where = stream.host.address if flags.trust_sdp else ctx.flow.remote.host
        words = [f"{kind}{options}", call.name, where, str(stream.port), f"{first};{number}"]
        if second:
            words.append(f"{second};{number}")
        if kind == "U" and self.timeout_socket:
            words.append(self.timeout_socket)
        return " ".join(words)

    @function("rtpproxy_manage", routes=ANY)
    async def rtpproxy_manage(self, ctx: Context, flags: str = "", address: str = "") -> int:
        """Do what the message asks for: offer, answer, or destroy the session.

        Destroys on BYE and CANCEL, on a reply from 300 on, and for an INVITE in a failure_route; offers for
        INVITE and UPDATE with SDP; answers for ACK with SDP, and for replies with SDP when the request had
        one (else they are offers). -1 for what needs nothing.
        """
        msg = ctx.msg
        if msg.method not in ("INVITE", "ACK", "CANCEL", "BYE", "UPDATE"):
            return -1
        if msg.method in ("CANCEL", "BYE"):
            return await self.rtpproxy_destroy(ctx, flags)
        has_sdp = sdp_body.span(msg) is not None
        if msg.is_request:
            if ctx.route_kind is FAILURE_ROUTE and msg.method == "INVITE":
                return await self.rtpproxy_destroy(ctx, flags)
            return await self._exchange(ctx, flags, address, offer=msg.method != "ACK") if has_sdp else -1
        if msg.status >= 300:
            return await self.rtpproxy_destroy(ctx, flags)
        if not has_sdp:
            return -1
        origin = ctx._origin
        late = msg.method == "INVITE" and origin is not None and sdp_body.span(origin.msg) is None
        return await self._exchange(ctx, flags, address, offer=late)

    # Everything else

    async def _simple(self, ctx: Context, text: str, word: str, tags: str = "") -> int:
        """A command about a call; the code."""
        flags = read_flags(text)
        call = None if flags is None else call_of(ctx, flags, self._extra_id)
        if call is None:
            return -1
        answers = await self._send(ctx, call, [f"{word} {call.name} {tags or call.tags}"])
        return -1 if answers is None or answers[0].startswith("E") else 1

    @function("rtpproxy_destroy", "unforce_rtp_proxy", routes=ANY)
    async def rtpproxy_destroy(self, ctx: Context, flags: str = "") -> int:
        """End the session of this call. The flags `1`, `2`, `3` and `b` are those of its offer."""
        code = await self._simple(ctx, flags, "D")
        self.nodes.forget(ctx.msg.call_id)
        return code

    @function("start_recording", routes=ANY)
    async def start_recording(self, ctx: Context) -> int:
        """Have the relay record this call."""
        msg = ctx.msg
        tags = "" if msg.is_request or not msg.to_tag else f"{msg.to_tag} {msg.from_tag}"
        return await self._simple(ctx, "", "R", tags)

    def _streams(self, ctx: Context, *, to_caller: bool) -> str:
        one, two = ctx.msg.from_tag, ctx.msg.to_tag
        if not to_caller:
            one, two = two, one
        return f"{one};1 {two};1" if two and one else f"{one or two};1"

    @function("rtpproxy_stream2uac", routes=ANY)
    async def rtpproxy_stream2uac(self, ctx: Context, prompt: str, count: int) -> int:
        """Play a prompt to the caller `count` times, for ever with -1."""
        return await self._play(ctx, prompt, count, True)

    @function("rtpproxy_stream2uas", routes=ANY)
    async def rtpproxy_stream2uas(self, ctx: Context, prompt: str, count: int) -> int:
        """Play a prompt to the callee `count` times, for ever with -1."""
        return await self._play(ctx, prompt, count, False)

    async def _play(self, ctx: Context, prompt: str, count: int, to_caller: bool) -> int:
        if not prompt or len(prompt.split()) != 1 or not count:
            return -1
        return await self._simple(
            ctx, "", f"P{count}", f"{prompt} session {self._streams(ctx, to_caller=to_caller)}"
        )

    @function("rtpproxy_stop_stream2uac", routes=ANY)
    async def rtpproxy_stop_stream2uac(self, ctx: Context) -> int:
        """Stop what is played to the caller."""
        return await self._simple(ctx, "", "S", self._streams(ctx, to_caller=True))

    @function("rtpproxy_stop_stream2uas", routes=ANY)
    async def rtpproxy_stop_stream2uas(self, ctx: Context) -> int:
        """Stop what is played to the callee."""
        return await self._simple(ctx, "", "S", self._streams(ctx, to_caller=False))

    @pv("rtpstat", "rtppstat", kind=str)
    def rtpstat(self, ctx: Context) -> Value:
        """What RTPproxy has counted for this call. Ask before the session is destroyed.

        A variable cannot wait as functions do: a relay that is silent holds the server up for 50 ms, once,
        for then it is taken for dead.
        """
        call, chosen = call_of(ctx, Flags(), None), self._chosen(ctx)
        node = (
            self.nodes.node_of(chosen, ctx.msg.call_id) if chosen is not None and call is not None else None
        )
        if node is None or call is None or node.channel.scheme == "unix":
            return None
        return self._ask_now(node, f"Q {call.name} {call.tags}")

    def _ask_now(self, node: Node, command: str) -> str | None:
        host, _, port = node.channel.address.rpartition(":")
        try:
            family = sockets.AF_INET6 if ":" in host else sockets.AF_INET
            with sockets.socket(family, sockets.SOCK_DGRAM) as asking:
                asking.settimeout(STAT_SECONDS)
                asking.connect((host.strip("[]"), int(port)))
                asking.send(node.channel.cookie() + b" " + to_octets(command))
                return from_octets(asking.recv(65535)).partition(" ")[2].strip() or None
        except OSError as error:
            self.nodes.fail(node, RelayDead(f"{node.url}: {error}"))
            return None

    # RPC

    @rpc("rtpproxy.list")
    def rpc_list(self) -> list[dict[str, Any]]:
        """Every relay with its set, weight and state; `recheck` is in how many seconds it is tried again."""
        now = self.server.now()
        return [
            {
                "setid": each.id,
                "url": node.url,
                "index": node.index,
                "disabled": int(not node.usable),
                "weight": node.weight,
                "recheck": max(0, round(node.down_until - now)) if node.down_until else 0,
            }
            for each in self.nodes.sets.values()
            for node in each.nodes
        ]

    @rpc("rtpproxy.enable", workers="all")
    def rpc_enable(self, url: str, on: int) -> None:
        """Use a relay (1) or no longer (0); the URL `all` means every one."""
        meant = [node for node in self.nodes.all if url in ("all", node.url)]
        if not meant:
            raise RpcError(404, f"no relay {url!r}")
        for node in meant:
            node.disabled = not on
            if on:
                node.down_until = 0.0
