"""The functions of dialog."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from kamtool.errors import ScriptError, StoreError
from kamtool.module import ANY, REQUEST_ROUTE, Plain, Variable, function
from kamtool.modules.dialog.base import WISHES, Wishes
from kamtool.modules.dialog.bridge import Bridging
from kamtool.modules.dialog.requests import other
from kamtool.modules.dialog.state import KEEP_CALLEE, KEEP_CALLER, NO_RESET, Dialog, Side
from kamtool.modules.dialog.tracking import Tracking
from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.dialog")

PROPERTIES = {"ka-src": KEEP_CALLER, "ka-dst": KEEP_CALLEE, "timeout-noreset": NO_RESET}


class DialogFunctions(Tracking, Bridging):
    """What a cfg calls."""

    known_variables: dict[str, Variable]
    known_formats: dict[str, Callable[[Context], str]]

    @function("dlg_manage", routes=REQUEST_ROUTE)
    def dlg_manage(self, ctx: Context) -> bool:
        """Track the dialog that this INVITE opens, or find the one that this request is in.

        Call it before t_relay and record_route, or after loose_route. False when there is no dialog.
        """
        msg = ctx.msg
        if self.marked(ctx) is not None:
            return True
        if msg.to_tag:
            return self.manage_within(ctx) is not None
        if msg.method == "CANCEL":
            return self.of(ctx) is not None
        return msg.method == "INVITE" and self.manage_initial(ctx) is not None

    @function("is_known_dlg", routes=ANY)
    def is_known_dlg(self, ctx: Context) -> bool:
        """Whether this message belongs to a dialog that is tracked."""
        return self.of(ctx) is not None

    @function("dlg_get", routes=ANY)
    def dlg_get(self, ctx: Context, call_id: str, from_tag: str, to_tag: str) -> bool:
        """Make another dialog the one that the functions and variables mean from here on."""
        if not call_id or not from_tag:
            raise ScriptError("dlg_get needs a Call-ID and a From tag")
        found = self.table.search(call_id, from_tag, to_tag)
        if found is None:
            return False
        self.mark(ctx, *found)
        return True

    # Profiles

    @function("set_dlg_profile", routes=ANY)
    def set_dlg_profile(self, ctx: Context, profile: str, value: str = "") -> bool:
        """Put the dialog into a profile. It counts as often as it is put there."""
        dialog = self.of(ctx)
        if dialog is None:
            logger.error("set_dlg_profile: there is no dialog, call dlg_manage first")
            return False
        self.profiles.add(dialog, profile, value)
        dialog.change()
        self._store(dialog)
        return True

    @function("unset_dlg_profile", routes=ANY)
    def unset_dlg_profile(self, ctx: Context, profile: str, value: str = "") -> bool:
        """Take the dialog out of a profile; false when it is not in it."""
        dialog = self.of(ctx)
        if dialog is None or not self.profiles.discard(dialog, profile, value):
            return False
        dialog.change()
        self._store(dialog)
        return True

    @function("is_in_profile", routes=ANY)
    def is_in_profile(self, ctx: Context, profile: str, value: str | None = None) -> bool:
        """Whether the dialog is in a profile, with this value if one is given."""
        dialog = self.of(ctx)
        return dialog is not None and self.profiles.holds(dialog, profile, value)

    @function("get_profile_size", routes=ANY, arities=(2, 3))
    def get_profile_size(self, ctx: Context, profile: str, *rest: Plain) -> bool:
        """Put the number of dialogs in a profile into the last parameter; one before it is the value."""
        variable = self._variable(rest[-1])
        value = self._format(rest[0])(ctx) if len(rest) == 2 else None
        variable.set(ctx, self.profiles.size(profile, value))
        return True

    def _variable(self, text: str) -> Variable:
        found = self.known_variables.get(text)
        if found is None:
            found = self.known_variables[text] = self.server.variable(text)
        return found

    def _format(self, text: str) -> Callable[[Context], str]:
        found = self.known_formats.get(text)
        if found is None:
            found = self.known_formats[text] = self.server.format(text)
        return found

    @function("dlg_set_timeout_by_profile", routes=ANY, arities=(2, 3))
    def dlg_set_timeout_by_profile(self, ctx: Context, profile: str, value: str, seconds: str = "") -> bool:
        """Let every dialog in a profile, with this value if one is given, time out in so many seconds."""
        number = seconds or value
        members = self.profiles.members(profile, value if seconds else None)
        return self._prolong(members, number)

    @function("dlg_remote_profile", routes=ANY)
    def dlg_remote_profile(
        self, ctx: Context, command: str, profile: str, value: str, uid: str, expires: int
    ) -> bool:
        """`add` or `rm` a dialog of another server in a profile; it counts until `expires`, epoch seconds."""
        if command == "add":
            self.profiles.add_remote(profile, value, uid, expires)
            return True
        if command != "rm":
            raise ScriptError(f"dlg_remote_profile: {command!r} is neither `add` nor `rm`")
        self.profiles.remove_remote(profile, value, uid)
        return True

    # Flags and properties

    def _changed_flags(self, ctx: Context, flag: int, on: bool) -> bool:
        if not 0 <= flag < 32:
            return False
        dialog = self.of(ctx)
        if dialog is None:
            wishes: Wishes = ctx.scratch.setdefault(WISHES, Wishes())
            wishes.flags = wishes.flags | 1 << flag if on else wishes.flags & ~(1 << flag)
            return True
        dialog.sflags = dialog.sflags | 1 << flag if on else dialog.sflags & ~(1 << flag)
        dialog.change()
        self._store(dialog)
        return True

    @function("dlg_setflag", routes=ANY)
    def dlg_setflag(self, ctx: Context, flag: int) -> bool:
        """Set a flag of the dialog, 0 to 31."""
        return self._changed_flags(ctx, flag, True)

    @function("dlg_resetflag", routes=ANY)
    def dlg_resetflag(self, ctx: Context, flag: int) -> bool:
        """Clear a flag of the dialog."""
        return self._changed_flags(ctx, flag, False)

    @function("dlg_isflagset", routes=ANY)
    def dlg_isflagset(self, ctx: Context, flag: int) -> bool:
        """Whether a flag of the dialog is set."""
        dialog = self.of(ctx)
        wishes = ctx._scratch.get(WISHES) if ctx._scratch else None
        flags = dialog.sflags if dialog is not None else wishes.flags if wishes else 0
        return 0 <= flag < 32 and bool(flags & 1 << flag)

    @function("dlg_set_property", routes=ANY)
    def dlg_set_property(self, ctx: Context, name: str) -> bool:
        """`ka-src`, `ka-dst`: ask that side now and then whether it is still there. `timeout-noreset`."""
        return self._property(ctx, name, True)

    @function("dlg_reset_property", routes=ANY)
    def dlg_reset_property(self, ctx: Context, name: str) -> bool:
        """Take back what dlg_set_property set."""
        return self._property(ctx, name, False)

    def _property(self, ctx: Context, name: str, on: bool) -> bool:
        dialog, bit = self.of(ctx), PROPERTIES.get(name)
        if bit is None:
            raise ScriptError(f"{name!r} is no property; there are {', '.join(PROPERTIES)}")
        if dialog is None:
            return False
        dialog.iflags = dialog.iflags | bit if on else dialog.iflags & ~bit
        dialog.change()
        self._store(dialog)
        return True

    # Time and end

    @function("dlg_set_timeout", routes=ANY, arities=(1, 3))
    def dlg_set_timeout(self, ctx: Context, seconds: str, entry: str = "", number: str = "") -> bool:
        """Let the dialog, or the one with this `h_entry` and `h_id`, time out in so many seconds."""
        if entry:
            if not entry.isdigit() or not number.isdigit():
                raise ScriptError("dlg_set_timeout: h_entry and h_id are numbers")
            dialog = self.table.get(int(entry), int(number))
        else:
            dialog = self.of(ctx)
        return dialog is not None and self._prolong([dialog], seconds)

    def _prolong(self, dialogs: Iterable[Dialog], seconds: str) -> bool:
        if not seconds.isdigit() or int(seconds) <= 0:
            logger.error("invalid timeout %r", seconds)
            return False
        for dialog in dialogs:
            dialog.lifetime = int(seconds)
            if dialog.is_alive:
                self.prolong(dialog)
            dialog.change()
            self._store(dialog)
        return True

    @function("dlg_bye", "dlg_terminate", routes=ANY)
    def dlg_bye(self, ctx: Context, side: str) -> bool:
        """Send BYE to the `caller`, the `callee` or `all`; false in a call that was not answered yet.

        The call is over then, also for the side that got none.
        """
        dialog = self.of(ctx)
        if side not in ("caller", "callee", "all"):
            raise ScriptError(f"dlg_bye: {side!r} is neither `caller` nor `callee` nor `all`")
        if dialog is None or not dialog.is_alive:
            return False
        if side == "all":
            return self.terminate(dialog)
        self.bye(dialog, "caller" if side == "caller" else "callee")
        self._end(dialog, None, "bye")
        return True

    @function("dlg_set_ruri", routes=ANY)
    def dlg_set_ruri(self, ctx: Context) -> bool:
        """Put the Contact of the side that this request goes to into the R-URI."""
        dialog = self.of(ctx)
        if dialog is None:
            return False
        sender: Side | None = dialog.direction(ctx.msg.from_tag, ctx.msg.to_tag)
        contact = dialog.side(other(sender)).contact if sender else ""
        if not contact:
            return False
        ctx.new_uri = contact
        return True

    # The database

    @function("dlg_db_load_callid", routes=ANY)
    async def dlg_db_load_callid(self, ctx: Context, call_id: str) -> bool:
        """Read a dialog that another server wrote to the database, by its Call-ID."""
        return await self._load(call_id)

    @function("dlg_db_load_extra", routes=ANY)
    async def dlg_db_load_extra(self, ctx: Context) -> bool:
        """Read all dialogs from the database that are not known here."""
        return await self._load("")

    async def _load(self, call_id: str) -> bool:
        if self.keeper is None:
            logger.error("there is no database of dialogs: db_mode is 0")
            return False
        try:
            return await self.keeper.load(time.time(), self.adopt, call_id) > 0
        except StoreError as error:
            logger.error("%s", error)
            return False
