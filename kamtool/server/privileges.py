"""Root given up: what needs it comes first, the sockets and the new root folder, then the user changes."""

from __future__ import annotations

import grp
import importlib
import logging
import os
import pkgutil
import pwd
import socket as sockets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kamtool.errors import TransportError, UsageError
from kamtool.sip.flow import Socket
from kamtool.store.migrate import migrations
from kamtool.transport.tcp_options import TcpOptions
from kamtool.transport.udp import bind

log = logging.getLogger("kamtool.server")

WANTED_LATER = (
    "asyncio", "concurrent.futures", "concurrent.futures.thread", "dns", "dns.rdtypes", "encodings.idna",
    "h11", "json", "multiprocessing.resource_sharer", "resource", "sqlite3", "ssl", "traceback", "uvloop",
    "wsproto",
)  # fmt: skip
ROOMS = ("sip", "script", "store", "transport", "server", "debug", "tools")


def bind_early(wanted: Iterable[Socket], options: TcpOptions) -> dict[Socket, sockets.socket]:
    """The sockets that a server wants, bound while this process may. Raises UsageError."""
    bound: dict[Socket, sockets.socket] = {}
    try:
        for each in wanted:
            is_udp = each.transport == "udp"
            kind = sockets.SOCK_DGRAM if is_udp else sockets.SOCK_STREAM
            bound[each] = bind(each, kind, None if is_udp else options.tell_listener)
    except TransportError as error:
        for open_one in bound.values():
            open_one.close()
        raise UsageError(str(error), exit_code=1, hint="-l chooses other addresses") from error
    return bound


def bring(modules: Iterable[str]) -> None:
    """Read now all of kamtool that may be wanted later; `modules` are the cfg's.

    Python imports when it needs to: neither another user nor another root folder may have it.
    """
    for name in (*WANTED_LATER, *(f"kamtool.{room}" for room in ROOMS)):
        _bring(name)
    for name in modules:
        _bring(f"kamtool.modules.{name}")
    migrations()


def enter(root: Path) -> None:
    """See nothing but this folder from now on. Raises UsageError."""
    if not root.is_dir():
        raise UsageError(f"cannot enter {root}: it is no folder", exit_code=1)
    try:
        os.chroot(root)
        os.chdir("/")
    except PermissionError as error:
        raise UsageError(f"cannot make {root} the root folder: only root can", exit_code=6) from error
    except OSError as error:
        raise UsageError(f"cannot make {root} the root folder: {error.strerror}", exit_code=1) from error
    if not Path("/etc/resolv.conf").exists():
        log.warning("there is no /etc/resolv.conf in %s: names are asked of the server on 127.0.0.1", root)


def _bring(name: str) -> None:
    """Import this and all below it, as far as what it needs is installed."""
    with suppress(ImportError):
        found = importlib.import_module(name)
        for each in pkgutil.iter_modules(getattr(found, "__path__", []), f"{name}."):
            if not each.name.endswith("__main__"):
                _bring(each.name)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is to be; None keeps what is."""

    name: str
    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    home: str = ""


def identity(user: str, group: str) -> Identity:
    """Look up a user and a group, names or numbers, while /etc can be read. Raises UsageError."""
    gid = _group(group) if group else None
    if not user:
        return Identity(group, None, gid, () if gid is None else (gid,))
    account = _account(user)
    if gid is None:
        gid = account.pw_gid
    groups = tuple(os.getgrouplist(account.pw_name, gid))
    return Identity(user, account.pw_uid, gid, groups, account.pw_dir)


def become(who: Identity) -> None:
    """Give up root. Raises UsageError, with nothing given up, when that is not ours to do."""
    if who.uid is not None and who.uid == os.getuid() != 0:
        return  # a successor of one that has given up root already
    try:
        if who.gid is not None:
            os.setgroups(who.groups)
            os.setgid(who.gid)
        if who.uid is not None:
            os.setuid(who.uid)
            os.environ["HOME"] = who.home
    except PermissionError as error:
        raise UsageError(f"cannot become {who.name}: only root can", exit_code=6) from error


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        raise UsageError(f"there is no user {user!r}", hint="`useradd --system` makes one") from None


def _group(group: str) -> int:
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {group!r}", hint="`groupadd --system` makes one") from None
