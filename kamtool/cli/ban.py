"""`kamtool ban`: who may not send anything to the running server, and who is never banned."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kamtool.cli.output import emit, output_option
from kamtool.cli.rpc import socket_option
from kamtool.errors import RpcError, UsageError
from kamtool.server import control

EXEMPT = "exempt"
FOREVER = "never"
COLUMNS = ("address", "reason", "seconds", "times")
UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
LONGEST = 2**31 - 1
MOST_REASON = 100


@dataclass(frozen=True, slots=True)
class Ban:
    """One address: for so many seconds, 0 for ever, and why."""

    address: str
    seconds: int
    reason: str

    def line(self) -> str:
        """As a file of bans has it."""
        return f"{self.address} {f'{self.seconds}s' if self.seconds else FOREVER} {self.reason}"


class Seconds(click.ParamType[int]):
    """`300`, `15m`, `1h`, `7d`, or `never`: it does not end."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return read_seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def read_seconds(text: str) -> int:
    """The seconds of a time. Raises ValueError."""
    if text == FOREVER:
        return 0
    found = re.fullmatch(r"([0-9]{1,10})([smhdw]?)", text)
    seconds = int(found[1]) * UNITS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"{text!r} is no time: 300, 15m, 1h, 7d or {FOREVER}")
    return seconds


def read_address(text: str) -> str:
    """An address as the server writes it. Raises ValueError."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        hint = ": a network is for the firewall, or for `kamtool address`" if "/" in text else ""
        raise ValueError(f"{text!r} is no address{hint}") from None


def read_reason(text: str) -> str:
    """A reason, on one line. Raises ValueError."""
    reason = " ".join(text.split())
    if not reason or len(reason) > MOST_REASON or not reason.isprintable():
        raise ValueError(f"a reason is a text of up to {MOST_REASON} characters")
    return reason


def read_bans(lines: Iterable[str], name: str) -> Iterator[Ban]:
    """The bans of a file: `ADDRESS TIME REASON` a line, `#` begins a comment. Raises UsageError."""
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        words = text.split(None, 2)
        try:
            if len(words) < 2:
                raise ValueError("a line is ADDRESS TIME REASON, e.g. `192.0.2.1 1h scanner`")
            reason = words[2] if len(words) > 2 else "imported"
            yield Ban(read_address(words[0]), read_seconds(words[1]), read_reason(reason))
        except ValueError as error:
            raise UsageError(f"{name}:{number}: {error}", exit_code=1, hint="nothing was imported") from None


def _ask(socket: Path, method: str, *arguments: Any, timeout: float = 30.0) -> Any:
    try:
        return control.ask(socket, method, list(arguments), timeout=timeout)
    except RpcError as error:
        if "No such htable" in error.message or "no table" in error.message.lower():
            raise UsageError(
                "the running cfg has no bans",
                exit_code=3,
                hint='modparam("htable", "htable", "ban=>size=10;autoexpire=300"), as cfg/default.cfg has it',
            ) from None
        raise


def _put(socket: Path, bans: Iterable[Ban], *, replace: bool = False) -> None:
    """Hand all of them over at once: the server takes them all, and into its database, or none."""
    items = [[ban.address, ban.reason, ban.seconds] for ban in bans]
    _ask(socket, "htable.fill", "ban", items, int(replace), timeout=600.0)


def _keep(socket: Path) -> None:
    """Have the server write the bans to its database, where it keeps any."""
    try:
        control.ask(socket, "htable.store", ["ban"], timeout=30.0)
    except RpcError:
        return  # the cfg keeps them in memory only


def _bans(socket: Path) -> list[dict[str, Any]]:
    items = _ask(socket, "htable.items", "ban")
    try:
        times = {item["name"]: item["value"] for item in control.ask(socket, "htable.items", ["offences"])}
    except RpcError:
        times = {}
    rows = [
        {
            "address": item["name"], "reason": str(item["value"]), "seconds": item["expires"],
            "times": times.get(item["name"], 0),
        }
        for item in items
    ]  # fmt: skip
    return sorted(rows, key=lambda row: str(row["address"]))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show, make and lift bans on the running server. A banned address gets no answer to anything.

    Bans stand in the hash table `ban` of the cfg; cfg/default.cfg makes them for scanners, floods and
    guessed passwords, each time within a day for twice as long, and keeps them over a restart.

    Example: kamtool ban list
    """


@command.command("list")
@socket_option
@output_option
def list_(socket: Path, output: str) -> None:
    """List the banned addresses: why, for how many seconds more (0: for ever), how often within a day.

    Example: kamtool ban list -o json
    """
    emit(_bans(socket), output, COLUMNS)


@command.command("add")
@click.argument("addresses", nargs=-1, required=True, metavar="ADDRESS…")
@click.option("--reason", default="manual", show_default=True, help="Why; shown by `kamtool ban list`.")
@click.option(
    "--for", "seconds", type=Seconds(), default=FOREVER, show_default=True, help="300, 15m, 1h, 7d."
)
@click.option("--exempt", is_flag=True, help="The opposite: never ban it, whatever it does.")
@socket_option
def add(addresses: tuple[str, ...], reason: str, seconds: int, exempt: bool, socket: Path) -> None:
    """Ban addresses at once, or with --exempt make sure that they never are.

    Example: kamtool ban add 192.0.2.1 --reason "fax spam" --for 7d
    """
    try:
        text = EXEMPT if exempt else read_reason(reason)
        bans = [Ban(read_address(address), 0 if exempt else seconds, text) for address in addresses]
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not exempt and text == EXEMPT:
        raise UsageError("`exempt` is no reason", hint="--exempt keeps an address from being banned")
    _put(socket, bans)


@command.command("rm")
@click.argument("addresses", nargs=-1, metavar="ADDRESS…")
@click.option("--all", "everything", is_flag=True, help="Lift every ban.")
@socket_option
def rm(addresses: tuple[str, ...], everything: bool, socket: Path) -> None:
    """Lift bans and forget what led to them.

    Example: kamtool ban rm 192.0.2.1
    """
    if bool(addresses) == everything:
        raise UsageError("name addresses, or --all")
    known = [row["address"] for row in _bans(socket)]
    try:
        chosen = known if everything else [read_address(address) for address in addresses]
    except ValueError as error:
        raise UsageError(str(error)) from None
    missing = [address for address in chosen if address not in known]
    if missing:
        raise UsageError(f"not banned: {', '.join(missing)}", exit_code=3)
    for address in chosen:
        _ask(socket, "htable.delete", "ban", address)
        for table in ("offences", "failed"):
            try:
                control.ask(socket, "htable.delete", [table, address])
            except RpcError:
                continue  # it was not in there
    _keep(socket)


@command.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="surrogateescape"))
@click.option("--replace", is_flag=True, help="Lift the bans that are not in the file.")
@click.option("--dry-run", is_flag=True, help="Only read the file.")
@socket_option
def import_(file: Any, replace: bool, dry_run: bool, socket: Path) -> None:
    """Ban the addresses of FILE (`-` is stdin): `ADDRESS TIME REASON` a line, `#` begins a comment.

    All are imported or none: a line that is wrong is named. Of two lines for one address the later counts.

    Example: kamtool ban import bans.txt
    """
    bans = {ban.address: ban for ban in read_bans(file, file.name)}
    if not dry_run:
        _put(socket, bans.values(), replace=replace)
    click.echo(f"{len(bans)} bans {'read' if dry_run else 'imported'}", err=True)


@command.command("export")
@socket_option
def export(socket: Path) -> None:
    """Print the bans as `kamtool ban import` reads them.

    Example: kamtool ban export > bans.txt
    """
    for row in _bans(socket):
        click.echo(Ban(row["address"], row["seconds"], row["reason"]).line())
