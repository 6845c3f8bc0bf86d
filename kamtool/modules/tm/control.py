"""tm: the control plane."""

from __future__ import annotations

from typing import Any

from kamtool.errors import KamtoolError, RpcError
from kamtool.module import rpc
from kamtool.modules.tm.base import Part
from kamtool.modules.tm.suspending import ids_of
from kamtool.server.transaction import ServerTransaction
from kamtool.server.uac import header_lines
from kamtool.sip.transaction import State

COUNTED = {
    "total": "tmx:UAS_transactions",
    "total_local": "tmx:UAC_transactions",
    "rpl_received": "tmx:received_replies",
    "rpl_generated": "tmx:local_replies",
    "rpl_sent": "tmx:relayed_replies",
    **{f"{n}xx": f"tmx:{n}xx_transactions" for n in range(6, 1, -1)},
}


def _given(text: str) -> str:
    """`.` stands for nothing, as kamcmd writes it."""
    return "" if text == "." else text


class Control(Part):
    """tm.stats, tm.cancel, tm.t_uac_wait …"""

    @rpc("tm.stats", workers="sum")
    def rpc_stats(self) -> dict[str, int]:
        """How many transactions there are and were, by final status."""
        held = self._host.transactions.by_label.values()
        waiting = sum(tx.is_answered for tx in held)
        stats = self._host.stats
        rows = {"current": len(held), "waiting": waiting}
        rows |= {name: stats.get(key, 0) for name, key in COUNTED.items()}
        total = rows["total"] + rows["total_local"]
        rows["created"], rows["freed"], rows["delayed_free"] = total, total - len(held), 0
        return rows

    @rpc("tm.hash_stats")
    def rpc_hash_stats(self) -> dict[str, int]:
        """Fill of the tables: transactions by key and by label, and deadlines that wait."""
        layer = self._host.transactions
        return {
            "by_key": len(layer.by_key),
            "by_label": len(layer.by_label),
            "expiries": layer.expiries.count(),
            "retransmissions": layer.retransmissions.count(),
        }

    @rpc("tm.list", workers="join")
    def rpc_list(self) -> list[dict[str, Any]]:
        """Every transaction that is under way. `tindex` and `tlabel` name it, as `$T(id_index)` does; so does
        `label`. `tflags` are the message flags of its request, `lifetime` the seconds of its longest timer.
        """
        return [self._row(tx) for tx in self._host.transactions.by_label.values()]

    def _row(self, tx: ServerTransaction) -> dict[str, Any]:
        index, label = ids_of(tx)
        msg = tx.ctx.msg if tx.ctx is not None else None
        ends = [machine.expire_at for machine in (tx, *tx.branches) if machine.expire_at]
        lines = {
            name: f"{name}: {msg.header(name) or ''}" if msg else "" for name in ("From", "To", "Call-ID")
        }
        return {
            "cell": hex(id(tx)),
            "tindex": index,
            "tlabel": label,
            "method": tx.method,
            "from": lines["From"],
            "to": lines["To"],
            "callid": lines["Call-ID"],
            "cseq": f"CSeq: {msg.cseq}" if msg else "",
            "uas_request": "yes" if tx.key else "no",
            "tflags": tx.ctx.flags if tx.ctx is not None else 0,
            "outgoings": len(tx.branches),
            "ref_count": tx.alive,
            "lifetime": max(0, round(max(ends) - self._host.transactions.now())) if ends else 0,
            "label": tx.label,
            "status": tx.status,
            "state": State(tx.state).name.lower(),
        }

    def _known(self, call_id: str, cseq: str) -> ServerTransaction:
        tx = self.by_call_id(call_id, cseq)
        if tx is None:
            raise RpcError(404, f"no transaction with Call-ID {call_id!r} and CSeq {cseq}")
        return tx

    @rpc("tm.clean", workers="all")
    def rpc_clean(self) -> None:
        """Forget transactions that have outlived every timer."""
        self._host.transactions.clean()

    @rpc("tm.cancel", workers="any")
    def rpc_cancel(self, call_id: str, cseq: str) -> None:
        """Cancel the INVITE with this Call-ID and CSeq number, as if its caller had; one of our own, too."""
        tx = self._known(call_id, cseq)
        if tx.method != "INVITE" or tx.is_answered:
            raise RpcError(400, "no INVITE that waits")
        self._host.relay.cancel_invite(tx)

    @rpc("tm.reply", workers="any")
    def rpc_reply(
        self, code: int, reason: str, trans_id: str, to_tag: str = "", headers: str = "", body: str = ""
    ) -> None:
        """Answer the transaction `tindex:tlabel`, or with this label (see tm.list). `.` leaves one out."""
        tx = self._host.transactions.by_label.get(trans_id) or self._by_ids(trans_id)
        if tx is None:
            raise RpcError(404, f"no transaction {trans_id!r}")
        self._answer(tx, code, reason, to_tag, headers, body)

    @rpc("tm.reply_callid", workers="any")
    def rpc_reply_callid(
        self, code: int, reason: str, call_id: str, cseq: str, to_tag: str = "", headers: str = "",
        body: str = "",
    ) -> None:  # fmt: skip
        """Answer the request with this Call-ID and CSeq number."""
        self._answer(self._known(call_id, cseq), code, reason, to_tag, headers, body)

    def _by_ids(self, text: str) -> ServerTransaction | None:
        index, _, label = text.partition(":")
        if not (index.isdigit() and label.isdigit()):
            return None
        wanted = int(index), int(label)
        return next((tx for tx in self._host.transactions.by_label.values() if ids_of(tx) == wanted), None)

    def _answer(
        self, tx: ServerTransaction, code: int, reason: str, to_tag: str, headers: str, body: str
    ) -> None:
        if not 100 <= code < 700:
            raise RpcError(400, f"{code} is no status")
        if _given(to_tag):
            tx.to_tag = to_tag
        text = _given(body).encode("utf-8", "surrogateescape")
        given = [pair for pair in header_lines(_given(headers)) if pair[0].lower() != "content-length"]
        if not self._host.replies.stateful(tx, code, reason, given, text):
            raise RpcError(400, "answered already")
        self._host.relay.answered(tx, code)

    @rpc("tm.t_uac_start")
    async def rpc_uac_start(
        self, method: str, ruri: str, nexthop: str = "", socket: str = "", headers: str = "", body: str = ""
    ) -> None:
        """Send a request; its response is not waited for. `.` leaves a parameter out."""
        work = self.rpc_uac_wait(method, ruri, nexthop, socket, headers, body)
        self._host.spawn(self._silently(work), "tm.t_uac_start")

    @staticmethod
    async def _silently(work: Any) -> None:
        await work

    @rpc("tm.t_uac_wait_block")
    async def rpc_uac_wait_block(
        self, method: str, ruri: str, nexthop: str = "", socket: str = "", headers: str = "", body: str = ""
    ) -> dict[str, Any]:
        """Send a request and give the status and the phrase of its final response. Nothing is held up."""
        answer = await self.rpc_uac_wait(method, ruri, nexthop, socket, headers, body)
        return {"code": answer["code"], "text": answer["reason"]}

    @rpc("tm.t_uac_wait")
    async def rpc_uac_wait(
        self, method: str, ruri: str, nexthop: str = "", socket: str = "", headers: str = "", body: str = ""
    ) -> dict[str, Any]:
        """Send a request and give its final response. `.` leaves a parameter out."""
        server = self._host
        if method in ("ACK", "CANCEL"):
            raise RpcError(400, f"{method} is no request of its own")
        chosen = None
        if _given(socket):
            transport, _, rest = socket.partition(":")
            host, _, port = rest.rpartition(":")
            chosen = server.transports.find_socket(transport, host, int(port) if port.isdigit() else 0)
            if chosen is None:
                raise RpcError(404, f"no socket {socket!r}")
        try:
            status, response = await server.uac.request(
                method, ruri, header_lines(_given(headers)), _given(body).encode("utf-8", "surrogateescape"),
                _given(nexthop), chosen,
            )  # fmt: skip
        except KamtoolError as error:
            raise RpcError(500, str(error)) from error
        answer: dict[str, Any] = {
            "code": status,
            "reason": response.reason if response else "Request Timeout",
        }
        if response is not None:
            answer["message"] = response.data.decode("utf-8", "replace")
        return answer
