"""What the commands about accounts share: their options, names, and the word to the running server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from kamtool.errors import KamtoolError, UsageError
from kamtool.store.paths import default_database


def db_option(function: Any) -> Any:
    """The option `--db` of every command that opens the database itself."""
    return click.option(
        "--db",
        "database",
        type=click.Path(path_type=Path),
        default=default_database,
        help="The database file; by default $KAMTOOL_DB, else where `kamtool serve` keeps it.",
    )(function)


def domain_option(function: Any) -> Any:
    """The option `--domain`."""
    return click.option(
        "--domain", envvar="KAMTOOL_DOMAIN", help="The domain of the account; `user@domain` says the same."
    )(function)


def split(user: str, domain: str | None) -> tuple[str, str | None]:
    """The name and the domain of an account. Raises UsageError for a name that no phone could say."""
    name, at, place = user.removeprefix("sip:").partition("@")
    if at:
        domain = place or "@"
    for what, text in (("user name", name), ("domain", domain or "-")):
        if not text or len(text) > 64 or not text.isprintable() or set(text) & set(' @:;<>"\\,?'):
            raise UsageError(f"{text!r} is no {what}")
    return name, None if domain is None else domain.lower()


def tell_server(method: str, *params: str) -> Any:
    """Call a method of the server if one runs here; None when none does, or when it has nothing to say."""
    from kamtool.server import control

    socket = control.default_socket()
    if not os.path.exists(socket):
        return None
    try:
        return control.ask(socket, method, list(params), timeout=1.0)
    except KamtoolError:
        return None
