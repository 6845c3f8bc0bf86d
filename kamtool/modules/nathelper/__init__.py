"""nathelper: phones behind NATs."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, cast

from kamtool.errors import ConfigError, ParseError, RpcError
from kamtool.module import Host, Module, Param, Value, Variable, pv, rpc
from kamtool.modules.nathelper.contacts import ContactFunctions
from kamtool.modules.nathelper.ping import Request
from kamtool.modules.nathelper.pinger import TICK, Pinger, socket_named
from kamtool.modules.nathelper.sdp import SdpFunctions
from kamtool.modules.nathelper.tests import TestFunctions
from kamtool.modules.usrloc import Usrloc
from kamtool.sip.uri import SipUri, parse_uri
from kamtool.sip.via import MAGIC_COOKIE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kamtool.modules.usrloc.contact import Contact
    from kamtool.script.context import Context
    from kamtool.server.server import Server
    from kamtool.sip.flow import Socket

log = logging.getLogger("kamtool.nathelper")


class Nathelper(TestFunctions, ContactFunctions, SdpFunctions, Module):
    """Find out that a phone is behind a NAT, reach it all the same, and keep its NAT's mapping open.

    `nat_uac_test("19")` finds out; `fix_nated_register()` before `save()` remembers where a REGISTER came
    from; `set_contact_alias()` and `handle_ruri_alias()` do the same for the requests of a call. With
    `natping_interval` the contacts in usrloc are pinged, spread evenly over that time.
    """

    name = "nathelper"

    natping_interval = Param(0, "seconds from one ping of a contact to the next, 0 for no pings")
    ping_nated_only = Param(0, "1: ping only contacts with usrloc's `nat_bflag`")
    natping_processes = Param(1, "accepted: pings run in small pieces and never hold up a message")
    natping_socket = Param("", "the listening socket to send every ping from, e.g. `udp:192.0.2.1:5060`")
    force_socket = Param(
        "", "the listening socket for contacts that came by a socket we do not have (any more)"
    )
    sipping_bflag = Param(-1, "the branch flag of contacts that get a SIP request as a ping, not four zeros")
    natping_disable_bflag = Param(-1, "the branch flag of contacts that are not pinged")
    sipping_from = Param("", "the From URI of SIP pings; without it none are sent")
    sipping_method = Param("OPTIONS", "the method of SIP pings")
    keepalive_timeout = Param(
        0, "seconds after which a UDP contact that answers no SIP ping is removed, 0 for never"
    )
    udpping_from_path = Param(0, "1: pings of four zeros go along the Path too")
    filter_server_id = Param(0, "1: ping only contacts that registered with this server's `server_id`")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._received: Variable | None = None
        self.pinger: Pinger | None = None

    async def start(self) -> None:
        """Bind to usrloc and begin to ping. Raises ConfigError."""
        if self.received_avp:
            self._received = self.server.variable(self.received_avp)
        if not self.alias_name or not re.fullmatch(r"[\w.!%*+`'~-]+", self.alias_name):
            raise ConfigError(f"nathelper: alias_name {self.alias_name!r} is no name of a parameter")
        if self.natping_interval <= 0:
            return
        usrloc = self.server.modules.get("usrloc")
        if not isinstance(usrloc, Usrloc):
            raise ConfigError(
                "nathelper: natping_interval needs usrloc.so",
                hint='loadmodule "usrloc.so" before nathelper.so',
            )
        server = cast("Server", self.server)
        self.pinger = Pinger(
            server,
            usrloc,
            interval=float(self.natping_interval),
            request=Request(self._method(), self.sipping_from),
            wanted=self._wanted(usrloc),
            sip=self._gets_request(),
            timeout=float(self.keepalive_timeout),
            fallback=self._named_socket("force_socket"),
            forced=self._named_socket("natping_socket"),
            by_path=bool(self.udpping_from_path),
        )
        for name in ("pings_sent", "pings_answered"):
            self.server.stats.setdefault(f"nathelper:{name}", 0)
        self.pinger.watch()
        self.pinger.request.branch_start = getattr(self.server, "branch_start", MAGIC_COOKIE)
        self.every(TICK, self.pinger.tick, alone=True)

    def _method(self) -> str:
        if not re.fullmatch(r"[A-Za-z0-9.!%*_+`'~-]+", self.sipping_method):
            raise ConfigError(f"nathelper: sipping_method {self.sipping_method!r} is no method")
        return self.sipping_method

    def _named_socket(self, param: str) -> Socket | None:
        text = getattr(self, param)
        if not text:
            return None
        found = socket_named(cast("Server", self.server), text)
        if found is None:
            raise ConfigError(f"nathelper: {param} {text!r} is no socket that this server listens on")
        return found

    def _wanted(self, usrloc: Usrloc) -> Callable[[Contact], bool]:
        needed = usrloc.nat_flag if self.ping_nated_only else 0
        if self.ping_nated_only and not needed:
            log.warning("ping_nated_only is set and usrloc's nat_bflag is not: nobody is pinged")
            needed = -1
        unwanted = _bit("natping_disable_bflag", self.natping_disable_bflag)
        server_id = usrloc.server_id if self.filter_server_id else None

        def wanted(contact: Contact) -> bool:
            flags = contact.cflags
            if needed and (needed < 0 or not flags & needed):
                return False
            if flags & unwanted:
                return False
            return server_id is None or contact.details.server_id == server_id

        return wanted

    def _gets_request(self) -> Callable[[Contact], bool]:
        flag = _bit("sipping_bflag", self.sipping_bflag)
        if flag and not self.sipping_from:
            raise ConfigError(
                "nathelper: sipping_bflag needs sipping_from",
                hint='modparam("nathelper", "sipping_from", "sip:pinger@example.com")',
            )
        if self.keepalive_timeout > 0 and not flag:
            log.warning("keepalive_timeout needs sipping_bflag: nobody answers four zeros")
        if self.sipping_from:
            try:
                if not isinstance(parse_uri(self.sipping_from), SipUri):
                    raise ParseError("no SIP URI")
            except ParseError as error:
                raise ConfigError(f"nathelper: sipping_from {self.sipping_from!r}: {error.reason}") from error
        return lambda contact: bool(contact.cflags & flag)

    @pv("rr_count", kind=int)
    def rr_count(self, ctx: Context) -> Value:
        """How many Record-Route entries the message has."""
        return len(ctx.msg.items("Record-Route"))

    @pv("rr_top_count", kind=int)
    def rr_top_count(self, ctx: Context) -> Value:
        """How many Record-Route entries the last proxy added: 0, 1, or 2 when the first two have `r2`."""
        try:
            entries = ctx.msg.record_routes
        except ParseError:
            return 0
        double = len(entries) > 1 and all(";r2=on" in f"{entry.uri};" for entry in entries[:2])
        return 2 if double else min(len(entries), 1)

    @rpc("nathelper.enable_ping")
    def rpc_enable_ping(self, on: int) -> None:
        """Switch the pings off (0) or on again (1)."""
        if self.pinger is None:
            raise RpcError(500, "natping_interval is not set: there are no pings")
        self.pinger.on = bool(on)


def _bit(name: str, flag: int) -> int:
    if flag > 31:
        raise ConfigError(f"nathelper: {name} {flag} is no flag: they go from 0 to 31")
    return 1 << flag if flag >= 0 else 0
