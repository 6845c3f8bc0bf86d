"""The table `subscriber`: who may register and call. What `kamtool user` does, on an open connection.

The password itself is stored only where that is asked for; else HA1 and HA1B, as Kamailio's tools compute
them, and the same by SHA-256 beside them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kamtool.errors import StoreError, UsageError
from kamtool.sip.digest import ha1
from kamtool.store.connection import connect, explain

MORE_ALGORITHMS = ("SHA-256",)


@dataclass(frozen=True, slots=True)
class Account:
    """A row of `subscriber`, without its secrets."""

    username: str
    domain: str
    hashed: bool
    plaintext: bool

    def __str__(self) -> str:
        return f"{self.username}@{self.domain}" if self.domain else self.username


@contextmanager
def opened(path: Path, *, write: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection to the file at `path`; with `write` inside a transaction. Raises StoreError."""
    connection = connect(path, read_only=not write)
    try:
        if write:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
        yield connection
        if write:
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {explain(error)}") from error
    finally:
        connection.close()


def accounts(connection: sqlite3.Connection, username: str = "", domain: str | None = None) -> list[Account]:
    """All accounts, or those of this user or domain, by name."""
    rows = connection.execute(
        "SELECT username, domain, ha1 <> '', password <> '' FROM subscriber "
        "WHERE (?1 = '' OR username = ?1) AND (?2 IS NULL OR domain = ?2) ORDER BY username, domain",
        (username, domain),
    )
    return [Account(name, place, bool(hashed), bool(plain)) for name, place, hashed, plain in rows]


def find(connection: sqlite3.Connection, username: str, domain: str | None) -> Account:
    """The one account meant. Raises UsageError: 3 when there is none, 2 when the domain must be said."""
    found = accounts(connection, username, domain)
    if not found:
        name = username if domain is None else f"{username}@{domain}"
        raise UsageError(f"no user {name!r}", exit_code=3, hint="`kamtool user list` shows who there is")
    if len(found) > 1:
        known = ", ".join(str(account) for account in found)
        raise UsageError(f"{username!r} is in several domains: {known}", hint="say which: user@domain")
    return found[0]


def add(
    connection: sqlite3.Connection, username: str, domain: str, realm: str, password: str, *, plaintext: bool
) -> None:
    """Make an account. Raises UsageError (4) when it is there already."""
    if accounts(connection, username, domain):
        raise UsageError(
            f"{username}@{domain} exists already",
            exit_code=4,
            hint="`kamtool user passwd` changes its password",
        )
    connection.execute("INSERT INTO subscriber (username, domain) VALUES (?, ?)", (username, domain))
    set_password(connection, username, domain, realm, password, plaintext=plaintext)


def set_password(
    connection: sqlite3.Connection, username: str, domain: str, realm: str, password: str, *, plaintext: bool
) -> None:
    """Replace every form in which the password of an account is stored."""
    with_domain = f"{username}@{domain}"
    connection.execute(
        "UPDATE subscriber SET password = ?, ha1 = ?, ha1b = ? WHERE username = ? AND domain = ?",
        (
            password if plaintext else "",
            ha1(username, realm, password),
            ha1(with_domain, realm, password),
            username,
            domain,
        ),
    )
    if not _has_more_hashes(connection):
        return
    for algorithm in MORE_ALGORITHMS:
        connection.execute(
            "INSERT INTO subscriber_ha1 (username, domain, algorithm, ha1, ha1b) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (username, domain, algorithm) "
            "DO UPDATE SET ha1 = excluded.ha1, ha1b = excluded.ha1b",
            (
                username,
                domain,
                algorithm,
                ha1(username, realm, password, algorithm),
                ha1(with_domain, realm, password, algorithm),
            ),
        )


def remove(connection: sqlite3.Connection, account: Account) -> None:
    """Remove an account."""
    where = "WHERE username = ? AND domain = ?"
    key = (account.username, account.domain)
    connection.execute(f"DELETE FROM subscriber {where}", key)
    if _has_more_hashes(connection):
        connection.execute(f"DELETE FROM subscriber_ha1 {where}", key)


def remove_contacts(connection: sqlite3.Connection, account: Account) -> int:
    """Remove where the account is registered; the last of its name takes the rows without domain along."""
    alone = all(other.domain == account.domain for other in accounts(connection, account.username))
    domains = "domain = ?2 OR domain IS NULL OR domain = ''" if alone else "domain = ?2"
    gone = connection.execute(
        f"DELETE FROM location WHERE username = lower(?1) AND ({domains})", (account.username, account.domain)
    )
    return gone.rowcount


def contacts(connection: sqlite3.Connection, username: str) -> list[str]:
    """The contacts in the database for this user, expired or not."""
    rows = connection.execute(
        "SELECT contact FROM location WHERE username = lower(?) ORDER BY id", (username,)
    )
    return [row[0] for row in rows]


def _has_more_hashes(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'subscriber_ha1'")
    return found.fetchone() is not None
