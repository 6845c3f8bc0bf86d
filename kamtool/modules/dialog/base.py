"""What all parts of dialog share: the dialogs, and how one is found for the message at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ParseError
from kamtool.module import Host, Variable
from kamtool.modules.dialog.profiles import Profiles
from kamtool.modules.dialog.requests import Requests
from kamtool.modules.dialog.state import Dialog, Side
from kamtool.modules.dialog.table import Found, Table

if TYPE_CHECKING:
    from kamtool.modules.dialog.persistence import Persistence
    from kamtool.script.context import Context
    from kamtool.server.transaction import ServerTransaction
    from kamtool.sip.message import Message

MARK: Final = "dialog.dialog"
"""Where a message keeps its dialog, once dlg_manage, loose_route or dlg_get have found it."""
SIDE: Final = "dialog.side"
WISHES: Final = "dialog.wishes"
"""Where a message keeps what `$dlg_ctx` and `$dlg_var` were told before there was a dialog."""


class Wishes:
    """What a dialog shall have as soon as there is one."""

    __slots__ = ("bye", "flags", "on", "timeout", "timeout_route", "variables")

    def __init__(self) -> None:
        self.timeout = self.flags = self.on = 0
        self.bye = False
        self.timeout_route = ""
        self.variables: dict[str, str] = {}


class Parts:
    """One part of the module."""

    server: Host
    table: Table
    profiles: Profiles
    requests: Requests
    keeper: Persistence | None
    timeout_variable: Variable | None
    on_created: list[Callable[[Dialog, Context], None]]
    on_confirmed: list[Callable[[Dialog, Message], None]]
    on_request: list[Callable[[Dialog, Context], None]]
    on_ended: list[Callable[[Dialog, Any, str], None]]
    """Called with the dialog, the context of the message that ended it or None, and `bye`, `expired` or
    `failed`."""

    def search(self, msg: Message) -> Found | None:
        """The dialog that a message belongs to by its Call-ID and tags."""
        try:
            return self.table.search(msg.call_id, msg.from_tag, msg.to_tag)
        except ParseError:
            return None

    def marked(self, ctx: Context) -> Dialog | None:
        """The dialog that was found for this message."""
        if ctx._scratch is not None:
            dialog: Dialog | None = ctx._scratch.get(MARK)
            if dialog is not None:
                return dialog
        return None if ctx.transaction is None else of_transaction(ctx.transaction)

    def of(self, ctx: Context) -> Dialog | None:
        """The dialog of this message; one that nobody has asked for yet is looked for."""
        dialog = self.marked(ctx)
        if dialog is None and len(self.table):
            found = self.search(ctx.msg)
            return found[0] if found else None
        return dialog

    @staticmethod
    def mark(ctx: Context, dialog: Dialog, side: Side) -> None:
        ctx.scratch[MARK], ctx.scratch[SIDE] = dialog, side


class Follower:
    """In the watchers of a transaction: the dialog that it belongs to."""

    __slots__ = ("dialog",)

    def __init__(self, dialog: Dialog) -> None:
        self.dialog = dialog

    def responded(self, tx: ServerTransaction, status: int, data: bytes) -> None:
        """Nothing: what changes a dialog is seen elsewhere."""

    def failing(self, tx: ServerTransaction, branch: int) -> None:
        """Nothing: the answer goes on."""


def of_transaction(tx: ServerTransaction) -> Dialog | None:
    """The dialog of a transaction."""
    for watcher in tx.watchers:
        if isinstance(watcher, Follower):
            return watcher.dialog
    return None
