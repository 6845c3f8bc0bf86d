"""`kamtool ul`: who is registered where."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from kamtool.cli.accounts import db_option
from kamtool.cli.output import emit, output_option
from kamtool.cli.rpc import socket_option
from kamtool.cli.ul_watch import watch
from kamtool.errors import RpcError, StoreError, UsageError
from kamtool.server import control
from kamtool.store.connection import connect, explain
from kamtool.store.times import to_epoch, to_julian

COLUMNS = ("aor", "contact", "expires", "q", "user_agent", "received", "path", "socket", "ruid")
UNREACHABLE = 5


def _table_option(function: Any) -> Any:
    return click.option("--table", default="location", show_default=True, help="The location table.")(
        function
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show, add, remove and watch contacts of users.

    The running server is asked. When none runs, the database is read and written instead, and a note says so.

    Example: kamtool ul show alice
    """


command.add_command(watch)


@command.command("show")
@click.argument("aor", required=False)
@_table_option
@socket_option
@db_option
@output_option
def show(aor: str | None, table: str, socket: Path, database: Path, output: str) -> None:
    """Show the contacts of AOR (`alice`, or `alice@example.com` with use_domain), or of everybody.

    Example: kamtool ul show -o json
    """
    try:
        rows = _live(socket, table, aor)
    except UsageError as error:
        _fall_back(error)
        rows = _stored(database, table, aor)
        if aor is not None and not rows:
            raise UsageError(f"{aor!r} is not registered in {table}", exit_code=3) from None
    emit(rows, output, COLUMNS)


@command.command("add")
@click.argument("aor")
@click.argument("contact")
@click.option(
    "--expires", type=int, default=0, show_default=True, help="Seconds until it expires, 0 for never."
)
@click.option("--q", type=click.FloatRange(0, 1), help="Its preference, from 0 to 1.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@_table_option
@socket_option
@db_option
def add(
    aor: str,
    contact: str,
    expires: int,
    q: float | None,
    dry_run: bool,
    table: str,
    socket: Path,
    database: Path,
) -> None:
    """Add CONTACT to AOR, or refresh it.

    Example: kamtool ul add alice sip:alice@192.0.2.1:5060 --expires 3600
    """
    if dry_run:
        click.echo(f"would add {contact} to {aor}", err=True)
        return
    try:
        control.ask(socket, "ul.add", [table, aor, contact, expires, "-1" if q is None else str(q)])
    except UsageError as error:
        _fall_back(error)
        _store(database, table, aor, contact, expires, q)
    click.echo(f"added {contact} to {aor}", err=True)


@command.command("rm")
@click.argument("aor")
@click.argument("contact", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@_table_option
@socket_option
@db_option
def rm(aor: str, contact: str | None, dry_run: bool, table: str, socket: Path, database: Path) -> None:
    """Remove CONTACT (its URI or ruid) from AOR, or all its contacts.

    Example: kamtool ul rm alice
    """
    what = contact or "all contacts"
    if dry_run:
        click.echo(f"would remove {what} of {aor}", err=True)
        return
    try:
        if contact is None:
            control.ask(socket, "ul.rm", [table, aor])
        else:
            control.ask(socket, "ul.rm_contact", [table, aor, contact])
    except UsageError as error:
        _fall_back(error)
        _unstore(database, table, aor, contact)
    click.echo(f"removed {what} of {aor}", err=True)


def _fall_back(error: UsageError) -> None:
    """Go on with the database when no server runs; any other trouble is raised on."""
    if error.exit_code != UNREACHABLE:
        raise error
    click.echo("note: no server runs; this is the database", err=True)


def _live(socket: Path, table: str, aor: str | None) -> list[dict[str, Any]]:
    if aor is not None:
        return list(_rows_of(aor, control.ask(socket, "ul.lookup", [table, aor])["Contacts"]))
    rows: list[dict[str, Any]] = []
    for entry in control.ask(socket, "ul.dump", [])["Domains"]:
        if entry["Domain"]["Domain"] == table:
            for record in entry["Domain"]["AoRs"]:
                rows += _rows_of(record["Info"]["AoR"], record["Info"]["Contacts"])
    return rows


def _rows_of(aor: str, contacts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in contacts:
        contact = {key: "" if value == "[not set]" else value for key, value in entry["Contact"].items()}
        yield {
            "aor": aor,
            "contact": contact["Address"],
            "expires": contact["Expires"],
            "q": "" if contact["Q"] == -1 else contact["Q"],
            "user_agent": contact["User-Agent"],
            "received": contact["Received"],
            "path": contact["Path"],
            "socket": contact["Socket"],
            "ruid": contact["Ruid"],
        }


def _connection(database: Path, table: str, *, write: bool = False) -> sqlite3.Connection:
    connection = connect(database, read_only=not write)
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    if not found.fetchone() or not table.isidentifier():
        connection.close()
        raise StoreError(f"{database}: has no table {table!r}")
    return connection


def _key(aor: str) -> tuple[str, str]:
    """User and domain of an address-of-record as the table has them."""
    user, at, domain = aor.rpartition("@")
    return (user, domain) if at else (aor, "")


def _stored(database: Path, table: str, aor: str | None) -> list[dict[str, Any]]:
    connection = _connection(database, table)
    user, domain = _key(aor or "")
    try:
        rows = connection.execute(
            "SELECT username, domain, contact, expires, q, user_agent, received, path, socket, ruid "
            f"FROM {table} WHERE ?1 = '' OR (username = ?1 AND ifnull(domain, '') = ?2) "
            "ORDER BY username, domain, q DESC, id",
            (user, domain),
        ).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"{database}: {explain(error)}") from error
    finally:
        connection.close()
    now = time.time()
    return [
        {
            "aor": f"{name}@{place}" if place else name,
            "contact": contact,
            "expires": _remaining(to_epoch(expires), now),
            "q": "" if q < 0 else q,
            "user_agent": agent,
            "received": received or "",
            "path": path or "",
            "socket": socket or "",
            "ruid": ruid,
        }
        for name, place, contact, expires, q, agent, received, path, socket, ruid in rows
    ]


def _remaining(epoch: float, now: float) -> int | str:
    return "permanent" if not epoch else max(0, round(epoch - now)) or "expired"


def _store(database: Path, table: str, aor: str, contact: str, expires: int, q: float | None) -> None:
    from kamtool.errors import ParseError
    from kamtool.sip.uri import parse_uri

    try:
        parse_uri(contact)
    except ParseError as error:
        raise RpcError(400, f"the contact is no URI: {error.reason}") from error
    user, domain = _key(aor)
    now = time.time()
    ends = to_julian(now + expires if expires > 0 else 0)
    ruid = f"uloc-db-{time.time_ns():x}"
    connection = _connection(database, table, write=True)
    try:
        connection.execute("BEGIN IMMEDIATE")
        changed = connection.execute(
            f"UPDATE {table} SET expires = ?, q = ?, last_modified = ? "
            "WHERE username = ? AND ifnull(domain, '') = ? AND contact = ?",
            (ends, -1.0 if q is None else q, to_julian(now), user, domain, contact),
        )
        if not changed.rowcount:
            connection.execute(
                f"INSERT INTO {table} (ruid, username, domain, contact, expires, q, callid, cseq, "
                "last_modified, user_agent, connection_id) "
                "VALUES (?, ?, ?, ?, ?, ?, 'kamtool-control', 1, ?, 'kamtool control', -1)",
                (ruid, user, domain or None, contact, ends, -1.0 if q is None else q, to_julian(now)),
            )
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{database}: {explain(error)}") from error
    finally:
        connection.close()


def _unstore(database: Path, table: str, aor: str, contact: str | None) -> None:
    user, domain = _key(aor)
    connection = _connection(database, table, write=True)
    try:
        gone = connection.execute(
            f"DELETE FROM {table} WHERE username = ?1 AND ifnull(domain, '') = ?2 "
            "AND (?3 IS NULL OR contact = ?3 OR ruid = ?3)",
            (user, domain, contact),
        )
    except sqlite3.Error as error:
        raise StoreError(f"{database}: {explain(error)}") from error
    finally:
        connection.close()
    if not gone.rowcount:
        raise UsageError(f"{aor!r} has no such contact in {table}", exit_code=3)
