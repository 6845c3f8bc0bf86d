"""The pseudo-variables of dialog."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kamtool.errors import ScriptError
from kamtool.module import Routes, Value, pv
from kamtool.modules.dialog.base import MARK, SIDE, WISHES, Wishes
from kamtool.modules.dialog.ending import Ending
from kamtool.modules.dialog.state import TIMEOUT_BYE, Dialog
from kamtool.script.values import to_int

if TYPE_CHECKING:
    from kamtool.script.context import Context

ATTRIBUTES: Final[dict[str, Callable[[Dialog], Value]]] = {
    "h_id": lambda d: d.hash_id,
    "h_entry": lambda d: d.hash_entry,
    "ref": lambda d: 2 if d.state != 5 else 1,
    "state": lambda d: d.state,
    "to_rs": lambda d: (d.callee.routes or None) if d.callee else None,
    "from_rs": lambda d: d.caller.routes or None,
    "dflags": lambda d: d.dflags,
    "sflags": lambda d: d.sflags,
    "callid": lambda d: d.call_id,
    "to_uri": lambda d: d.to_uri,
    "to_tag": lambda d: (d.callee.tag or None) if d.callee else None,
    "from_uri": lambda d: d.from_uri,
    "from_tag": lambda d: d.caller.tag,
    "toroute": lambda d: 1 if d.timeout_route else 0,
    "lifetime": lambda d: d.lifetime,
    "start_ts": lambda d: int(d.start_epoch),
    "to_cseq": lambda d: str(d.callee.cseq) if d.callee else None,
    "from_cseq": lambda d: str(d.caller.cseq),
    "to_contact": lambda d: (d.callee.contact or None) if d.callee else None,
    "from_contact": lambda d: d.caller.contact or None,
    "to_bindaddr": lambda d: d.callee.socket if d.callee else None,
    "from_bindaddr": lambda d: d.caller.socket,
}

SETTINGS: Final = ("on", "flags", "timeout", "timeout_bye", "timeout_route", "timeout_route_id", "set", "dir")
SIDES: Final = {"caller": 1, "callee": 2}

_FORM: Final = "|".join(ATTRIBUTES)
_CONTEXT_FORM: Final = "|".join(SETTINGS)


class DialogVariables(Ending):
    """`$dlg`, `$dlg_ctx`, `$dlg_var` and the old three."""

    @pv("DLG_count", kind=int)
    def dlg_count(self, ctx: Context) -> Value:
        """How many calls are ringing or answered."""
        return self.server.stats["dialog:active_dialogs"]

    @pv("DLG_status", kind=int)
    def dlg_status(self, ctx: Context) -> Value:
        """The state of the dialog this request is in: 3 without its ACK, 4 confirmed, 5 ended."""
        dialog = self._request_dialog(ctx)
        return None if dialog is None else dialog.state

    @pv("DLG_lifetime", kind=int)
    def dlg_lifetime(self, ctx: Context) -> Value:
        """For how many seconds the call has been answered."""
        dialog = self._request_dialog(ctx)
        if dialog is None:
            return None
        end = dialog.end_epoch or time.time()
        return int(end) - int(dialog.start_epoch) if dialog.start_epoch else 0

    @staticmethod
    def _request_dialog(ctx: Context) -> Dialog | None:
        if not ctx.msg.is_request or not ctx.msg.to_tag or ctx.route_kind is Routes.ONREPLY:
            return None
        return ctx._scratch.get(MARK) if ctx._scratch is not None else None

    @pv("dlg", inner_required=True, form=_FORM)
    def dlg(self, ctx: Context, inner: str) -> Value:
        """An attribute of the dialog: `state`, `h_entry`, `h_id`, `callid`, `from_tag`, `to_contact`, …"""
        dialog = self.of(ctx)
        return None if dialog is None else ATTRIBUTES[inner](dialog)

    @pv("dlg_ctx", setter="set_dlg_ctx", inner_required=True, form=_CONTEXT_FORM)
    def dlg_ctx(self, ctx: Context, inner: str) -> Value:
        """What the script wishes for the dialog: `timeout`, `timeout_bye`, `timeout_route`, `flags`, `on`.

        `set` is 1 when a dialog was found for this message, `dir` is 1 when the caller sent it, 2 when the
        callee did, 0 when that is not known.
        """
        if inner == "set":
            return int(self.marked(ctx) is not None)
        if inner == "dir":
            return self._direction(ctx)
        wishes: Wishes | None = ctx._scratch.get(WISHES) if ctx._scratch else None
        if wishes is None:
            return None if inner == "timeout_route" else 0
        match inner:
            case "timeout_bye":
                return int(wishes.bye)
            case "timeout_route":
                return wishes.timeout_route or None
            case "timeout_route_id":
                return int(bool(wishes.timeout_route))
            case "timeout":
                return wishes.timeout
            case "flags":
                return wishes.flags
        return wishes.on

    def _direction(self, ctx: Context) -> int:
        if ctx._scratch is None or not ctx.msg.is_request or not ctx.msg.to_tag:
            return 0
        return SIDES.get(ctx._scratch.get(SIDE, ""), 0)

    def set_dlg_ctx(self, ctx: Context, inner: str, value: Value) -> None:
        wishes: Wishes = ctx.scratch.setdefault(WISHES, Wishes())
        dialog = self.marked(ctx)
        match inner:
            case "timeout":
                self._wish_timeout(wishes, dialog, to_int(value or 0))
            case "timeout_bye":
                wishes.bye = bool(to_int(value or 0))
                if dialog is not None:
                    bit = TIMEOUT_BYE if wishes.bye else 0
                    dialog.iflags = dialog.iflags & ~TIMEOUT_BYE | bit
            case "timeout_route":
                wishes.timeout_route = "" if value is None else str(value)
                if dialog is not None:
                    dialog.timeout_route = wishes.timeout_route
            case "flags":
                wishes.flags = to_int(value or 0)
                if dialog is not None:
                    dialog.sflags = wishes.flags
            case "on":
                wishes.on = to_int(value or 0)
            case _:
                raise ScriptError(f"$dlg_ctx({inner}) cannot be assigned")
        if dialog is not None:
            dialog.change()
            self._store(dialog)

    def _wish_timeout(self, wishes: Wishes, dialog: Dialog | None, seconds: int) -> None:
        wishes.timeout = max(0, seconds)
        if dialog is not None and seconds > 0:
            dialog.lifetime = seconds
            if dialog.is_alive:
                self.prolong(dialog)

    @pv("dlg_var", setter="set_dlg_var", inner_required=True)
    def dlg_var(self, ctx: Context, inner: str) -> Value:
        """A variable of the dialog, text; set before dlg_manage it waits for the dialog."""
        dialog = self.of(ctx)
        if dialog is not None:
            return dialog.variables.get(inner)
        wishes: Wishes | None = ctx._scratch.get(WISHES) if ctx._scratch else None
        return None if wishes is None else wishes.variables.get(inner)

    def set_dlg_var(self, ctx: Context, inner: str, value: Value) -> None:
        if type(value) is int:
            raise ScriptError(f"$dlg_var({inner}) holds text, not the number {value}")
        text = None if value is None else str(value)
        dialog = self.of(ctx)
        if dialog is not None:
            self.set_variable(dialog, inner, text)
            return
        wishes: Wishes = ctx.scratch.setdefault(WISHES, Wishes())
        if text is None:
            wishes.variables.pop(inner, None)
        else:
            wishes.variables[inner] = text
