"""What the functions of registrar share: the tables of usrloc, the way from a URI to its contacts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kamtool.module import Host, Variable
from kamtool.modules.registrar.gruus import TempGruus
from kamtool.modules.registrar.lookup import Short
from kamtool.modules.registrar.parameters import Parameters
from kamtool.modules.registrar.save import Saver
from kamtool.modules.usrloc import Usrloc
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.table import Contacts
from kamtool.script.avp import Record
from kamtool.script.context import Context
from kamtool.sip.flow import Address, Socket
from kamtool.sip.uri import SipUri, parse_uri


class Answering(Protocol):
    """What registrar asks of the server beyond `Host`."""

    def reply(self, ctx: Context, status: int, reason: str) -> bool: ...


class Base(Parameters):
    """What `Registrar.start` sets up."""

    server: Host
    usrloc: Usrloc
    saver: Saver
    gruus: TempGruus
    aor_of: Callable[[str], str]
    is_plain: bool
    short: Short
    looks_plain: bool
    """Whether no parameter asks for more than the short way of lookup() knows."""
    _received: Variable | None
    _reg_callid: Variable | None
    _aor: Variable | None
    shown_sockets: dict[tuple[str, Address], str]
    _sockets: dict[str, Socket | None]

    def reload(self, program: Any, changed: Mapping[str, Any]) -> Callable[[], None] | None:
        """The counters that show parameters follow them."""
        shown = {
            "max_expires": "max_expires",
            "max_contacts": "max_contacts",
            "default_expires": "default_expire",
        }
        new = {f"registrar:{key}": changed[name] for name, key in shown.items() if name in changed}

        def apply() -> None:
            self.server.stats.update(new)
            self.looks_plain = self._looks_plain()

        return apply

    def _looks_plain(self) -> bool:
        special = (
            self.aor_avp, self.realm_prefix, self.use_expired_contacts, self.xavp_rcd,
            self.lookup_filter_mode, self.path_check_local, self.usrloc.xavp_contact,
        )  # fmt: skip
        return not any(special)

    def _named(self, ctx: Context, uri: str, usual: str) -> str:
        """The URI that a function is about: the given one, else that of `aor_avp`, else the usual one."""
        if uri or self._aor is None:
            return uri or usual
        value = self._aor.get(ctx)
        return usual if value is None else str(value)

    async def _contacts(self, table: str, uri: str) -> tuple[Location, Contacts]:
        """Raises ParseError for a URI that names no user, StoreError."""
        aor = self.aor_of(uri)
        location = self.usrloc.locations.get(table) or await self.usrloc.open(table)
        if ";gr" in uri:
            target = parse_uri(uri)
            if isinstance(target, SipUri) and not target.params.get("gr", "x"):
                aor = self.gruus.aor(location, target.user or "") or aor
        return location, location.get(aor) if not location.db_only else await location.fetch(aor)

    def socket_of(self, text: str) -> Socket | None:
        """Our listening socket that is written `udp:127.0.0.1:5060`, None when it is none of ours."""
        if text not in self._sockets:
            transport, _, address = text.partition(":")
            host, _, port = address.rpartition(":")
            find = getattr(self.server, "socket", None)
            local = Address(host.strip("[]"), int(port) if port.isdigit() else 5060)
            found = find(transport, local) if find is not None else None
            if len(self._sockets) > 1000:
                self._sockets.clear()
            self._sockets[text] = found if isinstance(found, Socket) else None
        return self._sockets[text]

    def _record(self, ctx: Context, contacts: list[Contact], location: Location) -> None:
        """Fill `xavp_rcd` with what is known of the contacts, the first on top."""

        mask, offset = self.xavp_rcd_mask, location.offset()
        for contact in reversed(contacts):
            facts: list[tuple[int, str, int | str]] = [
                (1, "ruid", contact.ruid),
                (2, "contact", contact.uri),
                (4, "expires", int(contact.expires_at + offset) if contact.expires_at else 0),
                (8, "received", contact.received),
                (16, "path", contact.details.path),
            ]
            record = Record()
            for bit, name, value in facts:
                if not mask & bit and value != "":
                    record.fields[name] = [value]
            ctx.avps.xavps.push(self.xavp_rcd, record)
