"""ndb_redis: see `NdbRedis`."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from kamtool.errors import ConfigError
from kamtool.module import ANY, Host, Module, Param, Plain, Value, function, pv
from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.ndb_redis")

STRING, ARRAY, INTEGER, NIL, ERROR = 1, 2, 3, 4, 6
"""Kinds of answers, by hiredis' numbers, as `$redis(r=>type)` tells them."""
ANSWERS = "ndb_redis.answers"
_WORD = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|(\S+)")


class NdbRedis(Module):
    """Ask Redis servers from the script: `redis_cmd("srv", "GET key", "r")`, then `$redis(r=>value)`.

    Other messages go on while one waits for its answer. It needs `pip install kamtool[redis]`.
    """

    name = "ndb_redis"

    server = Param(  # type: ignore[assignment]  # what Kamailio calls it; the host is `self.server` all the same
        "", "a server: `name=srv;addr=127.0.0.1;port=6379;db=0;pass=…;unix=…`", repeat=True
    )
    connect_timeout = Param(1000, "milliseconds to wait for a connection")
    cmd_timeout = Param(1000, "milliseconds to wait for an answer")
    init_without_redis = Param(0, "1: start though a server cannot be reached")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.__dict__["server"] = server
        self.definitions: dict[str, dict[str, str]] = {}
        self.clients: dict[str, Any] = {}

    def set_param(self, name: str, value: int | str) -> None:
        """Raises ConfigError for a server that has no name or an unknown word."""
        if name != "server":
            super().set_param(name, value)
            return
        words = dict(part.strip().partition("=")[::2] for part in str(value).split(";") if part.strip())
        unknown = set(words) - {"name", "addr", "port", "db", "pass", "unix"}
        if unknown or not words.get("name"):
            what = f"{min(unknown)!r} is unknown" if unknown else "it has no name"
            raise ConfigError(
                f"ndb_redis: `server`: {what}", hint="name=srv;addr=127.0.0.1;port=6379;db=0", code="KT1201"
            )
        if not words.get("port", "0").isdigit() or not words.get("db", "0").isdigit():
            raise ConfigError("ndb_redis: `server`: port and db are numbers", code="KT1201")
        self.definitions[words["name"]] = words

    async def start(self) -> None:
        """Reach every server. Raises ConfigError when one does not answer, or without the library."""
        try:
            from redis.asyncio import Redis
        except ImportError:
            raise ConfigError(
                "ndb_redis: the Python library `redis` is missing", hint="pip install 'kamtool[redis]'"
            ) from None
        for name, words in self.definitions.items():
            self.clients[name] = Redis(
                host=words.get("addr") or "127.0.0.1", port=int(words.get("port") or 6379),
                db=int(words.get("db") or 0), password=words.get("pass") or None,
                unix_socket_path=words.get("unix") or None, socket_timeout=self.cmd_timeout / 1000,
                socket_connect_timeout=self.connect_timeout / 1000,
                protocol=2,  # a server before 6 knows no other
            )  # fmt: skip
            error = await self._trouble(self.clients[name])
            if error and not self.init_without_redis:
                raise ConfigError(f"ndb_redis: the server {name!r} does not answer: {error}", code="KT1201")
            if error:
                logger.warning("the server %r does not answer: %s", name, error)

    @staticmethod
    async def _trouble(client: Any) -> str:
        from redis.exceptions import RedisError

        try:
            await client.execute_command("PING")
        except (RedisError, OSError) as error:
            return str(error)
        return ""

    async def stop(self) -> None:
        """Let go of the connections."""
        for client in self.clients.values():
            await client.aclose()

    def client(self, name: str) -> Any:
        """The connection to a server. Raises ConfigError when none has the name."""
        if name not in self.clients:
            raise ConfigError(
                f"ndb_redis: there is no server {name!r}",
                hint=f'modparam("ndb_redis", "server", "name={name};…")',
            )
        return self.clients[name]

    @function("redis_cmd", routes=ANY, arities=(3, 4, 5, 6))
    async def redis_cmd(self, ctx: Context, server: str, command: str, *more: str) -> int:
        """Send a command to a server; the last argument names the answer, those before stand in for `%s`."""
        from redis.exceptions import RedisError

        *values, result = more
        words = [next(part for part in found if part is not None) for found in self._words(command)]
        filled = [values.pop(0) if word == "%s" and values else word for word in words]
        answers = ctx.scratch.setdefault(ANSWERS, {})
        if server not in self.clients:
            logger.error("redis_cmd: there is no server %r", server)
            return -1
        try:
            # The library's time-outs want a task, and a route that has not waited yet is none.
            asking = self.clients[server].execute_command(*filled)
            answers[result] = await asyncio.get_running_loop().create_task(asking)
        except (RedisError, OSError) as error:
            logger.error("redis_cmd: %s: %s", server, error)
            answers[result] = error
            return -1
        return 1

    @staticmethod
    def _words(command: str) -> list[tuple[str | None, ...]]:
        return [tuple(part or None for part in found.groups()) for found in _WORD.finditer(command)]

    @function("redis_free", routes=ANY)
    def redis_free(self, ctx: Context, result: str) -> int:
        """Forget an answer; that of a message goes with it anyway."""
        ctx.scratch.get(ANSWERS, {}).pop(result, None)
        return 1

    @pv("redis")
    def redis(self, ctx: Context, name: Plain) -> Value:
        """`$redis(r=>value)` of an answer; also `type`, `info` (an error), `size`, `value[2]`, `type[2]`."""
        result, _, what = str(name).partition("=>")
        answer = ctx.scratch.get(ANSWERS, {}).get(result)
        part, _, place = what.partition("[")
        if place:
            number = place.rstrip("]")
            if not isinstance(answer, list) or not number.isdigit() or int(number) >= len(answer):
                return None
            answer = answer[int(number)]
        if part == "type":
            return _kind(answer)
        if part == "info":
            return str(answer) if isinstance(answer, Exception) else None
        if part == "size":
            return len(answer) if isinstance(answer, list) else None
        return _value(answer)


def _kind(answer: Any) -> int:
    if isinstance(answer, Exception):
        return ERROR
    if answer is None:
        return NIL
    return ARRAY if isinstance(answer, list) else INTEGER if isinstance(answer, int) else STRING


def _value(answer: Any) -> Value:
    if isinstance(answer, bytes):
        return answer.decode("utf-8", "surrogateescape")
    if isinstance(answer, bool):
        return int(answer)
    return answer if isinstance(answer, int | str) else None
