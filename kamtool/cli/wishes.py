"""What the command line of `kamtool serve` asks for, and the cfg that it asks for it of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kamtool.cli.share import cfg_folder
from kamtool.errors import UsageError
from kamtool.server import control

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.script.settings import Settings

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
    overload_transactions: int | None
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

    @property
    def in_background(self) -> bool:
        return self.background >= IN_BACKGROUND

    def control_socket(self) -> Path:
        if self.socket:
            return self.socket
        return self.runtime_folder / "kamtool.sock" if self.runtime_folder else control.default_socket()


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


def apply(wishes: Wishes, settings: Settings) -> None:
    """Put what the command line says of sockets and names beside what the cfg says, as kamailio does."""
    from kamtool.cli.listen import parse_alias, parse_listen

    settings.listens.extend(map(parse_listen, wishes.listen))
    settings.aliases.extend(map(parse_alias, wishes.alias))
    if wishes.no_tcp:
        settings.set("disable_tcp", 1)
    if wishes.auto_aliases:
        settings.set("auto_aliases", int(wishes.auto_aliases in ("yes", "on")))


def be_who_the_cfg_says(wishes: Wishes, settings: Settings) -> None:
    """`user`, `group`, `chroot` and `workdir` of the cfg, where the command line says nothing of them."""
    wishes.user = wishes.user or settings.text("user")
    wishes.group = wishes.group or settings.text("group")
    if settings.text("chroot"):
        wishes.chroot = wishes.chroot or Path(settings.text("chroot"))
    if settings.text("workdir") and not wishes.workdir:
        wishes.workdir = Path(settings.text("workdir"))
        wishes.file = wishes.file and wishes.file.absolute()
