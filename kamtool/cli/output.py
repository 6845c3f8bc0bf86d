"""What commands print: rows and values as a table, JSON, JSON lines, CSV or YAML, on stdout."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TextIO, TypeVar, get_args

import click

Format = Literal["table", "json", "jsonl", "csv", "yaml"]
FORMATS: tuple[str, ...] = get_args(Format)

C = TypeVar("C", bound=Callable[..., Any])


def output_option(command: C) -> C:
    """The option `-o` that every command has which prints data; the argument is called `output`."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        envvar="KAMTOOL_OUTPUT",
        show_default=True,
        help="How to print: a table for people (tab-separated into a pipe), or for programs.",
    )(command)


def coloured(stream: TextIO) -> bool:
    """Whether to colour what goes to `stream`: a terminal that is not dumb, and $NO_COLOR unset."""
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def emit(
    rows: Sequence[Mapping[str, Any]],
    format: str = "table",  # noqa: A002
    columns: Sequence[str] = (),
) -> None:
    """Print rows, each a mapping by column; `columns` chooses and orders them, else the first row's keys."""
    columns = columns or (list(rows[0]) if rows else ())
    chosen = [{column: row.get(column) for column in columns} for row in rows]
    if format == "json":
        click.echo(json.dumps(chosen, indent=2, ensure_ascii=False, default=str))
    elif format == "jsonl":
        for row in chosen:
            click.echo(json.dumps(row, ensure_ascii=False, default=str))
    elif format == "csv":
        _emit_csv(chosen, columns)
    elif format == "yaml":
        click.echo(to_yaml(chosen))
    else:
        _emit_table(chosen, columns)


def emit_value(value: Any, format: str = "table") -> None:  # noqa: A002
    """Print data of any shape, as an RPC returns it; as a table where it is one."""
    is_table = isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value)
    if format == "json":
        click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    elif format == "jsonl":
        for entry in value if isinstance(value, list) else [value]:
            click.echo(json.dumps(entry, ensure_ascii=False, default=str))
    elif format == "csv":
        rows = value if is_table else [value] if isinstance(value, Mapping) else [{"value": value}]
        emit(rows, "csv")
    elif format == "table" and is_table and all(_is_flat(entry) for entry in value):
        emit(value, "table")
    elif format == "table" and isinstance(value, str | int | float):
        click.echo(printable(value))
    elif value not in (None, {}, []):
        click.echo(to_yaml(value))


def _is_flat(row: Mapping[str, Any]) -> bool:
    return not any(isinstance(value, Mapping | list) for value in row.values())


def printable(value: Any) -> str:
    """The text of a value with its control characters shown: what came from the network moves no cursor."""
    text = "" if value is None else str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _emit_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    lines = [[printable(row[column]) for column in columns] for row in rows]
    if not lines:
        return
    if not sys.stdout.isatty():
        for line in [list(columns), *lines]:
            click.echo("\t".join(line))
        return
    widths = [max(len(line[place]) for line in [list(columns), *lines]) for place in range(len(columns))]
    head = "  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip()
    click.echo(click.style(head, bold=True) if coloured(sys.stdout) else head)
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _emit_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[column] for column in columns] for row in rows)


def to_yaml(value: Any, indent: int = 0) -> str:
    """YAML for mappings, lists and scalars; text that needs quotes gets JSON's, which YAML reads."""
    pad = "  " * indent
    if isinstance(value, Mapping) and value:
        return "\n".join(f"{pad}{_scalar(str(key))}:{_nested(entry, indent)}" for key, entry in value.items())
    if isinstance(value, list | tuple) and value:
        return "\n".join(f"{pad}-{_item(entry, indent)}" for entry in value)
    return pad + _scalar(value)


def _nested(value: Any, indent: int) -> str:
    return f"\n{to_yaml(value, indent + 1)}" if _is_deep(value) else f" {_scalar(value)}"


def _item(value: Any, indent: int) -> str:
    return f" {to_yaml(value, indent + 1).lstrip()}" if _is_deep(value) else f" {_scalar(value)}"


def _is_deep(value: Any) -> bool:
    return isinstance(value, Mapping | list | tuple) and bool(value)


_AMBIGUOUS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "none", "y", "n"))


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "{}" if isinstance(value, Mapping) else "[]"
    if not isinstance(value, str):
        return json.dumps(value, default=str)
    if _is_plain(value):
        return value
    return json.dumps(value, ensure_ascii=not value.isprintable())


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text as itself without quotes."""
    if not text.isprintable() or text != text.strip() or text.lower() in _AMBIGUOUS:
        return False
    begins_well = text[:1].isalpha() or text[:1] in ("_", "/", "<")
    return begins_well and not text.endswith(":") and ": " not in text and " #" not in text
