"""What a client sees of a message: as it would leave, piece by piece, and what differs from before."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from kamtool import speed
from kamtool.debug.effects import listed
from kamtool.debug.history import Visit, route_of
from kamtool.debug.words import Mistake
from kamtool.errors import ParseError, TransportError
from kamtool.script import edits
from kamtool.script.context import Context
from kamtool.script.values import from_octets
from kamtool.server import outgoing
from kamtool.sip.transaction import State

if TYPE_CHECKING:
    from kamtool.server.server import Server

BRANCH = "z9hG4bK.of.this.branch"


def leaving(server: Server, ctx: Context) -> bytes:
    """The message as it would be sent now: with our Via where the next hop is known to be one over UDP."""
    msg = ctx.msg
    if not msg.is_request:
        return bytes(speed.relay(msg, ctx.edits))
    try:
        target = outgoing.next_hop(ctx).target
        if target is not None and target.transport == "udp" and server.sockets:
            return outgoing.build(server, ctx, outgoing.way_to(server, ctx, target), BRANCH)
    except (ParseError, TransportError):
        pass
    return edits.applied(ctx)


def lines_of(data: bytes) -> list[str]:
    """A message as lines."""
    return from_octets(data).replace("\r\n", "\n").rstrip("\n").split("\n")


def difference(before: bytes, after: bytes) -> list[str]:
    """Line by line what differs, with two lines around each change: `-` was, `+` is, ` ` is both."""
    found = difflib.unified_diff(lines_of(before), lines_of(after), n=2, lineterm="")
    return [line for line in found if not line.startswith(("---", "+++"))]


def information(server: Server, ctx: Context, what: str) -> Any:
    """`info WHAT`. Raises Mistake."""
    tellers: dict[str, Any] = {
        "message": _message, "branches": _branches, "transaction": _transaction, "avps": _avps,
        "flags": _flags, "routing": _routing,
    }  # fmt: skip
    names = {"msg": "message", "tm": "transaction", "tx": "transaction", "xavps": "avps", "avp": "avps"}
    word, _, rest = what.partition(" ")
    if word == "htable":
        return htables(server, rest.strip())
    teller = tellers.get(names.get(word, word))
    if teller is None:
        raise Mistake(f"there is no info {what!r}", f"there are {', '.join([*tellers, 'htable'])}")
    return teller(server, ctx)


def _message(server: Server, ctx: Context) -> dict[str, Any]:
    msg, flow = ctx.msg, ctx.flow
    return {
        "from": f"{flow.transport}:{flow.remote}", "to": f"{flow.transport}:{flow.local}",
        "size": len(msg.data), "call-id": msg.call_id, "cseq": f"{msg.cseq} {msg.cseq_method}",
        "edits": len(ctx.edits), "route": route_of(ctx),
    }  # fmt: skip


def _routing(server: Server, ctx: Context) -> dict[str, Any]:
    socket = ctx.send_socket
    return {
        "$ru": ctx.ruri, "$du": ctx.dst_uri, "path": ctx.path or None,
        "$fs": f"{socket.transport}:{socket.address}" if socket else None,
        "t_on_failure": ctx.on_failure or None, "t_on_reply": ctx.on_reply or None,
        "t_on_branch": ctx.on_branch or None, "reply headers": [h.rstrip() for h in ctx.reply_headers],
    }  # fmt: skip


def _branches(server: Server, ctx: Context) -> list[dict[str, Any]]:
    """The branches that were sent, and those that will be."""
    tx = ctx.transaction
    sent = [] if tx is None else tx.branches
    found = [
        {
            "branch": number, "uri": each.uri, "to": f"{each.flow.transport}:{each.flow.remote}",
            "state": State(each.state).name.lower(), "status": each.status,
        }
        for number, each in enumerate(sent)
    ]  # fmt: skip
    return found + [
        {"branch": "new", "uri": each.uri, "to": each.dst_uri or "", "state": "to be sent", "status": 0}
        for each in ctx.branches
    ]


def _transaction(server: Server, ctx: Context) -> dict[str, Any]:
    tx = ctx.transaction
    if tx is None:
        return {"transaction": None, "server": f"{len(server.transactions)} transactions"}
    return {
        "method": tx.method, "state": State(tx.state).name.lower(), "status": tx.status,
        "branches": len(tx.branches), "t_on_failure": tx.on_failure or None,
        "t_on_reply": tx.on_reply or None, "t_on_branch": tx.on_branch or None,
        "cancelled": tx.cancelled, "suspended": tx.suspended, "label": tx.label,
    }  # fmt: skip


def _avps(server: Server, ctx: Context) -> dict[str, Any]:
    return listed(ctx._avps or (ctx._origin._avps if ctx._origin else None))


def _flags(server: Server, ctx: Context) -> dict[str, Any]:
    names = {number: name for name, number in server.settings.flags.items()}

    def shown(bits: int) -> list[str]:
        return [names.get(bit, str(bit)) for bit in range(32) if bits >> bit & 1]

    return {
        "flags": shown(ctx.flags), "branch flags": shown(ctx.branch_flags),
        "script flags": shown(ctx.script_flags),
    }  # fmt: skip


def htables(server: Server, name: str) -> Any:
    """The hash tables, or the items of one, at most 100. Raises Mistake."""
    tables = getattr(server.modules.get("htable"), "htables", None)
    if not tables:
        raise Mistake("there is no hash table", "module htable makes them")
    if not name:
        return {each: f"{sum(1 for _ in table.keys())} items" for each, table in tables.items()}  # noqa: SIM118
    if name not in tables:
        raise Mistake(f"there is no htable {name!r}", f"there are {', '.join(tables)}")
    table = tables[name]
    keys = [key for key, _ in zip(table.keys(), range(100), strict=False)]
    return {key: table.get(key) for key in keys}


def path_of(visit: Visit) -> list[dict[str, Any]]:
    """Which statements a visit ran, with their numbers."""
    return [
        {
            "number": visit.lost + place, "file": moment.action.span.file, "line": moment.action.span.line,
            "name": moment.action.name, "route": moment.action.route,
        }
        for place, moment in enumerate(visit.moments)
        if moment.action is not None
    ]  # fmt: skip
