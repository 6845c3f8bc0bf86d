"""Account transactions and missed calls: in the log and in a database."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ConfigError, StoreError
from kamtool.module import ANY, Host, Module, Param, function
from kamtool.modules.acc import extra
from kamtool.modules.acc.facility import facility_number, sink
from kamtool.modules.acc.record import REQUESTED, Record, Times, comment
from kamtool.modules.acc.tables import look_at
from kamtool.modules.acc.watch import Accounting, Masks, Rows, to_tag_of
from kamtool.modules.db_sqlite import open_database

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.store.database import Database

logger = logging.getLogger("kamtool.modules.acc")

COLUMNS: Final = ("method", "from_tag", "to_tag", "callid", "sip_code", "sip_reason", "time")


class Acc(Module):
    """Writes a record of every transaction, missed call and request that the script marks with a flag.

    Set the flag (`log_flag`, `db_flag`) before `t_relay`; the record is made when the final response goes
    out. Failures need `failed_transaction_flag` too. With `cdr_enable` and the module dialog there is one
    record a call as well, when it ends.
    """

    depends = ("tm",)
    tables = ("acc", "missed_calls", "acc_cdrs")

    live = (
        "cdr_skip",
        "cdr_expired_dlg_enable",
        "cdr_start_on_confirmed",
        "cdr_log_enable",
        "cdr_on_failed",
        "cdr_extra_nullable",
        "early_media",
        "report_ack",
        "report_cancels",
        "log_level",
        "reason_from_hf",
        "acc_prepare_always",
        "acc_prepare_flag",
    )

    early_media = Param(0, "account provisional responses with a body as well")
    failed_transaction_flag = Param(-1, "the flag of transactions that are accounted also when they fail")
    failed_filter = Param("", "codes that are not accounted in spite of that flag: `404,407`")
    report_ack = Param(0, "account the ACK of a 2xx that has the flag")
    report_cancels = Param(0, "account CANCEL as well")
    detect_direction = Param(0, "swap From and To tag of requests that the callee sent; needs rr")
    acc_prepare_flag = Param(-1, "the flag of transactions that a failure_route may mark later")
    acc_prepare_always = Param(0, "let a failure_route mark any transaction")
    acc_extra_nullable = Param(0, "write NULL for an undefined pseudo-variable, not an empty text")
    acc_extra_size = Param(64, "the most names in log_extra and in db_extra")
    multi_leg_info = Param("", "AVPs with a value for each leg of the call: `src=$avp(src);dst=$avp(dst)`")
    log_flag = Param(-1, "the flag of transactions to account in the log")
    log_missed_flag = Param(-1, "the flag of calls to account in the log when they are missed")
    log_level = Param(1, "the level of the lines: -1 errors … 3 debug")
    log_facility = Param("LOG_DAEMON", "the syslog facility of the lines")
    log_extra = Param("", "what the lines tell as well: `name=$pv;name=$pv`")
    db_flag = Param(-1, "the flag of transactions to account in the database")
    db_missed_flag = Param(-1, "the flag of calls to account in the database when they are missed")
    db_url = Param("", "the database; none means that only the log is written")
    db_table_acc = Param("acc", "the table of transactions; pseudo-variables in it are expanded")
    db_table_missed_calls = Param("missed_calls", "the table of missed calls")
    db_extra = Param("", "further columns: `column=$pv;column=$pv`")
    db_insert_mode = Param(0, "accepted: rows are always written in batches beside the calls")
    acc_method_column = Param("method", "the column of the method")
    acc_from_tag_column = Param("from_tag", "the column of the From tag")
    acc_to_tag_column = Param("to_tag", "the column of the To tag")
    acc_callid_column = Param("callid", "the column of the Call-ID")
    acc_sip_code_column = Param("sip_code", "the column of the code")
    acc_sip_reason_column = Param("sip_reason", "the column of the reason")
    acc_time_column = Param("time", "the column of the time")
    time_mode = Param(
        0, "tell the time once more: 1 seconds and microseconds, 2 as a fraction, 3 local, 4 UTC"
    )
    time_attr = Param("", "the name and column of that time")
    time_exten = Param("", "the name and column of the microseconds")
    time_format = Param("%Y-%m-%d %H:%M:%S", "the form of that time in modes 3 and 4")
    reason_from_hf = Param(0, "take the reason from the response's first Reason header, if it has one")
    clone_msg = Param(1, "accepted: requests never change under a reader here")
    cdr_enable = Param(0, "1: one record a call (CDR), made when its dialog ends; needs dialog")
    cdr_skip = Param("", "a call with this dialog variable gets no CDR")
    cdr_expired_dlg_enable = Param(0, "1: a CDR also for calls that timed out")
    cdr_start_on_confirmed = Param(0, "1: a call begins with its answer, not with the INVITE")
    cdr_facility = Param("LOG_DAEMON", "the syslog facility of CDRs")
    cdr_extra = Param("", "what CDRs tell as well: `name=$pv;name=$pv`; columns of cdrs_table")
    cdr_extra_nullable = Param(0, "write NULL for an undefined pseudo-variable, not an empty text")
    cdr_extra_size = Param(64, "the most names in cdr_extra")
    cdr_start_id = Param("start_time", "the name, column and dialog variable of the beginning")
    cdr_end_id = Param("end_time", "the name, column and dialog variable of the end")
    cdr_duration_id = Param("duration", "the name, column and dialog variable of the seconds between")
    cdr_log_enable = Param(1, "0: no CDRs in the log")
    cdr_on_failed = Param(1, "0: no CDR for a call that was not answered")
    cdrs_table = Param("", "the table of CDRs, `acc_cdrs`; none means that only the log is written")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database: Database | None = None
        self.not_accounted: frozenset[int] = frozenset()
        self.legs: extra.Legs | None = None

    # Start

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """All that a start would refuse, but for the database."""
        self._check()
        return ()

    def _check(self) -> None:
        if self.detect_direction and "rr" not in self.server.modules:
            raise ConfigError("acc: detect_direction needs rr.so", hint='loadmodule "rr.so"', code="KT1201")
        if not 0 <= self.time_mode <= 4:
            raise ConfigError(f"acc: time_mode is 0 to 4, not {self.time_mode}", code="KT1201")
        self.not_accounted = _codes(self.failed_filter)
        extra.parse(self.server, self.log_extra, "log_extra", self.acc_extra_size)
        extra.parse(self.server, self.db_extra, "db_extra", self.acc_extra_size)
        for facility in (self.log_facility, self.cdr_facility):
            facility_number(facility)

    async def start(self) -> None:
        """Compile what records hold, open the database, watch the transactions."""
        self._check()
        self.log_extras = extra.parse(self.server, self.log_extra, "log_extra", self.acc_extra_size)
        self.db_extras = extra.parse(self.server, self.db_extra, "db_extra", self.acc_extra_size)
        self.legs = extra.Legs(self.server, self.multi_leg_info) if self.multi_leg_info else None
        self.times = Times(self.time_mode, self.time_attr, self.time_exten, self.time_format)
        masks = Masks(
            self.log_flag, self.log_missed_flag, self.db_flag if self.db_url else -1,
            self.db_missed_flag if self.db_url else -1, self.failed_transaction_flag,
        )  # fmt: skip
        rows = await self._open(masks) if self.db_url else None
        self.accounting = Accounting(
            self, masks, self.not_accounted, self.times, self.log_extras, self.db_extras, self.legs,
            sink(self.log_facility, "lines"), rows,
        )  # fmt: skip
        if self.cdr_enable:
            from kamtool.modules.acc.cdr import Cdrs

            Cdrs(self, sink(self.cdr_facility, "cdrs"))
        transactions = getattr(self.server, "transactions", None)
        if transactions is not None and (masks.any or self.acc_prepare_always):
            transactions.on_created.append(self.accounting.created)
            if self.report_ack:
                transactions.on_acknowledged.append(self.accounting.acknowledged)

    async def _open(self, masks: Masks) -> Rows:
        """Open the database and look at its tables: a column that is missing would lose every row."""
        self.database = await open_database(self.server, self.db_url, "acc")
        names = [getattr(self, f"acc_{name}_column") for name in COLUMNS]
        columns = [*names, *self.times.columns, *self.db_extras.names]
        for table, used in (
            (self.db_table_acc, masks.db),
            (self.db_table_missed_calls, masks.missed_db),
        ):
            if used and "$" not in table:
                await look_at(self.database, table, columns)
        table_of = self.server.format
        return Rows(self.database, columns, table_of(self.db_table_acc), table_of(self.db_table_missed_calls))

    # From the script

    @function("acc_log_request", routes=ANY)
    def acc_log_request(self, ctx: Context, text: str) -> bool:
        """Account this request in the log; `404 Not here` gives code and reason."""
        if not text:
            logger.error("acc_log_request: the comment is empty")
            return False
        self.accounting.write(self._requested(ctx, text), ctx, to_log=True, to_db=False, missed=False)
        return True

    @function("acc_db_request", routes=ANY)
    async def acc_db_request(self, ctx: Context, text: str, table: str) -> bool:
        """Account this request in a table; false when the row could not be written."""
        if not text or not table or self.database is None:
            logger.error("acc_db_request: needs a comment, a table and db_url")
            return False
        try:
            record = self._requested(ctx, text)
            await self.database.write_all(self.accounting.statements(record, ctx, table), durable=False)
        except StoreError as error:
            logger.error("acc_db_request: %s", error)
            return False
        return True

    @function("acc_request", routes=ANY)
    async def acc_request(self, ctx: Context, text: str, table: str) -> bool:
        """Account this request in the log and, with db_url, in a table."""
        logged = self.acc_log_request(ctx, text)
        return logged and (self.database is None or await self.acc_db_request(ctx, text, table))

    def _requested(self, ctx: Context, text: str) -> Record:
        code, reason = comment(text)
        return self.accounting.record(REQUESTED, ctx, to_tag_of(ctx.msg), code, reason)


def _codes(text: str) -> frozenset[int]:
    words = [word.strip() for word in text.split(",")] if text.strip() else []
    for word in words:
        if not re.fullmatch(r"[3-9][0-9]{2}", word):
            raise ConfigError(f"acc: failed_filter: {word!r} is no code from 300 to 999", code="KT1201")
    return frozenset(map(int, words))
