"""What a message tells of the side that sent it: tag, contact, route set (RFC 3261 §12.1.1, §16.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.modules.dialog.state import Dialog, Party
from kamtool.server.routing import hop_of
from kamtool.sip.message import STAR, Message, Response
from kamtool.sip.nameaddr import parse_name_addr

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server
    from kamtool.sip.flow import Flow

KEEP_FOR_CALLEE, KEEP_FOR_CALLER = 1, 2


def contact_of(msg: Message) -> str:
    """The URI of the first Contact, "" without one."""
    try:
        contacts = msg.contacts
    except ParseError:
        return ""
    return "" if contacts is STAR or not contacts else contacts[0].uri


def caller_of(ctx: Context) -> Party:
    """The side that sent this INVITE. Its route set is the Record-Route as it came, nearest hop first."""
    msg = ctx.msg
    if not msg.from_tag:
        raise ParseError("no tag", header="From")
    routes = ",".join(msg.items("Record-Route"))
    return Party(msg.from_tag, contact_of(msg), msg.cseq, routes, f"{ctx.flow.transport}:{ctx.flow.local}")


def callee_of(
    dialog: Dialog, response: Response, ctx: Context, flow: Flow, server: Server, keep: int
) -> Party:
    """The side that sent this 2xx by `flow`. The caller's hops and our own are not on the way to it.

    `keep` says of which sides our own Record-Route stays in the route set: then what is made here takes
    the way through this server's script.
    """
    recorded = response.items("Record-Route")
    before = len(ctx.msg.items("Record-Route"))
    beyond = recorded[: len(recorded) - before] if before else recorded
    ours: list[str] = []
    while beyond and _is_ours(beyond[-1], server) and len(ours) < 2:
        ours.insert(0, beyond.pop())
    if keep & KEEP_FOR_CALLER:
        dialog.caller.routes = ",".join([*ours, *filter(None, [dialog.caller.routes])])
    routes = ",".join(reversed([*beyond, *(ours if keep & KEEP_FOR_CALLEE else [])]))
    return Party(response.to_tag, contact_of(response), 0, routes, f"{flow.transport}:{flow.local}")


def _is_ours(entry: str, server: Server) -> bool:
    try:
        hop = hop_of(parse_name_addr(entry).uri)
    except ParseError:
        return False
    return server.is_myself(hop.host, hop.port, hop.transport)


def refresh(party: Party, msg: Message) -> None:
    """A target refresh: the side is reached at another Contact from now on (§12.2)."""
    if msg.method in ("INVITE", "UPDATE") and (contact := contact_of(msg)):
        party.contact = contact
