"""Many items put into a table at once: all of them, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from kamtool.errors import RpcError, StoreError
from kamtool.modules.htable.persistence import SLICE
from kamtool.modules.htable.table import Table
from kamtool.script.values import wrap
from kamtool.server.rpc import INVALID_PARAMS

LONGEST = 2**31 - 1
Item = tuple[str, int | str, int]
Earlier = tuple[str, int | str | None, float | None]


def read_items(given: Any) -> list[Item]:
    """`[[KEY, VALUE, SECONDS], …]`. Raises RpcError with the number of the first that is none."""
    if not isinstance(given, list):
        raise RpcError(INVALID_PARAMS, "items are a list of [key, value, seconds]")
    items = []
    for number, each in enumerate(given, 1):
        match each:
            case [str(key), str() | int() as value, int(seconds)] if (
                key and not isinstance(value, bool) and 0 <= seconds <= LONGEST
            ):
                items.append((key, wrap(value) if isinstance(value, int) else value, int(seconds)))
            case _:
                raise RpcError(INVALID_PARAMS, f"item {number} is no [key, value, seconds]: {each!r:.80}")
    return items


async def fill(table: Table, items: list[Item], replace: bool, keep: Callable[[], Awaitable[Any]]) -> int:
    """Put the items into the table and `keep` it; what cannot be whole is undone. How many. Raises RpcError.

    An item's seconds are 0 when it does not expire. With `replace` nothing else is in the table afterwards.
    """
    chosen = {key: (value, seconds) for key, value, seconds in items}
    gone = [key for key, _ in table.items() if key not in chosen] if replace else []
    before: list[Earlier] = []
    try:
        for number, key in enumerate([*gone, *chosen], 1):
            before.append((key, table.find(key), table.deadlines.get(key)))
            if key not in chosen:
                table.delete(key)
            elif not table.set(key, chosen[key][0]):
                raise RpcError(500, f"htable {table.name} is full (`memory_limit`); nothing was changed")
            else:
                table.keep(key, chosen[key][1])
            if number % SLICE == 0:
                await asyncio.sleep(0)
        await keep()
    except StoreError as error:
        _undo(table, before)
        raise RpcError(500, f"{error}; nothing was changed") from error
    except BaseException:
        _undo(table, before)
        raise
    return len(chosen)


def _undo(table: Table, before: list[Earlier]) -> None:
    for key, value, deadline in reversed(before):
        table.delete(key)
        if value is not None:
            table.set(key, value)
            table.keep(key, 0 if deadline is None else max(1, round(deadline - table.now())))
