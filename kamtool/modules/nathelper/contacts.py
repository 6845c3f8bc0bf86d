"""nathelper: Contact made into what leads through the NAT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.module import (
    ANY,
    BRANCH_ROUTE,
    ONREPLY_ROUTE,
    ONSEND_ROUTE,
    REQUEST_ROUTE,
    Host,
    Param,
    Variable,
    function,
)  # fmt: skip
from kamtool.modules.nathelper.contact import (
    PROTOCOLS,
    TRANSPORTS,
    change,
    change_for_save,
    contact,
    is_changed,
    places,
    source_uri,
)
from kamtool.script import edits, uri_text
from kamtool.script.pv_uri import request_uri
from kamtool.sip.uri import escape

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.uri_text import UriText

_ROUTES = REQUEST_ROUTE | ONREPLY_ROUTE | BRANCH_ROUTE
NO_ALIAS = 2


class ContactFunctions:
    """Contact rewritten, or given the real address in a parameter (`alias`, `received`)."""

    server: Host
    alias_name = Param("alias", "the parameter in which the *_alias functions put and look for an address")
    received_avp = Param("", "the AVP that fix_nated_register sets; registrar needs the same parameter")
    _received: Variable | None

    @function("fix_nated_contact", routes=_ROUTES)
    def fix_nated_contact(self, ctx: Context) -> bool:
        """Put the source address and port into Contact; its `maddr` goes. False without a Contact.

        The phone must know itself in requests that carry this URI; where that is unsure, use
        add_contact_alias instead. Calling it twice is an error.
        """
        place = contact(ctx)
        if place is None or place.parts is None or is_changed(ctx, place):
            return False
        change_for_save(ctx, place, _at_source(place.parts, ctx))
        return True

    @function("add_contact_alias", routes=ANY & ~ONSEND_ROUTE, arities=(0, 3), narrower={0: _ROUTES})
    def add_contact_alias(self, ctx: Context, host: str = "", port: int = 0, transport: str = "") -> int:
        """Add `;alias=address~port~transport` to Contact: of the source, or the one given.

        2 when there is no Contact; handle_ruri_alias undoes it in requests that come back.
        """
        place = contact(ctx)
        if place is None:
            return NO_ALIAS if not ctx.msg.find("Contact") else -1
        parts = place.parts
        if parts is None:
            return -1
        alias = self._alias(ctx, host, port, transport)
        if alias is None:
            return -1
        if not is_changed(ctx, place):
            params = f"{alias};{parts.params}" if parts.params else alias
            change(ctx, place, str(parts._replace(params=params)))
        return 1

    def _alias(self, ctx: Context, host: str, port: int, transport: str) -> str | None:
        """The alias parameter; None when the port or the transport is none."""
        remote = ctx.flow.remote
        number = PROTOCOLS.get((transport or ctx.flow.transport).lower())
        if number is None or (host and not 0 < port < 65536):
            return None
        host = host or remote.host
        shown = f"[{host}]" if ":" in host and host[0] != "[" else host
        return f"{self.alias_name}={shown}~{port or remote.port}~{number}"

    @function("set_contact_alias", routes=_ROUTES)
    def set_contact_alias(self, ctx: Context, trim: int = 0) -> bool:
        """Like add_contact_alias(), with the alias at the end of the URI, and known to save() at once.

        With `trim` 1, an alias that is there already is taken off first.
        """
        place = contact(ctx)
        parts = place.parts if place is not None else None
        if place is None or parts is None or is_changed(ctx, place):
            return False
        params = parts.params
        if trim and (at := _alias_at(params, self.alias_name, last=False)) is not None:
            params = _without(params or "", at)
        alias = self._alias(ctx, "", 0, "")
        change_for_save(ctx, place, str(parts._replace(params=f"{params};{alias}" if params else alias)))
        return True

    @function("handle_ruri_alias", routes=REQUEST_ROUTE | BRANCH_ROUTE)
    def handle_ruri_alias(self, ctx: Context, mode: int = 0) -> int:
        """Take the alias off the R-URI and make it the destination (`$du`). 2 when it has none.

        With mode 1 it is the last alias of several, not the first.
        """
        parts = uri_text.parts(request_uri(ctx) or "")
        at = _alias_at(parts.params, self.alias_name, last=mode == 1) if parts and parts.host else None
        if parts is None or at is None:
            return NO_ALIAS
        target = _target((parts.params or "").split(";")[at].partition("=")[2])
        if target is None:
            return -1
        ctx.new_uri = str(parts._replace(params=_without(parts.params or "", at) or None))
        ctx.dst_uri = target.removesuffix(";transport=udp")
        return 1

    @function("set_alias_to_pv", routes=ANY)
    def set_alias_to_pv(self, ctx: Context, variable: Variable) -> bool:
        """Store the alias of Contact as a URI: `sip:address:port;transport=udp`. False when it has none."""
        place = contact(ctx)
        parts = place.parts if place is not None else None
        at = _alias_at(parts.params, self.alias_name, last=False) if parts is not None else None
        if parts is None or at is None:
            return False
        target = _target((parts.params or "").split(";")[at].partition("=")[2])
        if target is None:
            return False
        variable.set(ctx, target)
        return True

    @function("fix_nated_register", routes=REQUEST_ROUTE)
    def fix_nated_register(self, ctx: Context) -> bool:
        """Put the source of a REGISTER into `received_avp`, from where save() takes it. Contact stays."""
        if self._received is None:
            return False
        self._received.set(ctx, source_uri(ctx))
        return True

    @function("add_rcv_param", routes=REQUEST_ROUTE)
    def add_rcv_param(self, ctx: Context, to_uri: int = 0) -> bool:
        """Add the source as `received` to every Contact, for the next server; with 1, to its URI."""
        uri = source_uri(ctx)
        for place in places(ctx):
            if not to_uri:
                edits.insert(ctx, place.stop, f';received="{uri}"')
            else:
                # A semicolon would end the parameter. (Kamailio refuses to do this for TCP.)
                edits.insert(ctx, place.end, f";received={escape(uri, _PARAM_SAFE)}")
        return True


_PARAM_SAFE = "-_.!~*'()[]/:&+$"


def _at_source(parts: UriText, ctx: Context) -> str:
    remote = ctx.flow.remote
    host = f"[{remote.host}]" if ":" in remote.host else remote.host
    # maddr would lead past the address that works.
    kept = [p for p in (parts.params or "").split(";") if p.partition("=")[0].strip().lower() != "maddr"]
    return str(parts._replace(host=host, port=str(remote.port), params=";".join(kept) or None))


def _alias_at(params: str | None, name: str, *, last: bool) -> int | None:
    """The place of the alias among the parameters; its name is compared as written."""
    found = [at for at, piece in enumerate((params or "").split(";")) if piece.startswith(f"{name}=")]
    return found[-1 if last else 0] if found else None


def _without(params: str, at: int) -> str:
    pieces = params.split(";")
    return ";".join(pieces[:at] + pieces[at + 1 :])


def _target(alias: str) -> str | None:
    """`address~port~transport` as a URI; None when it is none."""
    fields = alias.split("~")
    if len(fields) != 3:
        return None
    host, port, number = fields
    if not (host and port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        return None
    transport = TRANSPORTS.get(int(number)) if number.isascii() and number.isdigit() else None
    if transport is None or uri_text.parts(f"sip:{host}:{port}") is None:
        return None
    return f"sip:{host}:{port};transport={transport}"
