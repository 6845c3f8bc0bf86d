"""Databases and name servers that say again what they said; what they never said is left empty, and told."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kamtool.debug.record.file import Entry
from kamtool.debug.record.recorder import question
from kamtool.errors import StoreError, TransportError
from kamtool.store.database import Database
from kamtool.store.databases import Databases
from kamtool.store.writer import Row


@dataclass(slots=True, eq=False)
class Answer:
    """One that was recorded, and whether the moment at which it came is over."""

    value: Any
    error: str
    came: bool = False
    waiter: asyncio.Future[None] | None = None


class Answers:
    """All of a recording, by what was asked. `missing` counts the questions that nobody asked then."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_key: dict[str, deque[Answer]] = defaultdict(deque)
        self._last: dict[str, Answer] = {}
        self._in_turn: deque[Answer] = deque()
        self.missing: Counter[str] = Counter()
        for entry in entries:
            if entry.kind == "Q":
                key, value, error = entry.facts
            elif entry.kind == "D":
                name, kind, value, error = entry.facts
                key = f"dns {name} {kind}"
            else:
                continue
            answer = Answer(value, error)
            self._by_key[key].append(answer)
            self._in_turn.append(answer)

    def comes(self) -> None:
        """The recording has come to the next answer."""
        answer = self._in_turn.popleft()
        answer.came = True
        if answer.waiter is not None and not answer.waiter.done():
            answer.waiter.set_result(None)

    def _next(self, key: str) -> Answer | None:
        waiting = self._by_key.get(key)
        if waiting:
            answer = self._last[key] = waiting.popleft()
            return answer
        return self._last.get(key)

    def now(self, key: str, empty: Any) -> Any:
        """The answer to what is not waited for."""
        answer = self._next(key)
        if answer is None:
            self.missing[key] += 1
            return empty
        return answer.value

    async def later(self, key: str, empty: Any, raises: type[Exception]) -> Any:
        """The answer, at the moment at which it came. Raises what was raised then."""
        answer = self._next(key)
        if answer is None:
            self.missing[key] += 1
            return empty
        if not answer.came:
            answer.waiter = asyncio.get_running_loop().create_future()
            await answer.waiter
        if answer.value is None and answer.error and isinstance(answer.error, str):
            raise raises(answer.error)
        return answer.value

    async def dns(self, name: str, kind: str) -> tuple[list[Any], float]:
        """What the name servers said."""
        from dns import rdata

        answer = self._by_key.get(f"dns {name} {kind}")
        ttl = answer[0].error if answer and not isinstance(answer[0].error, str) else 60.0
        texts = await self.later(f"dns {name} {kind}", [], TransportError)
        return [rdata.from_text("IN", kind, text) for text in texts], float(ttl)


class RecordedDatabase(Database):
    """A database that is not there, and says what it said."""

    def __init__(self, path: Path, answers: Answers) -> None:
        self.path, self.answers = path, answers

    def post(self, sql: str, row: Row = ()) -> None:
        """Nothing is written."""

    async def write_all(self, statements: Iterable[tuple[str, Row]], *, durable: bool = True) -> int:
        """How many rows it changed."""
        asked = question("write_all", [list(statements)])
        return int(await self.answers.later(asked, 1, StoreError))

    async def flush(self) -> None:
        """As it was."""
        await self.answers.later(question("flush", ()), None, StoreError)

    async def query(self, sql: str, arguments: Row = ()) -> list[tuple[Any, ...]]:
        """The rows that were found."""
        rows = await self.answers.later(question("query", _given(sql, arguments)), [], StoreError)
        return [tuple(row) for row in rows]

    async def table(self, sql: str, arguments: Row = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The columns and rows that were found."""
        names, rows = await self.answers.later(
            question("table", _given(sql, arguments)), [[], []], StoreError
        )
        return list(names), [tuple(row) for row in rows]

    def read(self, sql: str, arguments: Row = ()) -> list[tuple[Any, ...]]:
        """The rows that were found."""
        return [tuple(row) for row in self.answers.now(question("read", _given(sql, arguments)), [])]

    def generation(self) -> int:
        """As it was."""
        return int(self.answers.now(question("generation", ()), 0))

    @property
    def backlog(self) -> int:
        """Nothing waits."""
        return 0

    async def close(self) -> None:
        """There is nothing to close."""


def _given(sql: str, arguments: Row) -> Sequence[Any]:
    return (sql, list(arguments)) if len(arguments) else (sql,)


class RecordedDatabases(Databases):
    """Every URL means a database that says what it said."""

    def __init__(self, answers: Answers) -> None:
        super().__init__()
        self.answers = answers

    async def open(self, url: str) -> Database:
        """The one of that name."""
        path = Path(url.partition("://")[2] or url)
        if path not in self._open:
            self._open[path] = RecordedDatabase(path, self.answers)
        return self._open[path]
