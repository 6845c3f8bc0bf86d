"""topoh: see `Topoh`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kamtool.errors import ConfigError, ParseError
from kamtool.module import Module, Param
from kamtool.modules.topoh.code import Code
from kamtool.modules.topoh.hooks import Ours, excepted, read
from kamtool.modules.topoh.masks import Marks, Masks
from kamtool.modules.topoh.quick import quick_masks
from kamtool.sip.flow import Flow
from kamtool.speed import split_uri

if TYPE_CHECKING:
    from kamtool.server.server import Server

MARKING = (
    "mask_key", "uparam_name", "uparam_prefix", "vparam_name", "vparam_prefix", "callid_prefix"
)  # fmt: skip
OUTGOING, SENDING = "topoh:msg-outgoing", "topoh:msg-sending"


class Topoh(Module):
    """Hide from each side of a call the hosts of the other: loading the module is all there is to do.

    Via, Contact, Record-Route and (with `mask_callid`) Call-ID of others are written as codes under
    `mask_ip`, valid SIP, and become what they were when they come back. Nothing is kept: a restart with the
    same `mask_key` loses no call. REGISTER and PUBLISH pass as they are. The code hides from a look, it does
    not stand up to cryptanalysis; media addresses are hidden by a media relay.
    """

    name = "topoh"
    events = (OUTGOING, SENDING)

    mask_key = Param("_static_value_", "the secret that the codes are made with; choose your own")
    mask_ip = Param("127.0.0.8", "the address that stands in for all hidden hosts; none of ours")
    mask_callid = Param(0, "1: the Call-ID is masked too, also in Replaces")
    uparam_name = Param("line", "the URI parameter with a masked URI")
    uparam_prefix = Param("sr-", "what its value begins with")
    vparam_name = Param("branch", "the Via parameter with a masked Via")
    vparam_prefix = Param("z9hG4bKsr-", "what its value begins with")
    callid_prefix = Param("!!:", "what a masked Call-ID begins with")
    event_mode = Param(3, "which events run: 1 topoh:msg-outgoing, 2 topoh:msg-sending, 3 both")

    sanity_checks = Param(0, "accepted: a message that cannot be read is never touched")
    event_callback = Param("", "only empty: there is no KEMI, events run event_route blocks")

    def set_param(self, name: str, value: int | str) -> None:
        """Refuse what cannot work. Raises ConfigError."""
        super().set_param(name, value)
        if name in MARKING and not str(value).strip():
            raise ConfigError(f"topoh: `{name}` is empty", hint="give it a value", code="KT1201")
        if name == "event_callback" and value:
            raise ConfigError(
                "topoh: `event_callback` names a KEMI function, and there is no KEMI",
                hint=f"write event_route[{OUTGOING}]",
                code="KT1201",
            )

    async def start(self) -> None:
        """Put the masks on. Raises ConfigError when `mask_ip` is this server."""
        server = cast("Server", self.server)
        try:
            host = split_uri(f"sip:{self.mask_ip}")[3]
        except ParseError as error:
            raise ConfigError(
                f"topoh: `mask_ip` {self.mask_ip!r} is no host: {error}", code="KT1201"
            ) from error
        if server.is_myself(host, 0) or server.is_myself(host):
            raise ConfigError(
                f"topoh: `mask_ip` {self.mask_ip} is this server itself",
                hint="choose an address that no server answers at",
                code="KT1201",
            )
        if server._receive.arriving is not None or server.transports.leaving is not None:
            raise ConfigError("topoh: another module hides the topology already", code="KT1201")
        marks = Marks(
            self.mask_ip.encode(),
            f";{self.uparam_name}={self.uparam_prefix}".encode(),
            f";{self.vparam_name}={self.vparam_prefix}".encode(),
            self.vparam_prefix.encode(),
            self.callid_prefix.encode(),
            bool(self.mask_callid),
        )
        code, ours = Code(self.mask_key), Ours(server)
        self._masks, self._quick = Masks(code, marks, ours), quick_masks(code, marks, ours, ours.known)
        server._receive.arriving = self._arriving
        server.transports.leaving = self._leaving

    def _arriving(self, data: bytes, flow: Flow) -> bytes:
        if self._quick is not None and (done := self._quick.arrived(data)) is not None:
            return done
        msg = read(data)
        return data if msg is None else self._masks.arrived(msg)

    def _leaving(self, data: bytes, flow: Flow) -> bytes:
        server = cast("Server", self.server)
        routes = server.program.event_routes
        if routes:
            if self.event_mode & 2 and SENDING in routes and excepted(server, SENDING, data, flow):
                return b""
            if self.event_mode & 1 and OUTGOING in routes and excepted(server, OUTGOING, data, flow):
                return data
        if self._quick is not None and (done := self._quick.leaving(data)) is not None:
            return done
        msg = read(data)
        return data if msg is None else self._masks.leaving(msg)
