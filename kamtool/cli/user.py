"""`kamtool user`: the accounts that may register and call."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any

import click

from kamtool.cli.output import emit, output_option
from kamtool.errors import KamtoolError, UsageError
from kamtool.store import subscribers
from kamtool.store.migrate import migrate
from kamtool.store.paths import default_database
from kamtool.store.realm import DEFAULT_REALM

ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no 0 O 1 l I: it will be typed in
GENERATED_LENGTH = 20  # 115 bits


def db_option(function: Any) -> Any:
    """The option `--db` of every command that opens the database itself."""
    return click.option(
        "--db",
        "database",
        type=click.Path(path_type=Path),
        default=default_database,
        help="The database file; by default $KAMTOOL_DB, else where `kamtool serve` keeps it.",
    )(function)


def _domain_option(function: Any) -> Any:
    return click.option(
        "--domain", envvar="KAMTOOL_DOMAIN", help="The domain of the account; `user@domain` says the same."
    )(function)


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


@command.command("add")
@click.argument("user")
@_domain_option
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
    name, said = _split(user, domain)
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
        _tell_server("auth_db.forget")
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
@_domain_option
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
    name, place = _split(user, domain)
    with subscribers.opened(database) as connection:
        account = subscribers.find(connection, name, place)
    realm = realm or account.domain or DEFAULT_REALM
    password = _password(dry_run=dry_run, **source)
    if not dry_run:
        with subscribers.opened(database, write=True) as connection:
            account = subscribers.find(connection, account.username, account.domain)
            plaintext = store_plaintext or account.plaintext
            subscribers.set_password(
                connection, account.username, account.domain, realm, password, plaintext=plaintext
            )
        _tell_server("auth_db.forget")
    shown = password if source["generate"] else ""
    _report("would change" if dry_run else "changed", account.username, account.domain, realm, shown, output)


@command.command("rm")
@click.argument("user")
@_domain_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@db_option
def rm(user: str, domain: str | None, yes: bool, dry_run: bool, database: Path) -> None:
    """Remove the account of USER, or USER@DOMAIN, and its registrations.

    Example: kamtool user rm alice --yes
    """
    name, place = _split(user, domain)
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
        alone = not subscribers.accounts(connection, account.username)
    _tell_server("auth_db.forget")
    _tell_server("ul.rm", "location", f"{account.username}@{account.domain}".lower())
    if alone:
        _tell_server("ul.rm", "location", account.username.lower())
    click.echo(f"removed {account}", err=True)


@command.command("list")
@_domain_option
@db_option
@output_option
def list_(domain: str | None, database: Path, output: str) -> None:
    """List the accounts.

    Example: kamtool user list -o json
    """
    with subscribers.opened(database) as connection:
        found = subscribers.accounts(connection, domain=domain)
    emit([_row(account) for account in found], output, ("username", "domain", "password"))


@command.command("show")
@click.argument("user")
@_domain_option
@db_option
@output_option
def show(user: str, domain: str | None, database: Path, output: str) -> None:
    """Show the account of USER, or USER@DOMAIN: how its password is stored, where it is registered.

    Example: kamtool user show alice
    """
    name, place = _split(user, domain)
    with subscribers.opened(database) as connection:
        account = subscribers.find(connection, name, place)
        stored = subscribers.contacts(connection, account.username)
    live = _tell_server("ul.lookup", "location", account.username.lower())
    if isinstance(live, dict):
        stored = [entry["Contact"]["Address"] for entry in live["Contacts"]]
    emit([_row(account) | {"contacts": ", ".join(stored)}], output)


def _row(account: subscribers.Account) -> dict[str, str]:
    forms = [form for form, there in (("hash", account.hashed), ("plaintext", account.plaintext)) if there]
    return {"username": account.username, "domain": account.domain, "password": "+".join(forms) or "none"}


def _split(user: str, domain: str | None) -> tuple[str, str | None]:
    """The name and the domain of an account. Raises UsageError for a name that no phone could say."""
    name, at, place = user.removeprefix("sip:").partition("@")
    if at:
        domain = place or "@"
    for what, text in (("user name", name), ("domain", domain or "-")):
        if not text or len(text) > 64 or not text.isprintable() or set(text) & set(' @:;<>"\\,?'):
            raise UsageError(f"{text!r} is no {what}")
    return name, None if domain is None else domain.lower()


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


def _tell_server(method: str, *params: str) -> Any:
    """Call a method of the server if one runs here; None when none does, or when it has nothing to say."""
    from kamtool.server import control

    socket = control.default_socket()
    if not os.path.exists(socket):
        return None
    try:
        return control.ask(socket, method, list(params), timeout=1.0)
    except KamtoolError:
        return None
