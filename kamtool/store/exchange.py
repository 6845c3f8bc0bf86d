"""Many accounts at once: read from CSV or JSON, all of them or none, and written out again."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from kamtool.errors import UsageError
from kamtool.sip.digest import ha1
from kamtool.store import disabled, names
from kamtool.store.realm import DEFAULT_REALM
from kamtool.store.subscribers import MORE_ALGORITHMS

FIELDS = (
    "username", "domain", "realm", "password", "ha1", "ha1b", "ha1_sha256", "ha1b_sha256", "aliases",
    "groups",
)  # fmt: skip
"""What a row may have. `aliases` and `groups` are separated by spaces."""

MOST_ERRORS = 20
MD5, SHA256 = re.compile(r"[0-9a-fA-F]{32}"), re.compile(r"[0-9a-fA-F]{64}")
UNFIT = set(' @:;<>"\\,?')

Row = Mapping[str, str]
Progress = Callable[[int], object]


@dataclass(slots=True)
class Outcome:
    """How many accounts were made, changed, and left as they are."""

    added: int = 0
    replaced: int = 0
    skipped: int = 0


def read(stream: TextIO, kind: str) -> Iterator[tuple[int, Row]]:
    """The rows of a CSV with a header line, of a JSON list of objects, or of JSON lines, with their numbers.

    Raises UsageError for what is none of these.
    """
    if kind == "csv":
        reader = csv.DictReader(stream)
        unknown = [name for name in reader.fieldnames or ["?"] if name not in FIELDS]
        if "username" not in (reader.fieldnames or ()) or unknown:
            raise UsageError(
                f"line 1: the columns are {', '.join(FIELDS)}, not {', '.join(unknown) or 'these'}",
                hint="`username` must be there",
            )
        try:
            for row in reader:
                if None in row or None in row.values():
                    raise UsageError(f"line {reader.line_num}: it has not as many fields as the header")
                yield reader.line_num, row
        except csv.Error as error:
            raise UsageError(f"line {reader.line_num}: {error}") from error
        return
    try:
        found: Any = (
            json.load(stream) if kind == "json" else [json.loads(line) for line in stream if line.strip()]
        )
    except ValueError as error:
        raise UsageError(f"this is no {kind}: {error}") from error
    if not isinstance(found, list):
        raise UsageError("the JSON is a list of objects, an account each")
    for number, entry in enumerate(found, 1):
        if not isinstance(entry, dict):
            raise UsageError(f"entry {number}: it is no object")
        yield number, {key: _listed(value) for key, value in entry.items()}


def _listed(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)


def check(row: Row) -> str:
    """What is wrong with a row, "" when nothing is."""
    unknown = [name for name in row if name not in FIELDS]
    if unknown:
        return f"no such field: {', '.join(unknown)}"
    name, domain = row.get("username", ""), row.get("domain", "") or DEFAULT_REALM
    for what, text in (("user name", name), ("domain", domain)):
        if not text or len(text) > 64 or not text.isprintable() or set(text) & UNFIT:
            return f"{text!r} is no {what}"
    if not row.get("password") and not row.get("ha1"):
        return "neither password nor ha1"
    for field in ("ha1", "ha1b", "ha1_sha256", "ha1b_sha256"):
        form = SHA256 if field.endswith("256") else MD5
        if row.get(field) and not form.fullmatch(row[field]):
            return f"{field} is no hash: {row[field]!r}"
    return ""


def load(
    connection: sqlite3.Connection, rows: Iterable[tuple[int, Row]], *, replace: bool, plaintext: bool,
    progress: Progress = lambda _: None,
) -> Outcome:  # fmt: skip
    """Make the accounts, inside the caller's transaction. With `replace` those that exist are changed.

    Raises UsageError with the first errors, each with its line: then nothing may be committed.
    """
    off = disabled.accounts(connection)
    known = set(connection.execute("SELECT username, domain FROM subscriber"))
    more = names.has(connection, "subscriber_ha1")
    seen: set[tuple[str, str]] = set()
    errors: list[str] = []
    outcome = Outcome()
    for count, (number, row) in enumerate(rows, 1):
        wrong = check(row)
        key = (row.get("username", ""), (row.get("domain", "") or DEFAULT_REALM).lower())
        if not wrong and key in seen:
            wrong = f"{key[0]}@{key[1]} comes twice"
        if not wrong and replace and key in off:
            wrong = f"{key[0]}@{key[1]} is disabled"
        if wrong:
            errors.append(f"line {number}: {wrong}")
            if len(errors) >= MOST_ERRORS:
                break
            continue
        seen.add(key)
        if key in known and not replace:
            outcome.skipped += 1
        elif not errors:
            outcome.replaced += key in known
            outcome.added += key not in known
            _store(connection, key, row, plaintext, more, exists=key in known)
        if not count % 1000:
            progress(count)
    if errors:
        raise UsageError("\n".join(errors), hint="nothing was imported")
    return outcome


def _store(
    connection: sqlite3.Connection,
    key: tuple[str, str],
    row: Row,
    plaintext: bool,
    more: bool,
    *,
    exists: bool,
) -> None:
    user, domain = key
    password, realm = row.get("password", ""), row.get("realm", "") or domain
    hashes = [row.get("ha1", "").lower(), row.get("ha1b", "").lower()]
    others = [row.get("ha1_sha256", "").lower(), row.get("ha1b_sha256", "").lower()]
    if password:
        with_domain = f"{user}@{domain}"
        hashes = [ha1(user, realm, password), ha1(with_domain, realm, password)]
        others = [ha1(who, realm, password, MORE_ALGORITHMS[0]) for who in (user, with_domain)]
    values = (password if plaintext else "", *hashes, user, domain)
    if exists:
        connection.execute(
            "UPDATE subscriber SET password = ?, ha1 = ?, ha1b = ? WHERE username = ? AND domain = ?", values
        )
    else:
        connection.execute(
            "INSERT INTO subscriber (password, ha1, ha1b, username, domain) VALUES (?, ?, ?, ?, ?)", values
        )
    if more:
        connection.execute("DELETE FROM subscriber_ha1 WHERE username = ? AND domain = ?", key)
        if others[0]:
            connection.execute(
                "INSERT INTO subscriber_ha1 (username, domain, algorithm, ha1, ha1b) VALUES (?, ?, ?, ?, ?)",
                (*key, MORE_ALGORITHMS[0], *others),
            )
    for alias in row.get("aliases", "").split():
        name, at, place = alias.partition("@")
        connection.execute(
            "INSERT INTO dbaliases (alias_username, alias_domain, username, domain) SELECT ?1, ?2, ?3, ?4 "
            "WHERE NOT EXISTS (SELECT 1 FROM dbaliases WHERE alias_username = ?1 AND alias_domain = ?2)",
            (name, place if at else domain, user, domain),
        )
    for group in row.get("groups", "").split():
        connection.execute(
            "INSERT OR IGNORE INTO grp (username, domain, grp, last_modified) "
            "VALUES (?, ?, ?, datetime('now'))",
            (user, domain, group),
        )


def dump(connection: sqlite3.Connection, domain: str | None = None) -> Iterator[dict[str, str]]:
    """Every account as a row that `load` takes: its hashes, its password only where it is stored.

    Those that are disabled are left out.
    """
    off = disabled.accounts(connection)
    others: dict[tuple[str, str], tuple[str, str]] = {}
    if names.has(connection, "subscriber_ha1"):
        for user, place, one, two in connection.execute(
            "SELECT username, domain, ha1, ha1b FROM subscriber_ha1 WHERE algorithm = ?", MORE_ALGORITHMS
        ):
            others[user, place] = (one, two)
    aliases, groups = names.aliases(connection), names.groups(connection)
    for user, place, password, one, two in connection.execute(
        "SELECT username, domain, password, ha1, ha1b FROM subscriber "
        "WHERE ?1 IS NULL OR domain = ?1 ORDER BY username, domain",
        (domain,),
    ):
        if (user, place) in off:
            continue
        more = others.get((user, place), ("", ""))
        yield {
            "username": user, "domain": place, "password": password, "ha1": one, "ha1b": two,
            "ha1_sha256": more[0], "ha1b_sha256": more[1],
            "aliases": " ".join(aliases.get((user, place), ())),
            "groups": " ".join(groups.get((user, place), ())),
        }  # fmt: skip
