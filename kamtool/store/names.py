"""An account's further names (`dbaliases`) and groups (`grp`), where the database has those tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from kamtool.errors import StoreError, UsageError
from kamtool.store.subscribers import Account

ALIASES = "dbaliases"
GROUPS = "grp"


def has(connection: sqlite3.Connection, table: str) -> bool:
    """Whether the database has this table."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


def aliases(connection: sqlite3.Connection) -> dict[tuple[str, str], list[str]]:
    """Aliases as `name@domain`, by account."""
    found: dict[tuple[str, str], list[str]] = {}
    if has(connection, ALIASES):
        rows = connection.execute(
            f"SELECT username, domain, alias_username, alias_domain FROM {ALIASES} ORDER BY id"
        )
        for user, domain, name, place in rows:
            found.setdefault((user, domain), []).append(f"{name}@{place}" if place else name)
    return found


def groups(connection: sqlite3.Connection) -> dict[tuple[str, str], list[str]]:
    """Groups by account."""
    found: dict[tuple[str, str], list[str]] = {}
    if has(connection, GROUPS):
        for user, domain, group in connection.execute(
            f"SELECT username, domain, grp FROM {GROUPS} ORDER BY id"
        ):
            found.setdefault((user, domain), []).append(group)
    return found


def add_alias(connection: sqlite3.Connection, account: Account, alias: str) -> None:
    """Make `name@domain`, or a name in the account's domain, another name of the account.

    Raises UsageError (4) when somebody has it already.
    """
    _require(connection, ALIASES)
    name, place = _alias(alias, account)
    owner = connection.execute(
        f"SELECT username, domain FROM {ALIASES} WHERE alias_username = ? AND alias_domain = ?", (name, place)
    ).fetchone()
    if owner:
        raise UsageError(f"{name}@{place} is an alias of {owner[0]}@{owner[1]} already", exit_code=4)
    connection.execute(
        f"INSERT INTO {ALIASES} (alias_username, alias_domain, username, domain) VALUES (?, ?, ?, ?)",
        (name, place, account.username, account.domain),
    )


def remove_alias(connection: sqlite3.Connection, account: Account, alias: str) -> None:
    """Raises UsageError (3) when the account has no such alias."""
    _require(connection, ALIASES)
    gone = connection.execute(
        f"DELETE FROM {ALIASES} WHERE alias_username = ? AND alias_domain = ? "
        "AND username = ? AND domain = ?",
        (*_alias(alias, account), account.username, account.domain),
    )
    if not gone.rowcount:
        raise UsageError(f"{account} has no alias {alias!r}", exit_code=3)


def add_group(connection: sqlite3.Connection, account: Account, group: str) -> None:
    """Raises UsageError (4) when the account is in the group already."""
    _require(connection, GROUPS)
    added = connection.execute(
        f"INSERT OR IGNORE INTO {GROUPS} (username, domain, grp, last_modified) "
        "VALUES (?, ?, ?, datetime('now'))",
        (account.username, account.domain, group),
    )
    if not added.rowcount:
        raise UsageError(f"{account} is in {group!r} already", exit_code=4)


def remove_group(connection: sqlite3.Connection, account: Account, group: str) -> None:
    """Raises UsageError (3) when the account is not in the group."""
    _require(connection, GROUPS)
    gone = connection.execute(
        f"DELETE FROM {GROUPS} WHERE username = ? AND domain = ? AND grp = ?",
        (account.username, account.domain, group),
    )
    if not gone.rowcount:
        raise UsageError(f"{account} is not in {group!r}", exit_code=3)


def forget(
    connection: sqlite3.Connection, account: Account, tables: Iterable[str] = (ALIASES, GROUPS)
) -> None:
    """The account is gone: so are its names and groups."""
    for table in tables:
        if has(connection, table):
            connection.execute(
                f"DELETE FROM {table} WHERE username = ? AND domain = ?", (account.username, account.domain)
            )


def _alias(alias: str, account: Account) -> tuple[str, str]:
    name, at, place = alias.removeprefix("sip:").partition("@")
    return name, place.lower() if at else account.domain


def _require(connection: sqlite3.Connection, table: str) -> None:
    if not has(connection, table):
        raise StoreError(f"the database has no table {table!r}; `kamtool db migrate` adds it")
