"""Dialogs in a database, in the columns and forms that Kamailio 5.6 reads."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kamtool.errors import StoreError
from kamtool.modules.dialog.profiles import Profiles
from kamtool.modules.dialog.state import ANSWERED, CONFIRMED, ENDED, Dialog, Party
from kamtool.modules.dialog.table import Table
from kamtool.store.database import Database
from kamtool.store.select import bound, identifier, text_of

log = logging.getLogger("kamtool.modules.dialog")

REALTIME, DELAYED, SHUTDOWN = 1, 2, 3

COLUMNS: Final = {
    "h_entry": "hash_entry", "h_id": "hash_id", "call_id": "callid", "from_uri": "from_uri",
    "from_tag": "from_tag", "to_uri": "to_uri", "to_tag": "to_tag", "from_cseq": "caller_cseq",
    "to_cseq": "callee_cseq", "from_route": "caller_route_set", "to_route": "callee_route_set",
    "from_contact": "caller_contact", "to_contact": "callee_contact", "from_sock": "caller_sock",
    "to_sock": "callee_sock", "state": "state", "start_time": "start_time", "timeout": "timeout",
    "sflags": "sflags", "iflags": "iflags", "toroute_name": "toroute_name", "req_uri": "req_uri",
    "xdata": "xdata",
}  # fmt: skip
"""The columns of the table `dialog`, by the names of the parameters that rename them."""
VARIABLES: Final = {
    "vars_h_entry": "hash_entry", "vars_h_id": "hash_id", "vars_key": "dialog_key",
    "vars_value": "dialog_value",
}  # fmt: skip

Statement = tuple[str, tuple[Any, ...]]
Adopt = Callable[[Dialog, float], bool]
"""Takes a dialog that was read and the seconds it has left; false when it is known already."""


class Persistence:
    """The two tables. `names` are those of the columns, `epoch(deadline)` is a moment since 1970."""

    def __init__(
        self, database: Database, names: Mapping[str, str], tables: tuple[str, str], mode: int,
        profiles: Profiles, epoch: Callable[[float], float],
    ) -> None:  # fmt: skip
        self.database, self.mode, self.profiles, self.epoch = database, mode, profiles, epoch
        self.names = {name: identifier(column) for name, column in names.items()}
        self.dialogs, self.variables = map(identifier, tables)
        own, theirs = [self.names[name] for name in COLUMNS], [self.names[name] for name in VARIABLES]
        self._insert = self._inserting(self.dialogs, own)
        self._insert_variable = self._inserting(self.variables, theirs)
        self._delete = f"DELETE FROM {self.dialogs} WHERE {own[0]} = ? AND {own[1]} = ?"
        self._delete_variables = f"DELETE FROM {self.variables} WHERE {theirs[0]} = ? AND {theirs[1]} = ?"
        self._select = f"SELECT {', '.join(own)} FROM {self.dialogs}"
        self._select_variables = f"SELECT {', '.join(theirs)} FROM {self.variables}"

    @staticmethod
    def _inserting(table: str, names: list[str]) -> str:
        return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"

    # Out

    def changed(self, dialog: Dialog) -> None:
        """A dialog is not what the database says. A call that rings is not written, as in Kamailio."""
        if self.mode == REALTIME and dialog.is_alive:
            self._post(self._statements(dialog))

    def forget(self, dialog: Dialog) -> None:
        """A dialog has ended."""
        if dialog.stored:
            dialog.stored = False
            self._post(self._deletion(dialog))

    def save(self, table: Table) -> int:
        """Write what has changed; how many dialogs."""
        wanted = [dialog for dialog in table if dialog.is_alive and (dialog.changed or not dialog.stored)]
        for dialog in wanted:
            self._post(self._statements(dialog))
        return len(wanted)

    def _post(self, statements: list[Statement]) -> None:
        try:
            for sql, row in statements:
                self.database.post(sql, row)
        except StoreError as error:
            log.error("%s", error)

    def _deletion(self, dialog: Dialog) -> list[Statement]:
        place = (dialog.hash_entry, dialog.hash_id)
        return [(self._delete, place), (self._delete_variables, place)]

    def _statements(self, dialog: Dialog) -> list[Statement]:
        place = (dialog.hash_entry, dialog.hash_id)
        statements = self._deletion(dialog) if dialog.stored else []
        statements.append((self._insert, self._row(dialog)))
        for key, value in dialog.variables.items():
            statements.append((self._insert_variable, (*place, bound(key), bound(value))))
        dialog.stored, dialog.changed = True, False
        dialog.dflags &= ~128
        return statements

    def _row(self, dialog: Dialog) -> tuple[Any, ...]:
        caller, callee = dialog.caller, dialog.callee or Party()
        texts = (
            dialog.call_id, dialog.from_uri, caller.tag, dialog.to_uri, callee.tag, str(caller.cseq),
            str(callee.cseq), caller.routes, callee.routes, caller.contact, callee.contact, caller.socket,
            callee.socket,
        )  # fmt: skip
        until = dialog.data.get("dialog.until", dialog.deadline)
        return (
            dialog.hash_entry, dialog.hash_id, *map(bound, texts), dialog.state, int(dialog.start_epoch),
            int(self.epoch(until)), dialog.sflags, dialog.iflags, dialog.timeout_route or None,
            bound(dialog.request_uri), self._extra(dialog),
        )  # fmt: skip

    @staticmethod
    def _extra(dialog: Dialog) -> str:
        entries = []
        for profile in dialog.profiles:
            entry = {"name": profile.name, "value": profile.value, "puid": profile.key}
            entries.append({name: value for name, value in entry.items() if value})
        return json.dumps({"profiles": entries}, separators=(",", ":"))

    # In

    async def load(self, now_epoch: float, adopt: Adopt, call_id: str = "") -> int:
        """Read the dialogs of the database, or those of one Call-ID; how many were taken.

        Raises StoreError.
        """
        where, arguments = "", tuple[str | bytes, ...]()
        if call_id:
            where, arguments = f" WHERE {self.names['call_id']} = ?", (bound(call_id),)
        rows = await self.database.query(self._select + where, arguments)
        variables: dict[tuple[int, int], dict[str, str]] = {}
        for entry, number, key, value in await self.database.query(self._select_variables):
            variables.setdefault((entry, number), {})[text_of(key)] = text_of(value)
        taken = 0
        for row in rows:
            cells = dict(zip(COLUMNS, row, strict=True))
            dialog = self._read(cells)
            if dialog is None:
                continue
            dialog.variables = variables.get((dialog.hash_entry, dialog.hash_id), {})
            if adopt(dialog, float(cells["timeout"] or 0) - now_epoch):
                taken += 1
                for name, value, key in _profiles(cells["xdata"]):
                    if name in self.profiles.valued:
                        self.profiles.add(dialog, name, value, key)
        return taken

    @staticmethod
    def _read(cells: dict[str, Any]) -> Dialog | None:
        if cells["state"] not in (ANSWERED, CONFIRMED, ENDED) or not cells["call_id"]:
            return None
        text = {name: text_of(value) for name, value in cells.items()}
        caller, callee = (
            Party(
                text[f"{side}_tag"], text[f"{side}_contact"], _number(text[f"{side}_cseq"]),
                text[f"{side}_route"], text[f"{side}_sock"],
            )
            for side in ("from", "to")
        )  # fmt: skip
        start = float(cells["start_time"] or 0)
        return Dialog(
            int(cells["h_entry"]), int(cells["h_id"]), text["call_id"], text["from_uri"], text["to_uri"],
            text["req_uri"], caller, callee, cells["state"], start, start,
            sflags=int(cells["sflags"] or 0), iflags=int(cells["iflags"] or 0),
            timeout_route=text["toroute_name"], stored=True,
        )  # fmt: skip


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _profiles(text: object) -> Iterator[tuple[str, str, str]]:
    try:
        entries = json.loads(text)["profiles"] if isinstance(text, str) and text else []
    except (ValueError, KeyError, TypeError):
        return
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield str(entry.get("name", "")), str(entry.get("value", "")), str(entry.get("puid", ""))
