"""`kamtool fmt`: cfgs in their usual form."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from kamtool.errors import ConfigErrors, UsageError

ATTENTION = 10
BAD_CFG = 7


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--check", is_flag=True, help="Change nothing; exit 10 when a FILE is not formatted.")
@click.option("--diff", is_flag=True, help="Change nothing; print what would change.")
@click.option(
    "-A", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define before reading."
)
@click.option(
    "--indent", type=click.Choice(("auto", "tab", "2", "4", "8")), default="auto", show_default=True,
    help="One step of indentation; by default a tab, or four blanks where the file is indented with blanks.",
)  # fmt: skip
@click.option(
    "--stdin-path", type=click.Path(path_type=Path), metavar="FILE",
    help="Where the text of `-` comes from: its includes are looked for beside it.",
)  # fmt: skip
def command(
    files: Sequence[str],
    check: bool,
    diff: bool,
    defines: Sequence[str],
    indent: str,
    stdin_path: Path | None,
) -> None:
    """Format cfg FILEs in place; `-` formats standard input to standard output.

    Comments, strings, directives, and the branches of #!ifdef that are not taken stay byte for byte, and
    so does what the cfg means. Use -A to have other branches formatted. Included files are read, not
    changed. The names of the files that changed are printed.

    Exit 0 when done, 10 with --check when a file is not formatted, 7 when a file has errors: it is left
    alone then.

    Example: kamtool fmt --diff /etc/kamailio/kamailio.cfg
    """
    given = {name: value if equals else None for name, equals, value in (d.partition("=") for d in defines)}
    unit = {"auto": "", "tab": "\t"}.get(indent) if not indent.isdigit() else " " * int(indent)
    wrong = changed = 0
    for file in files:
        try:
            changed += _one(file, given, unit or "", check, diff, stdin_path)
        except ConfigErrors as error:
            wrong += 1
            _show(file, error)
    if wrong:
        raise SystemExit(BAD_CFG)
    if check and changed:
        raise SystemExit(ATTENTION)


def _one(
    file: str, defines: dict[str, str | None], unit: str, check: bool, diff: bool, stdin_path: Path | None
) -> bool:
    """Format one file; whether it was not formatted before."""
    from kamtool.script.format import format_text
    from kamtool.script.source import read

    is_stdin = file == "-"
    path = stdin_path if is_stdin else Path(file)
    name = "<stdin>" if is_stdin else file
    if path is not None and not is_stdin:
        try:
            text = read(path)
        except OSError as error:
            raise UsageError(f"cannot read {file!r}: {error.strerror}", exit_code=3) from error
    else:
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    result = format_text(text, name=name, path=path, defines=defines, unit=unit)
    if diff:
        _print_diff(name, text, result)
    elif check:
        if result != text:
            click.echo(name)
    elif is_stdin:
        _print(result)
    elif result != text and path is not None:
        write(path, result)
        click.echo(name)
    return result != text


def write(path: Path, text: str) -> None:
    """Put `text` in the place of a file's own, at once or not at all; mode and owner stay."""
    target = path.resolve()
    number, temporary = -1, ""
    try:
        number, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with open(number, "wb") as stream:
            stream.write(text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fsync(stream.fileno())
        known = target.stat()
        os.chmod(temporary, known.st_mode & 0o7777)
        with suppress(PermissionError):  # only root can give a file away; it was ours then
            os.chown(temporary, known.st_uid, known.st_gid)
        os.replace(temporary, target)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror}", exit_code=1) from error


def _show(file: str, error: ConfigErrors) -> None:
    from kamtool.script import render

    click.echo(render.render(error), err=True)
    click.echo(f"{file}: left alone ({render.summary(len(error.errors), 0)})", err=True)


def _print(text: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _print_diff(name: str, before: str, after: str) -> None:
    import difflib

    if before == after:
        return
    rows = difflib.unified_diff(_lines(before), _lines(after), f"{name} (as it is)", f"{name} (formatted)")
    for row in rows:
        _print(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n")


def _lines(text: str) -> list[str]:
    """Lines with their ends; `splitlines` would also break at form feeds and the like."""
    rows = text.split("\n")
    return [f"{row}\n" for row in rows[:-1]] + rows[-1:] * bool(rows[-1])
