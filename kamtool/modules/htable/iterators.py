"""Walking over the items of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import ANY, function
from kamtool.modules.htable.base import Tables
from kamtool.modules.htable.table import Table

if TYPE_CHECKING:
    from kamtool.script.context import Context


class Walk:
    """A named iterator: the keys there were at its start, and the one it stands on."""

    __slots__ = ("at", "key", "keys", "stays", "table")

    def __init__(self, table: Table) -> None:
        self.table = table
        self.keys = table.keys()
        self.at = -1
        self.key: str | None = None
        self.stays = False
        """The key was reached by a removal: the next step delivers it."""

    def step(self) -> bool:
        """Go on to the next item that is still there; false behind the last."""
        if self.stays and self.key is not None and self.table.find(self.key) is not None:
            self.stays = False
            return True
        self.stays = False
        while self.at < len(self.keys) - 1:
            self.at += 1
            if self.table.find(self.keys[self.at]) is not None:
                self.key = self.keys[self.at]
                return True
        self.key = None
        return False


def iterator(ctx: Context, name: str) -> Walk | None:
    """The iterator that a message has under this name."""
    return None if ctx._scratch is None else ctx._scratch.get(f"htable.iterator.{name}")


def _standing(ctx: Context, name: str) -> tuple[Walk, str]:
    walk = iterator(ctx, name)
    if walk is None or walk.key is None:
        raise ScriptError(f"iterator {name!r} stands on no item")
    return walk, walk.key


class IteratorFunctions(Tables):
    """Iterators by name. Each belongs to the message that started it; items may come and go meanwhile."""

    @function("sht_iterator_start", routes=ANY)
    def sht_iterator_start(self, ctx: Context, name: str, table: str) -> int:
        """Begin to walk over a table: before its first item."""
        ctx.scratch[f"htable.iterator.{name}"] = Walk(self.table(table))
        return 1

    @function("sht_iterator_next", routes=ANY)
    def sht_iterator_next(self, ctx: Context, name: str) -> bool:
        """Go on to the next item; false behind the last one."""
        walk = iterator(ctx, name)
        if walk is None:
            raise ScriptError(f"iterator {name!r} has not been started")
        return walk.step()

    @function("sht_iterator_end", routes=ANY)
    def sht_iterator_end(self, ctx: Context, name: str) -> bool:
        """Forget the iterator; false when there is none."""
        return ctx.scratch.pop(f"htable.iterator.{name}", None) is not None

    @function("sht_iterator_rm", routes=ANY)
    def sht_iterator_rm(self, ctx: Context, name: str) -> int:
        """Remove the item the iterator stands on; it then stands on the next one, and -2 says there is none.

        `sht_iterator_next` does not skip that one.
        """
        walk, key = _standing(ctx, name)
        walk.table.delete(key)
        walk.stays = walk.step()
        return 1 if walk.stays else -2

    @function("sht_iterator_sets", routes=ANY)
    def sht_iterator_sets(self, ctx: Context, name: str, value: str) -> int:
        """Give the item the iterator stands on a text."""
        walk, key = _standing(ctx, name)
        self.put(walk.table, key, value)
        return 1

    @function("sht_iterator_seti", routes=ANY)
    def sht_iterator_seti(self, ctx: Context, name: str, value: int) -> int:
        """Give the item the iterator stands on a number."""
        walk, key = _standing(ctx, name)
        self.put(walk.table, key, value)
        return 1

    @function("sht_iterator_setex", routes=ANY)
    def sht_iterator_setex(self, ctx: Context, name: str, seconds: int) -> bool:
        """Let the item the iterator stands on expire in so many seconds."""
        walk, key = _standing(ctx, name)
        return walk.table.keep(key, seconds)
