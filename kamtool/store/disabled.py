"""Accounts that are switched off: their secrets are put aside, and nobody knows those that stand in for them.

A stand-in, not an empty field: Kamailio on the same file takes an empty HA1 or password for a real one.
"""

from __future__ import annotations

import json
import secrets
import sqlite3

from kamtool.errors import StoreError, UsageError
from kamtool.store.subscribers import Account

TABLE = "subscriber_disabled"


def accounts(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """Username and domain of every account that is switched off."""
    if not _is_there(connection, TABLE):
        return set()
    return set(connection.execute(f"SELECT username, domain FROM {TABLE}"))


def disable(connection: sqlite3.Connection, account: Account) -> None:
    """Switch an account off. Raises UsageError (4) when it is off already."""
    if not _is_there(connection, TABLE):
        raise StoreError(f"the database has no table {TABLE!r}; `kamtool db migrate` adds it")
    key = (account.username, account.domain)
    if key in accounts(connection):
        raise UsageError(f"{account} is disabled already", exit_code=4)
    where = "WHERE username = ? AND domain = ?"
    own = connection.execute(f"SELECT password, ha1, ha1b FROM subscriber {where}", key).fetchone()
    more: list[tuple[str, str, str]] = []
    if _is_there(connection, "subscriber_ha1"):
        more = connection.execute(f"SELECT algorithm, ha1, ha1b FROM subscriber_ha1 {where}", key).fetchall()
        connection.execute(f"DELETE FROM subscriber_ha1 {where}", key)
    connection.execute(
        f"INSERT INTO {TABLE} (username, domain, kept) VALUES (?, ?, ?)",
        (*key, json.dumps({"own": own, "more": more})),
    )
    # A password only where there was one: elsewhere it would be a column that nobody reads.
    stand_ins = (secrets.token_hex(16) if own[0] else "", secrets.token_hex(16), secrets.token_hex(16))
    connection.execute(f"UPDATE subscriber SET password = ?, ha1 = ?, ha1b = ? {where}", (*stand_ins, *key))


def enable(connection: sqlite3.Connection, account: Account) -> None:
    """Switch an account on again, with the password it had. Raises UsageError (4) when it is not off."""
    key = (account.username, account.domain)
    where = "WHERE username = ? AND domain = ?"
    if key not in accounts(connection):
        raise UsageError(f"{account} is not disabled", exit_code=4)
    kept = json.loads(connection.execute(f"SELECT kept FROM {TABLE} {where}", key).fetchone()[0])
    connection.execute(f"UPDATE subscriber SET password = ?, ha1 = ?, ha1b = ? {where}", (*kept["own"], *key))
    connection.executemany(
        "INSERT OR REPLACE INTO subscriber_ha1 (username, domain, algorithm, ha1, ha1b) "
        "VALUES (?, ?, ?, ?, ?)",
        [(*key, *row) for row in kept["more"]],
    )
    connection.execute(f"DELETE FROM {TABLE} {where}", key)


def forget(connection: sqlite3.Connection, account: Account) -> None:
    """The account is gone, or has a new password: nothing is kept for it."""
    if _is_there(connection, TABLE):
        connection.execute(
            f"DELETE FROM {TABLE} WHERE username = ? AND domain = ?", (account.username, account.domain)
        )


def _is_there(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None
