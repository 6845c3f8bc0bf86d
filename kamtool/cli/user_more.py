"""`kamtool user enable`, `disable`, `alias` and `group`: what an account is besides its password."""

from __future__ import annotations

from pathlib import Path

import click

from kamtool.cli.accounts import db_option, domain_option, split, tell_server
from kamtool.store import disabled, names, subscribers


@click.command("disable")
@click.argument("user")
@domain_option
@db_option
def disable(user: str, domain: str | None, database: Path) -> None:
    """Switch the account of USER off, at once: it can neither register nor call, and its phones are gone.

    Its password is kept for `kamtool user enable`.

    Example: kamtool user disable alice
    """
    name, place = split(user, domain)
    with subscribers.opened(database, write=True) as connection:
        account = subscribers.find(connection, name, place)
        disabled.disable(connection, account)
        subscribers.remove_contacts(connection, account)
        alone = len(subscribers.accounts(connection, account.username)) == 1
    tell_server("auth_db.forget")
    tell_server("ul.rm", "location", f"{account.username}@{account.domain}".lower())
    if alone:
        tell_server("ul.rm", "location", account.username.lower())
    click.echo(f"disabled {account}", err=True)


@click.command("enable")
@click.argument("user")
@domain_option
@db_option
def enable(user: str, domain: str | None, database: Path) -> None:
    """Switch the account of USER on again, with the password that it had.

    Example: kamtool user enable alice
    """
    name, place = split(user, domain)
    with subscribers.opened(database, write=True) as connection:
        account = subscribers.find(connection, name, place)
        disabled.enable(connection, account)
    tell_server("auth_db.forget")
    click.echo(f"enabled {account}", err=True)


@click.command("alias")
@click.argument("user")
@click.argument("alias")
@click.option("--rm", "remove", is_flag=True, help="Take it away.")
@domain_option
@db_option
def alias(user: str, alias: str, remove: bool, domain: str | None, database: Path) -> None:
    """Give USER another name, ALIAS or ALIAS@DOMAIN, for a cfg with alias_db.

    Example: kamtool user alias alice 4711
    """
    name, place = split(user, domain)
    split(alias, None)
    with subscribers.opened(database, write=True) as connection:
        account = subscribers.find(connection, name, place)
        (names.remove_alias if remove else names.add_alias)(connection, account, alias)
    click.echo(f"{alias} is {'no alias' if remove else 'an alias'} of {account}", err=True)


@click.command("group")
@click.argument("user")
@click.argument("group")
@click.option("--rm", "remove", is_flag=True, help="Take USER out of it.")
@domain_option
@db_option
def group(user: str, group: str, remove: bool, domain: str | None, database: Path) -> None:
    """Put USER into GROUP, for a cfg that asks is_user_in().

    Example: kamtool user group alice long-distance
    """
    name, place = split(user, domain)
    with subscribers.opened(database, write=True) as connection:
        account = subscribers.find(connection, name, place)
        (names.remove_group if remove else names.add_group)(connection, account, group)
    click.echo(f"{account} is {'not ' if remove else ''}in {group}", err=True)
