"""The short way of save(): a phone's one ordinary contact, new or refreshed, with nothing special configured.

It does what `Saver` does, with fewer steps; whatever it does not know it leaves to it.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING

from kamtool.modules.registrar.save import INSERTED, UPDATED, mask_of
from kamtool.modules.usrloc.contact import ALL_METHODS, PLAIN, Contact
from kamtool.speed import register_fields

if TYPE_CHECKING:
    from kamtool.modules.registrar.saving import Saving
    from kamtool.modules.usrloc.location import Location
    from kamtool.modules.usrloc.table import Contacts
    from kamtool.script.context import Context


def save(
    registrar: Saving, ctx: Context, location: Location, aor: str, contacts: Contacts, now: float
) -> int:
    """The code of save(), 0 when the long way must be gone; then nothing has been done."""
    msg = ctx.msg
    fields = register_fields(msg)
    if fields is None or len(contacts) > 1:
        return 0
    uri, expires, q, agent, allow, more = fields
    if more or not expires or len(uri) > registrar.contact_max_size > 0:
        return 0
    if expires < 0:
        expires = registrar.default_expires
    if expires < registrar.min_expires:
        expires = registrar.min_expires
    if 0 < registrar.max_expires < expires:
        expires = registrar.max_expires
    if q < 0:
        q = registrar.default_q or -1
    call_id, cseq = msg.call_id, msg.cseq
    flow = ctx.flow
    socket = registrar.shown_sockets.get((flow.transport, flow.local)) or registrar.socket_text(ctx, flow)
    agent = intern(agent or "n/a")
    methods = ALL_METHODS if allow is None else mask_of(allow)
    if not contacts:
        location.insert(
            Contact(
                aor, uri, registrar.saver.ruids.next(), now + expires, now, q, call_id, cseq, "", agent, socket,
                flow.connection, methods, ctx.branch_flags, PLAIN,
            )
        )  # fmt: skip
        return INSERTED
    (contact,) = contacts
    if contact.uri != uri or contact.details is not PLAIN or (contact.call_id == call_id and cseq <= contact.cseq):
        return 0
    reorder = contact.q != q
    contact.refresh(
        uri, now + expires, now, q, call_id, cseq, "", agent, socket, flow.connection, methods,
        ctx.branch_flags, PLAIN,
    )  # fmt: skip
    location.update(contact, reorder=reorder)
    return UPDATED
