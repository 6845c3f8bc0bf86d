"""What corex puts into our own Via."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from kamtool.module import ANY, Host, function
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.server.server import Server

_SENT_BY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]")
"""A host name or address; an IPv6 one in brackets."""


class ViaParameters:
    """What goes behind the branch in our Via: kamtool.server.outgoing calls it for each branch."""

    __slots__ = ("record", "server_id", "wanted")

    def __init__(self, server_id: int, record: str) -> None:
        self.server_id, self.record = server_id, record
        self.wanted = {"srvid": False, "xavp": False}

    def __call__(self, ctx: Context) -> bytes:
        parts = [f";srvid={self.server_id}"] if self.wanted["srvid"] and self.server_id else []
        record = ctx.avps.xavps.record(self.record) if self.wanted["xavp"] and self.record else None
        if record is not None:
            parts += [f";{name}={values[-1]}" for name, values in reversed(record.fields.items())]
        return to_octets("".join(parts).replace("\r", "").replace("\n", ""))


class ViaFields:
    """The sent-by of our Via: kamtool.server.outgoing asks it for each branch."""

    __slots__ = ("record",)

    def __init__(self, record: str) -> None:
        self.record = record

    def __call__(self, ctx: Context, host: str, port: int) -> tuple[str, int]:
        record = ctx.avps.xavps.record(self.record)
        if record is None:
            return host, port
        address, given = (str(record.fields.get(name, [""])[-1]) for name in ("address", "port"))
        if not _SENT_BY.fullmatch(address):
            address = host
        return address, int(given) if given.isdigit() and 0 < int(given) < 65536 else port


class OurVia:
    """The functions that change our Via of a request."""

    server: Host

    @function("via_add_srvid", routes=ANY)
    def via_add_srvid(self, ctx: Context, on: int) -> int:
        """Put `srvid`, the number in `server_id`, into our Via of this request, unless it is 0."""
        return self._via(ctx, "srvid", on)

    @function("via_add_xavp_params", routes=ANY)
    def via_add_xavp_params(self, ctx: Context, on: int) -> int:
        """Put the fields of the record that `xavp_via_params` names into our Via of this request."""
        return self._via(ctx, "xavp", on)

    @function("via_use_xavp_fields", routes=ANY)
    def via_use_xavp_fields(self, ctx: Context, on: int) -> int:
        """Take the address and port in our Via of this request from the fields `address` and `port` of the
        record that `xavp_via_fields` names; what is no such field stays as it is.
        """
        name = cast("Server", self.server).settings.text("xavp_via_fields")
        ctx.scratch["core.via_fields"] = ViaFields(name) if on and name else None
        return 1

    def _via(self, ctx: Context, part: str, on: int) -> int:
        held = ctx.scratch.get("core.via")
        if held is None:
            settings = cast("Server", self.server).settings
            held = ViaParameters(settings.number("server_id"), settings.text("xavp_via_params"))
            ctx.scratch["core.via"] = held
        held.wanted[part] = bool(on)
        return 1
