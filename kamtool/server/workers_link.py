"""The mail between workers: what one has to tell goes out once a turn of its loop, in order, none is lost.

A datagram holds many letters, each a topic and a value of plain data. One that is too large goes in pieces. A
worker that does not read holds nobody up: its mail waits here, and past MOST_WAITING the oldest is dropped,
for it is dead or will be. The mailbox of a dead one stays: its successor reads what was not read yet, and
keeps what is work, not news, until it has caught up.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import marshal
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from kamtool.errors import RpcError
from kamtool.server.workers import Mail

log = logging.getLogger("kamtool.workers")

PIECE = 48_000
MOST_WAITING = 64 << 20
READ_AT_ONCE = 64
PATIENCE = 5.0
MOST_OPEN = 5000
"""Questions of one worker that may wait for an answer: more would be memory, not patience."""
MOST_KEPT = 50_000
"""Letters that a worker keeps until it has begun."""
FIRST, LAST = 1, 2
_ASK, _ANSWER, _BEGUN = "?", "!", "begun"
SNAPSHOT = "snapshot"

Heard = Callable[[int, Any], None]
Asked = Callable[[int, Any], Awaitable[Any]]
Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Link:
    """One worker's end: `publish` to all others, `send` to one, `ask` one and await what it says."""

    def __init__(self, number: int, mail: Sequence[Mail], spawn: Spawn) -> None:
        self.number, self.size = number, len(mail)
        self.others = [other for other in range(self.size) if other != number]
        self._write = [write for write, _ in mail]
        self._read = mail[number][1]
        self._spawn = spawn
        self._out: dict[int, list[tuple[str, Any]]] = {}
        self._waiting: dict[int, deque[bytes]] = {}
        self._waiting_bytes = 0
        self._parts: dict[int, list[bytes]] = {}
        self._heard: dict[str, Heard] = {
            _ASK: self._was_asked, _ANSWER: self._was_answered, _BEGUN: self._other_begun,
        }  # fmt: skip
        self._work: set[str] = set()
        self._kept: deque[tuple[str, int, Any]] | None = None
        """What has to be done once this worker has begun; None when it has."""
        self._asked: dict[str, Asked] = {}
        self._questions: dict[int, asyncio.Future[Any]] = {}
        self._again: dict[int, tuple[int, str, Any]] = {}
        """Questions that a successor is asked again."""
        self.on_begun: list[Callable[[int], None]] = []
        """Called with the number of a worker that has taken the place of a dead one."""
        self._numbers = itertools.count(1)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.snapshots: list[Asked] = []
        """Asked one after the other by a worker that begins late: each sends it what it lacks."""
        self.answer(SNAPSHOT, self._snapshot)

    # Life

    def start(self, *, late: bool = False) -> None:
        """Begin to read. A worker that takes the place of a dead one says so: the others ask it again."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read.fileno(), self._readable)
        if late:
            self.publish(_BEGUN, None)

    def hold(self) -> None:
        """Take news, and keep questions and messages until `open`: half a server would answer wrongly."""
        self._kept = deque(maxlen=MOST_KEPT)

    def open(self) -> None:
        """Do what was kept, and from now on all as it comes."""
        kept, self._kept = self._kept, None
        for topic, sender, value in kept or ():
            self._hear(topic, sender, value)

    def stop(self) -> None:
        if self._loop is not None:
            self.flush()
            self._loop.remove_reader(self._read.fileno())
            for other in self._waiting:
                self._loop.remove_writer(self._write[other].fileno())
            self._waiting.clear()
            self._loop = None

    # Telling

    def on(self, topic: str, heard: Heard, *, work: bool = False) -> None:
        """Call `heard(worker, value)` with each letter of a topic; with `work` only in a server that runs."""
        self._heard[topic] = heard
        if work:
            self._work.add(topic)

    def send(self, worker: int, topic: str, value: Any) -> None:
        """Tell one worker."""
        if not self._out and self._loop is not None:
            self._loop.call_soon(self.flush)
        letters = self._out.get(worker)
        if letters is None:
            self._out[worker] = [(topic, value)]
        else:
            letters.append((topic, value))

    def publish(self, topic: str, value: Any) -> None:
        """Tell all others."""
        for worker in self.others:
            self.send(worker, topic, value)

    def flush(self) -> None:
        """Post what was told in this turn."""
        if not self._out:
            return
        out, self._out = self._out, {}
        for worker, letters in out.items():
            blob = marshal.dumps(letters)
            pieces = [blob[at : at + PIECE] for at in range(0, len(blob), PIECE)]
            for place, piece in enumerate(pieces):
                flags = (FIRST if place == 0 else 0) | (LAST if place == len(pieces) - 1 else 0)
                self._post(worker, bytes((self.number, flags)) + piece)

    def _post(self, worker: int, piece: bytes) -> None:
        waiting = self._waiting.get(worker)
        if waiting is None:
            try:
                self._write[worker].send(piece)
            except (BlockingIOError, InterruptedError):
                waiting = self._waiting[worker] = deque()
                assert self._loop is not None
                self._loop.add_writer(self._write[worker].fileno(), self._writable, worker)
            except OSError as error:
                log.error("worker %d cannot be told: %s", worker, error)
                return
            else:
                return
        waiting.append(piece)
        self._waiting_bytes += len(piece)
        while self._waiting_bytes > MOST_WAITING and waiting:
            self._waiting_bytes -= len(waiting.popleft())
            if not self._waiting_bytes % 1000:
                log.error("worker %d does not read what it is told", worker)

    def _writable(self, worker: int) -> None:
        waiting = self._waiting[worker]
        while waiting:
            try:
                self._write[worker].send(waiting[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.error("worker %d cannot be told: %s", worker, error)
            self._waiting_bytes -= len(waiting.popleft())
        del self._waiting[worker]
        assert self._loop is not None
        self._loop.remove_writer(self._write[worker].fileno())

    # Hearing

    def hear(self) -> None:
        """Read all that has come."""
        while self._read_some():
            pass

    def _readable(self) -> None:
        self._read_some()

    def _read_some(self) -> bool:
        """Read at most READ_AT_ONCE pieces; whether there may be more."""
        for _ in range(READ_AT_ONCE):
            try:
                piece = self._read.recv(PIECE + 2)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                return False
            if len(piece) >= 2:
                self._piece(piece[0], piece[1], piece[2:])
        return True

    def _piece(self, sender: int, flags: int, piece: bytes) -> None:
        if flags == FIRST | LAST:
            self._letters(sender, piece)
            return
        if flags & FIRST:  # what a dead one began is forgotten
            self._parts[sender] = []
        parts = self._parts.get(sender)
        if parts is None:
            return
        parts.append(piece)
        if flags & LAST:
            del self._parts[sender]
            self._letters(sender, b"".join(parts))

    def _letters(self, sender: int, blob: bytes) -> None:
        try:
            letters = marshal.loads(blob)
        except (ValueError, EOFError, TypeError):  # a piece was dropped for want of room
            log.error("what worker %d said cannot be read", sender)
            return
        for topic, value in letters:
            if topic not in self._heard:
                continue
            if self._kept is not None and topic in self._work:
                self._kept.append((topic, sender, value))
            else:
                self._hear(topic, sender, value)

    def _hear(self, topic: str, sender: int, value: Any) -> None:
        try:
            self._heard[topic](sender, value)
        except Exception:
            log.exception("what worker %d said of %s failed", sender, topic)

    # Asking

    def answer(self, topic: str, asked: Asked) -> None:
        """Let others ask: `asked(worker, value)` is awaited, and what it returns is the answer."""
        self._asked[topic] = asked

    async def ask(
        self, worker: int, topic: str, value: Any, patience: float = PATIENCE, *, again: bool = False
    ) -> Any:
        """What another worker answers; with `again` its successor is asked when it dies meanwhile.

        Raises RpcError: as it did there, or with 503 because it does not answer.
        """
        if len(self._questions) >= MOST_OPEN:
            raise RpcError(503, f"too many questions wait for worker {worker}")
        number = next(self._numbers)
        future = self._questions[number] = asyncio.get_running_loop().create_future()
        if again:
            self._again[number] = worker, topic, value
        self.send(worker, _ASK, (number, topic, value))
        try:
            await asyncio.wait([future], timeout=patience)
            if not future.done():
                raise RpcError(503, f"worker {worker} does not answer")
            code, result = future.result()
        finally:
            del self._questions[number]
            self._again.pop(number, None)
        if code:
            raise RpcError(code, result)
        return result

    def _other_begun(self, sender: int, value: Any) -> None:
        for begun in self.on_begun:
            begun(sender)
        # What the dead one had read is not in the mailbox any more; what it had not is asked twice.
        for number, (worker, topic, asked) in self._again.items():
            if worker == sender:
                self.send(sender, _ASK, (number, topic, asked))

    def _was_asked(self, sender: int, value: Any) -> None:
        if self._kept is not None and value[1] != SNAPSHOT:
            self._kept.append((_ASK, sender, value))
            return
        self._spawn(self._tell_answer(sender, *value), "a worker asks")

    async def _tell_answer(self, sender: int, number: int, topic: str, value: Any) -> None:
        try:
            asked = self._asked.get(topic)
            if asked is None:
                raise RpcError(404, f"nobody knows of {topic}")
            answer = (number, 0, await asked(sender, value))
            marshal.dumps(answer)
        except RpcError as error:
            answer = (number, error.code or 500, error.message)
        except Exception as error:
            log.exception("%s asked by worker %d failed", topic, sender)
            answer = (number, 500, str(error) or "it failed; the log says why")
        self.send(sender, _ANSWER, answer)

    def _was_answered(self, sender: int, value: Any) -> None:
        number, code, result = value
        future = self._questions.get(number)
        if future is not None and not future.done():
            future.set_result((code, result))

    # Beginning late

    async def _snapshot(self, sender: int, value: Any) -> bool:
        if self._kept is not None:
            raise RpcError(503, f"worker {self.number} itself has not begun")
        for share in self.snapshots:
            await share(sender, value)
        return True

    async def catch_up(self) -> None:
        """Have another worker send all that it knows: for one that takes the place of a dead one."""
        for other in self.others:
            try:
                await self.ask(other, SNAPSHOT, None, 30.0)
            except RpcError as error:
                log.warning("%s; another is asked", error.message)
            else:
                return
