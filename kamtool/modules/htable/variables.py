"""The pseudo-variables of htable."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Value, pv
from kamtool.modules.htable.base import Tables
from kamtool.modules.htable.iterators import iterator
from kamtool.modules.htable.matching import counted
from kamtool.script.values import to_int

if TYPE_CHECKING:
    from kamtool.modules.htable.table import Table
    from kamtool.script.context import Context

_FORM = r".+=>.*"

RECORD = "htable.record"
"""Where a message keeps the item that its event_route is about."""


class HtableVariables(Tables):
    """`$sht` and its kin. The key is taken as it stands behind `=>`, blanks included."""

    def _place(self, inner: str) -> tuple[Table | None, str]:
        name, arrow, key = inner.partition("=>")
        table = self.htables.get(name) or self.htables.get(name.strip())
        if not arrow:
            raise ScriptError(f"{inner!r} should be table=>key")
        return table, key

    def _sure(self, inner: str) -> tuple[Table, str]:
        table, key = self._place(inner)
        if table is None:
            raise ScriptError(f"there is no htable {inner.partition('=>')[0]!r}")
        return table, key

    def sht_of(self, name: str) -> Callable[[str], Value]:
        """What `$sht(name=>key)` is by its key: the tables are all there before the script is linked."""
        table = self.htables.get(name) or self.htables.get(name.strip())
        return table.get if table is not None else lambda key: None

    @pv("sht", setter="set_sht", inner_required=True, form=_FORM, bound="sht_of")
    def get_sht(self, ctx: Context, inner: str) -> Value:
        """An item of a table: `$sht(t=>key)`. It keeps its type, `$null` deletes it, `initval` stands in."""
        table, key = self._place(inner)
        return None if table is None else table.get(key)

    def set_sht(self, ctx: Context, inner: str, value: Value) -> None:
        table, key = self._sure(inner)
        if value is None:
            table.delete(key)
        else:
            self.put(table, key, value)

    @pv("shtex", setter="set_shtex", kind=int, inner_required=True, form=_FORM)
    def get_shtex(self, ctx: Context, inner: str) -> Value:
        """The seconds until an item of a table with `autoexpire` expires; assigning sets them, 0 is never."""
        table, key = self._place(inner)
        return None if table is None else table.remaining(key)

    def set_shtex(self, ctx: Context, inner: str, value: Value) -> None:
        table, key = self._sure(inner)
        table.keep(key, to_int(value))

    @pv("shtcn", kind=int, inner_required=True, form=_FORM)
    def get_shtcn(self, ctx: Context, inner: str) -> Value:
        """How many keys match: `$shtcn(t=>~~regex)`, `~%` for an ending, `%~` a beginning, `==`, `**` all."""
        return self._count(inner, of_names=True)

    @pv("shtcv", kind=int, inner_required=True, form=_FORM)
    def get_shtcv(self, ctx: Context, inner: str) -> Value:
        """How many values match, as `$shtcn`; all but `**` and `eqNUMBER` look at texts only."""
        return self._count(inner, of_names=False)

    def _count(self, inner: str, of_names: bool) -> Value:
        table, expression = self._place(inner)
        if table is None:
            return None
        test = counted(expression)
        if test is None:
            return 0
        return sum(test(key if of_names else value) for key, value in table.items())

    @pv("shtinc", kind=int, inner_required=True, form=_FORM)
    def get_shtinc(self, ctx: Context, inner: str) -> Value:
        """Add 1 to an item and give the result; undefined where there is neither a number nor `initval`."""
        table, key = self._place(inner)
        return None if table is None else table.add(key, 1)

    @pv("shtdec", kind=int, inner_required=True, form=_FORM)
    def get_shtdec(self, ctx: Context, inner: str) -> Value:
        """Subtract 1 from an item and give the result, as `$shtinc`."""
        table, key = self._place(inner)
        return None if table is None else table.add(key, -1)

    @pv("shtrecord", inner_required=True, form="key|value")
    def get_shtrecord(self, ctx: Context, inner: str) -> Value:
        """In event_route[htable:expired:TABLE]: the item's `key` and `value`."""
        record = None if ctx._scratch is None else ctx._scratch.get(RECORD)
        if inner not in ("key", "value"):
            raise ScriptError(f"$shtrecord({inner}) is neither `key` nor `value`")
        return None if record is None else record[inner == "value"]

    @pv("shtitkey", kind=str, inner_required=True)
    def get_shtitkey(self, ctx: Context, inner: str) -> Value:
        """The key that an iterator stands on: `$shtitkey(iterator)`."""
        walk = iterator(ctx, inner)
        return None if walk is None else walk.key

    @pv("shtitval", inner_required=True)
    def get_shtitval(self, ctx: Context, inner: str) -> Value:
        """The value that an iterator stands on."""
        walk = iterator(ctx, inner)
        return None if walk is None or walk.key is None else walk.table.find(walk.key)
