"""One running server: the script, its modules, the sockets, and the life they share."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from kamtool.module import Module, RouteName, Value, Variable, declaration, find
from kamtool.script.context import Context
from kamtool.script.log_prefix import LogPrefix
from kamtool.server import life, listen
from kamtool.server.blocklist import CONNECT, ICMP, SEND, blocklist_for
from kamtool.server.core import Core
from kamtool.server.myself import Myself
from kamtool.server.observers import Observers
from kamtool.server.options import Options
from kamtool.server.receive import Receive
from kamtool.server.refusing import Gate
from kamtool.server.relay import Relay
from kamtool.server.reply import Replies
from kamtool.server.responses import Responses
from kamtool.server.rpc import RpcTable
from kamtool.server.running import Running
from kamtool.server.statistics import Statistics
from kamtool.server.sweeps import Sweeps
from kamtool.server.tasks import Tasks
from kamtool.server.transactions import Transactions
from kamtool.server.uac import Uac
from kamtool.server.workers_connections import Connections
from kamtool.server.workers_dispatch import Dispatch
from kamtool.server.workers_link import Link
from kamtool.server.workers_rpc import Spread
from kamtool.sip.flow import Address, Flow, Socket
from kamtool.sip.framing import Broken
from kamtool.sip.message import Response
from kamtool.sip.via import MAGIC_COOKIE
from kamtool.store.databases import Databases
from kamtool.transport.dns_options import dns_options
from kamtool.transport.resolver import Resolver
from kamtool.transport.tap import Tap
from kamtool.transport.tcp_options import tcp_options
from kamtool.transport.transports import Transports
from kamtool.transport.udp_options import udp_options

log = logging.getLogger("kamtool.server")

__all__ = ["Options", "RouteName", "Server"]


class Server(Core):
    """A SIP server. Nothing about it is global: two can run in one process.

    `start` raises ConfigError, StoreError or TransportError, and leaves nothing open then.
    """

    def __init__(self, script: Any, *, options: Options | None = None) -> None:
        self.script = script
        self.options = options or Options()
        self.settings = script.settings
        self.quirks = script.settings.quirks
        self.statistics = Statistics()
        self.tally, self.count = self.statistics.tally, self.statistics.count
        self.tasks = Tasks()
        self.branch_start = MAGIC_COOKIE
        """How the branch of a request begins that is sent without a transaction: its answer comes here."""
        self.modules: dict[str, Module] = {}
        self.databases = Databases()
        self.closed_watchers: list[Callable[[Flow], None]] = []
        """Called with the flow of each connection that is lost."""
        self.stray_replies: list[Callable[[Response, Flow], bool]] = []
        """Asked about each response that is for this server and belongs to no transaction; True takes it."""
        self.foreign_data: list[Callable[[bytes, Flow], bool]] = []
        """Asked about each datagram that is no SIP message; True takes it."""
        self.rpc = RpcTable()
        self.team = self.options.team
        self.worker = self.team.number if self.team else 0
        """This worker's number."""
        self.dispatch: Dispatch | None = None
        self.link: Link | None = None
        """The way to the other workers, where there are any."""
        self.started_at = time.time()
        self.now: Callable[[], float] = time.monotonic
        self.stateful = False
        self.myself = self.is_myself = Myself(())
        """Whether a URI with some host, port and transport means this server."""
        self.own_uris = self.myself.uris
        self.running = Running(self)
        self.run, self.drive, self.run_event = self.running.run, self.running.drive, self.running.event
        self.log_failure, self.script_failed = self.running.log_failure, self.running.script_failed
        self.force_rport = bool(self.setting("force_rport", False))
        self._receive = Receive(self)
        self._taking = self._way_in()
        self.receive: Callable[[bytes, Flow], None] = self._taking
        """One datagram, or one message cut from a stream: what the transports call."""
        if self.team:
            self.link = Link(self.worker, self.team.mail, self.spawn)
            self.dispatch = Dispatch(self, self.team, self.link)
            self.receive = self.dispatch.message
        self.transports = Transports(self, tcp=tcp_options(self.setting), resolver=self._resolver(),
            udp=udp_options(self.setting, self.options.gather),
        )  # fmt: skip
        self.responses = Responses(self)
        self.transactions = Transactions(self.responses, self.transports.send, self.now)
        self.tap = Tap(self.transports, self.transactions)
        self.replies = Replies(self)
        self.reply = self.replies.reply
        if self.team and self.link:
            self.branch_start = self.team.prefix(self.worker)
            self.transactions.use_prefix(self.branch_start)
            self.replies.stateless_key = self.team.derive("stateless", 4).hex()
            self.connections = Connections(self.link, self.transports, self.team.numbers)
            self.spread = Spread(self.rpc, self.link)
            self.transports.before_reading = self.link.hear
            self.transports.before_sending = self.link.flush
        self.gate = Gate(self)
        self.relay = Relay(self)
        self.uac = Uac(self)
        self.program: Any = None
        self.reloads = 0
        """How often another program has taken the place of the first; see kamtool.server.reload."""
        self.observers = Observers(self)
        self.sweeps = Sweeps(self)
        self.choose_tls: Callable[[Context, str], tuple[str, str]] | None = None
        """Set by the module tls: the server name and profile for a connection that a request needs."""
        self._mhomed = bool(self.setting("mhomed", False))
        self.blocklist = blocklist_for(self.setting, lambda: self.now())
        self.local_rport = bool(self.setting("local_rport", False))
        self.udp_mtu = int(self.setting("udp_mtu", 0))
        """Requests over UDP that are larger, in octets, leave by `udp_mtu_proto`; 0 for no limit."""
        self.udp_mtu_proto = str(self.setting("udp_mtu_try_proto", "udp")).lower()

    # Settings

    def _resolver(self) -> Resolver:
        return self.options.resolver or Resolver(dns_options(self.setting))

    # Life

    async def start(self) -> None:
        """Make and start the modules in the order of their loadmodule lines, then read the sockets."""
        await life.start(self)

    async def stop(self, drain: float | None = None) -> None:
        """Wait up to `drain` seconds for running transactions, then close everything in reverse order."""
        await life.stop(self, drain)

    def make_modules(self) -> None:
        """An instance of each module that the script loads, its RPC registered, not started yet."""
        for name in ["core", *(load.name for load in self.script.loads)]:
            if name in self.modules:
                continue
            module = self.modules[name] = find(name)(self)
            for method in declaration(type(module)).rpcs.values():
                self.rpc.register(method.name, getattr(module, method.attribute), method.doc, method.workers)
        self.stateful = "tm" in self.modules

    def set_sockets(self) -> None:
        """The sockets are bound: from now on it is known which URIs mean this server."""
        self.myself = self.is_myself = Myself(self.sockets, listen.aliases_of(self.settings))
        self.own_uris = self.myself.uris

    def settings_changed(self) -> None:
        """Other settings are in force: what was made from the old ones is made anew."""
        self.quirks = self.settings.quirks
        self.replies.server_line = b""
        self.say_who()
        self.myself.set_aliases(listen.aliases_of(self.settings))
        before, self._taking = self._taking, self._way_in()
        self.gate.replace(before, self._taking)

    def _way_in(self) -> Callable[[bytes, Flow], None]:
        """What a message is given to; with `log_prefix`, lines that are logged meanwhile begin with it."""
        own = self._receive.message
        return LogPrefix(self).receiving(own) if self.setting("log_prefix", "") else own

    def say_who(self) -> None:
        """Set the header `Server` of what is answered here."""
        from kamtool import __version__

        if self.setting("server_signature", True):
            line = self.setting("server_header", "") or f"Server: kamtool ({__version__})"
            self.replies.server_line = line.encode("utf-8", "surrogateescape") + b"\r\n"

    # Host

    @property
    def sockets(self) -> list[Socket]:
        """The listening sockets, with the ports they got."""
        return self.transports.sockets

    def socket(self, transport: str, address: tuple[str, int]) -> Socket | None:
        """The listening socket with this address, bound or advertised."""
        return self.transports.socket(transport, address) or self.transports.find_socket(transport, *address)

    @property
    def stats(self) -> dict[str, int]:
        """Counters by `group:name`, e.g. `core:rcv_requests`."""
        return self.statistics.counters()

    def every(self, seconds: float, callback: Callable[[], Awaitable[None] | None]) -> None:
        """Call `callback` every so many seconds until the server stops."""
        self.tasks.every(seconds, callback)

    def variable(self, text: str) -> Variable:
        """Compile `$avp(x)` as found in a modparam. Raises ConfigError."""
        found: Variable = self.script.variable(text, self)
        return found

    def variables(self, texts: Sequence[str]) -> Callable[[Any], tuple[Value, ...]]:
        """Compile pseudo-variables as found in a modparam: one function that reads them all."""
        found: Callable[[Any], tuple[Value, ...]] = self.script.variables(texts, self)
        return found

    def format(self, text: str) -> Callable[[Any], str]:
        """Compile a format string as found in a modparam. Raises ConfigError."""
        found: Callable[[Any], str] = self.script.format(text, self)
        return found

    def receive_by(self, receive: Callable[[bytes, Flow], None]) -> None:
        """From now on give what arrives to `receive`."""
        self.receive = receive
        self.transports.receive_by(receive)

    # Sending

    def unsent(self, data: bytes, flow: Flow) -> None:
        """A message the transport took and could not send after all."""
        self.count("core:send_errors")
        if self.blocklist is not None and not data.startswith(b"SIP/2.0 "):
            self.blocklist.add(flow.transport, flow.remote, SEND if flow.transport == "udp" else CONNECT)
        self.transactions.failed(data)

    def unreachable(self, data: bytes, remote: Address) -> None:
        """ICMP says that a datagram, of which this is the beginning, did not arrive."""
        if self.blocklist is not None and not data.startswith(b"SIP/2.0 "):
            self.blocklist.add("udp", remote, ICMP)
        self.responses.unreachable(data)

    def broken(self, end: Broken, flow: Flow) -> None:
        self._receive.broken(end, flow)

    def closed(self, flow: Flow, reason: str) -> None:
        log.debug("%s:%s closed: %s", flow.transport, flow.remote, reason)
        for watcher in self.closed_watchers:
            watcher(flow)
        if self.program is not None and "tcp:closed" in self.program.event_routes:
            self.run_event("tcp:closed", {"tcp.flow": flow, "tcp.reason": reason})

    async def forward(self, ctx: Context, uri: str = "", transport: str = "") -> bool:
        """Send the request on without a transaction: to `uri` when given, else by `$du` or the R-URI."""
        return await self.relay.stateless(ctx, uri, transport)
