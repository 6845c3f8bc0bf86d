"""The records of topos in a database: Kamailio's tables topos_d and topos_t."""

from __future__ import annotations

import logging
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from kamtool.errors import StoreError
from kamtool.modules.topos.records import Dialog, Leg
from kamtool.store.database import Database
from kamtool.store.select import bound, text_of
from kamtool.store.times import to_epoch, to_julian

logger = logging.getLogger("kamtool.modules.topos")

DIALOGS, LEGS = "topos_d", "topos_t"
VERSION = 2
DIALOG_COLUMNS = (
    "a_uuid", "b_uuid", "rectime", "x_context", "s_method", "s_cseq", "a_callid", "a_contact", "b_contact",
    "as_contact", "bs_contact", "a_tag", "b_tag", "a_rr", "b_rr", "s_rr",
)  # fmt: skip
LEG_COLUMNS = (
    "x_vbranch", "a_uuid", "b_uuid", "rectime", "x_context", "s_method", "s_cseq", "a_callid", "direction",
    "x_via", "x_rr", "s_rr", "a_contact", "b_contact", "as_contact", "bs_contact", "x_tag", "a_tag", "b_tag",
)  # fmt: skip
CHANGING = ("rectime", "a_contact", "b_contact", "b_tag", "a_rr", "b_rr")
_DIALOG, _LEG, _CHANGES = attrgetter(*DIALOG_COLUMNS), attrgetter(*LEG_COLUMNS), attrgetter(*CHANGING)


def _select(table: str, columns: tuple[str, ...], where: str) -> str:
    return f"SELECT {', '.join(columns)} FROM {table} WHERE {where}"


def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


class Tables:
    """A keeper of records in one database; `writes` on one worker only."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], float],
        dialog_seconds: float,
        leg_seconds: float,
        writes: bool,
    ) -> None:
        self.database, self.now, self.writes = database, now, writes
        self.dialog_seconds, self.leg_seconds = dialog_seconds, leg_seconds
        self._insert_dialog = _insert(DIALOGS, DIALOG_COLUMNS)
        self._insert_leg = _insert(LEGS, LEG_COLUMNS)
        changes = ", ".join(f"{column} = ?" for column in CHANGING)
        self._update_dialog = f"UPDATE {DIALOGS} SET {changes} WHERE a_uuid = ?"

    async def load(self) -> tuple[list[Dialog], list[Leg]]:
        """All that is not over. Raises StoreError."""
        dialogs = await self.database.query(
            _select(DIALOGS, DIALOG_COLUMNS, "rectime > ?"), (to_julian(self.now() - self.dialog_seconds),)
        )
        legs = await self.database.query(
            _select(LEGS, LEG_COLUMNS, "rectime > ?"), (to_julian(self.now() - self.leg_seconds),)
        )
        return [self._dialog(row) for row in dialogs], [self._leg(row) for row in legs]

    def _dialog(self, row: tuple[object, ...]) -> Dialog:
        rectime = to_epoch(row[2])
        values: list[Any] = [text_of(value) for value in row]
        values[2] = rectime
        dialog = Dialog(*values)
        dialog.until = rectime + self.dialog_seconds
        return dialog

    def _leg(self, row: tuple[object, ...]) -> Leg:
        rectime = to_epoch(row[3])
        values: list[Any] = [text_of(value) for value in row]
        values[3], values[8] = rectime, int(row[8] == 1)
        leg = Leg(*values)
        leg.until = rectime + self.leg_seconds
        return leg

    # The keeper's side

    def _post(self, sql: str, values: list[str | bytes | float | int]) -> None:
        try:
            self.database.post(sql, values)
        except StoreError as error:
            logger.error("topos: %s", error)

    def save_dialog(self, dialog: Dialog, is_new: bool) -> None:
        if not self.writes:
            return
        if is_new:
            self._post(self._insert_dialog, _values(dialog, _DIALOG))
        else:
            self._post(self._update_dialog, [*_values(dialog, _CHANGES), dialog.a_uuid])

    def save_leg(self, leg: Leg) -> None:
        if self.writes:
            self._post(self._insert_leg, _values(leg, _LEG))

    def forget(self, dialog: Dialog) -> None:
        if self.writes:
            self._post(f"DELETE FROM {DIALOGS} WHERE a_uuid = ?", [dialog.a_uuid])

    def clean(self, dialogs_before: float, legs_before: float) -> None:
        if self.writes:
            self._post(f"DELETE FROM {DIALOGS} WHERE rectime < ?", [to_julian(dialogs_before)])
            self._post(f"DELETE FROM {LEGS} WHERE rectime < ?", [to_julian(legs_before)])

    def find_dialog(self, alias: str) -> Dialog | None:
        """A dialog that another server on the same database has opened."""
        column = "b_uuid" if alias.startswith("b") else "a_uuid"
        rows = self._read(_select(DIALOGS, DIALOG_COLUMNS, f"{column} = ?"), alias)
        return self._dialog(rows[0]) if rows else None

    def find_leg(self, branch: str) -> Leg | None:
        rows = self._read(_select(LEGS, LEG_COLUMNS, "x_vbranch = ?"), branch)
        return self._leg(rows[0]) if rows else None

    def _read(self, sql: str, value: str) -> list[tuple[object, ...]]:
        try:
            return self.database.read(sql, (bound(value),))
        except StoreError as error:
            logger.error("topos: %s", error)
            return []


def _values(record: Dialog | Leg, fields: attrgetter[tuple[Any, ...]]) -> list[str | bytes | float | int]:
    """The values for SQL; the one float of a record is its `rectime`."""
    values: list[str | bytes | float | int] = []
    for value in fields(record):
        if isinstance(value, str):
            values.append(value if value.isascii() else bound(value))
        else:
            values.append(to_julian(value) if isinstance(value, float) else value)
    return values
