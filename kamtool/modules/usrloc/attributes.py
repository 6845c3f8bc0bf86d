"""What a script keeps with a contact (`xavp_contact`): its rows in `location_attrs`, as Kamailio has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.rows import read, text

VERSION = 1
TEXT, NUMBER = 0, 1
"""The column `atype`."""

Attributes = tuple[tuple[str, int | str], ...]
"""Name and value, the newest value of a name last."""


class AttributeRows:
    """The SQL of the table beside a location table. The newest value of a name has the lowest id."""

    def __init__(self, location: str, ruid_column: str) -> None:
        self.table = table = f"{location}_attrs"
        names = "ruid, username, domain, aname, atype, avalue, last_modified"
        self.insert = f"INSERT INTO {table} ({names}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        self.delete = f"DELETE FROM {table} WHERE ruid = ?"
        self.delete_lost = f"DELETE FROM {table} WHERE ruid NOT IN (SELECT {ruid_column} FROM {location})"
        columns = "ruid, aname, atype, avalue"
        self.select_all = f"SELECT {columns} FROM {table} ORDER BY id DESC"
        self.select = f"SELECT {columns} FROM {table} WHERE username = ? ORDER BY id DESC"

    def statements(self, ruid: str, row: Sequence[Any], contact: Contact | None) -> list[tuple[str, Any]]:
        """What makes the table hold the attributes of a contact; `row` is its user, domain and time."""
        found: list[tuple[str, Any]] = [(self.delete, (ruid,))]
        if contact is not None:
            user, domain, modified = row
            for name, value in reversed(contact.details.attributes):
                kind = NUMBER if isinstance(value, int) else TEXT
                entry = (ruid, user, domain, text(name), kind, text(str(value)) or "", modified)
                found.append((self.insert, entry))
        return found

    def give(self, contacts: Iterable[Contact], rows: Iterable[Sequence[Any]]) -> None:
        """Put into contacts what the rows of a select say of them. A number that is none is kept as text."""
        known: dict[str, list[tuple[str, int | str]]] = {}
        for ruid, name, kind, value in rows:
            content: int | str = read(value)
            if kind == NUMBER:
                with suppress(ValueError):
                    content = int(content)
            known.setdefault(read(ruid), []).append((read(name), content))
        for contact in contacts if known else ():
            attributes = known.get(contact.ruid)
            if attributes:
                contact.details = replace(contact.details, attributes=tuple(attributes))
