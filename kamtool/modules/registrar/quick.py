"""The short way of save(): a phone's one ordinary contact, new or refreshed, with nothing special configured.

It does what `Saver` does, in fewer steps; whatever it does not know it leaves to the long way.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, cast

from kamtool.modules.registrar.answer import contact_header
from kamtool.modules.registrar.base import Answering
from kamtool.modules.registrar.save import INSERTED, UPDATED, mask_of
from kamtool.modules.usrloc.contact import ALL_METHODS, PLAIN, Contact
from kamtool.speed import aor_of, register_fields

if TYPE_CHECKING:
    from kamtool.modules.registrar.saving import Saving
    from kamtool.script.context import Context


def save(registrar: Saving, ctx: Context, table: str) -> int:
    """The code of save() once it is done and answered, 0 when nothing was done."""
    msg, usrloc = ctx.msg, registrar.usrloc
    location = usrloc.locations.get(table)
    if location is None or location.waits or not msg.is_request:
        return 0
    fields = register_fields(msg)
    aor = aor_of(msg.to_address, usrloc.use_domain != 0, registrar.case_sensitive != 0)
    if fields is None or aor is None:
        return 0
    uri, expires, q, agent, allow, required = fields
    contacts = location.table.records.get(aor, ())
    # Supported and Path mean nothing here: `is_plain` has neither paths nor outbound, and no instance came.
    if required or not expires or len(uri) > registrar.contact_max_size > 0 or len(contacts) > 1:
        return 0
    call_id, cseq, now = msg.call_id, msg.cseq, registrar.server.now()
    if contacts:
        contact = contacts[0]
        if contact.uri != uri or contact.details is not PLAIN:
            return 0
        if contact.call_id == call_id and cseq <= contact.cseq:
            return 0
    if expires < 0:
        expires = registrar.default_expires
    if expires < registrar.min_expires:
        expires = registrar.min_expires
    if 0 < registrar.max_expires < expires:
        expires = registrar.max_expires
    if q < 0:
        q = registrar.default_q or -1
    flow = ctx.flow
    socket = registrar.shown_sockets.get((flow.transport, flow.local)) or registrar.socket_text(ctx, flow)
    agent = intern(agent or "n/a")
    methods = ALL_METHODS if allow is None else mask_of(allow)
    if contacts:
        reorder = contact.q != q
        contact.refresh(
            uri, now + expires, now, q, call_id, cseq, "", agent, socket, flow.connection, methods,
            ctx.branch_flags, PLAIN,
        )  # fmt: skip
        location.table.refreshed(contact, reorder)
    else:
        contact = Contact(
            aor, uri, registrar.saver.ruids.next(), now + expires, now, q, call_id, cseq, "", agent, socket,
            flow.connection, methods, ctx.branch_flags, PLAIN,
        )  # fmt: skip
        location.table.insert(contact)
    entry = contact.plain_entry(now)
    line = f"Contact: {entry}" if entry else contact_header((contact,), now, registrar.received_param, None)
    ctx.reply_headers = [*ctx.reply_headers, line]
    registrar.server.count("registrar:accepted_regs")
    cast(Answering, registrar.server).reply(ctx, 200, "OK")
    return UPDATED if contacts else INSERTED
