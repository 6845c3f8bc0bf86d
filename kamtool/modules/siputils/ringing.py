"""siputils: 183 becomes 180 for calls that are ringing elsewhere already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.module import FAILURE_ROUTE, REQUEST_ROUTE, Host, Param, function
from kamtool.sip.message import Response

if TYPE_CHECKING:
    from kamtool.script.context import Context

RINGING = b"SIP/2.0 180 Ringing\r\n"


class RingingFunctions:
    """Calls to several phones: early media of one must not silence the ringing tone of the others."""

    server: Host

    ring_timeout = Param(0, "seconds for which `ring_insert_callid()` is remembered; 0: it does nothing")

    _until: dict[str, float]

    @function("ring_insert_callid", routes=REQUEST_ROUTE | FAILURE_ROUTE)
    def ring_insert_callid(self, ctx: Context) -> int:
        """From now on, and for `ring_timeout` seconds, a 183 of this call goes on as 180."""
        if self.ring_timeout <= 0:
            return 1
        server: Any = self.server
        responses = server.responses
        if responses.rewrite is None:
            self._until = {}
            responses.rewrite = self._ringing
        self._until[ctx.msg.call_id] = self.server.now() + self.ring_timeout
        self._forget()
        return 1

    def _forget(self) -> None:
        # All wait equally long, so the oldest stand first.
        now = self.server.now()
        for call_id in list(self._until):
            if self._until[call_id] > now:
                return
            del self._until[call_id]

    def _ringing(self, msg: Response) -> Response:
        if msg.status != 183 or self._until.get(msg.call_id, 0.0) <= self.server.now():
            return msg
        return Response(RINGING + msg.data[msg.first_line_end :])
