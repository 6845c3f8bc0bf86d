"""The functions of dispatcher."""

from __future__ import annotations

import logging
from ipaddress import ip_address
from typing import TYPE_CHECKING

from kamtool.errors import ParseError, ScriptError
from kamtool.module import ANY, FAILURE_ROUTE, ONREPLY_ROUTE, ONSEND_ROUTE, REQUEST_ROUTE, Variable, function
from kamtool.modules.dispatcher.base import FAILOVER, Sets
from kamtool.modules.dispatcher.choosing import LOAD, PARALLEL
from kamtool.modules.dispatcher.destination import Destination
from kamtool.script.avp import Record
from kamtool.script.context import Branch
from kamtool.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.dispatcher")

ROUTES = REQUEST_ROUTE | FAILURE_ROUTE
IGNORE_PORT, IGNORE_PROTOCOL, MUST_BE_OPEN = 1, 2, 4
TO_DST, TO_RURI, TO_XAVP = "dst", "ruri", "xavp"
MODES = {"0": TO_DST, "d": TO_DST, "1": TO_RURI, "r": TO_RURI, "2": TO_XAVP, "x": TO_XAVP}


def moved(uri: str, each: Destination) -> str:
    """A URI with everything behind the user replaced by a destination."""
    rest = each.uri.partition(":")[2].rpartition("@")[2]
    scheme, _, old = uri.partition(":")
    user, at, _ = old.rpartition("@")
    return f"{scheme}:{user}{at}{rest}"


class DispatcherFunctions(Sets):
    """What a script calls."""

    setid_variable: Variable | None
    attrs_variable: Variable | None

    # Choosing

    @function("ds_select_dst", routes=ROUTES)
    def ds_select_dst(self, ctx: Context, group: int, algorithm: int, limit: int = 0) -> bool:
        """Choose a destination of a set and put it into `$du`; false when none is there or open.

        Algorithms: 0 hash of Call-ID, 1 of From, 2 of To, 3 of the R-URI, 4 round robin, 5 hash of the user
        who authenticated, 6 random, 7 hash of `hash_pvar`, 8 the first, 9 weights, 10 the least loaded, 11
        relative weights, 12 all at once, 13 the quickest. With `flags` 2 the others, at most `limit` in all,
        are kept for ds_next_dst().
        """
        return self._select(ctx, [(group, algorithm)], limit, TO_DST)

    @function("ds_select_domain", routes=ROUTES)
    def ds_select_domain(self, ctx: Context, group: int, algorithm: int, limit: int = 0) -> bool:
        """Choose as ds_select_dst() and put host and port into the R-URI."""
        return self._select(ctx, [(group, algorithm)], limit, TO_RURI)

    @function("ds_select", routes=ANY, narrower={3: REQUEST_ROUTE | FAILURE_ROUTE})
    def ds_select(self, ctx: Context, group: int, algorithm: int, limit: int = 0) -> bool:
        """Choose as ds_select_dst() and only keep what was chosen, for ds_set_dst() or ds_next_dst()."""
        return self._select(ctx, [(group, algorithm)], limit, TO_XAVP)

    @function("ds_select_routes", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def ds_select_routes(self, ctx: Context, rules: str, mode: str, limit: int = 0) -> bool:
        """Choose by several rules, one after the other: `"1=4;2=8"` is set 1 by turns, then set 2.

        `mode`: `d` puts the first into `$du`, `r` into the R-URI, `x` only keeps them.
        """
        target = MODES.get(mode[:1].lower())
        pairs = []
        for rule in filter(None, rules.split(";")):
            group, _, algorithm = rule.partition("=")
            if not (group.isdigit() and algorithm.isdigit()):
                raise ScriptError(f"ds_select_routes: {rule!r} is no set=algorithm")
            pairs.append((int(group), int(algorithm)))
        if target is None:
            raise ScriptError(f"ds_select_routes: mode {mode!r} is none of d, r and x")
        return self._select(ctx, pairs, limit, target)

    def _select(self, ctx: Context, rules: list[tuple[int, int]], limit: int, target: str) -> bool:
        if ctx.dst_uri and not self.force_dst and target == TO_DST:
            logger.error("the destination is set already: %s; see force_dst", ctx.dst_uri)
            return False
        chosen: list[tuple[int, Destination, int]] = []
        for number, algorithm in rules:
            group = self.sets.get(number)
            if group is not None and group.destinations:
                found = self.chooser.order(ctx, group, algorithm)
                chosen += [(number, each, algorithm) for each in found]
        if limit > 0:
            chosen = chosen[:limit]
        if not chosen:
            return False
        number, first, algorithm = chosen[0]
        if algorithm == PARALLEL:
            self._fork(ctx, [each for _, each, _ in chosen[1:]], target)
            chosen = []
        elif algorithm == LOAD and not self.loads.take(ctx, number, first):
            return False
        if target != TO_XAVP:
            self._use(ctx, first, target)
        if self.flags & FAILOVER or target == TO_XAVP:
            self._keep(ctx, [(number, each) for number, each, _ in chosen])
        return True

    def _use(self, ctx: Context, each: Destination, target: str) -> None:
        if target == TO_RURI:
            ctx.new_uri = moved(ctx.ruri, each)
        else:
            ctx.dst_uri = each.attributes.get("obproxy") or each.uri
        socket = self.socket_of(each)
        if socket is not None:
            ctx.send_socket = socket

    def _fork(self, ctx: Context, others: list[Destination], target: str) -> None:
        for each in others:
            if target == TO_RURI:
                ctx.add_branch(Branch(moved(ctx.ruri, each), send_socket=self.socket_of(each)))
            else:
                ctx.add_branch(Branch(ctx.ruri, dst_uri=each.uri, send_socket=self.socket_of(each)))

    def _keep(self, ctx: Context, chosen: list[tuple[int, Destination]]) -> None:
        xavps = ctx.avps.xavps
        xavps.delete(self.xavp_dst, "*")
        for number, each in reversed(chosen):
            record = Record()
            record.fields["grp"] = [number]
            record.fields["uri"] = [each.uri]
            if each.body and not self.xavp_dst_mode & 1:
                record.fields["attrs"] = [each.body]
            if each.attributes.get("socket") and not self.xavp_dst_mode & 2:
                record.fields["socket"] = [each.attributes["socket"]]
            if each.attributes.get("sockname") and not self.xavp_dst_mode & 4:
                record.fields["sockname"] = [each.attributes["sockname"]]
            xavps.push(self.xavp_dst, record)
        if not self.xavp_ctx_mode & 1:
            xavps.delete(self.xavp_ctx, "*")
            record = Record()
            record.fields["cnt"] = [len(chosen)]
            xavps.push(self.xavp_ctx, record)

    # What is kept

    def _kept(self, ctx: Context) -> Destination | None:
        """The destination that was chosen last."""
        xavps = ctx.avps.xavps
        group, uri = xavps.get(self.xavp_dst, 0, "grp"), xavps.get(self.xavp_dst, 0, "uri")
        found = self.find(group, uri) if isinstance(group, int) and isinstance(uri, str) else []
        return found[0] if found else None

    def _go_on(self, ctx: Context, target: str, *, drop: bool) -> bool:
        if drop:
            ctx.avps.xavps.delete(self.xavp_dst)
        # What is closed since it was chosen, or was taken from the list, is passed over.
        while ctx.avps.xavps.record(self.xavp_dst) is not None:
            each = self._kept(ctx)
            if each is not None and (each.is_open or not drop):
                self._use(ctx, each, target)
                return True
            ctx.avps.xavps.delete(self.xavp_dst)
        return False

    @function("ds_next_dst", routes=ROUTES)
    def ds_next_dst(self, ctx: Context) -> bool:
        """Put the next destination that was kept into `$du`; false when there is none."""
        return self._go_on(ctx, TO_DST, drop=True)

    @function("ds_next_domain", routes=ROUTES)
    def ds_next_domain(self, ctx: Context) -> bool:
        """Put host and port of the next destination that was kept into the R-URI."""
        return self._go_on(ctx, TO_RURI, drop=True)

    @function("ds_set_dst", routes=ROUTES)
    def ds_set_dst(self, ctx: Context) -> bool:
        """Put the destination that was chosen into `$du` (again)."""
        return self._go_on(ctx, TO_DST, drop=False)

    @function("ds_set_domain", routes=ROUTES)
    def ds_set_domain(self, ctx: Context) -> bool:
        """Put host and port of the destination that was chosen into the R-URI (again)."""
        return self._go_on(ctx, TO_RURI, drop=False)

    @function("ds_mark_dst", routes=REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE)
    def ds_mark_dst(self, ctx: Context, state: str = "i") -> bool:
        """Set the state of the destination chosen last: `i` inactive, `a` active, `t` trying, `d` disabled.

        `p` behind it has it pinged. `t` makes it inactive once `ds_probing_threshold` failures are counted.
        """
        each = self._kept(ctx)
        flags = self.flags_of(state)
        if each is None or flags is None:
            return False
        self.change(each, flags)
        return True

    # Asking

    @function("ds_list_exists", "ds_list_exist", routes=ANY)
    def ds_list_exists(self, ctx: Context, group: int) -> bool:
        """Whether there is a set of this number."""
        return group in self.sets

    @function("ds_is_active", routes=ANY)
    def ds_is_active(self, ctx: Context, group: int, uri: str = "") -> bool:
        """Whether a set has an open destination, or with `uri` whether that one is open."""
        found = self.sets.get(group)
        return found is not None and any(
            each.is_open and (not uri or each.uri == uri) for each in found.destinations
        )

    @function("ds_is_from_list", routes=ANY, narrower={0: ANY & ~ONSEND_ROUTE})
    def ds_is_from_list(
        self, ctx: Context, group: int = -1, mode: int = IGNORE_PROTOCOL, uri: str = ""
    ) -> bool:
        """Whether the source, or the host of `uri`, is a destination of a set, or of any (-1).

        `mode`, a sum: 1 whatever the port, 2 whatever the transport, 4 only one that is open.
        """
        remote = ctx.flow.remote
        host, port = remote.host, remote.port
        transport: str = ctx.flow.transport
        if uri:
            try:
                parsed = parse_uri(uri)
            except ParseError:
                return False
            if not isinstance(parsed, SipUri):
                return False
            host, port, transport = parsed.host.strip("[]"), parsed.port or 5060, parsed.transport
        host = _same(host)
        for number, each in self.all(group):
            if mode & MUST_BE_OPEN and not each.is_open:
                continue
            if host not in each.addresses and host != each.parsed.host.lower():
                continue
            if not mode & IGNORE_PORT and each.parsed.port not in (None, port):
                continue
            if not mode & IGNORE_PROTOCOL and each.parsed.transport not in ("", transport):
                continue
            if group == -1 and self.setid_variable is not None:
                self.setid_variable.set(ctx, number)
            if each.body and self.attrs_variable is not None:
                self.attrs_variable.set(ctx, each.body)
            return True
        return False

    # Load

    @function("ds_load_update", routes=ANY)
    def ds_load_update(self, ctx: Context) -> bool:
        """Take BYE and CANCEL off the load of their destination; a 2xx to an INVITE confirms it."""
        return self.loads.update(ctx)

    @function("ds_load_unset", routes=ANY)
    def ds_load_unset(self, ctx: Context) -> bool:
        """Take this call off the load of its destination."""
        return self.loads.drop(ctx.msg.call_id)

    @function("ds_reload", routes=ANY)
    async def ds_reload(self, ctx: Context) -> bool:
        """Read the list again."""
        return await self.read_again() == ""


def _same(host: str) -> str:
    try:
        return str(ip_address(host))
    except ValueError:
        return host.lower()
