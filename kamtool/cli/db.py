"""`kamtool db`: the database file."""

from __future__ import annotations

from pathlib import Path

import click

from kamtool.cli.accounts import db_option
from kamtool.cli.output import emit, output_option
from kamtool.errors import UsageError
from kamtool.store import migrate as migrations


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Make the database and bring it up to date.

    Example: kamtool db status
    """


@command.command("init")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@db_option
def init(dry_run: bool, database: Path) -> None:
    """Make a new database with all tables.

    Example: kamtool db init --db ./kamtool.db
    """
    if database.exists():
        raise UsageError(
            f"{database} exists already", exit_code=4, hint="`kamtool db migrate` brings it up to date"
        )
    if dry_run:
        click.echo(f"would make {database}", err=True)
        return
    migrations.migrate(database)
    click.echo(f"made {database}", err=True)


@command.command("migrate")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@db_option
@output_option
def migrate(dry_run: bool, database: Path, output: str) -> None:
    """Apply what a database lacks, one made by Kamailio's kamdbctl too.

    Example: kamtool db migrate --dry-run
    """
    names = migrations.status(database).pending if dry_run else migrations.migrate(database)
    emit([{"migration": name, "state": "pending" if dry_run else "applied"} for name in names], output)
    if not names:
        click.echo(f"{database} is up to date", err=True)


@command.command("status")
@db_option
@output_option
def status(database: Path, output: str) -> None:
    """Show the tables of a database with their versions. Leaves with 10 when it lacks something.

    Example: kamtool db status -o json
    """
    found = migrations.status(database)
    rows: list[dict[str, str | int]] = [
        {"table": table, "version": version} for table, version in sorted(found.versions.items())
    ]
    emit(rows, output, ("table", "version"))
    maker = "kamtool" if found.made_by_kamtool else "another tool"
    click.echo(f"{database}: made by {maker}, {len(found.pending)} migrations pending", err=True)
    if found.pending:
        click.echo(f"   pending: {', '.join(found.pending)}", err=True)
        click.get_current_context().exit(10)
