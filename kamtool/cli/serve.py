"""`kamtool serve`: run the server, with kamailio's own letters."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from kamtool import __version__
from kamtool.cli.share import cfg_folder
from kamtool.cli.wishes import Wishes
from kamtool.errors import UsageError
from kamtool.server import control

MOST_WORKERS = 64
PATH = click.Path(path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-f", "--file", type=PATH, metavar="FILE", help="The cfg; without one, kamtool's default.cfg.")
@click.option(
    "-c", "--check", is_flag=True, help="Check the cfg as `kamailio -c` does and leave: 0, or 255 for errors."
)
@click.option(
    "-l",
    "--listen",
    multiple=True,
    metavar="ADDRESS",
    help="Listen on [proto:]address[:port], also name/advertised; may be given often.",
)
@click.option(
    "-A", "--define", multiple=True, metavar="NAME[=VALUE]", help="Define NAME for the preprocessor."
)
@click.option("--alias", multiple=True, metavar="NAME", help="A further name of this server.")
@click.option(
    "-a",
    "--auto-aliases",
    type=click.Choice(["yes", "no", "on", "off"]),
    help="Accepted; no names are looked up.",
)
@click.option("-d", "--debug", count=True, help="Log more; the more d's the more.")
@click.option("-D", "background", count=True, help="-DDD goes into the background; else we stay in front.")
@click.option("-E", "--log-stderr", is_flag=True, help="Log to stderr also from the background.")
@click.option("-e", "--colours", is_flag=True, help="Colour the log on stderr.")
@click.option("-P", "--pid-file", type=PATH, metavar="FILE", help="Write the process number to FILE.")
@click.option("-G", "--pgid-file", type=PATH, metavar="FILE", help="Write the process group to FILE.")
@click.option("-w", "--workdir", type=PATH, metavar="DIR", help="Change to DIR once the cfg is read.")
@click.option("-t", "--chroot", type=PATH, metavar="DIR", help="See only DIR once sockets are bound.")
@click.option("-Y", "--runtime-folder", type=PATH, metavar="DIR", help="Put the sockets for RPC into DIR.")
@click.option("-u", "--user", default="", metavar="USER", help="Run as USER.")
@click.option("-g", "--group", default="", metavar="GROUP", help="Run as GROUP.")
@click.option(
    "--workers",
    metavar="N",
    default="1",
    show_default=True,
    help="Processes that share the sockets; `auto`: the cfg's children, but no more than there are CPUs.",
)
@click.option(
    "--dispatch",
    type=click.Choice(["call-id", "source"]),
    default="call-id",
    show_default=True,
    help="Which of several workers a request goes to: by Call-ID, or where the kernel put it.",
)
@click.option(
    "--gather",
    type=click.FloatRange(0, 20),
    default=4.0,
    show_default=True,
    metavar="MS",
    help="Above some 500 datagrams a second, let them gather for up to MS milliseconds before they are read:"
    " several share a wake-up of the process, which saves a third of its CPU. 0 reads each at once.",
)
@click.option(
    "--drain",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a stop waits for transactions that run.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the sockets and the memory of the server that runs with this control socket; it drains.",
)
@click.option(
    "--overload-late",
    type=click.FloatRange(0),
    default=500,
    show_default=True,
    metavar="MS",
    help="Answer new requests 503 while the loop is so late, 0 for never.",
)
@click.option(
    "--overload-queue",
    type=click.IntRange(0, 100),
    default=50,
    show_default=True,
    metavar="PERCENT",
    help="Likewise while a UDP socket's queue is so full.",
)
@click.option(
    "--overload-transactions",
    type=click.IntRange(0),
    metavar="N",
    help="Likewise while there are so many transactions, 0 for never; as many as would fill a quarter of the "
    "memory where it is not given.",
)
@click.option("-T", "--no-tcp", is_flag=True, help="Open no TCP socket.")
@click.option(
    "-s", "--socket", type=PATH, metavar="FILE", help="The control socket, for `kamtool rpc` and others."
)
@click.option(
    "--history",
    type=int,
    default=0,
    metavar="N",
    help="Keep what the last N runs of routes did, for `kamtool explain CALL-ID` and `why`.",
)
@click.option(
    "--coverage", type=PATH, metavar="FILE",
    help="Count which lines of the cfg run, and write it to FILE at the end; see `kamtool cov`.",
)  # fmt: skip
@click.option(
    "--record", type=PATH, metavar="FILE",
    help="Keep everything that comes in, messages and rows included, for `kamtool debug replay FILE`.",
)  # fmt: skip
@click.option(
    "--flight-recorder", default="", is_flag=False, flag_value="64M", metavar="[SIZE]",
    help="Keep the last messages in memory, 64M of them, for `kamtool trace --before`.",
)  # fmt: skip
@click.option("-v", "-V", "--version", is_flag=True, help="Show the version and leave.")
@click.option(
    "-I", "--internals", is_flag=True, help="Show what this build has and where it looks, and leave."
)
@click.option("-L", "--modules-folder", metavar="DIR", help="Taken and not used: all modules are built in.")
@click.option("-n", "--children", type=int, help="Taken and not used: see --workers.")
@click.option("-N", "--tcp-children", type=int, help="Taken and not used: see --workers.")
@click.option("-m", "--shm", type=int, help="Taken and not used: there is no pool of memory to size.")
@click.option("-M", "--pkg", type=int, help="Taken and not used, as -m.")
@click.option("-x", "--shm-manager", help="Taken and not used, as -m.")
@click.option("-X", "--pkg-manager", help="Taken and not used, as -m.")
@click.option("-W", "--poll", help="Taken and not used: the loop knows its own way to wait.")
@click.option("-O", "--optimise", type=int, help="Taken and not used: the script is always compiled.")
@click.option("-S", "--no-sctp", is_flag=True, help="Taken and not used: there is no SCTP.")
@click.option("--atexit", help="Taken and not used.")
def command(version: bool, internals: bool, **given: Any) -> None:
    """Run the SIP server.

    Without -f it runs default.cfg: a registrar and proxy whose accounts `kamtool user` makes, in a
    SQLite file that it creates. It stays in the foreground and logs to stderr until SIGTERM or
    Ctrl-C stops it in good order; SIGUSR1 logs the counters, SIGHUP reads the cfg again as
    `kamtool reload` does, SIGUSR2 starts a new process that takes over. With -DDD it goes into the background
    once it runs, and logs to syslog.

    The options are kamailio's, by the same letters.

    Example: kamtool serve -f /etc/kamailio/kamailio.cfg -l udp:127.0.0.1:5060
    """
    if version or internals:
        show_version(internals)
        return
    wishes = Wishes(**{name: given[name] for name in Wishes.__dataclass_fields__})
    if wishes.workers != "auto" and not (
        wishes.workers.isdigit() and 0 < int(wishes.workers) <= MOST_WORKERS
    ):
        raise UsageError(f"--workers takes 1 to {MOST_WORKERS} or auto, not {wishes.workers!r}")
    if wishes.check:
        check(wishes)
        return
    from kamtool.cli.serving import serve

    serve(wishes)


def show_version(internals: bool) -> None:
    """The version as `kamailio -v` begins it; with `internals`, what -I adds."""
    from kamtool import speed

    click.echo(f"version: kamtool {__version__} ({os.uname().machine}/{sys.platform})")
    if not internals:
        return
    from importlib.util import find_spec

    from kamtool.store.paths import default_database

    click.echo(f"kernel: {'native' if speed.NATIVE else 'pure Python'}")
    click.echo(f"loop: {'uvloop' if find_spec('uvloop') else 'asyncio'}")
    click.echo(f"python: {sys.version.split()[0]}, {sys.executable}")
    click.echo(f"default cfg: {cfg_folder() / 'default.cfg'}")
    click.echo(f"default database: {default_database()}")
    click.echo(f"default control socket: {control.default_socket()}")


def check(wishes: Wishes) -> None:
    """What `kamtool check -o kamailio` prints, and its exit code."""
    from kamtool import script
    from kamtool.cli.check import REFUSED, show_as_kamailio

    file = wishes.script_file()
    try:
        report = script.check(file, defines=wishes.defines())
    except OSError as error:
        click.echo(f"ERROR: loading config file({file}): {error.strerror}", err=True)
        raise SystemExit(REFUSED) from error
    show_as_kamailio(report.findings)
    if report.errors:
        raise SystemExit(REFUSED)
