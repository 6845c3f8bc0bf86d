"""exec: programs that a script runs, each beside the others; only the message at hand waits for it."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from kamtool.errors import ParseError
from kamtool.module import ANY, FAILURE_ROUTE, REQUEST_ROUTE, Host, Module, Param, Plain, function
from kamtool.script.context import Branch
from kamtool.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from kamtool.module import Variable
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.exec")

AT_ONCE = 32
"""Programs that run beside each other; further ones wait for their turn."""
WAITING = 1024
OUTPUT_LIMIT = 1 << 20
NAMES = {
    "v": "VIA",
    "f": "FROM",
    "t": "TO",
    "i": "CALLID",
    "m": "CONTACT",
    "c": "CONTENT_TYPE",
    "l": "CONTENT_LENGTH",
    "k": "SUPPORTED",
    "s": "SUBJECT",
    "e": "CONTENT_ENCODING",
    "call-id": "CALLID",
    "o": "EVENT",
    "u": "ALLOW_EVENTS",
    "r": "REFER_TO",
    "b": "REFERRED_BY",
}

Environment = dict[str, str]


class Exec(Module):
    """Run programs with the message as their input and its headers in their environment.

    The command is for the shell, so quote the pseudo-variables in it: `exec_msg("log.sh '$fU'")`. While a
    program runs, other messages go on; 32 run at once, and what comes when 1024 wait is refused.
    """

    name = "exec"
    live = ("setvars", "time_to_kill")

    setvars = Param(1, "0: no headers in the environment (SIP_HF_FROM, SIP_RURI, SIP_USER, …)")
    time_to_kill = Param(0, "seconds after which a program is killed, 0 for never")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._running: set[int] = set()
        self._variables: dict[str, list[Variable]] = {}

    async def stop(self) -> None:
        """End the programs that still run."""
        for group in list(self._running):
            _kill(group)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    @function("exec_msg", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def exec_msg(self, ctx: Context, command: str) -> bool:
        """Run a command with the message as its input; false when it fails."""
        code, _ = await self._run(command, ctx.msg.data, self._environment(ctx))
        return code == 0

    @function("exec_cmd", routes=ANY)
    async def exec_cmd(self, ctx: Context, command: str) -> bool:
        """Run a command, without input and environment of the message; false when it fails."""
        code, _ = await self._run(command, b"", {})
        return code == 0

    @function("exec_dset", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def exec_dset(self, ctx: Context, command: str) -> bool:
        """Run a command with the R-URI behind it: its first line becomes the R-URI, others are branches."""
        code, output = await self._run(f"{command} {shlex.quote(ctx.ruri)}", b"", self._environment(ctx))
        uris = [line.strip() for line in output.splitlines() if line.strip()]
        for uri in uris:
            try:
                parse_uri(uri)
            except ParseError:
                logger.error("exec_dset: %r is no URI", uri)
                return False
        if code != 0 or not uris:
            return False
        ctx.new_uri = uris[0]
        for uri in uris[1:]:
            ctx.add_branch(Branch(uri))
        return True

    @function("exec_avp", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    async def exec_avp(self, ctx: Context, command: str, destinations: Plain = "") -> bool:
        """Run a command: its lines go into `$avp(a),$avp(b)`, else into `$avp(i:1)`, `$avp(i:2)`, …"""
        code, output = await self._run(command, b"", self._environment(ctx))
        lines = output.splitlines()
        if not destinations:
            for number, line in enumerate(lines, 1):
                ctx.avps.push(number, line)
        else:
            for variable, line in zip(self._named(destinations), lines, strict=False):
                variable.set(ctx, line)
        return code == 0

    def _named(self, text: str) -> list[Variable]:
        found = self._variables.get(text)
        if found is None:
            parts = [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]
            found = self._variables[text] = [self.server.variable(part) for part in parts]
        return found

    def _environment(self, ctx: Context) -> Environment:
        if not self.setvars:
            return {}
        msg = ctx.msg
        found: dict[str, list[str]] = {}
        for field in msg.fields():
            name = NAMES.get(field.name.lower()) or field.name.upper().replace("-", "_")
            found.setdefault(f"SIP_HF_{name}", []).append(field.value)
        environment = {name: ",".join(values) for name, values in found.items()}
        here, original = ctx.ruri, msg.uri if msg.is_request else ""
        environment |= {
            "SIP_SRCIP": ctx.flow.remote.host, "SIP_RURI": here, "SIP_ORURI": original, "SIP_ORUI": original,
            "SIP_USER": _user(here), "SIP_OUSER": _user(original), "SIP_TID": msg.branch,
            "SIP_DID": msg.to_tag,
        }  # fmt: skip
        return {name: value for name, value in environment.items() if "\0" not in value}

    async def _run(self, command: str, data: bytes, environment: Environment) -> tuple[int, str]:
        """The exit code, -1 when it could not run or was killed, and what it wrote."""
        if self._waiting >= AT_ONCE + WAITING:
            logger.error("exec: %d programs wait already; not run: %s", WAITING, command)
            return -1, ""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(AT_ONCE, "exec")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._pool, self._wait, command, data, environment
            )
        finally:
            self._waiting -= 1

    def _wait(self, command: str, data: bytes, environment: Environment) -> tuple[int, str]:
        """Run a command in this thread."""
        full = {**os.environ, **environment}
        try:
            # A group of its own: what the command starts is killed with it.
            child = subprocess.Popen(
                ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=full,
                start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            logger.error("exec: %s: %s", command, error)
            return -1, ""
        self._running.add(child.pid)
        try:
            output, _ = child.communicate(data, timeout=self.time_to_kill or None)
        except subprocess.TimeoutExpired:
            logger.error("exec: killed after %d s: %s", self.time_to_kill, command)
            _kill(child.pid)
            output, _ = child.communicate()
        finally:
            self._running.discard(child.pid)
        return child.returncode, output[:OUTPUT_LIMIT].decode("utf-8", "surrogateescape")


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _user(uri: str) -> str:
    try:
        parsed = parse_uri(uri)
    except ParseError:
        return ""
    return parsed.user or "" if isinstance(parsed, SipUri) else ""
