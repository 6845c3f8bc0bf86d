"""`xavp_contact` of usrloc: an XAVP stays with a contact from its REGISTER to the requests that go there."""

from __future__ import annotations

from collections.abc import Sequence

from kamtool.modules.usrloc.attributes import Attributes
from kamtool.modules.usrloc.contact import Contact
from kamtool.script.avp import Record
from kamtool.script.context import Context


def kept(ctx: Context, name: str) -> Attributes:
    """The fields of `$xavp(name)` as a contact keeps them."""
    record = ctx.avps.xavps.record(name)
    if record is None:
        return ()
    return tuple((field, value) for field, values in record.fields.items() for value in values)


def give_back(ctx: Context, name: str, contacts: Sequence[Contact]) -> None:
    """Put what the contacts keep into `$xavp(name)`: `$xavp(name[2]=>field)` is of the third destination.

    Of contacts that keep nothing there is nothing, or an empty record where one of a later contact stands.
    """
    stack = ctx.avps.xavps.named.setdefault(name, [])
    for place, contact in enumerate(contacts):
        if not contact.details.attributes:
            continue
        record = Record()
        for field, value in contact.details.attributes:
            record.fields.setdefault(field, []).append(value)
        while len(stack) < place:
            stack.insert(0, Record())
        stack.insert(len(stack) - place, record)
    if not stack:
        del ctx.avps.xavps.named[name]
