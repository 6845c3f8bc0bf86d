"""`kamtool user`: the accounts that may register and call."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Any

import click

from kamtool.cli.accounts import db_option, domain_option, split, tell_server
from kamtool.cli.output import emit, output_option
from kamtool.cli.user_bulk import export, import_
from kamtool.cli.user_more import alias, disable, enable, group
from kamtool.errors import UsageError
from kamtool.store import disabled, names, subscribers
from kamtool.store.migrate import migrate
from kamtool.store.realm import DEFAULT_REALM

ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no 0 O 1 l I: it will be typed in
GENERATED_LENGTH = 20  # 115 bits


def _password_options(function: Any) -> Any:
    for option in (
        click.option("--password-stdin", is_flag=True, help="Read the password from standard input."),
        click.option(
            "--password-file",
            type=click.Path(path_type=Path),
            help="Read the password from the first line of a file.",
        ),
        click.option("--generate", is_flag=True, help="Make a password up and print it, once."),
        click.option(
            "--store-plaintext",
            is_flag=True,
            help="Store the password itself too, for a cfg with calculate_ha1 (Kamailio's own default).",
        ),
        click.option(
            "--realm",
            envvar="KAMTOOL_REALM",
            help="The realm that the cfg challenges with; by default the domain.",
        ),
        click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing."),
    ):
        function = option(function)
    return function


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Add, list, change and remove accounts. A running server knows at once.

    Example: kamtool user add alice
    """


for _more in (import_, export, enable, disable, alias, group):
    command.add_command(_more)


@command.command("add")
@click.argument("user")
@domain_option
@_password_options
@db_option
@output_option
def add(
    user: str, domain: str | None, realm: str | None, database: Path, output: str, dry_run: bool,
    store_plaintext: bool, **source: Any,
) -> None:  # fmt: skip
    """Make an account for USER, or USER@DOMAIN.

    The password is asked for. Only its hashes are stored, and they hold for one realm: the domain, or
    --realm. Without a domain both are `kamtool`, which is what cfg/default.cfg expects. The database is made
    if it is not there.

    Example: kamtool user add alice --generate
    """
    name, said = split(user, domain)
    place = said if said is not None else DEFAULT_REALM
    realm = realm or place
    if database.exists():
        with subscribers.opened(database) as connection:
            if subscribers.accounts(connection, name, place):
                raise UsageError(
                    f"{name}@{place} exists already",
                    exit_code=4,
                    hint="`kamtool user passwd` changes its password",
                )
    password = _password(dry_run=dry_run, **source)
    if not dry_run:
        if not database.exists():
            migrate(database)
            click.echo(f"made the database {database}", err=True)
        with subscribers.opened(database, write=True) as connection:
            subscribers.add(connection, name, place, realm, password, plaintext=store_plaintext)
        tell_server("auth_db.forget")
    _report(
        "would add" if dry_run else "added",
        name,
        place,
        realm,
        password if source["generate"] else "",
        output,
    )
    if realm != DEFAULT_REALM and not dry_run:
        click.echo(f"the password holds for the realm {realm}: `kamtool serve -A REALM={realm}`", err=True)


@command.command("passwd")
@click.argument("user")
@domain_option
@_password_options
@db_option
@output_option
def passwd(
    user: str, domain: str | None, realm: str | None, database: Path, output: str, dry_run: bool,
    store_plaintext: bool, **source: Any,
) -> None:  # fmt: skip
    """Change the password of USER, or USER@DOMAIN.

    A password that is stored in clear text stays so.

    Example: kamtool user passwd alice
    """
    name, place = split(user, domain)
    with subscribers.opened(database) as connection:
        account = subscribers.find(connection, name, place)
        if (account.username, account.domain) in disabled.accounts(connection):
            raise UsageError(f"{account} is disabled", hint="`kamtool user enable` first")
    realm = realm or account.domain or DEFAULT_REALM
    password = _password(dry_run=dry_run, **source)
    if not dry_run:
        with subscribers.opened(database, write=True) as connection:
            account = subscribers.find(connection, account.username, account.domain)
            plaintext = store_plaintext or account.plaintext
            subscribers.set_password(
                connection, account.username, account.domain, realm, password, plaintext=plaintext
            )
        tell_server("auth_db.forget")
    shown = password if source["generate"] else ""
    _report("would change" if dry_run else "changed", account.username, account.domain, realm, shown, output)


@command.command("rm")
@click.argument("user")
@domain_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@db_option
def rm(user: str, domain: str | None, yes: bool, dry_run: bool, database: Path) -> None:
    """Remove the account of USER, or USER@DOMAIN, and its registrations.

    Example: kamtool user rm alice --yes
    """
    name, place = split(user, domain)
    with subscribers.opened(database) as connection:
        account = subscribers.find(connection, name, place)
    if dry_run:
        click.echo(f"would remove {account}", err=True)
        return
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{account} is not removed unasked", hint="add --yes")
        click.confirm(f"Remove {account}?", abort=True, err=True)
    with subscribers.opened(database, write=True) as connection:
        subscribers.remove(connection, subscribers.find(connection, account.username, account.domain))
        subscribers.remove_contacts(connection, account)
        disabled.forget(connection, account)
        names.forget(connection, account)
        alone = not subscribers.accounts(connection, account.username)
    tell_server("auth_db.forget")
    tell_server("ul.rm", "location", f"{account.username}@{account.domain}".lower())
    if alone:
        tell_server("ul.rm", "location", account.username.lower())
    click.echo(f"removed {account}", err=True)


@command.command("list")
@domain_option
@db_option
@output_option
def list_(domain: str | None, database: Path, output: str) -> None:
    """List the accounts.

    Example: kamtool user list -o json
    """
    with subscribers.opened(database) as connection:
        found = subscribers.accounts(connection, domain=domain)
        off = disabled.accounts(connection)
    emit([_row(account, off) for account in found], output, ("username", "domain", "password"))


@command.command("show")
@click.argument("user")
@domain_option
@db_option
@output_option
def show(user: str, domain: str | None, database: Path, output: str) -> None:
    """Show the account of USER, or USER@DOMAIN: how its password is stored, where it is registered.

    Example: kamtool user show alice
    """
    name, place = split(user, domain)
    with subscribers.opened(database) as connection:
        account = subscribers.find(connection, name, place)
        stored = subscribers.contacts(connection, account.username)
        key, off = (account.username, account.domain), disabled.accounts(connection)
        more = {
            "aliases": ", ".join(names.aliases(connection).get(key, ())),
            "groups": ", ".join(names.groups(connection).get(key, ())),
        }
    live = tell_server("ul.lookup", "location", account.username.lower())
    if isinstance(live, dict):
        stored = [entry["Contact"]["Address"] for entry in live["Contacts"]]
    emit([_row(account, off) | {"contacts": ", ".join(stored)} | more], output)


def _row(account: subscribers.Account, off: set[tuple[str, str]]) -> dict[str, str]:
    forms = [form for form, there in (("hash", account.hashed), ("plaintext", account.plaintext)) if there]
    shown = "disabled" if (account.username, account.domain) in off else "+".join(forms) or "none"
    return {"username": account.username, "domain": account.domain, "password": shown}


def _password(*, password_stdin: bool, password_file: Path | None, generate: bool, dry_run: bool) -> str:
    if password_stdin + (password_file is not None) + generate > 1:
        raise UsageError("--password-stdin, --password-file and --generate exclude each other")
    if generate:
        return "".join(secrets.choice(ALPHABET) for _ in range(GENERATED_LENGTH))
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif password_file is not None:
        try:
            password = password_file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{password_file} cannot be read: {error}") from error
    elif dry_run:
        return ""
    elif not sys.stdin.isatty():
        raise UsageError(
            "no password, and nobody to ask for one",
            hint="--password-stdin, --password-file FILE or --generate",
        )
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt="Again", err=True)
    if not password:
        raise UsageError("the password is empty")
    return password


def _report(done: str, name: str, domain: str, realm: str, password: str, output: str) -> None:
    """Say what was done; what a program may want goes to stdout, and a made-up password only there."""
    click.echo(f"{done} {name}@{domain}", err=True)
    row = {"username": name, "domain": domain, "realm": realm}
    if password:
        row["password"] = password
    if password and output == "table":
        click.echo(password)
    elif output != "table":
        emit([row], output)
