"""Contacts as rows of the table `location`, in the columns and forms that Kamailio 5.6 reads."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from kamtool.modules.usrloc.contact import ALL_METHODS, PLAIN, Contact, Details
from kamtool.store.times import to_epoch, to_julian

VERSION = 9

FIELDS = (
    "ruid", "user", "domain", "contact", "received", "path", "expires", "q", "callid", "cseq",
    "last_modified", "flags", "cflags", "user_agent", "socket", "methods", "instance", "reg_id", "server_id",
    "connection_id",
)  # fmt: skip
"""The parameters `<field>_column` name their columns; `user_column` is `username`."""

USER, DOMAIN, MODIFIED = (FIELDS.index(name) for name in ("user", "domain", "last_modified"))

SHORT = (
    "ruid", "user", "domain", "contact", "received", "expires", "q", "callid", "cseq", "last_modified",
    "cflags", "user_agent", "socket", "methods",
)  # fmt: skip
MORE = ("path", "instance", "flags", "reg_id", "server_id")
"""What is read of a row when a table is loaded, and what more of the few that have it."""


def text(value: str) -> str | bytes | None:
    """Text for the database: bytes that are no UTF-8 go in as they came, nothing as NULL."""
    if not value:
        return None
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape")
    return value


def read(value: object) -> str:
    """Text from the database, whatever form it has there."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if value is None else str(value)


class Rows:
    """The SQL of one table and the way between its rows and contacts."""

    def __init__(
        self, table: str, columns: Mapping[str, str], use_domain: bool, expires_type: int = 0
    ) -> None:
        self.table = table
        self.columns = [columns[field] for field in FIELDS]
        self.use_domain = use_domain
        self.integer_times = expires_type != 0
        self.never = self.time(0)  # a permanent contact: 1970 in either form
        name = {field: columns[field] for field in FIELDS}
        listed = ", ".join(self.columns)
        ruid, user, domain, expires = name["ruid"], name["user"], name["domain"], name["expires"]
        others = ", ".join(f"{c} = excluded.{c}" for c in self.columns if c != ruid)
        self.upsert = (
            f"INSERT INTO {table} ({listed}) VALUES ({', '.join('?' * len(FIELDS))}) "
            f"ON CONFLICT ({ruid}) DO UPDATE SET {others}"
        )
        self.delete = f"DELETE FROM {table} WHERE {ruid} = ?"
        where = f"{user} = ? AND {domain} = ?" if use_domain else f"{user} = ?"
        self.delete_aor = f"DELETE FROM {table} WHERE {where}"
        self.select = f"SELECT {listed} FROM {table} WHERE {where} ORDER BY {name['q']} DESC, id"
        self.select_ruid = f"SELECT {listed} FROM {table} WHERE {ruid} = ?"
        self.select_page = f"SELECT id, {listed} FROM {table} WHERE id > ? ORDER BY id LIMIT ?"
        more = [name[field] for field in MORE]
        plain = " AND ".join(f"{c} IS NULL" if c in more[:2] else f"{c} = 0" for c in more)
        self.select_short = (
            f"SELECT id, {', '.join(name[field] for field in SHORT)}, {plain} FROM {table} "
            "WHERE id > ? ORDER BY id LIMIT ?"
        )
        self.select_more = (
            f"SELECT id, {', '.join(more)} FROM {table} WHERE id > ? AND id <= ? AND NOT ifnull({plain}, 0)"
        )
        self.select_all = f"SELECT {listed} FROM {table} ORDER BY {user}, {domain}, {name['q']} DESC, id"
        # A date-time of another form than ours would compare wrongly; those rows are left to their owner.
        kind = "integer" if self.integer_times else "real"
        self.expired = f"typeof({expires}) = '{kind}' AND {expires} <> {self.never} AND {expires} < ?"
        self.select_expired = f"SELECT {listed} FROM {table} WHERE {self.expired}"
        self.delete_expired = f"DELETE FROM {table} WHERE {self.expired}"
        live = f"({expires} = {self.never} OR {expires} >= ?)"
        self.count_users = (
            f"SELECT count(DISTINCT {user} || '@' || ifnull({domain}, '')) FROM {table} WHERE {live}"
        )
        self.count_contacts = f"SELECT count(*) FROM {table} WHERE {live}"
        self.count_expired = f"SELECT count(*) FROM {table} WHERE {self.expired}"

    def key(self, aor: str) -> tuple[str | bytes | None, ...]:
        """The arguments of `select` and `delete_aor`."""
        user, _, host = aor.rpartition("@") if self.use_domain else (aor, "", "")
        return (text(user) or "", text(host) or "") if self.use_domain else (text(user) or "",)

    def time(self, epoch: float) -> float | int:
        """A moment as this table stores it."""
        return int(epoch) if self.integer_times else to_julian(epoch)

    def row(self, contact: Contact, offset: float) -> Sequence[Any]:
        """The row of a contact; `offset` is added to its times to get seconds since 1970."""
        user, _, host = contact.aor.rpartition("@") if self.use_domain else (contact.aor, "", "")
        details = contact.details
        expires = self.time(contact.expires_at + offset) if contact.expires_at else self.never
        return (
            text(contact.ruid), text(user) or "", text(host), text(contact.uri) or "", text(contact.received),
            text(details.path), expires, contact.q / 1000 if contact.q >= 0 else -1.0,
            text(contact.call_id) or "", contact.cseq, self.time(contact.modified_at + offset), details.flags,
            contact.cflags, text(contact.user_agent) or "", text(contact.socket),
            None if contact.methods == ALL_METHODS else contact.methods, text(details.instance),
            details.reg_id, details.server_id, contact.connection or -1,
        )  # fmt: skip

    def about(self, row: Sequence[Any]) -> tuple[Any, Any, Any]:
        """User, domain and time of a contact's row."""
        return row[USER], row[DOMAIN], row[MODIFIED]

    def contact(self, row: Sequence[Any], offset: float) -> Contact:
        """The contact of a row as `select` returns it. Raises ValueError or TypeError for nonsense."""
        (ruid, user, domain, uri, received, path, expires, q, call_id, cseq, modified, flags, cflags, agent,
         socket, methods, instance, reg_id, server_id, connection) = row  # fmt: skip
        aor = read(user)
        if not aor or not ruid or ":" not in read(uri):
            raise ValueError(f"it has no username, no ruid, or no URI as its contact: {read(uri)!r}")
        if self.use_domain and domain:
            aor = f"{aor}@{read(domain)}"
        epoch = to_epoch(expires)
        details = PLAIN
        if path or instance or reg_id or server_id or flags:
            details = Details(
                read(path), read(instance), int(reg_id or 0), int(server_id or 0), int(flags or 0)
            )
        return Contact(
            sys.intern(aor),
            read(uri),
            read(ruid),
            expires_at=epoch - offset if epoch else 0.0,
            modified_at=to_epoch(modified) - offset,
            q=-1 if q is None or float(q) < 0 else round(float(q) * 1000),
            call_id=read(call_id),
            cseq=int(cseq),
            received=read(received),
            user_agent=sys.intern(read(agent)),
            socket=sys.intern(read(socket)),
            connection=max(0, int(connection or 0)),
            methods=ALL_METHODS if methods is None else int(methods),
            cflags=int(cflags or 0),
            details=details,
        )
