"""`kamtool serve`: run the server, with kamailio's own letters."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamtool import __version__
from kamtool.cli import recording
from kamtool.cli.output import coloured
from kamtool.cli.share import cfg_folder
from kamtool.cli.version import version as version_line
from kamtool.errors import TransportError, UsageError
from kamtool.server import control

if TYPE_CHECKING:
    import asyncio
    import socket

    from kamtool.script.program import Script
    from kamtool.script.settings import Settings
    from kamtool.server.handover import Estate
    from kamtool.server.server import Server
    from kamtool.server.workers import Team
    from kamtool.sip.flow import Socket

MOST_WORKERS = 64
log = logging.getLogger("kamtool.server")

IN_BACKGROUND = 3
"""-DDD, as kamailio counts them."""
TEXTS = ("DBURL", "REALM", "ROUTEKEY", "GEOIPDB", "COUNTRIES", "BLOCKED_COUNTRIES")
"""Defines of default.cfg that stand for quoted texts: there the shell's quotes are enough."""


@dataclass(slots=True)
class Wishes:
    """What the command line asks for; the names are those of the options."""

    file: Path | None
    check: bool
    listen: tuple[str, ...]
    define: tuple[str, ...]
    alias: tuple[str, ...]
    auto_aliases: str | None
    debug: int
    background: int
    log_stderr: bool
    colours: bool
    pid_file: Path | None
    pgid_file: Path | None
    workdir: Path | None
    chroot: Path | None
    runtime_folder: Path | None
    user: str
    group: str
    workers: str
    dispatch: str
    drain: float
    take_over: bool
    gather: float
    overload_late: float
    overload_queue: int
    flight_recorder: str
    no_tcp: bool
    socket: Path | None
    history: int
    coverage: Path | None
    record: Path | None

    @property
    def database(self) -> Path | None:
        """The database of default.cfg; None with a cfg of the user's own, which names its own."""
        from kamtool.store.paths import default_database

        return (
            None
            if self.file or any(word.startswith("DBURL=") for word in self.define)
            else default_database()
        )

    def script_file(self) -> Path:
        return self.file or cfg_folder() / "default.cfg"

    def defines(self) -> dict[str, str | None]:
        """-A as the preprocessor wants it, and the database of default.cfg."""
        given: dict[str, str | None] = {}
        for word in self.define:
            name, equals, value = word.partition("=")
            if name in TEXTS and not self.file and not value.startswith('"'):
                value = f'"{value}"'
            given[name] = value if equals else None
        if self.database:
            given["DBURL"] = f'"sqlite:///{self.database.absolute()}"'
        if not self.file and "ROUTEKEY" not in given:
            from kamtool.cli.route_key import route_key
            from kamtool.store.paths import default_database

            given["ROUTEKEY"] = f'"{route_key((self.database or default_database()).parent)}"'
        return given

    def control_socket(self) -> Path:
        if self.socket:
            return self.socket
        return self.runtime_folder / "kamtool.sock" if self.runtime_folder else control.default_socket()


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
@click.option("-Y", "--runtime-folder", type=PATH, metavar="DIR", help="Put the control socket into DIR.")
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


def load(wishes: Wishes) -> Script:
    """The script. Raises ConfigErrors with all that is wrong."""
    from kamtool import script

    file = wishes.script_file()
    if not file.is_file():
        raise UsageError(f"no cfg {file}", exit_code=3, hint="`kamtool init` writes one to start from")
    return script.load(file, defines=wishes.defines())


def load_again(wishes: Wishes) -> Script:
    """The script as it is now, with what the command line said at the start."""
    script = load(wishes)
    apply(wishes, script.settings)
    return script


def set_log_level(wishes: Wishes, settings: Settings) -> None:
    """The log level of a cfg that has taken over; -d goes before it."""
    from kamtool.script.levels import python_level

    logging.getLogger("kamtool").setLevel(python_level(wishes.debug or settings.number("debug")))


def show_warnings(script: Script) -> None:
    """What is not wrong, but may not be meant."""
    from kamtool.script.render import render

    for warning in script.warnings:
        click.echo(render(warning), err=True)


def serve(wishes: Wishes) -> None:
    """Run until told to stop. Raises ConfigErrors, StoreError and UsageError: a clear line for each."""
    from kamtool.cli import crew
    from kamtool.server import handover, process
    from kamtool.server.notify import Notify
    from kamtool.server.workers_parent import Parent

    recording.prepare(wishes.record)
    if wishes.workdir and wishes.file:
        wishes.file = wishes.file.absolute()  # to find it again from there
    loaded = load(wishes)
    ready = (
        process.go_to_background(keep_stderr=wishes.log_stderr)
        if wishes.background >= IN_BACKGROUND
        else None
    )
    install_log(wishes, loaded.settings)
    apply(wishes, loaded.settings)
    be_who_the_cfg_says(wishes, loaded.settings)
    size = crew.size_of(wishes.workers, loaded.settings)
    bound, bound_team = give_up_root(wishes, loaded, size)
    database = prepare_database(wishes)
    tell_limits(loaded)
    if wishes.workdir:
        os.chdir(wishes.workdir)
    with (
        process.PidFile(wishes.pid_file, heir=wishes.take_over) if wishes.pid_file else nullcontext(),
        process.PidFile(wishes.pgid_file, os.getpgrp, heir=wishes.take_over)
        if wishes.pgid_file
        else nullcontext(),
    ):
        recording.alone(wishes.record, size)
        estate = handover.ask(wishes.control_socket()) if wishes.take_over else None
        if size == 1:
            if estate is not None and len(estate.rows) != 1:
                raise UsageError(f"the running server has {len(estate.rows)} workers", hint="say --workers")
            process.run(live(wishes, loaded, database, ready, estate=estate, bound=bound))
            return
        crew.tell_apart(wishes.flight_recorder, wishes.history)
        team = bound_team or crew.make(size, wishes.dispatch, loaded, estate)

        def work(member: Team, tell: Callable[[], None]) -> int:
            return crew.guarded(lambda: process.run(live(wishes, loaded, database, tell, member, estate)))

        def running() -> None:
            announce(wishes, team.listening, database, wishes.control_socket(), team.size)
            if ready:
                ready()

        notify = Notify()
        upgrade = partial(process.successor, notify.path, wishes.chroot)
        code = Parent(team, work, running, notify, upgrade).run()
    if code:
        raise SystemExit(code)


def be_who_the_cfg_says(wishes: Wishes, settings: Settings) -> None:
    """`user`, `group`, `chroot` and `workdir` of the cfg, where the command line says nothing of them."""
    wishes.user = wishes.user or settings.text("user")
    wishes.group = wishes.group or settings.text("group")
    if settings.text("chroot"):
        wishes.chroot = wishes.chroot or Path(settings.text("chroot"))
    if settings.text("workdir") and not wishes.workdir:
        wishes.workdir = Path(settings.text("workdir"))
        wishes.file = wishes.file and wishes.file.absolute()


def give_up_root(
    wishes: Wishes, loaded: Script, size: int
) -> tuple[Mapping[Socket, socket.socket], Team | None]:
    """With -u, -g or -t: bind first, then be another. What was bound, for one server or for several."""
    from kamtool.cli import crew
    from kamtool.server import listen, privileges
    from kamtool.transport.tcp_options import tcp_options

    who = privileges.identity(wishes.user, wishes.group)
    bound: Mapping[Socket, socket.socket] = {}
    team = None
    if (wishes.user or wishes.group or wishes.chroot) and not wishes.take_over:
        if size == 1:
            options = tcp_options(lambda name, default: loaded.settings.values.get(name, default))
            bound = privileges.bind_early(listen.wanted_by(loaded, []), options)
        else:
            team = crew.make(size, wishes.dispatch, loaded)
    if wishes.chroot or who.uid:
        privileges.bring(load.name for load in loaded.loads)
    if wishes.chroot:
        privileges.enter(wishes.chroot)
    privileges.become(who)
    return bound, team


def apply(wishes: Wishes, settings: Settings) -> None:
    """Put what the command line says of sockets and names beside what the cfg says, as kamailio does."""
    from kamtool.cli.listen import parse_alias, parse_listen

    settings.listens.extend(map(parse_listen, wishes.listen))
    settings.aliases.extend(map(parse_alias, wishes.alias))
    if wishes.no_tcp:
        settings.set("disable_tcp", 1)
    if wishes.auto_aliases:
        settings.set("auto_aliases", int(wishes.auto_aliases in ("yes", "on")))


def prepare_database(wishes: Wishes) -> str:
    """Make or bring up to date the database of default.cfg; what became of it, "" without one."""
    if not wishes.database:
        return ""
    from kamtool.store.migrate import migrate

    is_new = not wishes.database.exists()
    applied = migrate(wishes.database)
    return "created" if is_new else f"{len(applied)} migrations applied" if applied else "found"


def install_log(wishes: Wishes, settings: Settings) -> None:
    """Log to stderr, but from the background to syslog unless -E asks for stderr."""
    from kamtool.server import log

    debug = wishes.debug or settings.number("debug")
    handler = log.to_stream(coloured=wishes.colours or coloured(sys.stderr))
    if wishes.background >= IN_BACKGROUND and not wishes.log_stderr and not settings.number("log_stderror"):
        try:
            handler = log.to_syslog(
                settings.text("log_facility") or "LOG_DAEMON", settings.text("log_name") or "kamtool"
            )
        except OSError:
            click.echo("there is no syslog here: nothing will be logged (-E logs to stderr)", err=True)
            handler = logging.NullHandler()
    log.install(handler, debug)


async def live(
    wishes: Wishes,
    loaded: Script,
    database: str,
    ready: Callable[[], None] | None,
    team: Team | None = None,
    estate: Estate | None = None,
    bound: Mapping[Socket, socket.socket] | None = None,
) -> None:
    """One server, or one worker of it, from start to orderly stop."""
    import asyncio

    from kamtool.debug.watching import Watching
    from kamtool.server import core_rpc, handover
    from kamtool.server.listen import wanted_by
    from kamtool.server.notify import Notify
    from kamtool.server.options import Options
    from kamtool.server.process import successor, until_told
    from kamtool.server.reload import Reloader
    from kamtool.server.server import Server

    notify = Notify()
    recorder = recording.begin(wishes.record)
    server = Server(
        loaded,
        options=Options(
            clock=recorder.clock if recorder else None,
            team=team,
            estate=None if team is not None and team.is_late else estate,
            bound=bound or ({} if estate is None or team else dict(estate.bound(wanted_by(loaded, [])))),
            drain=wishes.drain,
            gather=wishes.gather / 1000,
            overload_late=wishes.overload_late / 1000,
            overload_queue=wishes.overload_queue,
        ),
    )
    core_rpc.register(server.rpc, server)
    reloader = Reloader(server, lambda: load_again(wishes))
    reloader.register(server.rpc)
    reloader.on_reloaded.append(lambda script: set_log_level(wishes, script.settings))
    place = wishes.control_socket()
    if server.worker:  # who asks one worker asks them all; a debugger goes to each
        place = place.with_name(f"{place.name}.{server.worker}")
    rpc = control.ControlSocket(server.rpc, place)
    rpc.takers[b'"core.hand_over"'] = partial(handover.give, server)
    rpc.takers[b'"debug.attach"'] = partial(talk, "kamtool.debug.attach", server)
    rpc.takers[b'"trace.attach"'] = partial(talk, "kamtool.tools.trace.feed", server)
    watching = Watching(server)
    if recorder:
        recorder.attach(server, str(wishes.script_file()), dict(wishes.defines()))
    try:
        await server.start()
    except TransportError as error:
        raise UsageError(str(error), exit_code=1, hint="-l chooses other addresses") from error
    try:
        if recorder:
            recorder.started(server)
        if wishes.history:
            await watching.history(wishes.history)
        if wishes.coverage:
            await watching.coverage("on")
        start_recorder(wishes, server)
        await rpc.start(patience=5.0 if estate is not None or server.worker else 0.0)

        def running() -> None:
            if team is None:
                announce(wishes, server.sockets, database, rpc.path)
            if ready:
                ready()
            notify.say(f"READY=1\nMAINPID={os.getpid()}")
            notify.every(asyncio.get_running_loop().call_later)

        async def again() -> None:
            notify.reloading()
            await reloader.reload_and_log()
            notify.say("READY=1")
            if team is not None and ready:
                ready()

        await until_told(
            lambda: server.spawn(log_statistics(server), "statistics"),
            running,
            lambda: server.spawn(again(), "reload"),
            partial(successor, notify.path, wishes.chroot) if team is None else None,
        )
        notify.say("STOPPING=1")
        log.info("stopping")
    finally:
        watching.stop(wishes.coverage)
        await rpc.stop()
        await server.stop()
        if recorder:
            recorder.close()


async def talk(
    module: str, server: Server, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A debugger or tracer attaches. Nothing of it is loaded before the first does; calls go on meanwhile."""
    import asyncio
    from importlib import import_module

    attach = await asyncio.get_running_loop().run_in_executor(None, import_module, module)
    await attach.converse(server, first, reader, writer)


def start_recorder(wishes: Wishes, server: Server) -> None:
    """The flight recorder, if one is wanted."""
    if wishes.flight_recorder:
        from kamtool.cli.trace import size_of
        from kamtool.tools.trace import recorder

        recorder.start(server, size_of(wishes.flight_recorder))


def announce(
    wishes: Wishes, listening: Sequence[Socket], database: str, socket: Path, workers: int = 1
) -> None:
    """Tell on stderr what runs, where, and what to do next."""
    rows = [("cfg", str(wishes.script_file()))]
    if wishes.database:
        rows.append(("database", f"{wishes.database} ({database})"))
    sockets = [f"{each.transport}:{each.address}" for each in listening]
    rows += zip(["listening on", *[""] * (len(sockets) - 1)], sockets, strict=True)
    if workers > 1:
        rows.append(("workers", f"{workers}, dispatch by {wishes.dispatch}"))
    rows.append(("control", str(socket)))
    click.echo(version_line(), err=True)
    for name, value in rows:
        click.echo(f"  {name:<13} {value}", err=True)
    if wishes.database:
        click.echo(f"next: {own_name()} user add alice", err=True)


def tell_limits(loaded: Script) -> None:
    """Say on the log which limits of the system the cfg's own may meet."""
    from kamtool.server import limits
    from kamtool.transport.tcp_options import tcp_options

    options = tcp_options(lambda name, default: loaded.settings.values.get(name, default))
    files = options.max_connections + limits.OWN_FILES
    allowed = limits.raise_open_files(loaded.settings.number("open_files_limit") or files)
    for complaint in limits.complaints(options, allowed, limits.memory_allowed()):
        log.warning(complaint)


def own_name() -> str:
    """What to type for `kamtool`: `./run kamtool` says itself in $KAMTOOL_COMMAND."""
    return os.environ.get("KAMTOOL_COMMAND", "kamtool")


async def log_statistics(server: Server) -> None:
    """Log every counter that has counted, of all workers."""
    values = await server.rpc.call("stats.fetchn")
    counted = sorted((name.replace(".", ":", 1), value) for name, value in values.items() if value)
    log.warning(
        "statistics: %s", ", ".join(f"{name}={value}" for name, value in counted) or "nothing counted yet"
    )
