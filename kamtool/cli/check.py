"""`kamtool check`: all that is wrong with a cfg, without starting anything."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamtool.cli import idle
from kamtool.cli.output import emit
from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.errors import ConfigError
    from kamtool.script.program import Report

REFUSED = 255
"""How Kamailio leaves when a cfg is bad."""


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "-A", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define before reading."
)
@click.option("--strict", is_flag=True, help="Exit 10 when there are warnings.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option(
    "-o", "--output", type=click.Choice(("text", "kamailio", "json", "jsonl", "csv", "yaml", "sarif")),
    default="text", show_default=True,
    help="How to print: for people, in the form of `kamailio -c`, or for programs.",
)  # fmt: skip
def command(files: Sequence[Path], defines: Sequence[str], strict: bool, quiet: bool, output: str) -> None:
    """Check cfg FILEs: everything that would keep a server from starting, and what it would not tell you.

    Errors keep a server from starting. Warnings are what may not be meant, hints are worth knowing.

    Exit 0 when all is well, 7 when there are errors, 10 with --strict when there are only warnings;
    with `-o kamailio` 255 for errors, as there.

    Example: kamtool check -A WITH_NAT /etc/kamailio/kamailio.cfg
    """
    given = dict(_define(text) for text in defines)
    with idle.imports():
        reports = [(file, _read(file, given, output)) for file in files]
    findings = [
        finding
        for _, report in reports
        for finding in report.findings
        if not quiet or finding.severity == "error"
    ]
    if output == "text":
        for file, report in reports:
            _show(file, report, quiet)
    elif output == "kamailio":
        show_as_kamailio(findings)
    elif output == "sarif":
        from kamtool.script.sarif import sarif

        click.echo(json.dumps(sarif(findings), indent=2, ensure_ascii=False))
    else:
        emit(list(_rows(findings)), output, COLUMNS)
    if any(report.errors for _, report in reports):
        raise SystemExit(REFUSED if output == "kamailio" else 7)
    if strict and any(report.warnings for _, report in reports):
        raise SystemExit(10)


COLUMNS = ("file", "line", "column", "end_line", "end_column", "severity", "code", "message", "hint")


def _define(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _read(file: Path, defines: dict[str, str | None], output: str) -> Report:
    from kamtool import script

    try:
        return script.check(file, defines=defines)
    except OSError as error:
        code = REFUSED if output == "kamailio" else 3
        raise UsageError(f"cannot read {str(file)!r}: {error.strerror}", exit_code=code) from error


def show_as_kamailio(findings: Sequence[ConfigError]) -> None:
    """Every finding and the verdict on stderr, as `kamailio -c` writes them."""
    from kamtool.script import render

    for finding in findings:
        click.echo(render.kamailio(finding), err=True)
    errors = sum(finding.severity == "error" for finding in findings)
    click.echo(render.kamailio_verdict(errors), err=True)


def _show(file: Path, report: Report, quiet: bool) -> None:
    from kamtool.script import render

    for finding in report.errors if quiet else report.findings:
        click.echo(render.render(finding, report.text), err=True)
    others = (0, 0) if quiet else (len(report.warnings), len(report.hints))
    if report.errors:
        click.echo(f"{file}: bad config file ({render.summary(len(report.errors), *others)})", err=True)
    elif any(others):
        click.echo(f"{file}: config file ok ({render.summary(0, *others)})")
    else:
        click.echo(f"{file}: config file ok")


def _rows(findings: Iterable[ConfigError]) -> Iterator[dict[str, Any]]:
    for finding in findings:
        span = finding.span
        yield {
            "file": span.file,
            "line": span.line,
            "column": span.column,
            "end_line": span.end_line,
            "end_column": span.end_column,
            "severity": finding.severity,
            "code": finding.code,
            "message": finding.message,
            "hint": finding.hint,
        }
