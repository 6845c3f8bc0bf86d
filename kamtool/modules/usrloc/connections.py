"""Contacts by the TCP connection of their REGISTER, for `handle_lost_tcp`."""

from __future__ import annotations

from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.table import Event


class Connections:
    """Knows which contacts a connection carries: a listener of the tables."""

    def __init__(self) -> None:
        self._contacts: dict[int, set[Contact]] = {}

    def heard(self, event: Event, contact: Contact) -> None:
        """A contact came, went, or came again, perhaps over another connection."""
        if not contact.connection:
            return
        if event is Event.INSERTED or event is Event.UPDATED:
            self._contacts.setdefault(contact.connection, set()).add(contact)
        else:
            held = self._contacts.get(contact.connection)
            if held is not None:
                held.discard(contact)
                if not held:
                    del self._contacts[contact.connection]

    def lost(self, connection: int) -> list[Contact]:
        """The contacts that were reached over a connection that is gone now."""
        held = self._contacts.pop(connection, ())
        return [contact for contact in held if contact.connection == connection and contact.bucket >= 0]
