"""What topoh and topos share: whose URI it is, and the event routes that may except a message."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.module import Routes
from kamtool.modules.topoh.pieces import uri_of
from kamtool.script.context import Context, Exit
from kamtool.sip.flow import Flow
from kamtool.sip.message import Message, Request, Response
from kamtool.speed import split_uri

if TYPE_CHECKING:
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.topoh")
KNOWN = 1024
LONGEST = 256
"""Octets of an item that is worth remembering: what anybody sends must not fill the memory."""


class Ours:
    """Whether a Record-Route or Route value names this server; the last answers are remembered."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.known: dict[bytes, bool] = {}
        """Answers by item, of a plain one without its parameters; the kernel looks here, too."""
        server.myself.keep(self.known)

    def __call__(self, item: bytes) -> bool:
        # Our own have a From tag or a signature of each dialog behind the host: of no account here.
        plain = item.startswith(b"<sip:") and b"@" not in item and b"ransport" not in item.lower()
        key = item.partition(b";")[0] if plain else item
        answer = self.known.get(key)
        if answer is None:
            answer = self._look(item)
            if len(key) <= LONGEST:
                if len(self.known) >= KNOWN:
                    self.known.clear()
                self.known[key] = answer
        return answer

    def _look(self, item: bytes) -> bool:
        found = uri_of(item, 0, len(item))
        if not found:
            return False
        try:
            _, _, _, host, port, params, _ = split_uri(
                item[found[0] : found[1]].decode("utf-8", "surrogateescape")
            )
        except ParseError:
            return False
        transport = (params or "").lower().partition(";transport=")[2].partition(";")[0]
        return self.server.is_myself(host, port, transport)


def read(data: bytes) -> Message | None:
    """The message in the bytes, None when they are none."""
    if len(data) < 16:
        return None
    try:
        return Response(data) if data[:4] == b"SIP/" else Request(data)
    except ParseError:
        return None


def excepted(server: Server, name: str, data: bytes, flow: Flow, *, leaves: bool = True) -> bool:
    """Run an event_route on a message that leaves or comes; true when it says `drop`."""
    msg = read(data)
    if msg is None:
        return False
    ctx = Context(server, msg, flow)
    ctx.route_kind, ctx.route_name = Routes.EVENT, name
    if leaves:
        ctx.scratch.update({"send.flow": flow, "send.data": data})
    running = server.program.event_routes[name](ctx)
    try:
        running.send(None)
    except StopIteration:
        return False
    except Exit as way_out:
        return way_out.dropped
    except Exception as error:
        server.log_failure(msg, error)
        return False
    running.close()
    logger.error("event_route[%s] waits for something: it may not", name)
    return False
