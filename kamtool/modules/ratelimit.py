"""ratelimit: numbered pipes that let through so many messages a second, and queues that choose among them."""

from __future__ import annotations

import logging
import re

from kamtool.errors import ConfigError, RpcError
from kamtool.module import ANY, REQUEST_ROUTE, Host, Module, Param, function, rpc
from kamtool.modules.pipelimit.pipes import ALGORITHMS, DROP, FEEDBACK, NETWORK, Control, Machine, Pipe, push
from kamtool.modules.pipelimit.sharing import Sharing
from kamtool.modules.pipelimit.steering import push_load, tune
from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.ratelimit")

PIPES, QUEUES = 128, 32
_PIPE = re.compile(r"\s*(\d{1,3})\s*:\s*(\w+)\s*:\s*(\d{1,9})\s*")
_QUEUE = re.compile(r"\s*(\d{1,3})\s*:\s*(\w+|\*)\s*")


class Ratelimit(Module):
    """Limit traffic by numbered pipes; queues say which pipe a method goes through.

    Algorithms as in pipelimit, but the limits of TAILDROP and RED are messages a second:
    `modparam("ratelimit", "pipe", "0:TAILDROP:200")`, `modparam("ratelimit", "queue", "0:INVITE")`.
    """

    timer_interval = Param(10, "seconds in which messages are counted")
    pipe = Param("", "a pipe: `number:algorithm:limit`", repeat=True)
    queue = Param("", "a queue: `pipe:METHOD`, or `pipe:*` for every method", repeat=True)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.pipes: dict[int, Pipe] = {}
        self.queues: list[tuple[int, str]] = []
        self.control, self.machine = Control(), Machine()
        link = getattr(server, "link", None)
        self.sharing = None if link is None else Sharing(link, "ratelimit", lambda: self.pipes)

    def set_param(self, name: str, value: int | str) -> None:
        """Read a pipe or a queue. Raises ConfigError."""
        super().set_param(name, value)
        text = str(value)
        if name == "pipe":
            found = _PIPE.fullmatch(text)
            if found is None or found[2].upper() not in ALGORITHMS[1:] or int(found[1]) >= PIPES:
                raise ConfigError(f"ratelimit: {text!r} is no pipe", hint="0:TAILDROP:200", code="KT1201")
            if int(found[1]) in self.pipes:
                raise ConfigError(f"ratelimit: there are two pipes {found[1]}", code="KT1201")
            self.pipes[int(found[1])] = Pipe(found[2].upper(), int(found[3]))
        elif name == "queue":
            found = _QUEUE.fullmatch(text)
            if found is None or len(self.queues) >= QUEUES:
                raise ConfigError(f"ratelimit: {text!r} is no queue", hint="0:INVITE", code="KT1201")
            self.queues.append((int(found[1]), found[2]))

    async def start(self) -> None:
        """Start the timer. Raises ConfigError for a queue without its pipe."""
        for number, method in self.queues:
            if number not in self.pipes:
                raise ConfigError(f"ratelimit: queue {number}:{method} has no pipe {number}", code="KT1201")
        self.every(max(1, self.timer_interval), self.tick)

    def tick(self) -> None:
        """Begin a new interval."""
        self.control.load = self.machine.cpu()
        waiting = 0
        if any(pipe.algorithm == NETWORK for pipe in self.pipes.values()):
            waiting = self.machine.waiting({s.address.port for s in getattr(self.server, "sockets", ())})
        for pipe in self.pipes.values():
            if pipe.algorithm == FEEDBACK:
                self.control.tick(pipe.limit / 100)
            pipe.tick(pipe.limit * max(1, self.timer_interval), waiting)

    def _push(self, number: int) -> int:
        pipe = self.pipes.get(number)
        if pipe is None:
            logger.error("there is no pipe %d", number)
            return DROP
        if self.sharing is not None:
            self.sharing.counted(number, pipe)
        return push(pipe, max(1, self.timer_interval), self.control, per_second=True)

    @function("rl_check", routes=ANY, narrower={1: REQUEST_ROUTE})
    def rl_check(self, ctx: Context, number: int | None = None) -> int:
        """Count a request in this pipe, or in that of its method's queue: 1 it may pass, else -1.

        -1 too where no queue is for the method, or there is no such pipe.
        """
        if number is not None:
            return self._push(number)
        method = ctx.msg.method
        for pipe, wanted in self.queues:
            if wanted in ("*", method):
                return self._push(pipe)
        return DROP

    @function("rl_check_pipe", routes=ANY)
    def rl_check_pipe(self, ctx: Context, number: int) -> int:
        """Count a message in this pipe: 1 it may pass, -1 not, or there is no such pipe."""
        return self._push(number)

    def _asked(self, number: int) -> Pipe:
        pipe = self.pipes.get(number)
        if pipe is None:
            raise RpcError(400, "Unknown pipe")
        return pipe

    @rpc("rl.stats")
    def rpc_stats(self) -> list[str]:
        """What the last interval has counted, by pipe."""
        rate = round(self.control.drop_rate)
        return [
            f"PIPE[{number}]: {pipe.last_counter}/{pipe.limit} (drop rate: {rate})"
            for number, pipe in sorted(self.pipes.items())
        ]

    @rpc("rl.get_pipes")
    def rpc_get_pipes(self) -> list[str]:
        """The pipes: number of the algorithm, its name, load and limit, and this interval's count."""
        rate = round(self.control.drop_rate)
        return [
            f"PIPE[{number}]: {ALGORITHMS.index(p.algorithm)}:{p.algorithm} {p.load}/{p.limit} "
            f"(drop rate: {rate}) [{p.counter}]"
            for number, p in sorted(self.pipes.items())
        ]

    @rpc("rl.set_pipe", workers="all")
    def rpc_set_pipe(self, number: int, algorithm: str, limit: int) -> None:
        """Change algorithm and limit of a pipe."""
        pipe = self._asked(number)
        if algorithm.upper() not in ALGORITHMS:
            raise RpcError(400, "Unknown algorithm")
        pipe.algorithm, pipe.limit = algorithm.upper(), limit

    @rpc("rl.get_queues")
    def rpc_get_queues(self) -> list[str]:
        """The queues: pipe and method."""
        return [f"QUEUE[{at}]: {number}:{method}" for at, (number, method) in enumerate(self.queues)]

    @rpc("rl.set_queue", workers="all")
    def rpc_set_queue(self, queue: int, method: str, number: int) -> None:
        """Change method and pipe of a queue."""
        self._asked(number)
        if not 0 <= queue < len(self.queues):
            raise RpcError(400, "Unknown queue")
        self.queues[queue] = (number, method)

    @rpc("rl.get_pid")
    def rpc_get_pid(self) -> str:
        """The constants of FEEDBACK's controller."""
        return f"ki[{self.control.ki:f}] kp[{self.control.kp:f}] kd[{self.control.kd:f}] "

    @rpc("rl.set_pid", workers="all")
    def rpc_set_pid(self, ki: str, kp: str, kd: str) -> None:
        """Change the constants of FEEDBACK's controller."""
        tune(self.control, ki, kp, kd)

    @rpc("rl.push_load", workers="all")
    def rpc_push_load(self, load: str) -> None:
        """Say the load of the CPU, 0.0 to 1.0, until the next interval."""
        push_load(self.control, load)

    @rpc("rl.set_dbg", workers="all")
    def rpc_set_dbg(self, on: int) -> None:
        """Show (1) or hide (0) the messages of this module's timer in the log."""
        logger.setLevel(logging.DEBUG if on else logging.NOTSET)
