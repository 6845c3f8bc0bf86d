"""RPC of a server with several workers: what concerns them all runs on all, and the answers become one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from kamtool.errors import RpcError
from kamtool.server.rpc import Method, RpcTable

if TYPE_CHECKING:
    from kamtool.server.workers_link import Link

CALL = "rpc"
COMMON = ("usrloc:", "usrloc.", "registered_users")
"""Counters of what every worker holds alike: they are not added up."""


class Spread:
    """Calls methods on all workers; see kamtool.module.rpc."""

    def __init__(self, table: RpcTable, link: Link) -> None:
        self.table, self.link = table, link
        table.spread = self.call
        link.answer(CALL, self._asked)

    async def _asked(self, sender: int, value: Any) -> Any:
        name, arguments = value
        return await self.table.run(self.table.find(name), arguments)

    async def call(self, method: Method, arguments: list[Any]) -> Any:
        """Call it as its `workers` says. Raises RpcError."""
        if method.workers == "any":
            return await self._any(method, arguments)
        if method.workers == "join":
            return await self._joined(method, arguments)
        # First here: what is refused here is not asked of others.
        own = await self.table.run(method, arguments)
        others = await asyncio.gather(
            *(self.link.ask(other, CALL, (method.name, arguments)) for other in self.link.others),
            return_exceptions=True,
        )
        for other in others:
            if isinstance(other, BaseException):
                raise other
        return MERGES[method.workers]([own, *others])

    async def _joined(self, method: Method, arguments: list[Any]) -> Any:
        """What is refused where nothing is found is no answer, unless it is the only one."""
        answers: list[Any] = []
        refused: BaseException | None = None
        works = [self.table.run(method, arguments)]
        works += [self.link.ask(other, CALL, (method.name, arguments)) for other in self.link.others]
        for answer in await asyncio.gather(*works, return_exceptions=True):
            if isinstance(answer, BaseException):
                refused = refused or answer
            else:
                answers.append(answer)
        if refused is not None and (not answers or not isinstance(refused, RpcError)):
            raise refused
        return joined(answers)

    async def _any(self, method: Method, arguments: list[Any]) -> Any:
        try:
            return await self.table.run(method, arguments)
        except RpcError as error:
            refused = error
        for other in self.link.others:
            try:
                return await self.link.ask(other, CALL, (method.name, arguments))
            except RpcError:
                continue
        raise refused


def first(answers: Sequence[Any]) -> Any:
    return answers[0]


def joined(answers: Sequence[Any]) -> Any:
    """Lists behind each other; of anything else, the answers one below the other."""
    return [entry for answer in answers for entry in (answer if isinstance(answer, list) else [answer])]


def added(answers: Sequence[Any], name: str = "") -> Any:
    """Numbers, and texts that are numbers, added up field by field; of all else the first."""
    own = answers[0]
    if name.startswith(COMMON) or isinstance(own, bool):
        return own
    if isinstance(own, dict):
        keys = list(dict.fromkeys(key for answer in answers for key in answer))
        return {key: added([answer[key] for answer in answers if key in answer], key) for key in keys}
    if isinstance(own, list) and all(isinstance(row, str) and " = " in row for row in own):
        return _rows(answers)
    if isinstance(own, int | float):
        return sum(answers)
    if isinstance(own, str) and all(isinstance(answer, str) and _is_number(answer) for answer in answers):
        return str(sum(map(int, answers)))
    return own


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit()


def _rows(answers: Sequence[list[str]]) -> list[str]:
    """`group:name = value` lines, added up."""
    values: dict[str, Any] = added([dict(row.split(" = ", 1) for row in answer) for answer in answers])
    return [f"{name} = {value}" for name, value in sorted(values.items())]


MERGES: dict[str, Callable[[Sequence[Any]], Any]] = {"all": first, "sum": added}
