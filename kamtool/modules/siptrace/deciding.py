"""Which messages are not copied: those that the event_route drops, and ACKs of stateless replies."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.module import Routes
from kamtool.modules.siptrace.copies import Copy
from kamtool.script.context import Context, Exit
from kamtool.sip.flow import Flow
from kamtool.sip.message import parse

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.siptrace")


def is_ack_of_ours(server: Server, copy: Copy) -> bool:
    """Whether it acknowledges a reply that we sent without a transaction."""
    if copy.own_method != "ACK":
        return False
    try:
        to_tag = parse(copy.data).to_tag
    except ParseError:
        return False
    return bool(to_tag) and server.replies.is_ours(to_tag)


def is_dropped(server: Server, event: str, copy: Copy, flow: Flow) -> bool:
    """Whether the event_route says `drop` for this copy."""
    try:
        ctx = Context(server, parse(copy.data), flow)
    except ParseError:
        return False
    ctx.route_kind, ctx.route_name = Routes.EVENT, event
    running = server.program.event_routes[event](ctx)
    try:
        running.send(None)
    except Exit as exit_:
        return exit_.dropped
    except StopIteration:
        return False
    running.close()
    log.error("event_route[%s] waits for something: it cannot decide", event)
    return False
