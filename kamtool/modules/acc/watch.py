"""Transactions that may have to be accounted, and what becomes of them. Every call comes here: compiled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from kamtool.errors import ParseError, StoreError
from kamtool.modules.acc.extra import Extras, Legs
from kamtool.modules.acc.record import ACKNOWLEDGED, ANSWERED, MISSED, Record, Times
from kamtool.modules.acc.tables import quoted, stored
from kamtool.script.context import Context
from kamtool.script.levels import python_level
from kamtool.server.log_line import say
from kamtool.server.transaction import ServerTransaction
from kamtool.sip.message import Message, Response
from kamtool.sip.reasons import REASONS
from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.acc")

# What is Final, compiled code need not look up.
_Response: Final = Response
_reasons: Final = REASONS
_OK: Final = REASONS[200]
MOST_TABLES: Final = 256


class Masks:
    """The flags that ask for a record, as bits."""

    def __init__(self, log: int, missed_log: int, db: int, missed_db: int, failed: int) -> None:
        self.log, self.missed_log, self.db, self.missed_db = (
            mask(log),
            mask(missed_log),
            mask(db),
            mask(missed_db),
        )
        self.failed = mask(failed)
        self.any = self.log | self.missed_log | self.db | self.missed_db


class Rows:
    """Where records go as rows."""

    def __init__(
        self, database: Database, columns: list[str], table: Callable[[Context], str],
        missed_table: Callable[[Context], str],
    ) -> None:  # fmt: skip
        self.database, self.columns, self.table, self.missed_table = database, columns, table, missed_table
        self._statements: dict[tuple[str, ...], str] = {}

    def statement(self, table: str, legs: list[str]) -> str:
        """The SQL that inserts a row, with these columns for a leg."""
        key = (table, *legs)
        sql = self._statements.get(key)
        if sql is None:
            names = [quoted(name) for name in [*self.columns, *legs]]
            marks = ", ".join(["?"] * len(names))
            sql = f"INSERT INTO {quoted(table)} ({', '.join(names)}) VALUES ({marks})"
            if len(self._statements) >= MOST_TABLES:  # a table may be named by what a message holds
                self._statements.clear()
            self._statements[key] = sql
        return sql


class Accounting:
    """Makes the records of one server. `acc` is the module: its `live` parameters are read each time."""

    def __init__(
        self, acc: Any, masks: Masks, not_accounted: frozenset[int], times: Times, log_extras: Extras,
        db_extras: Extras, legs: Legs | None, sink: logging.Logger, rows: Rows | None,
    ) -> None:  # fmt: skip
        self.acc, self.masks, self.not_accounted, self.times = acc, masks, not_accounted, times
        self.log_extras, self.db_extras, self.legs, self.sink, self.rows = (
            log_extras,
            db_extras,
            legs,
            sink,
            rows,
        )
        self.detects_direction = bool(acc.detect_direction)

    def created(self, tx: ServerTransaction, ctx: Context) -> None:
        """A transaction begins: watch it if it is, or may be, marked."""
        acc = self.acc
        if tx.method == "CANCEL" and not acc.report_cancels:
            return
        if ctx.flags & (self.masks.any | mask(acc.acc_prepare_flag)) or acc.acc_prepare_always:
            watch = Watch(self, ctx)
            tx.watchers = (*tx.watchers, watch) if tx.watchers else (watch,)

    def answered(self, ctx: Context, flags: int, tx: ServerTransaction, response: Response) -> None:
        """Account a response that went upstream."""
        masks, status = self.masks, response.status
        to_log, to_db = flags & masks.log != 0, flags & masks.db != 0
        if not (to_log or to_db):
            return
        if status >= 300 and (not flags & masks.failed or status in self.not_accounted):
            return
        to_tag: str = response.to_tag
        # As Kamailio: of a response that was made here the record tells the standard's phrase.
        is_ours = tx.to_tag != "" and to_tag == tx.to_tag
        reason = _reasons.get(status, response.reason) if is_ours else self._reason(response)
        record = self.record(ANSWERED, ctx, to_tag, str(status), reason)
        self.write(record, ctx, to_log, to_db, False)

    def missed(self, ctx: Context, tx: ServerTransaction, branch: int) -> None:
        """Account a call that every branch refused, once for each time the flag was set."""
        masks = self.masks
        to_log, to_db = ctx.flags & masks.missed_log != 0, ctx.flags & masks.missed_db != 0
        if tx.method != "INVITE" or not (to_log or to_db):
            return
        client = tx.branches[branch]
        if client.reply is None:
            reason = client.reason or _reasons.get(client.status, "")
            to_tag = self.acc.server.replies.stateful_tag(tx)
        else:
            reason, to_tag = self._reason(client.reply), client.reply.to_tag
        ctx.flags &= ~(masks.missed_log | masks.missed_db)
        record = self.record(MISSED, ctx, to_tag, str(client.status), reason)
        self.write(record, ctx, to_log, to_db, True)

    def acknowledged(self, ctx: Context) -> None:
        """Account the ACK of a 2xx."""
        to_log, to_db = ctx.flags & self.masks.log != 0, ctx.flags & self.masks.db != 0
        if (to_log or to_db) and self.acc.server.transactions.has_dialog(ctx.msg):
            record = self.record(ACKNOWLEDGED, ctx, ctx.msg.to_tag, "200", _OK)
            self.write(record, ctx, to_log, to_db, False)

    def _reason(self, response: Response) -> str:
        if self.acc.reason_from_hf and (reason := response.header("Reason")):
            return reason
        return response.reason

    # Records

    def record(self, kind: str, ctx: Context, to_tag: str, code: str, reason: str) -> Record:
        """What all records tell, of this request."""
        msg = ctx.msg
        from_tag: str = msg.from_tag
        if self.detects_direction and self._is_upstream(ctx):
            from_tag, to_tag = to_tag, from_tag
        record = Record(kind, msg.method, from_tag, to_tag, msg.call_id, code, reason)
        if self.legs is not None:
            record.legs = self.legs.of(ctx)
        return record

    def _is_upstream(self, ctx: Context) -> bool:
        return to_tag_of(ctx.msg) != "" and bool(self.acc.server.modules["rr"].is_direction(ctx, "upstream"))

    def write(self, record: Record, ctx: Context, to_log: bool, to_db: bool, missed: bool) -> None:
        """Put a record into the log and, unless there is none, the database."""
        if to_log:
            level = python_level(self.acc.log_level)
            say(self.sink, level, record.line(self.times, self.log_extras.of(ctx)))
        rows = self.rows
        if to_db and rows is not None:
            table = (rows.missed_table if missed else rows.table)(ctx)
            for sql, row in self.statements(record, ctx, table):
                try:
                    rows.database.post(sql, row)
                except StoreError as error:
                    logger.error("%s", error)

    def statements(self, record: Record, ctx: Context, table: str) -> list[tuple[str, list[object]]]:
        """What puts a record into a table, a row for each leg."""
        assert self.rows is not None
        legs = [name for name, _ in record.legs[0]] if record.legs else []
        sql = self.rows.statement(table, legs)
        rows = record.rows(self.times, self.db_extras.of(ctx), nullable=bool(self.acc.acc_extra_nullable))
        return [(sql, [stored(value) for value in row]) for row in rows]


class Watch:
    """One transaction that may have to be accounted: its final responses are told, and that it fails."""

    def __init__(self, accounting: Accounting, ctx: Context) -> None:
        self.accounting, self.ctx, self.flags = accounting, ctx, ctx.flags
        self.seen: tuple[str, ...] = ()
        """The To-tags whose 2xx is accounted: a forked call has several, each comes more than once."""

    def responded(self, tx: ServerTransaction, status: int, data: bytes) -> None:
        """A response went upstream."""
        if status < 200 and (status <= 100 or not self.accounting.acc.early_media):
            return
        response = tx.relayed
        if response is None:
            response = _Response(data)
        if status < 200:
            if not response.body:
                return
        elif response.to_tag in self.seen:
            return
        else:
            self.seen = (*self.seen, response.to_tag)
        # As in Kamailio: what the script marks after t_newtran counts once it relays.
        flags = self.ctx.flags if tx.branches else self.flags
        self.accounting.answered(self.ctx, flags, tx, response)

    def failing(self, tx: ServerTransaction, branch: int) -> None:
        """Every branch has failed."""
        self.accounting.missed(self.ctx, tx, branch)


def mask(flag: int) -> int:
    """The bit of a flag; none for what is no flag."""
    return 1 << flag if 0 <= flag < 32 else 0


def to_tag_of(msg: Message) -> str:
    """The To tag; "" in a message whose To cannot be read."""
    try:
        tag: str = msg.to_tag
    except ParseError:
        return ""
    return tag
