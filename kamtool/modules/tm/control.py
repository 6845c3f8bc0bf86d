"""tm: the control plane."""

from __future__ import annotations

from typing import Any

from kamtool.errors import KamtoolError, RpcError
from kamtool.module import rpc
from kamtool.modules.tm.base import Part
from kamtool.server.transaction import ServerTransaction
from kamtool.server.uac import header_lines

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
        """Every transaction that is under way."""
        return [
            {
                "label": tx.label,
                "method": tx.method,
                "status": tx.status,
                "state": tx.state.name.lower(),
                "branches": len(tx.branches),
                "call_id": tx.ctx.msg.call_id if tx.ctx else "",
            }
            for tx in self._host.transactions.by_label.values()
        ]

    def _by_call_id(self, call_id: str, cseq: int) -> ServerTransaction:
        for tx in self._host.transactions.by_label.values():
            if tx.ctx is not None and tx.ctx.msg.call_id == call_id and tx.ctx.msg.cseq == cseq:
                return tx
        raise RpcError(404, f"no transaction with Call-ID {call_id!r} and CSeq {cseq}")

    @rpc("tm.cancel", workers="any")
    def rpc_cancel(self, call_id: str, cseq: int) -> None:
        """Cancel the INVITE with this Call-ID and CSeq number, as if its caller had."""
        tx = self._by_call_id(call_id, cseq)
        if tx.method != "INVITE" or tx.is_answered:
            raise RpcError(400, "no INVITE that waits")
        self._host.relay.cancel_invite(tx)

    @rpc("tm.reply", workers="any")
    def rpc_reply(self, code: int, reason: str, label: str, to_tag: str = "", headers: str = "") -> None:
        """Answer the transaction with this label (see tm.list)."""
        tx = self._host.transactions.by_label.get(label)
        if tx is None:
            raise RpcError(404, f"no transaction {label!r}")
        if not 100 <= code < 700:
            raise RpcError(400, f"{code} is no status")
        if _given(to_tag):
            tx.to_tag = to_tag
        if not self._host.replies.stateful(tx, code, reason, header_lines(_given(headers))):
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
