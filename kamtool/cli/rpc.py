"""`kamtool rpc`: call a method of a running server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from kamtool.cli.output import emit_value, output_option
from kamtool.errors import UsageError
from kamtool.server import control


def socket_option(function: Any) -> Any:
    """The option `-s` of every command that speaks to a running server."""
    return click.option(
        "-s",
        "--socket",
        type=click.Path(path_type=Path),
        default=control.default_socket,
        help="The control socket of the server; by default where `kamtool serve` puts it.",
    )(function)


class _WithHelpOfMethods(click.Command):
    """`kamtool rpc --help METHOD` explains the method; without one, this command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words = [word for word in args if word not in ("-h", "--help")]
        if len(words) < len(args) and words and not words[-1].startswith("-"):
            args = [*words[:-1], "system.methodHelp", words[-1]]
        return super().parse_args(ctx, args)


@click.command(
    cls=_WithHelpOfMethods,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["-h", "--help"]},
)
@click.argument("method", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("-l", "--list", "list_methods", is_flag=True, help="List the methods of the server.")
@click.option("--timeout", type=float, default=5.0, show_default=True, help="Seconds to wait for the answer.")
@socket_option
@output_option
def command(
    method: str | None,
    arguments: tuple[str, ...],
    list_methods: bool,
    timeout: float,
    socket: Path,
    output: str,
) -> None:
    """Call a METHOD of the running server and print what it answers.

    An argument that looks like a number is sent as one; `s:5` is the text 5, `i:5` the number.
    An argument that begins with { or [ is JSON. `kamtool rpc --help METHOD` explains a method.

    Example: kamtool rpc core.uptime
    """
    if list_methods:
        names = control.ask(socket, "system.listMethods", [], timeout)
        emit_value([name for name in names if name.startswith(method or "")], output)
        return
    if method is None:
        raise UsageError("no method given", hint="`kamtool rpc --list` lists them")
    emit_value(control.ask(socket, method, [argument(word) for word in arguments], timeout), output)


def argument(word: str) -> Any:
    """The value of a word on the command line, as kamcmd reads it: `s:`, `i:`, `d:`, numbers, JSON, text."""
    kind, colon, rest = word.partition(":")
    if colon and kind == "s":
        return rest
    if colon and kind in ("i", "d", "f"):
        return _number(rest, word)
    if word[:1] in ("{", "["):
        try:
            return json.loads(word)
        except ValueError as error:
            raise UsageError(f"{word!r} is no JSON: {error}", hint="`s:…` sends it as text") from None
    try:
        return int(word)
    except ValueError:
        return word


def _number(text: str, word: str) -> int | float:
    try:
        return int(text, 0)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"{word!r} is no number") from None
