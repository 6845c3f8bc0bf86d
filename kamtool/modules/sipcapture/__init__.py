"""sipcapture: a capture server. What others send as HEP meets the script, and goes into a table."""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from kamtool.errors import ConfigError, ParseError, RpcError, TransportError
from kamtool.module import ANY, Module, Param, Plain, Routes, Value, function, pv, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.sipcapture.mode import NAME, Mode, mode_of
from kamtool.modules.sipcapture.row import COLUMNS, at_of, row
from kamtool.script.context import Context, Exit
from kamtool.sip import hep
from kamtool.sip.flow import Address, Flow
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.transport.target import is_numeric
from kamtool.transport.transports import Transports

if TYPE_CHECKING:
    from kamtool.module import Host
    from kamtool.script.program import Script
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.sipcapture")

EVENT = "sipcapture:request"
REMEMBERED = 4096
RAW = ("raw_ipip_capture_on", "raw_moni_capture_on")


class Sipcapture(Module):
    """Takes HEP (1, 2 and 3) on the server's UDP sockets; the message in it runs the script as if it had
    come from where it was seen, and `sip_capture()` stores it.

    End the routes of a capture server with `drop` or `exit`: a captured response that is let through would
    be forwarded as any other. Raw sockets (IPIP, mirrored ports) are not read: send HEP instead.
    """

    tables = ("sip_capture",)
    events = (EVENT,)

    db_url = Param("", "the database of the tables")
    table_name = Param("sip_capture", "the table, or several with | between them")
    mt_mode = Param("rand", "how one of several tables is chosen: rand, round_robin, hash")
    hash_source = Param("call_id", "what is hashed: call_id, from_user, to_user")
    db_insert_mode = Param(0, "accepted: rows are always written in batches, beside the calls")
    capture_on = Param(0, "1: sip_capture() stores; `sipcapture.status` changes it")
    capture_mode = Param("", "name=>db_url=…;table_name=…;mt_mode=…;hash_source=…", repeat=True)
    hep_capture_on = Param(0, "1: take HEP")
    raw_ipip_capture_on = Param(0, "0: raw sockets are not read")
    raw_moni_capture_on = Param(0, "0: raw sockets are not read")
    raw_socket_listen = Param("", "accepted, of no use without raw sockets")
    raw_interface = Param("", "accepted, of no use without raw sockets")
    raw_sock_children = Param(1, "accepted, of no use without raw sockets")
    promiscuous_on = Param(0, "accepted, of no use without raw sockets")
    raw_moni_bpf_on = Param(0, "accepted, of no use without raw sockets")
    capture_node = Param("homer01", "the name of this server, in the column node")
    insert_retries = Param(0, "accepted: what the database refuses is logged, nothing is tried twice")
    insert_retry_timeout = Param(60, "accepted, as insert_retries")
    callid_aleg_header = Param(
        "X-CID", "headers, with ; between them, that name the Call-ID of the other leg"
    )
    topoh_unmask = Param(0, "0: the module topoh is not built")
    nonsip_hook = Param(0, "1: event_route[sipcapture:request] runs for each HEP packet, and may drop it")
    event_callback = Param("", "accepted; there is no KEMI script whose function could be called")
    capture_bad_msgs = Param(0, "1: store also what is no SIP message, as its octets")

    live = ("capture_node", "capture_bad_msgs")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.is_on = False
        self.modes: dict[str, Mode] = {}
        self._heps: OrderedDict[int, tuple[Flow, hep.Hep, bytes]] = OrderedDict()
        self._statements: dict[str, str] = {}

    @property
    def host(self) -> Server:
        return cast("Server", self.server)

    # Start

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """Nothing is asked for that cannot be had."""
        for name in RAW:
            if getattr(self, name):
                yield ConfigError(f"sipcapture: {name}: raw sockets are not read", code="KT1201",
                                  hint="let siptrace, or `kamtool trace --hep`, send HEP")  # fmt: skip
        if self.topoh_unmask:
            yield ConfigError("sipcapture: topoh_unmask needs the module topoh", code="KT1201")
        try:
            self._modes()
        except ConfigError as error:
            yield error

    def _modes(self) -> dict[str, Mode]:
        modes = {"": mode_of(self.db_url, self.table_name, self.mt_mode, self.hash_source)}
        for entry in self.__dict__["capture_mode"]:
            name, arrow, rest = entry.partition("=>")
            facts = dict(part.split("=", 1) for part in rest.split(";") if "=" in part)
            facts = {key.strip(): value.strip() for key, value in facts.items()}
            if not arrow or not name.strip() or not facts.get("db_url"):
                raise ConfigError(
                    f"sipcapture: capture_mode {entry!r} has no name or no db_url", code="KT1201"
                )
            modes[name.strip()] = mode_of(
                facts["db_url"], facts.get("table_name", "sip_capture"), facts.get("mt_mode", "rand"),
                facts.get("hash_source", "call_id"),
            )  # fmt: skip
        return modes

    async def start(self) -> None:
        """Open the databases and take HEP. Raises ConfigError or StoreError."""
        for error in self.verify(None):  # type: ignore[arg-type]  # it looks at parameters alone
            raise error
        self.modes = self._modes()
        for mode in self.modes.values():
            if mode.url:
                mode.database = await open_database(self.server, mode.url, "sipcapture")
        self.is_on = bool(self.capture_on)
        for name in ("captured_requests", "captured_replies", "hep_packets", "hep_errors"):
            self.host.stats.setdefault(f"sipcapture:{name}", 0)
        if self.hep_capture_on:
            self.host.foreign_data.append(self.taken)

    async def stop(self) -> None:
        """Write what waits."""
        for mode in self.modes.values():
            if mode.database is not None:
                await mode.database.flush()

    # HEP

    def taken(self, data: bytes, flow: Flow) -> bool:
        """A datagram that is no SIP message: true when it was HEP, and is dealt with."""
        if not hep.is_hep(data):
            return False
        try:
            found = hep.decode(data)
        except ParseError as error:
            self.host.count("sipcapture:hep_errors")
            log.info("sipcapture: from %s: %s", flow.remote, error)
            return True
        self.host.count("sipcapture:hep_packets")
        if self.nonsip_hook and not self._wanted(found, data, flow):
            return True
        if found.version == 3 and found.kind != hep.SIP:
            return True
        inner = Flow(found.transport, found.target, found.source)  # type: ignore[arg-type]
        self._remember(inner, found, data)
        self.host.receive(found.payload, inner)
        return True

    def _remember(self, flow: Flow, found: hep.Hep, data: bytes) -> None:
        self._heps[id(flow)] = flow, found, data  # holding it: no other flow gets its id
        if len(self._heps) > REMEMBERED:
            self._heps.popitem(last=False)

    def _wanted(self, found: hep.Hep, data: bytes, flow: Flow) -> bool:
        """What event_route[sipcapture:request] says: it drops the packet by `drop` or `return 0`."""
        route = self.host.program.event_routes.get(EVENT)
        if route is None:
            return True
        from kamtool.server.listen import event_context

        ctx = event_context(self.host)
        ctx.flow = replace(flow)
        ctx.route_kind, ctx.route_name = Routes.EVENT, EVENT
        self._remember(ctx.flow, found, data)
        running = route(ctx)
        try:
            running.send(None)
        except Exit as exit_:
            return not exit_.dropped and exit_.code != 0
        except StopIteration as end:
            return bool(end.value != 0)
        running.close()
        log.error("event_route[%s] waits for something: the packet goes on", EVENT)
        return True

    def _hep_of(self, ctx: Context) -> tuple[hep.Hep, bytes] | None:
        held = self._heps.get(id(ctx.flow))
        return (held[1], held[2]) if held is not None and held[0] is ctx.flow else None

    @pv("hep")
    def hep_pv(self, ctx: Context, name: str) -> Value:
        """`$hep(version)`, or a chunk of HEP 3 by its number: `$hep(0x00f)` is the payload."""
        held = self._hep_of(ctx)
        if held is None:
            return None
        found = held[0]
        plain: dict[str, Value] = {
            "version": found.version, "src_ip": found.source.host, "dst_ip": found.target.host,
            "src_port": found.source.port, "dst_port": found.target.port,
        }  # fmt: skip
        if name in plain:
            return plain[name]
        try:
            number = int(name, 0)
        except ValueError:
            return None
        if number in (3, 5):
            return found.source.host
        if number in (4, 6):
            return found.target.host
        value = found.chunks.get(number)
        if value is None:
            return None
        if number in (hep.KEY, hep.PAYLOAD, hep.CORRELATION):
            return value.decode("utf-8", "surrogateescape")
        return int.from_bytes(value[:4], "big") if len(value) <= 4 else value.decode("utf-8", "replace")

    # The script

    @function("sip_capture", routes=ANY, arities=(0, 1, 2))
    def sip_capture(self, ctx: Context, table: str = "", cmode: str = "") -> int:
        """Store this message as it came.

        `table` may hold strftime's signs (`sip_capture_call_%Y%m%d`); `cmode` names a capture_mode.
        """
        if not self.is_on:
            return 1
        mode = self.modes.get(cmode)
        if mode is None or mode.database is None:
            log.error("sip_capture: no database%s", f" for the mode {cmode!r}" if cmode else "")
            return -1
        held = self._hep_of(ctx)
        at = (held[0].at if held else 0.0) or time.time()
        aleg = [name.strip() for name in self.callid_aleg_header.split(";") if name.strip()]
        node = f"{self.capture_node}:{held[0].node}" if held else self.capture_node
        values = row(ctx.msg, ctx.flow, held[0] if held else None, node, aleg, at)
        name = time.strftime(table, time.gmtime(at)) if table else mode.table(values)
        if not NAME.fullmatch(name):
            log.error("sip_capture: %r is no name of a table", name)
            return -1
        mode.database.post(self._statement(name, COLUMNS), values)
        self.host.count(
            "sipcapture:captured_requests" if ctx.msg.is_request else "sipcapture:captured_replies"
        )
        return 1

    def _statement(self, table: str, columns: tuple[str, ...]) -> str:
        statement = self._statements.get(table)
        if statement is None:
            marks = ", ".join("?" * len(columns))
            statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
            if len(self._statements) > 1024:
                self._statements.clear()
            self._statements[table] = statement
        return statement

    @function("report_capture", routes=ANY, arities=(1, 2, 3))
    def report_capture(self, ctx: Context, table: str, cid: str = "", data: str = "") -> int:
        """Store a report that came in HEP, or `data` in its place: time, addresses, `cid` and the text."""
        held, database = self._hep_of(ctx), self.modes[""].database
        if held is None or database is None or not NAME.fullmatch(table):
            log.error("report_capture: needs a HEP packet, db_url and the name of a table")
            return -1
        found = held[0]
        at = found.at or time.time()
        columns = (
            "date", "micro_ts", "correlation_id", "source_ip", "source_port", "destination_ip",
            "destination_port", "proto", "family", "type", "node", "msg",
        )  # fmt: skip
        text = data or found.payload.decode("utf-8", "replace")
        database.post(
            self._statement(table, columns),
            (
                at_of(at), round(at * 1_000_000),
                cid or found.correlation, *found.source, *found.target, found.protocol,
                10 if ":" in found.source.host else 2, found.kind, self.capture_node, text,
            ),
        )  # fmt: skip
        return 1

    @function("float2int", routes=ANY)
    def float2int(self, ctx: Context, value: str, factor: str) -> int:
        """The product as a return code: `float2int("4.1", "100")` is 410; -1 when it is 0."""
        numbers = [re.match(r"\s*[-+]?\d+(?:\.\d*)?", text) for text in (value, factor)]
        product = 1.0
        for found, whole in zip(numbers, (False, True), strict=True):
            number = float(found[0]) if found else 0.0
            product *= int(number) if whole else number
        return int(product) or -1

    @function("sip_capture_forward", routes=ANY)
    def sip_capture_forward(self, ctx: Context, uri: Plain) -> bool:
        """Send the HEP packet on, octet for octet, to `sip:host:port` (a numeric address, UDP)."""
        held = self._hep_of(ctx)
        try:
            parsed = parse_uri(uri)
        except ParseError:
            parsed = None
        if held is None or not isinstance(parsed, SipUri) or not is_numeric(parsed.host):
            log.error("sip_capture_forward: needs a HEP packet and a URI with a numeric address")
            return False
        transports = self.host.transports
        try:
            flow = transports.flow_to("udp", Address(parsed.host.strip("[]"), parsed.port or 5060))
        except TransportError as error:
            log.error("sip_capture_forward: %s", error)
            return False
        return Transports.send(transports, flow, held[1])

    # RPC

    @rpc("sipcapture.status")
    def rpc_status(self, command: str) -> str:
        """`on` and `off` switch capturing, `check` tells how it stands."""
        if command in ("on", "off"):
            self.is_on = command == "on"
        elif command != "check":
            raise RpcError(500, "Bad parameter (on, off or check)")
        return "Enabled" if self.is_on else "Disabled"
