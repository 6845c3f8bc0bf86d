"""The functions of htable but for the iterators."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import ANY, function
from kamtool.modules.htable.base import Tables
from kamtool.modules.htable.locks import Locks, holder_of
from kamtool.modules.htable.matching import Test, asked, regex

if TYPE_CHECKING:
    from kamtool.modules.htable.table import Table
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.htable")


class HtableFunctions(Tables):
    """Functions that a script calls on whole tables."""

    locks: Locks

    def _named(self, text: str) -> tuple[Table, str]:
        name, arrow, rest = text.partition("=>")
        if not arrow:
            raise ScriptError(f"{text!r} should begin with table=>")
        return self.table(name.strip()), rest

    @staticmethod
    def _remove(table: Table, test: Test, of_names: bool) -> int:
        for key, value in table.items():
            if test(key if of_names else value):
                table.delete(key)
        return 1

    @staticmethod
    def _any(table: Table, test: Test, of_names: bool) -> bool:
        return any(test(key if of_names else value) for key, value in table.items())

    @function("sht_print", routes=ANY)
    def sht_print(self, ctx: Context) -> int:
        """Write all tables to the log, one line an item."""
        for table in self.htables.values():
            logger.error("htable %s: %d items, autoexpire %d", table.name, len(table), table.autoexpire)
            for key, value in table.items():
                logger.error("  %s => %r, %d s left", key, value, table.remaining(key))
        return 1

    @function("sht_lock", routes=ANY)
    async def sht_lock(self, ctx: Context, place: str) -> int:
        """Hold `table=>key`: other routes that lock it wait until sht_unlock, 5 seconds at most."""
        table, key = self._named(place)
        await self.locks.acquire((table.name, key), holder_of(ctx.scratch))
        return 1

    @function("sht_unlock", routes=ANY)
    def sht_unlock(self, ctx: Context, place: str) -> int:
        """Give back what sht_lock holds."""
        table, key = self._named(place)
        self.locks.release((table.name, key), holder_of(ctx.scratch))
        return 1

    @function("sht_reset", routes=ANY)
    def sht_reset(self, ctx: Context, table: str) -> int:
        """Remove all items of a table."""
        self.table(table).clear()
        return 1

    @function("sht_rm", routes=ANY)
    def sht_rm(self, ctx: Context, table: str, key: str) -> int:
        """Remove an item; true also when there was none."""
        self.table(table).delete(key)
        return 1

    @function("sht_rm_name_re", routes=ANY)
    def sht_rm_name_re(self, ctx: Context, expression: str) -> int:
        """Remove the items whose key matches: `sht_rm_name_re("t=>^regex")`; write `$$` for `$`."""
        table, pattern = self._named(expression)
        return self._remove(table, regex(pattern), of_names=True)

    @function("sht_rm_value_re", routes=ANY)
    def sht_rm_value_re(self, ctx: Context, expression: str) -> int:
        """Remove the items whose value is a text that matches, as sht_rm_name_re."""
        table, pattern = self._named(expression)
        return self._remove(table, regex(pattern), of_names=False)

    @function("sht_rm_name", routes=ANY)
    def sht_rm_name(self, ctx: Context, table: str, operator: str, operand: str) -> int:
        """Remove the items whose key matches (`re`) or starts with (`sw`) the operand."""
        return self._remove(self.table(table), asked(operator, operand, "re sw"), of_names=True)

    @function("sht_rm_value", routes=ANY)
    def sht_rm_value(self, ctx: Context, table: str, operator: str, operand: str) -> int:
        """Remove the items whose value is a text that matches (`re`) or starts with (`sw`) the operand."""
        return self._remove(self.table(table), asked(operator, operand, "re sw"), of_names=False)

    @function("sht_match_name", "sht_has_name", routes=ANY)
    def sht_match_name(self, ctx: Context, table: str, operator: str, operand: str) -> bool:
        """Whether a key is (`eq`), is not (`ne`), matches (`re`) or starts with (`sw`) the operand."""
        return self._any(self.table(table), asked(operator, operand), of_names=True)

    @function("sht_match_str_value", "sht_has_str_value", routes=ANY)
    def sht_match_str_value(self, ctx: Context, table: str, operator: str, operand: str) -> bool:
        """Whether a value is a text as sht_match_name asks for one."""
        return self._any(self.table(table), asked(operator, operand), of_names=False)

    @function("sht_setxs", routes=ANY)
    def sht_setxs(self, ctx: Context, table: str, key: str, value: str, seconds: int) -> int:
        """Store a text that expires in so many seconds."""
        return self._set(self.table(table), key, value, seconds)

    @function("sht_setxi", routes=ANY)
    def sht_setxi(self, ctx: Context, table: str, key: str, value: int, seconds: int) -> int:
        """Store a number that expires in so many seconds."""
        return self._set(self.table(table), key, value, seconds)

    def _set(self, table: Table, key: str, value: int | str, seconds: int) -> int:
        self.put(table, key, value)
        table.keep(key, seconds)
        return 1
