"""lookup(): the contacts of an address-of-record become the destinations of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError
from kamtool.modules.registrar.answer import temp_gruu
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.table import Contacts, Table
from kamtool.script.context import Branch, Context
from kamtool.sip.message import METHODS, OTHER_METHOD
from kamtool.sip.nameaddr import parse_name_addr
from kamtool.sip.uri import SipUri
from kamtool.speed import aor_of, destinations

if TYPE_CHECKING:
    from kamtool.sip.flow import Socket
    from kamtool.speed.binding import Destination

SocketOf = Callable[[str], "Socket | None"]


class Short:
    """What the short way of lookup() needs of registrar and usrloc; none of it changes while they run."""

    def __init__(self, registrar: Any) -> None:
        self.registrar = registrar
        self.host: Any = registrar.server
        self.socket_of: SocketOf = registrar.socket_of
        self.locations: dict[str, Any] = registrar.usrloc.locations
        self.use_domain: bool = registrar.usrloc.use_domain != 0
        self.case_sensitive: bool = registrar.case_sensitive != 0


def at_once(short: Short, ctx: Context, table: str) -> int | None:
    """The code of lookup() where the R-URI's user has in memory plain contacts, one of any kind, or none.

    Else None, and nothing is done. No parameter of registrar is set that asks for more.
    """
    uri = ctx.ruri
    location = short.locations.get(table)
    if location is None or location.db_only or ";gr" in uri:
        return None
    aor = aor_of(uri, short.use_domain, short.case_sensitive)
    if aor is None:
        return None
    known: Table = location.table
    contacts = known.records.get(aor)
    if not contacts:
        return -1
    if short.registrar.method_filtering and not ctx.msg.to_tag and not _all_take(contacts, ctx.msg.method):
        return None
    now: float = short.host.now()
    found = destinations(contacts, now)
    if found is not None:
        if not found:
            return -1
        aim_all(ctx, found, short)
        return 1
    if len(contacts) > 1:
        return None
    if 0 < contacts[0].expires_at <= now:
        return -1
    aim(ctx, contacts[0], short.socket_of)
    return 1


def _all_take(contacts: Contacts, method: str) -> bool:
    mask = METHODS.get(method, OTHER_METHOD)
    for contact in contacts:  # noqa: SIM110  # compiled, a loop costs less than a generator
        if not contact.methods & mask:
            return False
    return True


def aim_all(ctx: Context, found: list[Destination], short: Short) -> None:
    """Make plain contacts the request's destinations."""
    socket_of = short.socket_of
    uri, received, q, flags, named, ruid, user_agent, connection = found[0]
    socket = socket_of(named) if named else None
    ctx.new_uri, ctx.dst_uri = uri, received or None
    ctx.path = ctx.instance = ""
    ctx.q, ctx.branch_flags, ctx.ruid, ctx.user_agent, ctx.connection = q, flags, ruid, user_agent, connection
    if socket is not None:
        ctx.send_socket = socket
    if len(found) == 1 or not short.registrar.append_branches:
        return
    branches = [*ctx.branches]
    for place in range(1, len(found)):
        uri, received, q, flags, where, ruid, user_agent, connection = found[place]
        if where != named:
            named, socket = where, socket_of(where) if where else None
        branches.append(
            Branch(uri, received or None, "", q, flags, socket, ruid, user_agent, "", 0, connection)
        )
    ctx.branches = branches


def usable(contacts: Contacts, now: float) -> list[Contact]:
    """The contacts that have not expired; of a phone with several flows only the newest (RFC 5626 §5.3)."""
    valid = [contact for contact in contacts if contact.expires_at > now or contact.expires_at == 0]
    if any(contact.details.reg_id for contact in valid):
        newest: dict[str, Contact] = {}
        for contact in valid:
            instance = contact.details.instance
            if contact.details.reg_id and instance:
                best = newest.get(instance)
                if best is None or contact.modified_at > best.modified_at:
                    newest[instance] = contact
        valid = [
            contact
            for contact in valid
            if not contact.details.reg_id or newest.get(contact.details.instance, contact) is contact
        ]
    return valid


def by_gruu(contacts: list[Contact], uri: SipUri) -> list[Contact]:
    """The contacts that a GRUU means: by instance, or by its temporary user part (RFC 5627 §5.3)."""
    wanted = uri.params["gr"]
    if wanted:
        return [contact for contact in contacts if contact.details.instance.strip("<>") == wanted]
    return [contact for contact in contacts if temp_gruu(contact) == uri.user]


def next_hop(contact: Contact) -> str | None:
    """Where a request for this contact is sent if not to its URI: the first Path, else where it was seen."""
    if contact.details.path:
        try:
            return parse_name_addr(contact.details.path.partition(",")[0]).uri
        except ParseError:
            return None
    return contact.received or None


def aim(ctx: Context, contact: Contact, socket_of: SocketOf) -> None:
    """Make `contact` the request's first destination."""
    details = contact.details
    ctx.new_uri = contact.uri
    ctx.dst_uri = next_hop(contact)
    ctx.path = details.path
    ctx.q = contact.q
    ctx.branch_flags = contact.cflags
    ctx.ruid = contact.ruid
    ctx.user_agent = contact.user_agent
    ctx.instance = details.instance
    ctx.connection = contact.connection
    if contact.socket:
        socket = socket_of(contact.socket)
        if socket is not None:
            ctx.send_socket = socket


def branch(contact: Contact, socket_of: SocketOf) -> Branch:
    """`contact` as one more destination."""
    details = contact.details
    return Branch(
        contact.uri,
        next_hop(contact),
        details.path,
        contact.q,
        contact.cflags,
        socket_of(contact.socket) if contact.socket else None,
        contact.ruid,
        contact.user_agent,
        details.instance,
        details.reg_id,
        contact.connection,
    )
