"""`kamtool check`: all that is wrong with a cfg, without starting anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamtool.cli.output import emit
from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.errors import ConfigError
    from kamtool.script.program import Report


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "-A", "--define", "defines", multiple=True, metavar="NAME[=VALUE]", help="Define before reading."
)
@click.option("--strict", is_flag=True, help="Exit 10 when there are warnings.")
@click.option("--classic", is_flag=True, help="Print errors in the form of `kamailio -c`.")
@click.option("-q", "--quiet", is_flag=True, help="Show errors only.")
@click.option(
    "-o", "--output", type=click.Choice(("text", "json", "jsonl", "csv", "yaml")), default="text",
    show_default=True, help="How to print: for people, or one row for each finding.",
)  # fmt: skip
def command(
    files: Sequence[Path], defines: Sequence[str], strict: bool, classic: bool, quiet: bool, output: str
) -> None:
    """Check cfg FILEs: everything that would keep a server from starting, and what it would not tell you.

    Exit 0 when all is well, 7 when there are errors, 10 with --strict when there are only warnings.

    Example: kamtool check -A WITH_NAT /etc/kamailio/kamailio.cfg
    """
    from kamtool import script

    given = dict(_define(text) for text in defines)
    reports = []
    for file in files:
        try:
            reports.append((file, script.check(file, defines=given)))
        except OSError as error:
            raise UsageError(f"cannot read {str(file)!r}: {error.strerror}", exit_code=3) from error
    if output == "text":
        for file, report in reports:
            _show(file, report, classic, quiet)
    else:
        emit([row for _, report in reports for row in _rows(report, quiet)], output, COLUMNS)
    if any(report.errors for _, report in reports):
        raise SystemExit(7)
    if strict and any(report.warnings for _, report in reports):
        raise SystemExit(10)


COLUMNS = ("file", "line", "column", "end_line", "end_column", "severity", "code", "message", "hint")


def _define(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    return name, value if equals else None


def _findings(report: Report, quiet: bool) -> Iterator[ConfigError]:
    yield from report.errors
    if not quiet:
        yield from report.warnings


def _show(file: Path, report: Report, classic: bool, quiet: bool) -> None:
    from kamtool.script import render

    for finding in _findings(report, quiet):
        click.echo(render.classic(finding) if classic else render.render(finding, report.text), err=True)
    if report.errors:
        errors = len(report.errors)
        click.echo(f"{file}: bad config file ({render.summary(errors, len(report.warnings))})", err=True)
    elif report.warnings and not quiet:
        click.echo(f"{file}: config file ok ({render.summary(0, len(report.warnings))})")
    else:
        click.echo(f"{file}: config file ok")


def _rows(report: Report, quiet: bool) -> Iterator[dict[str, Any]]:
    for finding in _findings(report, quiet):
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
