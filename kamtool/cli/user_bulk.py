"""`kamtool user import` and `export`: many accounts at once."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from kamtool.cli.accounts import db_option, domain_option, tell_server
from kamtool.errors import UsageError
from kamtool.store import disabled, exchange, subscribers
from kamtool.store.migrate import migrate

KINDS = ("csv", "json", "jsonl")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--format", "kind", type=click.Choice(KINDS), help="By default what the file's name says.")
@click.option("--replace", is_flag=True, help="Change the accounts that exist; else they stay as they are.")
@click.option(
    "--store-plaintext", is_flag=True, help="Store the passwords themselves too, for calculate_ha1."
)
@click.option("--dry-run", is_flag=True, help="Check everything, and change nothing.")
@db_option
def import_(
    file: Path, kind: str | None, replace: bool, store_plaintext: bool, dry_run: bool, database: Path
) -> None:
    """Make the accounts of FILE, all of them or none; `-` is standard input.

    CSV has a header line, JSON is a list of objects (jsonl: one on each line). The fields are username,
    domain, realm, password, or instead of a password ha1, ha1b, ha1_sha256 and ha1b_sha256; and aliases and
    groups, separated by spaces. `kamtool user export` writes such a file.

    Example: kamtool user import users.csv
    """
    kind = kind or file.suffix.lstrip(".").lower() or "csv"
    if kind not in KINDS:
        raise UsageError(f"{file}: is it {', '.join(KINDS)}?", hint="say it with --format")
    if not database.exists() and not dry_run:
        migrate(database)
        click.echo(f"made the database {database}", err=True)
    with (
        _opened(file) as stream,
        _progress(file) as progress,
        subscribers.opened(database, write=True) as connection,
    ):
        rows = exchange.read(stream, kind)
        outcome = exchange.load(
            connection, rows, replace=replace, plaintext=store_plaintext, progress=progress
        )
        if dry_run:
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")
    if not dry_run:
        tell_server("auth_db.forget")
    would = "would have been " if dry_run else ""
    said = [f"{outcome.added} accounts {would}added"]
    if outcome.replaced:
        said.append(f"{outcome.replaced} {would}changed")
    if outcome.skipped:
        said.append(f"{outcome.skipped} exist already and stay as they are (--replace changes them)")
    click.echo("; ".join(said), err=True)


@click.command("export")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--format", "kind", type=click.Choice(KINDS), help="By default what the file's name says, or CSV."
)
@domain_option
@db_option
def export(file: Path, kind: str | None, domain: str | None, database: Path) -> None:
    """Write the accounts to FILE, or to standard output, as `kamtool user import` reads them.

    The hashes of the passwords are in it: keep it as you keep the database. A new file is yours alone.

    Example: kamtool user export users.csv
    """
    kind = kind or (file.suffix.lstrip(".").lower() if file != Path("-") else "csv")
    if kind not in KINDS:
        raise UsageError(f"{file}: is it to be {', '.join(KINDS)}?", hint="say it with --format")
    with subscribers.opened(database) as connection:
        rows = list(exchange.dump(connection, domain))
        off = len(disabled.accounts(connection))
    if file == Path("-"):
        _write(sys.stdout, rows, kind)
    else:
        try:
            file.touch(mode=0o600)
            with file.open("w", encoding="utf-8", newline="") as stream:
                _write(stream, rows, kind)
        except OSError as error:
            raise UsageError(f"{file} cannot be written: {error}", exit_code=1) from error
    click.echo(f"{len(rows)} accounts exported", err=True)
    if off:
        click.echo(f"{off} disabled accounts are not among them: `kamtool user enable` first", err=True)


def _write(stream: TextIO, rows: list[dict[str, str]], kind: str) -> None:
    if kind == "json":
        json.dump(rows, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
    elif kind == "jsonl":
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    else:
        names = [name for name in exchange.FIELDS if name != "realm"]
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    if file == Path("-"):
        yield sys.stdin
        return
    try:
        stream = file.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    with stream:
        try:
            yield stream
        except UnicodeDecodeError as error:
            raise UsageError(f"{file} is not in UTF-8: {error}") from error


@contextmanager
def _progress(file: Path) -> Iterator[Callable[[int], object]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    total = None
    if file != Path("-"):
        with file.open("rb") as stream:
            total = max(0, sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b"")) - 1)
    columns = (TextColumn("importing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("import", total=total or None)
        yield lambda count: bar.update(task, completed=count)
