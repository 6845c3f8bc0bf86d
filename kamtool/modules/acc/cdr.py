"""CDRs: one record a call, in the log and in a database, when its dialog ends."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, StoreError
from kamtool.modules.acc import extra
from kamtool.script.levels import python_level
from kamtool.server.listen import event_context
from kamtool.store.select import bound, identifier
from kamtool.store.times import to_julian

if TYPE_CHECKING:
    from kamtool.modules.acc import Acc
    from kamtool.modules.dialog import DialogModule
    from kamtool.modules.dialog.state import Dialog
    from kamtool.script.context import Context
    from kamtool.sip.message import Message

logger = logging.getLogger("kamtool.modules.acc")


class Cdrs:
    """The records of calls. Their moments stand in the dialog's variables, so they outlive a restart."""

    def __init__(self, acc: Acc, sink: logging.Logger) -> None:
        self.acc, self.sink = acc, sink
        found = acc.server.modules.get("dialog")
        if found is None:
            raise ConfigError("acc: cdr_enable needs dialog.so", hint='loadmodule "dialog.so"', code="KT1201")
        self.dialogs = cast("DialogModule", found)
        self.extras = extra.parse(acc.server, acc.cdr_extra, "cdr_extra", acc.cdr_extra_size)
        self.start, self.end, self.duration = acc.cdr_start_id, acc.cdr_end_id, acc.cdr_duration_id
        self.dialogs.on_created.append(self.created)
        self.dialogs.on_confirmed.append(self.confirmed)
        self.dialogs.on_ended.append(self.ended)
        names = [self.start, self.end, self.duration, *self.extras.names]
        self.insert = ""
        if acc.cdrs_table:
            if not acc.db_url:
                raise ConfigError("acc: cdrs_table needs db_url", code="KT1201")
            self.insert = (
                f"INSERT INTO {identifier(acc.cdrs_table)} ({', '.join(map(identifier, names))}) "
                f"VALUES ({', '.join('?' * len(names))})"
            )

    def created(self, dialog: Dialog, ctx: Context) -> None:
        """A call begins."""
        now = f"{time.time():.3f}"
        for name, value in ((self.start, now), (self.end, now), (self.duration, "0")):
            self.dialogs.set_variable(dialog, name, value)

    def confirmed(self, dialog: Dialog, response: Message) -> None:
        """It is answered."""
        if self.acc.cdr_start_on_confirmed:
            self.dialogs.set_variable(dialog, self.start, f"{time.time():.3f}")

    def ended(self, dialog: Dialog, ctx: Context | None, how: str) -> None:
        """It is over: `bye`, `expired` or `failed`."""
        acc = self.acc
        if acc.cdr_skip and dialog.variables.get(acc.cdr_skip) is not None:
            return
        if (how == "failed" and not acc.cdr_on_failed) or (
            how == "expired" and not acc.cdr_expired_dlg_enable
        ):
            return
        start = float(dialog.variables.get(self.start) or dialog.init_epoch)
        end = start if how == "failed" else max(time.time(), start)
        # Milliseconds are all that is kept, and the duration is the difference of what is told.
        end = round(end, 3)
        duration = round(end - start, 3)
        dialog.variables[self.end] = f"{end:.3f}"
        dialog.variables[self.duration] = f"{duration:g}" if not duration else f"{duration:.3f}"
        own: Any = ctx
        if ctx is None:
            own = event_context(acc.server)
            self.dialogs.mark(own, dialog, "caller")
        elif self.dialogs.marked(ctx) is None:
            own = ctx.fork()
            own._scratch = dict(ctx._scratch or {})
            self.dialogs.mark(own, dialog, "caller")
        self._write(dialog, start, end, duration, self.extras.of(own))

    def _write(self, dialog: Dialog, start: float, end: float, duration: float, extras: extra.Pairs) -> None:
        acc = self.acc
        if acc.cdr_log_enable:
            shown = [(name, dialog.variables[name]) for name in (self.start, self.end, self.duration)]
            shown += [(name, value or "") for name, value in extras]
            line = "; ".join(f"{name}={value}" for name, value in shown)
            self.sink.log(python_level(acc.log_level), "%s", line)
        if self.insert and acc.database is not None:
            nothing = None if acc.cdr_extra_nullable else ""
            rest = [nothing if value is None else bound(value) for _, value in extras]
            try:
                acc.database.post(self.insert, (to_julian(start), to_julian(end), duration, *rest))
            except StoreError as error:
                logger.error("%s", error)
