"""siptrace: copies of messages in a database, at a Homer server, at another SIP server."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, ParseError, RpcError
from kamtool.module import ANY, Module, Param, Routes, Value, function, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.siptrace.copies import Copy, copy_of
from kamtool.modules.siptrace.deciding import is_ack_of_ours, is_dropped
from kamtool.modules.siptrace.receiver import Receiver, own_socket, sip_uri
from kamtool.modules.siptrace.rows import Rows
from kamtool.modules.siptrace.watched import Watched, Wish
from kamtool.script.context import Context
from kamtool.sip import hep
from kamtool.sip.flow import Flow, Socket
from kamtool.store.databases import require_version

if TYPE_CHECKING:
    from kamtool.module import Host
    from kamtool.script.program import Script
    from kamtool.server.server import Server
    from kamtool.store.database import Database
    from kamtool.transport.tap import Seen

log = logging.getLogger("kamtool.modules.siptrace")

TO_HEP, TO_DATABASE, TO_URI = 1, 2, 4
"""Bits of trace_mode."""
ONLY_CORE, ONLY_SCRIPT = 1, 2
"""Values of trace_init_mode."""
EVENT = "siptrace:msg"
_NAME = re.compile(r"\w{1,64}")


class Siptrace(Module):
    """Copies messages into the table sip_trace, to a capture server as HEP, to a SIP server as they are.

    `sip_trace()` copies the message it is called for, and all of its transaction or dialog when asked to;
    `trace_mode` copies everything that passes the server. While nothing is to be copied it costs nothing.
    """

    tables = ("sip_trace",)
    events = (EVENT,)

    db_url = Param("sqlite:///kamailio.sqlite", "the database of the table")
    table = Param("sip_trace", "the table")
    trace_flag = Param(0, "a message with this flag has its whole transaction traced by sip_trace()")
    trace_on = Param(0, "1: trace; `siptrace.status` changes it")
    traced_user_avp = Param("", "an AVP: its values go to the column traced_user, a row each")
    trace_table_avp = Param("", "an AVP that names the table")
    duplicate_uri = Param("", "a SIP URI that copies are sent to")
    trace_to_database = Param(1, "0: no rows")
    trace_local_ip = Param("", "what stands for our own address on messages that leave")
    trace_sl_acks = Param(1, "0: leave out the ACKs of stateless replies")
    xheaders_write = Param(0, "1: copies to duplicate_uri carry X-Siptrace headers")
    xheaders_read = Param(0, "1: take what X-Siptrace headers tell; messages without them are not traced")
    hep_mode_on = Param(0, "1: copies to duplicate_uri are HEP")
    hep_version = Param(1, "1, 2 or 3")
    hep_capture_id = Param(1, "our number as a capture agent, in HEP 2 and 3")
    trace_db_mode = Param(0, "accepted: rows are always written in batches, beside the calls")
    trace_delayed = Param(0, "accepted, as trace_db_mode")
    send_sock_name = Param("", "the name of the socket that copies leave by")
    send_sock_addr = Param("", "its address, as a SIP URI")
    force_send_sock = Param("", "send_sock_addr by its older name")
    trace_init_mode = Param(0, "0: all; 1: only trace_mode; 2: only sip_trace()")
    trace_mode = Param(0, "copy all messages: 1 as HEP, 2 to the database, 4 as they are")
    auth_key = Param("", "the key in HEP 3")
    evcb_msg = Param("", "accepted; there is no KEMI script whose function could be called")

    live = ("trace_to_database", "trace_sl_acks", "hep_capture_id", "auth_key", "trace_local_ip")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.is_on = False
        self.database: Database | None = None
        self.receiver: Receiver | None = None
        self._receivers: dict[str, Receiver] = {}
        self._watched = Watched()
        self._socket: Socket | None = None
        self._is_tapped = False
        self._rows: Rows | None = None

    @property
    def host(self) -> Server:
        return cast("Server", self.server)

    # Start

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """The parameters fit together."""
        if self.hep_version not in (1, 2, 3):
            yield ConfigError(f"siptrace: hep_version {self.hep_version} is not 1, 2 or 3", code="KT1201")
        if self.trace_mode & ~7:
            yield ConfigError(f"siptrace: trace_mode {self.trace_mode} is more than 7", code="KT1201")
        if self.trace_mode & (TO_HEP | TO_URI) and not self.duplicate_uri:
            yield ConfigError("siptrace: trace_mode needs duplicate_uri to send to", code="KT1201")
        if not _NAME.fullmatch(self.table):
            yield ConfigError(f"siptrace: table {self.table!r} is no name", code="KT1201")
        for uri in (self.duplicate_uri, self.send_sock_addr, self.force_send_sock):
            if uri:
                try:
                    sip_uri(uri)
                except ParseError as error:
                    yield ConfigError(f"siptrace: {uri!r} is no SIP URI: {error}", code="KT1201")

    async def start(self) -> None:
        """Open what copies go to. Raises ConfigError or StoreError."""
        for error in self.verify(None):  # type: ignore[arg-type]  # it looks at parameters alone
            raise error
        self.is_on = bool(self.trace_on)
        self.host.stats.setdefault("siptrace:traced_requests", 0)
        self.host.stats.setdefault("siptrace:traced_replies", 0)
        self._socket = own_socket(
            self.host.transports, self.send_sock_name, self.send_sock_addr or self.force_send_sock
        )
        if self.trace_to_database or self.trace_mode & TO_DATABASE:
            self.database = await open_database(self.server, self.db_url, "siptrace")
            await require_version(self.database, self.table, 4)
            self._rows = Rows(self.database)
        if self.duplicate_uri:
            self.receiver = self._receiver(self.duplicate_uri)
        self._users = self.server.variable(self.traced_user_avp) if self.traced_user_avp else None
        self._table = self.server.variable(self.trace_table_avp) if self.trace_table_avp else None
        self.every(10, self._forget)
        self._tap()

    def _receiver(self, uri: str) -> Receiver:
        found = self._receivers.get(uri)
        if found is None:
            found = self._receivers[uri] = Receiver(self.host, uri, self._socket)
        return found

    async def stop(self) -> None:
        """Write what waits."""
        self.is_on = False
        self._tap()
        if self.database is not None:
            await self.database.flush()

    def _tap(self) -> None:
        """Look at every message exactly while there is a reason to."""
        all_of_them = self.trace_mode and self.trace_init_mode != ONLY_SCRIPT
        wanted = self.is_on and bool(all_of_them or self._watched)
        if wanted and not self._is_tapped:
            self.host.tap.add(self.saw)
        elif self._is_tapped and not wanted:
            self.host.tap.remove(self.saw)
        self._is_tapped = wanted

    # The script

    @function("sip_trace", routes=ANY, arities=(0, 1, 2, 3))
    def sip_trace(self, ctx: Context, address: str = "", correlation_id: str = "", mode: str = "") -> int:
        """Copy this message; with mode `t` all of its transaction, with `d` of its dialog, with `m` it alone.

        `address` is a SIP URI to send copies to in the place of duplicate_uri, `correlation_id` goes into
        HEP 3. Without a mode it is `t` when the trace_flag is set, else `m`.
        """
        if not self.is_on or self.trace_init_mode == ONLY_CORE:
            return 1
        letter = mode[:1].lower() or (
            "t" if ctx.flags >> self.trace_flag & 1 and self.trace_flag >= 0 else "m"
        )
        if letter not in "mtd":
            log.error("sip_trace: there is no mode %r", mode)
            return -1
        if letter == "d" and ctx.msg.is_request and ctx.msg.method != "INVITE":
            log.error("sip_trace: a dialog is traced from its INVITE on")
            return -1
        try:
            receiver = self._receiver(address) if address else self.receiver
        except ConfigError as error:
            log.error("sip_trace: %s", error)
            return -1
        wish = Wish(receiver, correlation_id, self._values(self._users, ctx), self._table_of(ctx))
        flow: Flow | None = ctx.scratch.get("send.flow") if ctx.route_kind is Routes.ONSEND else None
        here = copy_of(time.time(), flow is None, flow or ctx.flow, ctx.msg.data, self.trace_local_ip)
        self._copy(here, wish)
        if letter != "m":
            self._watched.add(ctx.msg, wish, self.server.now(), whole_dialog=letter == "d")
            self._tap()
        return 1

    @function("sip_trace_mode", routes=ANY)
    def sip_trace_mode(self, ctx: Context, mode: str) -> int:
        """`sip_trace` with this mode: `m`, `t` or `d`."""
        return self.sip_trace(ctx, "", "", mode)

    @function("hlog", routes=ANY, arities=(1, 2))
    def hlog(self, ctx: Context, correlation_id: str, message: str = "") -> bool:
        """Send a text to the capture server at duplicate_uri, for its page about this call.

        With one argument that is the text, and the Call-ID is what it belongs to.
        """
        text = message or correlation_id
        if self.receiver is None or not self.hep_mode_on:
            log.error("hlog: needs duplicate_uri and hep_mode_on")
            return False
        flow = ctx.flow
        packet = hep.Hep(
            flow.remote, flow.local, text.encode("utf-8", "surrogateescape"),
            hep.PROTOCOLS.get(flow.transport, 17), time.time(), self.hep_capture_id, self.auth_key,
            correlation_id if message else ctx.msg.call_id, hep.LOG,
        )  # fmt: skip
        self.receiver.send(hep.encode(packet))
        return True

    def _values(self, variable: Any, ctx: Context) -> tuple[str, ...]:
        """All values of an AVP, the newest first."""
        if variable is None:
            return ()
        name = re.fullmatch(r"\$avp\((?:[si]:)?([^)]*)\)", variable.text)
        held = ctx.avps.named.get(name[1]) if name else None
        if held:
            return tuple(str(value) for value in reversed(held))
        value: Value = variable.get(ctx)
        return () if value is None else (str(value),)

    def _table_of(self, ctx: Context) -> str:
        named = self._values(self._table, ctx)
        if named and _NAME.fullmatch(named[0]):
            return named[0]
        return self.table

    # Copies

    def saw(self, seen: Seen) -> None:
        """The tap's watcher."""
        at, inbound, flow, data = seen
        copy = copy_of(at, inbound, flow, data, self.trace_local_ip)
        if self.trace_mode and self.trace_init_mode != ONLY_SCRIPT:
            self._mirror(copy, flow)
        if not self._watched:
            return
        wish = self._watched.find(copy)
        if wish is None or (not self.trace_sl_acks and inbound and is_ack_of_ours(self.host, copy)):
            return
        wish.until = self.server.now() + wish.lasts
        self._copy(copy, wish)

    def _copy(self, copy: Copy, wish: Wish) -> None:
        """One copy to wherever its wish says."""
        if self.xheaders_read:
            told = copy.without_xheaders()
            if told is None:
                return
            copy = told
        self._count(copy)
        if self.trace_to_database and self._rows is not None:
            self._rows.post(copy, wish.users, wish.table)
        if wish.receiver is not None:
            self._send(copy, wish.receiver, wish.correlation, as_hep=bool(self.hep_mode_on))

    def _mirror(self, copy: Copy, flow: Flow) -> None:
        """What trace_mode asks for, unless the event_route drops it."""
        if EVENT in self.host.program.event_routes and is_dropped(self.host, EVENT, copy, flow):
            return
        self._count(copy)
        if self.trace_mode & TO_DATABASE and self._rows is not None:
            self._rows.post(copy, (), self.table)
        if self.receiver is not None:
            if self.trace_mode & TO_HEP:
                self._send(copy, self.receiver, "", as_hep=True)
            if self.trace_mode & TO_URI:
                self._send(copy, self.receiver, "", as_hep=False)

    def _count(self, copy: Copy) -> None:
        self.host.count("siptrace:traced_replies" if copy.is_reply else "siptrace:traced_requests")

    def _send(self, copy: Copy, receiver: Receiver, correlation: str, *, as_hep: bool) -> None:
        if as_hep:
            data = copy.hep(self.hep_version, self.hep_capture_id, self.auth_key, correlation)
        else:
            data = copy.with_xheaders() if self.xheaders_write else copy.data
        receiver.send(data)

    def _forget(self) -> None:
        """Watch no more for what has ended."""
        self._watched.forget(self.server.now())
        self._tap()

    # RPC

    @rpc("siptrace.status")
    def rpc_status(self, command: str) -> str:
        """`on` and `off` switch tracing, `check` tells how it stands."""
        if command in ("on", "off"):
            self.is_on = command == "on"
            self._tap()
            return "Enabled" if self.is_on else "Disabled"
        if command == "check":
            return "Enabled" if self.is_on else "Disabled"
        raise RpcError(500, "Bad parameter (on, off or check)")
