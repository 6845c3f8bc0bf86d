"""Temporary GRUUs: which address-of-record one belongs to, without saying so (RFC 5627 §5.4)."""

from __future__ import annotations

from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.location import Location
from kamtool.modules.usrloc.rpc import aor_hash
from kamtool.modules.usrloc.table import Event, Listener


class TempGruus:
    """Finds addresses-of-record by the hash at the end of a temporary GRUU; idle until one is used."""

    def __init__(self) -> None:
        self._aors: dict[str, dict[int, str]] = {}

    def aor(self, location: Location, user: str) -> str | None:
        """The address-of-record that the user part of a temporary GRUU may mean; its contacts tell."""
        _, _, text = user.rpartition("-")
        try:
            wanted = int(text, 16)
        except ValueError:
            return None
        known = self._aors.get(location.name)
        if known is None:
            known = self._aors[location.name] = {aor_hash(aor): aor for aor in location.table.records}
            location.table.census.append(_keeper(known))
        return known.get(wanted)


def _keeper(known: dict[int, str]) -> Listener:
    def heard(event: Event, contact: Contact) -> None:
        if event is Event.INSERTED:
            known[aor_hash(contact.aor)] = contact.aor

    return heard
