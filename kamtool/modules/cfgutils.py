"""Chance, sleep, locks and global flags for scripts."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, RpcError
from kamtool.module import ANY, Host, Module, Param, Value, function, pv, rpc
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.cfgutils")


class Cfgutils(Module):
    """Random events, waits that stop one message alone, locks between messages, flags that all share."""

    initial_probability = Param(10, "the chance of rand_event() at the start, in per cent")
    initial_gflags = Param(0, "the global flags at the start, as a number")
    hash_file = Param("", "a file whose MD5 the RPCs get_hash and check_hash give: usually the cfg")
    lock_set_size = Param(0, "accepted: every key has a lock of its own here, so none need be counted")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.probability = 0
        self.gflags = 0
        self.config_hash = ""
        self.locks: dict[str, dict[str, Any]] = {}
        """By key, the scratch of the message that holds the lock: forks of its context hold it too."""
        self.waiting: dict[str, list[asyncio.Future[None]]] = {}

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """The chance is one."""
        self._check()
        return ()

    def _check(self) -> None:
        if not 0 <= self.initial_probability <= 100:
            raise ConfigError(
                f"initial_probability is per cent, not {self.initial_probability}", code="KT1201"
            )

    async def start(self) -> None:
        """Take the first values; read hash_file."""
        self._check()
        self.probability, self.gflags = self.initial_probability, self.initial_gflags
        if self.hash_file:
            self.config_hash = await asyncio.to_thread(self._hash)

    def _hash(self) -> str:
        try:
            return hashlib.md5(Path(self.hash_file).read_bytes(), usedforsecurity=False).hexdigest()
        except OSError as error:
            raise ConfigError(f"hash_file: {error}", code="KT1201") from error

    @function("rand_set_prob", routes=ANY)
    def rand_set_prob(self, ctx: Context, percent: int) -> bool:
        """Set the chance of `rand_event()`, 0 to 100 per cent."""
        if not 0 <= percent <= 100:
            return False
        self.probability = percent
        return True

    @function("rand_reset_prob", routes=ANY)
    def rand_reset_prob(self, ctx: Context) -> int:
        """Set the chance of `rand_event()` back to `initial_probability`."""
        self.probability = self.initial_probability
        return 1

    @function("rand_get_prob", routes=ANY)
    def rand_get_prob(self, ctx: Context) -> int:
        """The chance of `rand_event()` as the return code; 0 ends the script, as every code of 0 does."""
        return self.probability

    @function("rand_event", routes=ANY)
    def rand_event(self, ctx: Context) -> bool:
        """True by chance: the one that `initial_probability` or rand_set_prob() set."""
        return random.random() * 100 < self.probability

    @pv("RANDOM", kind=int)
    def get_random(self, ctx: Context) -> Value:
        """A random number from 0 to 2147483647. Not for secrets."""
        return random.getrandbits(31)

    @function("sleep", routes=ANY)
    async def sleep(self, ctx: Context, seconds: int) -> int:
        """Wait so many seconds. Only this message waits."""
        await asyncio.sleep(max(seconds, 0))
        return 1

    @function("usleep", routes=ANY)
    async def usleep(self, ctx: Context, microseconds: int) -> int:
        """Wait so many microseconds. Only this message waits."""
        await asyncio.sleep(max(microseconds, 0) / 1_000_000)
        return 1

    @function("abort", routes=ANY)
    def abort(self, ctx: Context) -> int:
        """Refused: a message shall not end the server. Logged, and false."""
        logger.error("abort() is refused: a message shall not end the server")
        return -1

    @function("pkg_status", "shm_status", "pkg_summary", "shm_summary", routes=ANY)
    def memory_status(self, ctx: Context) -> int:
        """Log how much memory the process has."""
        import resource

        logger.warning("memory: at most %d KiB so far", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return 1

    @function("set_gflag", routes=ANY)
    def set_gflag(self, ctx: Context, mask: int) -> int:
        """Set the bits of `mask` in the global flags."""
        self.gflags |= mask
        return 1

    @function("reset_gflag", routes=ANY)
    def reset_gflag(self, ctx: Context, mask: int) -> int:
        """Clear the bits of `mask` in the global flags."""
        self.gflags &= ~mask
        return 1

    @function("is_gflag", routes=ANY)
    def is_gflag(self, ctx: Context, mask: int) -> bool:
        """True when all bits of `mask` are set in the global flags."""
        return self.gflags & mask == mask

    @function("lock", routes=ANY)
    async def lock(self, ctx: Context, key: str) -> int:
        """Wait until no other message holds the lock of `key`, then hold it until `unlock(key)`.

        Taking a lock that this message already holds does nothing.
        """
        if self.locks.get(key) is ctx.scratch:
            return 1
        while key in self.locks:
            waiting = asyncio.get_running_loop().create_future()
            self.waiting.setdefault(key, []).append(waiting)
            await waiting
        self.locks[key] = ctx.scratch
        return 1

    @function("trylock", routes=ANY)
    def trylock(self, ctx: Context, key: str) -> bool:
        """Like `lock`, but false at once when another message holds it."""
        return self.locks.setdefault(key, ctx.scratch) is ctx.scratch

    @function("unlock", routes=ANY)
    def unlock(self, ctx: Context, key: str) -> bool:
        """Give back the lock of `key`; false when this message does not hold it."""
        if self.locks.get(key) is not ctx.scratch:
            return False
        del self.locks[key]
        waiting = self.waiting.get(key, [])
        while waiting:
            first = waiting.pop(0)
            if not first.done():
                first.set_result(None)
                break
        if not waiting:
            self.waiting.pop(key, None)
        return True

    def _routes(self, ctx: Context) -> Mapping[str, Any]:
        """The routes of the program that this message runs on."""
        program = ctx.program or getattr(self.server, "program", None)
        routes: Mapping[str, Any] = getattr(program, "routes", {})
        return routes

    @function("check_route_exists", "route_exists", routes=ANY)
    def check_route_exists(self, ctx: Context, name: str) -> bool:
        """True when there is a `route[name]`."""
        return name in self._routes(ctx)

    @function("route_if_exists", routes=ANY)
    async def route_if_exists(self, ctx: Context, name: str) -> int:
        """Run `route[name]` if there is one and give its code; else false."""
        route = self._routes(ctx).get(name)
        return -1 if route is None else int(await route(ctx))

    @function("core_hash", routes=ANY)
    def core_hash(self, ctx: Context, one: str, other: str, size: int) -> int:
        """A number from 1 to 2**`size` made of two texts, the same for the same texts, as the return code."""
        digest = hashlib.blake2b(to_octets(one) + b"\0" + to_octets(other), digest_size=4).digest()
        return int.from_bytes(digest, "big") % (1 << min(max(size, 0), 30)) + 1

    @rpc("cfgutils.rand_set_prob", workers="all")
    def rpc_rand_set_prob(self, percent: int) -> None:
        """Set the chance of rand_event(), in per cent."""
        if not 0 <= percent <= 100:
            raise RpcError(400, "the chance is 0 to 100 per cent")
        self.probability = percent

    @rpc("cfgutils.rand_get_prob")
    def rpc_rand_get_prob(self) -> int:
        """The chance of rand_event(), in per cent."""
        return self.probability

    @rpc("cfgutils.rand_reset_prob", workers="all")
    def rpc_rand_reset_prob(self) -> None:
        """Set the chance of rand_event() back to initial_probability."""
        self.probability = self.initial_probability

    @rpc("cfgutils.get_config_hash")
    def rpc_get_config_hash(self) -> str:
        """The MD5 of hash_file when the server started."""
        if not self.config_hash:
            raise RpcError(404, "no hash_file is set")
        return self.config_hash

    @rpc("cfgutils.check_config_hash")
    async def rpc_check_config_hash(self) -> str:
        """Whether hash_file is still what it was when the server started."""
        if not self.config_hash:
            raise RpcError(404, "no hash_file is set")
        if await asyncio.to_thread(self._hash) != self.config_hash:
            raise RpcError(400, "the file has changed")
        return "identical"

    @rpc("cfgutils.set_gflag", workers="all")
    def rpc_set_gflag(self, mask: int) -> None:
        """Set bits of the global flags."""
        self.gflags |= mask

    @rpc("cfgutils.reset_gflag", workers="all")
    def rpc_reset_gflag(self, mask: int) -> None:
        """Clear bits of the global flags."""
        self.gflags &= ~mask

    @rpc("cfgutils.is_gflag")
    def rpc_is_gflag(self, mask: int) -> bool:
        """Whether all these bits are set in the global flags."""
        return self.gflags & mask == mask

    @rpc("cfgutils.get_gflags")
    def rpc_get_gflags(self) -> str:
        """The global flags in hexadecimal."""
        return f"0x{self.gflags:X}"
