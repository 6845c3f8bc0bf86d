"""What every message asks of its server, in places that compiled code reaches without looking them up."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final

from kamtool.compiled import mypyc_attr
from kamtool.errors import KamtoolError
from kamtool.server import listen
from kamtool.server.routing import via_flow

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.blocklist import Blocklist
    from kamtool.server.myself import Myself
    from kamtool.server.relay import Relay
    from kamtool.server.reply import Replies
    from kamtool.server.responses import Responses
    from kamtool.server.running import Running
    from kamtool.server.tally import Tally
    from kamtool.server.tasks import Tasks
    from kamtool.server.transactions import Transactions
    from kamtool.server.uac import Uac
    from kamtool.sip.flow import Flow, Socket
    from kamtool.sip.message import Message, Response
    from kamtool.transport.target import Target
    from kamtool.transport.transports import Transports


@mypyc_attr(allow_interpreted_subclasses=True)
class Core:
    """The part of a `Server` that its compiled parts know. `Server` is the only one, and sets all of this."""

    name: Final = "kamtool"
    settings: Any
    program: Any
    reloads: int
    stateful: bool
    quirks: bool
    running: Running
    transports: Transports
    transactions: Transactions
    relay: Relay
    replies: Replies
    responses: Responses
    uac: Uac
    tasks: Tasks
    myself: Myself
    is_myself: Myself
    now: Callable[[], float]
    blocklist: Blocklist | None
    choose_tls: Callable[[Context, str], tuple[str, str]] | None
    udp_mtu: int
    udp_mtu_proto: str
    _mhomed: bool
    local_rport: bool
    force_rport: bool
    stray_replies: list[Callable[[Response, Flow], bool]]
    foreign_data: list[Callable[[bytes, Flow], bool]]
    tally: Callable[..., Tally]
    count: Callable[..., None]
    reply: Callable[..., bool]
    drive: Callable[[Coroutine[Any, Any, None], Message | None], None]
    run_event: Callable[..., None]
    log_failure: Callable[[Message | None, Exception], None]
    script_failed: Callable[[Context, Exception], None]

    def setting(self, name: str, default: Any) -> Any:
        """A global parameter of the cfg."""
        return self.settings.values.get(name, default)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` as a task of this server; what it raises is logged."""
        self.tasks.spawn(work, name)

    def send(self, flow: Flow, data: bytes) -> bool:
        """Put bytes on the wire by this flow; false when its connection is gone or full."""
        return self.transports.send(flow, data)

    def send_reply_by(self, back: Flow, msg: Message, data: bytes) -> bool:
        """Send a response: by the connection, and when that is gone by a new one (RFC 3261 §18.2.2)."""
        if self.transports.send(back, data):
            return True
        if back.transport == "udp":
            return False
        try:
            return self.transports.send(via_flow(msg.top_via, self.transports), data)
        except KamtoolError:
            return False

    def route_socket(self, target: Target) -> Socket | None:
        """With `mhomed`, the socket on the interface that the kernel would use to reach the target."""
        return listen.route_socket(self.transports, target) if self._mhomed else None
