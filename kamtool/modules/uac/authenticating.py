"""uac_auth: answer a 401 or 407 in the place of the phone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from kamtool.errors import ParseError
from kamtool.module import FAILURE_ROUTE, Host, Variable, function
from kamtool.modules.uac.credentials import CHALLENGES, Account, authorization, challenges_of, choose
from kamtool.sip.message import Response

if TYPE_CHECKING:
    from kamtool.script.context import Context

log = logging.getLogger("kamtool.modules.uac")

OURS = "uac.authorization"
HASHED = 1


class Authenticating:
    """Credentials for requests that go through."""

    server: Host
    accounts: list[Account]
    realm_variable: Variable | None
    username_variable: Variable | None
    password_variable: Variable | None

    @function("uac_auth", routes=FAILURE_ROUTE)
    def uac_auth(self, ctx: Context, mode: int = 0) -> bool:
        """In a failure_route: add credentials for the 401 or 407 that came; t_relay sends the request again.

        Those of the `auth_*_avp` are taken before those of `credential`. With 1 the password is HA1. False
        when there are none for its realm. CSeq grows when the module dialog tracks the call with
        `track_cseq_updates`.
        """
        reply = ctx.reply
        if not isinstance(reply, Response) or reply.status not in CHALLENGES:
            log.error("uac_auth: the reply is no 401 or 407")
            return False
        found = choose(challenges_of(reply), self._accounts(ctx, bool(mode & HASHED)))
        if found is None:
            log.error("%s: uac_auth: no credentials for what was asked", ctx.msg.call_id)
            return False
        challenge, account = found
        uri = ctx.transaction.branches[ctx.branch_index].uri
        try:
            value = authorization(challenge, account, ctx.msg.method, uri, ctx.msg.body)
        except ParseError as error:
            log.error("%s: uac_auth: %s", ctx.msg.call_id, error)
            return False
        self._add(ctx, CHALLENGES[reply.status][1], value)
        # A text of its own: so t_relay knows that it is to go to the same URI once more.
        ctx.new_uri = "".join(list(uri))
        self._count_again(ctx)
        return True

    @function("uac_auth_mode", routes=FAILURE_ROUTE)
    def uac_auth_mode(self, ctx: Context, mode: int) -> bool:
        """uac_auth(mode)."""
        return self.uac_auth(ctx, mode)

    def _accounts(self, ctx: Context, hashed: bool) -> list[Account]:
        def value(variable: Variable | None) -> str:
            return "" if variable is None else str(variable.get(ctx) or "")

        username, password = value(self.username_variable), value(self.password_variable)
        if username and password:
            return [Account(username, value(self.realm_variable), password, hashed), *self.accounts]
        return self.accounts

    @staticmethod
    def _add(ctx: Context, name: str, value: str) -> None:
        """Put the header in; the answer to an earlier challenge of the same kind goes."""
        ours: dict[str, Any] = ctx.scratch.setdefault(OURS, {})
        before = ours.get(name)
        if before is not None:
            ctx.edits = [edit for edit in ctx.edits if edit is not before]
        at = ctx.msg.head_end
        line = (at, at, f"{name}: {value}\r\n".encode("utf-8", "surrogateescape"))
        ours[name] = line
        if not ctx.edits:
            ctx.edits = []
        ctx.edits.append(line)

    def _count_again(self, ctx: Context) -> None:
        dialogs: Any = self.server.modules.get("dialog")
        if dialogs is not None:
            dialogs.count_again(ctx)
