"""`kamtool explain`: what an error code means, and what became of a call."""

from __future__ import annotations

import re
from pathlib import Path

import click

from kamtool.cli.output import emit, output_option
from kamtool.cli.rpc import socket_option
from kamtool.errors import UsageError

_CODE = re.compile(r"(?:KT)?\d{1,4}", re.IGNORECASE)


@click.command()
@click.argument("code", required=False)
@socket_option
@output_option
def command(code: str | None, output: str, socket: Path) -> None:
    """Explain an error CODE such as KT1130, or the call with that Call-ID; without one, list all codes.

    The story of a call comes from the running server, which must keep a history: `kamtool serve --history
    1000`, or later `kamtool rpc debug.history 1000`. `kamtool why 403` finds a call by its answer.

    Example: kamtool explain KT1130
    """
    if code is not None and not _CODE.fullmatch(code):
        from kamtool.cli.why import show
        from kamtool.server import control

        show(control.ask(socket, "debug.explain", [code], 10.0), output)
        return
    from kamtool.script.explain import EXPLANATIONS

    if code is None:
        rows = [{"code": row.code, "about": row.title} for row in EXPLANATIONS.values()]
        emit(rows, output, ("code", "about"))
        return
    name = code.upper() if code.upper().startswith("KT") else f"KT{code}"
    found = EXPLANATIONS.get(name)
    if found is None:
        raise UsageError(f"there is no error code {code!r}", exit_code=3, hint="`kamtool explain` lists them")
    if output != "table":
        facts = {"code": found.code, "about": found.title, "text": found.text, "example": found.example}
        emit([facts], output, ("code", "about", "text", "example"))
        return
    click.echo(f"{found.code}: {found.title}\n\n{click.wrap_text(found.text, 80)}")
    if found.example:
        click.echo("\n" + "\n".join(f"    {line}" for line in found.example.splitlines()))
