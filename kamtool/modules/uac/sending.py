"""$uac_req and uac_req_send: requests that a script makes."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from os import urandom
from typing import TYPE_CHECKING, Any, Final, cast

from kamtool.errors import ParseError, ScriptError, TransportError
from kamtool.module import ANY, Host, Value, function, pv
from kamtool.modules.uac.credentials import (
    HASHED_MODE,
    Account,
    authorization,
    challenges_of,
    choose,
    header_of,
)
from kamtool.script.context import Context
from kamtool.script.values import to_int
from kamtool.server.listen import event_context
from kamtool.server.uac import header_lines
from kamtool.sip.flow import Socket
from kamtool.sip.message import Response

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.uac")

PLACE: Final = "uac.request"
REPLY: Final = "uac:reply"
ANSWERED, FAILED = 1, 2

TEXTS: Final = (
    "method", "ruri", "furi", "turi", "ouri", "hdrs", "body", "callid", "sock", "auser", "apasswd", "evparam",
    "fromtag", "totag",
)  # fmt: skip
NUMBERS: Final = ("cseqno", "evroute", "evcode", "evtype", "apasswd_mode")
_FORM: Final = "|".join(("all", *TEXTS, *NUMBERS))


@dataclass(slots=True)
class Wanted:
    """A request in the making, and for the event_route what came of it."""

    texts: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def get(self, name: str) -> str:
        return self.texts.get(name, "")


class Sending:
    """Requests out of a script."""

    server: Host
    accounts: list[Account]
    socket: Socket | None

    @pv("uac_req", setter="set_uac_req", inner_required=True, form=_FORM)
    def uac_req(self, ctx: Context, inner: str) -> Value:
        """The request that uac_req_send sends: `method`, `ruri`, `furi`, `turi`, `ouri` (first hop), `hdrs`,
        `body`, `callid`, `sock`, `auser` and `apasswd`, `evroute`, `evparam`.

        In event_route[uac:reply] `evcode` is the status and `evtype` 1 for a response, 2 for none. Assign
        `$null` to `all` to begin anew.
        """
        wanted: Wanted | None = ctx._scratch.get(PLACE) if ctx._scratch else None
        if inner in NUMBERS:
            return 0 if wanted is None else wanted.numbers.get(inner, 0)
        return None if wanted is None else wanted.texts.get(inner)

    def set_uac_req(self, ctx: Context, inner: str, value: Value) -> None:
        if inner == "all":
            ctx.scratch[PLACE] = Wanted()
            return
        wanted: Wanted = ctx.scratch.setdefault(PLACE, Wanted())
        if inner in NUMBERS:
            wanted.numbers[inner] = to_int(value or 0)
        elif value is None:
            wanted.texts.pop(inner, None)
        else:
            wanted.texts[inner] = str(value)

    @function("uac_req_send", routes=ANY)
    def uac_req_send(self, ctx: Context) -> bool:
        """Send what `$uac_req(…)` says; the script goes on at once. False without method, ruri or furi.

        With `evroute` 1 the answer is told to event_route[uac:reply]. A 401 or 407 is answered with `auser`
        and `apasswd`.
        """
        wanted: Wanted | None = ctx._scratch.get(PLACE) if ctx._scratch else None
        if wanted is None or not (wanted.get("method") and wanted.get("ruri") and wanted.get("furi")):
            log.error("uac_req_send: $uac_req needs method, ruri and furi")
            return False
        text = wanted.get("sock")
        socket = _socket(self.server, text) if text else self.socket
        if text and socket is None:
            raise ScriptError(f"$uac_req(sock): {text!r} is no socket of ours")
        mine = replace(wanted, texts=dict(wanted.texts), numbers=dict(wanted.numbers))
        self.server.spawn(self._send(mine, socket), f"{mine.get('method')} to {mine.get('ruri')}")
        return True

    async def _send(self, wanted: Wanted, socket: Socket | None) -> None:
        uac = cast("Server", self.server).uac
        get = wanted.get
        method, uri, body = get("method"), get("ruri"), get("body").encode("utf-8", "surrogateescape")
        number = wanted.numbers.get("cseqno", 0) or 10
        to = f"<{get('turi') or uri}>" + (f";tag={get('totag')}" if get("totag") else "")
        headers = [
            ("From", f"<{get('furi')}>;tag={get('fromtag') or urandom(8).hex()}"),
            ("To", to),
            ("Call-ID", get("callid") or f"{urandom(12).hex()}@uac"),
            *header_lines(get("hdrs")),
        ]
        extra: list[tuple[str, str]] = []
        for attempt in range(2):
            try:
                status, reply = await uac.request(
                    method, uri, [*headers, ("CSeq", f"{number + attempt} {method}"), *extra], body,
                    next_hop=get("ouri"), socket=socket,
                )  # fmt: skip
            except (ParseError, TransportError) as error:
                log.error("uac_req_send: %s to %s: %s", method, uri, error)
                status, reply = 477, None
            self._tell(wanted, status, reply)
            answered = self._answer(wanted, reply, method, uri, body) if not attempt else None
            if answered is None:
                return
            extra = [answered]

    def _answer(
        self, wanted: Wanted, reply: Response | None, method: str, uri: str, body: bytes
    ) -> tuple[str, str] | None:
        if reply is None or reply.status not in (401, 407):
            return None
        own: list[Account] = []
        if wanted.get("auser"):
            hashed = wanted.numbers.get("apasswd_mode", 0) == HASHED_MODE
            own = [Account(wanted.get("auser"), "", wanted.get("apasswd"), hashed)]
        found = choose(challenges_of(reply), [*own, *self.accounts])
        if found is None:
            return None
        try:
            return header_of(reply.status), authorization(*found, method, uri, body)
        except ParseError as error:
            log.error("uac_req_send: %s", error)
            return None

    def _tell(self, wanted: Wanted, status: int, reply: Response | None) -> None:
        if not wanted.numbers.get("evroute"):
            return
        told = replace(wanted, texts=dict(wanted.texts), numbers=dict(wanted.numbers))
        told.numbers["evcode"] = status
        told.numbers["evtype"] = FAILED if reply is None else ANSWERED
        server: Any = self.server
        ctx = event_context(server)
        if reply is not None:
            ctx = Context(server, reply, ctx.flow)
        server.run_event(REPLY, {PLACE: told}, ctx)


def _socket(server: Host, text: str) -> Socket | None:
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    return server.socket(transport, (host.strip("[]"), int(port))) if host and port.isdigit() else None
