"""siputils: Remote-Party-ID from an AVP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.module import BRANCH_ROUTE, FAILURE_ROUTE, REQUEST_ROUTE, Host, Param, Variable, function
from kamtool.modules.siputils.numbers import is_e164
from kamtool.script import edits, uri_text
from kamtool.script.address_text import uri_of
from kamtool.script.values import to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context


class PartyFunctions:
    """The caller's identity that the database or RADIUS gave."""

    server: Host
    rpid_prefix = Param("", "what append_rpid_hf() puts before the identity")
    rpid_suffix = Param(
        ";party=calling;id-type=subscriber;screen=yes", "what append_rpid_hf() puts after the identity"
    )
    rpid_avp = Param("$avp(s:rpid)", "the AVP that holds the identity")

    _variable: Variable | None = None

    async def start(self) -> None:
        """Compile rpid_avp."""
        if self.rpid_avp:
            self._variable = self.server.variable(self.rpid_avp)

    def _rpid(self, ctx: Context) -> str:
        return to_str(self._variable.get(ctx)) if self._variable is not None else ""

    @function("append_rpid_hf", routes=REQUEST_ROUTE | BRANCH_ROUTE | FAILURE_ROUTE, arities=(0, 2))
    def append_rpid_hf(self, ctx: Context, prefix: str | None = None, suffix: str | None = None) -> bool:
        """Add a Remote-Party-ID of prefix, the AVP's value and suffix; false when the AVP is not set."""
        rpid = self._rpid(ctx)
        if not rpid:
            return False
        before = self.rpid_prefix if prefix is None else prefix
        after = self.rpid_suffix if suffix is None else suffix
        edits.append_header(ctx, f"Remote-Party-ID: {before}{rpid}{after}")
        return True

    @function("is_rpid_user_e164", routes=REQUEST_ROUTE)
    def is_rpid_user_e164(self, ctx: Context) -> bool:
        """True when the user of the identity is an E.164 number."""
        rpid = self._rpid(ctx)
        parts = uri_text.parts(uri_of(rpid) or rpid) if rpid else None
        return is_e164(rpid if parts is None else parts.user)
