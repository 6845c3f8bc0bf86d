"""Which worker a message is for, when the kernel gave it to this one.

A response goes to the worker whose number is in our Via's branch. A request goes, with `call-id`, to the one
that its Call-ID names, so that an INVITE, its retransmissions, its CANCEL and its ACK meet wherever they come
from. REGISTER, OPTIONS and PUBLISH stay where they came, and so does all over TLS: a script may ask about the
certificate, which only the connection's worker knows. With `source` every request stays. Whatever stays and
is a CANCEL, or an ACK of an INVITE that nobody here has seen, is looked for around the workers.

Over UDP the kernel chooses by the same rules, where it can (`workers_steering`): then next to nothing hops.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError
from kamtool.server.workers_steering import worker_of
from kamtool.sip.flow import Address, Flow
from kamtool.sip.message import Request

if TYPE_CHECKING:
    from kamtool.server.server import Server
    from kamtool.server.workers import Team
    from kamtool.server.workers_link import Link

CALL_ID = re.compile(rb"\n(?:call-id|i)[ \t]*:\s*([^\r\n]*[^\s])", re.IGNORECASE)
STAYS = (b"REGI", b"OPTI", b"PUBL")
SECURE = ("tls", "wss")
MESSAGE, SEEK = "sip", "seek"


class Dispatch:
    """The way in of one worker: `message` takes the place of the server's own `receive`."""

    def __init__(self, server: Server, team: Team, link: Link) -> None:
        self.server, self.link = server, link
        self.number, self.size = team.number, team.size
        self.own = server.receive
        self.by_call_id = team.dispatch == "call-id"
        self.group = team.group_prefix.encode()
        link.on(MESSAGE, self._hopped, work=True)
        link.on(SEEK, self._sought, work=True)

    def message(self, data: bytes, flow: Flow) -> None:
        """One message from the network."""
        owner = self.owner(data, flow)
        if owner == self.number:
            self.own(data, flow)
        elif owner >= 0:
            self.server.count("workers:hopped")
            self.link.send(owner, MESSAGE, (data, *flat(flow)))
        else:
            self._seek(data, flow)

    def owner(self, data: bytes, flow: Flow) -> int:
        """The worker this is for; -1 when it has to be looked for."""
        if data[:4] == b"SIP/":
            at = data.find(self.group)
            if at < 0:
                return self.number
            at += len(self.group)
            try:
                number = int(data[at : at + 2], 16)
            except ValueError:
                return self.number
            return number if number < self.size else self.number
        start = data[:4]
        if start in STAYS:
            return self.number
        if self.by_call_id and flow.transport not in SECURE:
            found = CALL_ID.search(data)
            return self.number if found is None else worker_of(found[1], self.size)
        return -1 if start in (b"ACK ", b"CANC") else self.number

    def _hopped(self, sender: int, value: Any) -> None:
        data, *rest = value
        self.own(data, unflat(*rest))

    # Looking for an INVITE's worker

    def _seek(self, data: bytes, flow: Flow) -> None:
        if self._is_here(data):
            self.own(data, flow)
        else:
            self.link.send((self.number + 1) % self.size, SEEK, (self.number, data, *flat(flow)))

    def _sought(self, sender: int, value: Any) -> None:
        origin, data, *rest = value
        if origin == self.number or self._is_here(data):
            self.own(data, unflat(*rest))
        else:
            self.link.send((self.number + 1) % self.size, SEEK, value)

    def _is_here(self, data: bytes) -> bool:
        try:
            msg = Request(data)
        except ParseError:
            return True  # it is answered as it deserves
        transactions = self.server.transactions
        return transactions.find_invite(msg) is not None or (
            data[:4] == b"ACK " and transactions.has_dialog(msg)
        )


def flat(flow: Flow) -> tuple[Any, ...]:
    """A flow as plain data."""
    return (flow.transport, *flow.local, *flow.remote, flow.connection)


def unflat(
    transport: Any, local: str, local_port: int, remote: str, remote_port: int, connection: int
) -> Flow:
    """The flow of such data."""
    return Flow(transport, Address(local, local_port), Address(remote, remote_port), connection)
