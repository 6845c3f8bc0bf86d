"""topos_redis: see `ToposRedis`."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError
from kamtool.module import Host, Module, Param
from kamtool.modules.topos.records import B, Dialog, Leg

if TYPE_CHECKING:
    from kamtool.modules.ndb_redis import NdbRedis
    from kamtool.modules.topos import Topos

logger = logging.getLogger("kamtool.modules.topos_redis")

DIALOG, LEG = "d:z:", "b:x:"
"""What Kamailio's keys begin with; the rest is the alias that the caller sees, or our branch."""
LATE = ("a_contact", "b_contact", "b_tag", "a_rr", "b_rr")
MOST_WAITING = 100_000
PATIENCE = 2.0

Command = tuple[str | bytes | int | float, ...]


class ToposRedis(Module):
    """Keep topos' records in a Redis server of ndb_redis: several servers can then share one.

    Beside topos with `modparam("topos", "storage", "redis")`. The keys are Kamailio's.
    """

    name = "topos_redis"
    depends = ("ndb_redis",)

    serverid = Param("", "the server, as ndb_redis knows it")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._waiting: asyncio.Queue[tuple[Command, ...]] = asyncio.Queue(MOST_WAITING)
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find the server. Raises ConfigError."""
        if not self.serverid:
            raise ConfigError(
                "topos_redis: `serverid` is not set", hint='modparam("topos_redis", "serverid", "srv")'
            )
        self.redis = cast("NdbRedis", self.server.modules["ndb_redis"]).client(self.serverid)
        self._writer = asyncio.get_running_loop().create_task(self._write())

    async def stop(self) -> None:
        """Write what waits."""
        if self._writer is not None:
            await asyncio.wait(
                [self._written(), self._writer], timeout=PATIENCE, return_when="FIRST_COMPLETED"
            )
            self._writer.cancel()

    def _written(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self._waiting.join())

    async def _write(self) -> None:
        from redis.exceptions import RedisError

        while True:
            commands = await self._waiting.get()
            try:
                async with self.redis.pipeline(transaction=False) as pipe:
                    for command in commands:
                        pipe.execute_command(*command)
                    await pipe.execute()
            except (RedisError, OSError) as error:
                logger.error("a record is not kept: %s", error)
            finally:
                self._waiting.task_done()

    def _post(self, *commands: Command) -> None:
        try:
            self._waiting.put_nowait(commands)
        except asyncio.QueueFull:
            logger.error("a record is not kept: too many wait to be written")

    # The keeper's side

    @property
    def _topos(self) -> Topos:
        return cast("Topos", self.server.modules["topos"])

    def save_dialog(self, dialog: Dialog, is_new: bool) -> None:
        if self.worker:
            return
        key = DIALOG + dialog.a_uuid
        hashed: list[str | bytes | int | float] = ["HSET", key]
        for name in (each.name for each in fields(Dialog)):
            if name != "until" and (is_new or name in LATE):
                hashed += [name, _out(getattr(dialog, name))]
        left = max(
            1,
            round(max(dialog.until, dialog.rectime + self._topos.dialog_expire) - self._topos.records.now()),
        )
        self._post(tuple(hashed), ("EXPIRE", key, left))

    def save_leg(self, leg: Leg) -> None:
        if self.worker:
            return
        key = LEG + leg.x_vbranch
        hashed: list[str | bytes | int | float] = ["HSET", key]
        for each in fields(Leg):
            if each.name != "until":
                hashed += [each.name, _out(getattr(leg, each.name))]
        self._post(tuple(hashed), ("EXPIRE", key, self._topos.branch_expire))

    def forget(self, dialog: Dialog) -> None:
        if not self.worker:
            self._post(("DEL", DIALOG + dialog.a_uuid))

    def clean(self, dialogs_before: float, legs_before: float) -> None:
        """Redis forgets by itself."""

    def find_dialog(self, alias: str) -> Dialog | None:
        """Nothing here may wait: see `fetch`."""
        return None

    def find_leg(self, branch: str) -> Leg | None:
        return None

    async def fetch(self, key: str) -> Dialog | Leg | None:
        """The dialog of an alias, or the request of a branch, that another server has written."""
        from redis.exceptions import RedisError

        is_leg = key.startswith("z9hG4bK")
        place = LEG + key if is_leg else f"{DIALOG}a{key[1:]}" if key.startswith(B) else DIALOG + key
        try:
            found = cast("dict[bytes, bytes]", await self.redis.execute_command("HGETALL", place))
        except (RedisError, OSError) as error:
            logger.error("topos: %s", error)
            return None
        if not found:
            return None
        texts = {name.decode(): value.decode("utf-8", "surrogateescape") for name, value in found.items()}
        kind: Any = Leg if is_leg else Dialog
        known = {each.name for each in fields(kind)}
        values: dict[str, Any] = {name: value for name, value in texts.items() if name in known}
        for name in ("x_vbranch", "a_uuid", "b_uuid") if is_leg else ("a_uuid", "b_uuid"):
            values.setdefault(name, "")
        values["rectime"] = float(texts.get("rectime") or 0)
        if is_leg:
            values["direction"] = int(texts.get("direction") == "1")
        record = kind(**values)
        seconds = self._topos.branch_expire if is_leg else self._topos.dialog_expire
        record.until = record.rectime + seconds
        return cast("Dialog | Leg", record)


def _out(value: str | float) -> str | bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return str(int(value))
