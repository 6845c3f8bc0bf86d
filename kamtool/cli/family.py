"""Commands that add, list and remove the rows of one table: `kamtool alias`, `kamtool domain` and others."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kamtool.cli.accounts import db_option
from kamtool.cli.output import emit, output_option
from kamtool.errors import KamtoolError, ParseError, RpcError, UsageError
from kamtool.store.migrate import migrate
from kamtool.store.subscribers import opened

Row = dict[str, Any]

METHOD_NOT_FOUND = -32601

_ADDRESS = re.compile(r"[^\s<>\"'@]+(@[^\s<>\"'@]+)?")


@dataclass(frozen=True, slots=True)
class Column:
    """One argument, or with a `default` an option; it is `user@domain` where there are two names."""

    word: str
    names: tuple[str, ...]
    default: Any = ...
    help: str = ""

    def read(self, text: Any) -> Row:
        """What the row holds for this word. Raises UsageError."""
        if len(self.names) == 2:
            user, _, domain = str(text).removeprefix("sip:").partition("@")
            if not _ADDRESS.fullmatch(str(text).removeprefix("sip:")):
                raise UsageError(f"{text!r} is no {self.word}", hint="user@domain")
            return {self.names[0]: user, self.names[1]: domain.lower()}
        return {self.names[0]: text}


@dataclass(frozen=True, slots=True)
class Family:
    """A table: what names a row (`key`), what else it holds, and who must be told when it changes."""

    table: str
    noun: str
    key: tuple[Column, ...]
    values: tuple[Column, ...] = ()
    reload: str = ""
    """The RPC method that has a running server read the table again."""
    check: Callable[[Row], Row] = dict
    """Gives the row as it is stored. Raises ValueError or ParseError for one that no server would take."""

    def command(self, about: str, example: str) -> click.Group:
        """The group of commands `add`, `list`, `rm` and, where there is something to tell, `reload`."""
        group = click.Group(help=f"{about}\n\nExample: {example}")
        program, words = " ".join(example.split()[:2]), example.split()[3 : 3 + len(self.key)]
        examples = {
            "add": example, "rm": f"{program} rm {' '.join(words)}", "list": f"{program} list -o csv",
            "reload": f"{program} reload",
        }  # fmt: skip
        group.context_settings = {"help_option_names": ["-h", "--help"]}
        for made in (self._add(), self._list(), self._rm(), *([self._reload()] if self.reload else [])):
            made.help = f"{made.help}\n\nExample: {examples[str(made.name)]}"
            group.add_command(made)
        return group

    def _row(self, given: dict[str, Any], columns: tuple[Column, ...]) -> Row:
        row: Row = {}
        for column in columns:
            row |= column.read(given[_argument(column.word)])
        return row

    def _key_of(self, row: Row) -> Row:
        return {name: row[name] for column in self.key for name in column.names}

    def _changed(self) -> None:
        """Have the server that runs here read the table again, if it has the module."""
        from kamtool.server import control

        socket = control.default_socket()
        if not self.reload or not os.path.exists(socket):
            return
        try:
            control.ask(socket, self.reload, [], timeout=10.0)
        except RpcError as error:
            if error.code != METHOD_NOT_FOUND:
                click.echo(f"the running server goes on with the old rows: {error.message}", err=True)
        except KamtoolError as error:
            click.echo(f"no running server was told: {error}", err=True)

    def _add(self) -> click.Command:
        def add(database: Path, output: str, dry_run: bool, **given: Any) -> None:
            try:
                row = self.check(self._row(given, (*self.key, *self.values)))
            except (ValueError, ParseError) as error:
                raise UsageError(str(error)) from error
            if not database.exists() and not dry_run:
                migrate(database)
                click.echo(f"made the database {database}", err=True)
            if database.exists():
                with opened(database, write=not dry_run) as connection:
                    if _rows(connection, self.table, self._key_of(row)):
                        raise UsageError(f"this {self.noun} is there already", exit_code=4)
                    if not dry_run:
                        marks = ", ".join("?" * len(row))
                        connection.execute(
                            f"INSERT INTO {self.table} ({', '.join(row)}) VALUES ({marks})",
                            tuple(row.values()),
                        )
            if not dry_run:
                self._changed()
            shown = " ".join(str(value) for value in self._key_of(row).values() if value != "")
            click.echo(f"{'would add' if dry_run else 'added'} {self.noun} {shown}", err=True)
            if output != "table":
                emit([row], output)

        made = self._made("add", add, f"Add one {self.noun}.", (*self.key, *self.values), dry_run=True)
        return output_option(made)

    def _rm(self) -> click.Command:
        def rm(database: Path, dry_run: bool, **given: Any) -> None:
            try:
                key = self._key_of(self.check(self._row(given, self.key) | _defaults(self.values)))
            except (ValueError, ParseError) as error:
                raise UsageError(str(error)) from error
            with opened(database, write=not dry_run) as connection:
                found = len(_rows(connection, self.table, key))
                if not found:
                    raise UsageError(f"there is no such {self.noun}", exit_code=3)
                if not dry_run:
                    where, values = _where(key)
                    connection.execute(f"DELETE FROM {self.table} WHERE {where}", values)
            if not dry_run:
                self._changed()
            many = f" ({found} rows)" if found > 1 else ""
            click.echo(f"{'would remove' if dry_run else 'removed'} {self.noun}{many}", err=True)

        return self._made("rm", rm, f"Remove one {self.noun}.", self.key, dry_run=True)

    def _list(self) -> click.Command:
        def list_(database: Path, output: str) -> None:
            columns = tuple(name for column in (*self.key, *self.values) for name in column.names)
            with opened(database) as connection:
                rows = _rows(connection, self.table, {}, columns)
            emit([dict(zip(columns, row, strict=True)) for row in rows], output, columns)

        made = self._made("list", list_, f"List every {self.noun}.", ())
        return output_option(made)

    def _reload(self) -> click.Command:
        def reload() -> None:
            from kamtool.cli.output import emit_value
            from kamtool.server import control

            emit_value(control.ask(control.default_socket(), self.reload, [], timeout=10.0))

        return click.Command("reload", callback=reload, help="Have the running server read the table again.")

    def _made(
        self, name: str, callback: Callable[..., None], text: str, columns: tuple[Column, ...], *,
        dry_run: bool = False,
    ) -> click.Command:  # fmt: skip
        params: list[click.Parameter] = []
        for column in columns:
            argument = _argument(column.word)
            if column.default is ...:
                params.append(click.Argument([argument], metavar=column.word.upper()))
            else:
                kind = int if isinstance(column.default, int) else str
                params.append(
                    click.Option(
                        [f"--{column.word}", argument], default=column.default, type=kind, help=column.help
                    )
                )
        if dry_run:
            params.append(
                click.Option(["--dry-run"], is_flag=True, help="Say what would be done, and do nothing.")
            )
        made: click.Command = db_option(click.Command(name, callback=callback, params=params, help=text))
        return made


def _argument(word: str) -> str:
    return f"given_{word.replace('-', '_')}"


def _defaults(columns: tuple[Column, ...]) -> Row:
    return {column.names[0]: column.default for column in columns if column.default is not ...}


def _where(key: Row) -> tuple[str, tuple[Any, ...]]:
    return " AND ".join(f"{name} = ?" for name in key) or "1", tuple(key.values())


def _rows(
    connection: sqlite3.Connection, table: str, key: Row, columns: tuple[str, ...] = ("1",)
) -> list[tuple[Any, ...]]:
    where, values = _where(key)
    return connection.execute(
        f"SELECT {', '.join(columns)} FROM {table} WHERE {where} ORDER BY rowid", values
    ).fetchall()
