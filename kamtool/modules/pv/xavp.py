"""pv: functions on XAVPs and XAVUs as a whole."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kamtool.module import ANY, Variable, function
from kamtool.script.avp import Record, Records
from kamtool.script.transformations_param import pairs

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.pv")


def _text(record: Record) -> str:
    shown = [f"{name}={value!r}" for name, values in record.fields.items() for value in reversed(values)]
    return repr(record.value) if record.value is not None else "{" + ", ".join(shown) + "}"


def _print(kind: str, records: Records) -> None:
    for name, stack in records.named.items():
        for place, record in enumerate(reversed(stack)):
            logger.info("%s(%s[%d]) = %s", kind, name, place, _text(record))


def _exploded(text: str) -> Record:
    record = Record()
    for name, value in pairs(text, ";"):
        record.fields.setdefault(name, []).append(value)
    return record


class XavpFunctions:
    """Records made of texts and texts of records; fields removed, copied and printed."""

    variables: dict[str, int | str]

    @function("pv_xavp_print", routes=ANY)
    def pv_xavp_print(self, ctx: Context) -> int:
        """Log all XAVPs at L_INFO."""
        _print("$xavp", ctx.avps.xavps)
        return 1

    @function("pv_xavi_print", routes=ANY)
    def pv_xavi_print(self, ctx: Context) -> int:
        """Log all XAVIs at L_INFO."""
        _print("$xavi", ctx.avps.xavis)
        return 1

    @function("pv_xavu_print", routes=ANY)
    def pv_xavu_print(self, ctx: Context) -> int:
        """Log all XAVUs at L_INFO."""
        for name, held in ctx.avps.xavus.named.items():
            logger.info("$xavu(%s) = %r", name, held)
        return 1

    @function("xavp_params_explode", routes=ANY)
    def xavp_params_explode(self, ctx: Context, text: str, name: str) -> bool:
        """Make a record of `a=1;b=2`, with a field for each parameter."""
        record = _exploded(text)
        if not record.fields:
            return False
        ctx.avps.xavps.push(name, record)
        return True

    @function("xavu_params_explode", routes=ANY)
    def xavu_params_explode(self, ctx: Context, text: str, name: str) -> bool:
        """Set a field of an XAVU for each parameter of `a=1;b=2`."""
        found = pairs(text, ";")
        for field, value in found:
            ctx.avps.xavus.set(name, field, value)
        return bool(found)

    @function("xavp_params_implode", routes=ANY)
    def xavp_params_implode(self, ctx: Context, name: str, variable: Variable) -> bool:
        """Store the fields of a record as `b=2;a=1;`, the newest first."""
        record = ctx.avps.xavps.record(name)
        if record is None or not record.fields:
            return False
        newest_first = reversed(record.fields.items())
        variable.set(ctx, "".join(f"{field}={values[-1]};" for field, values in newest_first))
        return True

    @function("xavu_params_implode", routes=ANY)
    def xavu_params_implode(self, ctx: Context, name: str, variable: Variable) -> bool:
        """Store the fields of `$xavu(name=>…)` as `b=2;a=1;`, the newest first."""
        record = ctx.avps.xavus.named.get(name)
        if not isinstance(record, dict) or not record:
            return False
        variable.set(ctx, "".join(f"{field}={value};" for field, value in reversed(record.items())))
        return True

    @function("xavp_slist_explode", routes=ANY)
    def xavp_slist_explode(self, ctx: Context, text: str, separator: str, mode: str, name: str) -> bool:
        """Make a record whose field `v` holds the items of a list; mode `t` trims them."""
        items = [item.strip() if "t" in mode else item for item in text.split(separator[:1] or ",")]
        record = Record()
        record.fields["v"] = [*reversed(items)]
        ctx.avps.xavps.push(name, record)
        return True

    @function("xavp_copy", routes=ANY)
    def xavp_copy(self, ctx: Context, name: str, index: int, target: str, place: int | None = None) -> bool:
        """Copy a record to the top of `target`, or in place of one of its records."""
        record = ctx.avps.xavps.record(name, index)
        if record is None:
            return False
        copy = Record(record.value)
        copy.fields = {field: list(values) for field, values in record.fields.items()}
        if place is None:
            ctx.avps.xavps.push(target, copy)
            return True
        there = ctx.avps.xavps.record(target, place)
        if there is None:
            return False
        there.value, there.fields = copy.value, copy.fields
        return True

    @function("xavp_rm", routes=ANY)
    def xavp_rm(self, ctx: Context, name: str) -> bool:
        """Remove the newest record of that name."""
        return ctx.avps.xavps.delete(name)

    @function("xavi_rm", routes=ANY)
    def xavi_rm(self, ctx: Context, name: str) -> bool:
        """Remove the newest record of that name."""
        return ctx.avps.xavis.delete(name)

    @function("xavp_child_rm", routes=ANY)
    def xavp_child_rm(self, ctx: Context, name: str, field: str) -> bool:
        """Remove the newest value of a field of the newest record."""
        return ctx.avps.xavps.delete(name, None, field)

    @function("xavi_child_rm", routes=ANY)
    def xavi_child_rm(self, ctx: Context, name: str, field: str) -> bool:
        """Remove the newest value of a field of the newest record."""
        return ctx.avps.xavis.delete(name, None, field)

    @function("xavp_child_seti", routes=ANY)
    def xavp_child_seti(self, ctx: Context, name: str, field: str, value: int) -> bool:
        """Set a field of the newest record to a number; the record is made when there is none."""
        return _set_child(ctx.avps.xavps, name, field, value)

    @function("xavp_child_sets", routes=ANY)
    def xavp_child_sets(self, ctx: Context, name: str, field: str, value: str) -> bool:
        """Set a field of the newest record to a text; the record is made when there is none."""
        return _set_child(ctx.avps.xavps, name, field, value)

    @function("xavi_child_seti", routes=ANY)
    def xavi_child_seti(self, ctx: Context, name: str, field: str, value: int) -> bool:
        """Like `xavp_child_seti`, for an XAVI."""
        return _set_child(ctx.avps.xavis, name, field, value)

    @function("xavi_child_sets", routes=ANY)
    def xavi_child_sets(self, ctx: Context, name: str, field: str, value: str) -> bool:
        """Like `xavp_child_sets`, for an XAVI."""
        return _set_child(ctx.avps.xavis, name, field, value)

    @function("pv_var_to_xavp", routes=ANY)
    def pv_var_to_xavp(self, ctx: Context, variable: str, name: str) -> bool:
        """Make a record of `$var(variable)`, of all of them for `*`, with a field for each."""
        wanted = list(self.variables) if variable == "*" else [v for v in [variable] if v in self.variables]
        if not wanted:
            return False
        record = Record()
        record.fields = {key: [self.variables[key]] for key in wanted}
        ctx.avps.xavps.push(name, record)
        return True

    @function("pv_xavp_to_var", routes=ANY)
    def pv_xavp_to_var(self, ctx: Context, name: str) -> bool:
        """Set a `$var(…)` for each field of the newest record."""
        record = ctx.avps.xavps.record(name)
        if record is None:
            return False
        for field, values in record.fields.items():
            self.variables[field] = values[-1]
        return True


def _set_child(records: Records, name: str, field: str, value: int | str) -> bool:
    if records.record(name) is None:
        return records.set(name, None, field, None, value)
    place = 0 if records.count(name, None, field) else None
    return records.set(name, 0, field, place, value)
