"""dlg_refer and dlg_bridge: send the sides of a call elsewhere (RFC 3515)."""

from __future__ import annotations

import logging
from os import urandom
from typing import TYPE_CHECKING

from kamtool.errors import ParseError, ScriptError, TransportError
from kamtool.module import ANY, function
from kamtool.modules.dialog.ending import Ending
from kamtool.modules.dialog.legs import contact_of
from kamtool.modules.dialog.requests import Headers, routed
from kamtool.modules.dialog.state import Dialog, Side
from kamtool.sip.uri import parse_uri

if TYPE_CHECKING:
    from kamtool.script.context import Context

log = logging.getLogger("kamtool.modules.dialog")

HELD = (
    "v=0\r\no=kamtool 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
    "m=audio 9 RTP/AVP 8 0\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
)
"""An offer that sends and receives nothing: the address 0.0.0.0 is RFC 2543's way to hold."""


class Bridging(Ending):
    """Requests that make somebody call somebody else."""

    bridge_controller: str
    bridge_contact: str

    @function("dlg_refer", routes=ANY)
    def dlg_refer(self, ctx: Context, side: str, address: str) -> bool:
        """Ask the `caller` or `callee` to call `address` (REFER)."""
        dialog = self.of(ctx)
        if side not in ("caller", "callee"):
            raise ScriptError(f"dlg_refer: {side!r} is neither `caller` nor `callee`")
        if dialog is None or not dialog.is_alive:
            return False
        _checked(address)
        self.server.spawn(
            self._refer(dialog, "caller" if side == "caller" else "callee", address), f"REFER to the {side}"
        )
        return True

    async def _refer(self, dialog: Dialog, side: Side, address: str) -> None:
        """REFER, and BYE to both sides once it is accepted: the call goes on elsewhere."""
        status, _ = await self.requests.send(dialog, side, "REFER", self._refer_headers(address))
        if 200 <= status < 300:
            self.terminate(dialog)
        else:
            log.error("%s: the %s refused the REFER: %d", dialog.call_id, side, status)

    def _refer_headers(self, address: str) -> Headers:
        return [
            ("Referred-By", f"<{self.bridge_controller}>"),
            ("Refer-To", f"<{address}>"),
            ("Contact", f"<{self.bridge_contact}>"),
        ]

    @function("dlg_bridge", routes=ANY)
    def dlg_bridge(self, ctx: Context, caller: str, callee: str, proxy: str = "") -> bool:
        """Call `caller`, and once he answers ask him to call `callee`; `proxy` is the first hop to both."""
        self.begin_bridge(caller, callee, proxy, HELD)
        return True

    def begin_bridge(self, caller: str, callee: str, proxy: str, body: str) -> None:
        """INVITE on hold, REFER, BYE. Raises ScriptError for what is no SIP URI."""
        for uri in filter(None, (caller, callee, proxy)):
            _checked(uri)
        self.server.spawn(self._bridge(caller, callee, proxy, body), f"bridge of {caller} to {callee}")

    async def _bridge(self, caller: str, callee: str, proxy: str, body: str) -> None:
        uac = self._run.uac
        tag, call_id = urandom(8).hex(), f"{urandom(12).hex()}@bridge"
        base: Headers = [
            ("From", f"<{self.bridge_controller}>;tag={tag}"), ("To", f"<{caller}>"), ("Call-ID", call_id),
            ("Max-Forwards", "70"), ("Contact", f"<{self.bridge_contact}>"),
        ]  # fmt: skip
        offer = [("Content-Type", "application/sdp")] if body else []
        try:
            status, answer = await uac.request(
                "INVITE", caller, [*base, ("CSeq", "1 INVITE"), *offer], body.encode(), next_hop=proxy
            )
            if answer is None or not 200 <= status < 300:
                log.error("dlg_bridge: %s does not answer: %d", caller, status)
                return
            to = ("To", f"<{caller}>;tag={answer.to_tag}")
            routes = ",".join(reversed(answer.items("Record-Route")))
            uri, lines, next_hop = routed(contact_of(answer) or caller, routes)
            base[1] = to
            next_hop = next_hop or proxy
            refer = [*base[:4], *self._refer_headers(callee)]
            status, _ = await uac.request(
                "REFER", uri, [*refer, ("CSeq", "2 REFER"), *lines], next_hop=next_hop
            )
            if not 200 <= status < 300:
                log.error("dlg_bridge: %s refuses to call %s: %d", caller, callee, status)
            await uac.request("BYE", uri, [*base, ("CSeq", "3 BYE"), *lines], next_hop=next_hop)
        except (ParseError, TransportError) as error:
            log.error("dlg_bridge: %s: %s", caller, error)


def _checked(uri: str) -> None:
    try:
        parse_uri(uri)
    except ParseError as error:
        raise ScriptError(f"{uri!r} is no SIP URI") from error
