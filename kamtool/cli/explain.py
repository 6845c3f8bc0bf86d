"""`kamtool explain`: what an error code means."""

from __future__ import annotations

import click

from kamtool.cli.output import emit, output_option
from kamtool.errors import UsageError


@click.command()
@click.argument("code", required=False)
@output_option
def command(code: str | None, output: str) -> None:
    """Explain an error CODE such as KT1130; without one, list them all.

    Example: kamtool explain KT1130
    """
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
