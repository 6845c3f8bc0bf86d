"""The transaction layer: matching (RFC 3261 §17.1.3, §17.2.3), server and client side. The relay uses it.

A `ServerTransaction` owns its client transactions as `branches` and is found by two names: the key that
the previous hop gave it, and the label that we put into the branch of our own Via. Nothing points back, so
a finished transaction is freed without the garbage collector. Its timers: kamtool.server.deadlines.
"""

from __future__ import annotations

from collections.abc import Callable
from os import urandom
from typing import Final

from kamtool.errors import ParseError
from kamtool.script.context import Context
from kamtool.server.deadlines import SERVER, UNUSUAL, Deadlines
from kamtool.server.transaction import NOWHERE, ClientTransaction, Key, ServerTransaction, Settings, User
from kamtool.sip.flow import Flow
from kamtool.sip.message import Message, Request
from kamtool.sip.transaction import (
    ACKED,
    ARM_EXPIRY,
    ARM_RETRANSMIT,
    CANCEL,
    ERROR,
    FAILED,
    FAILURE,
    NON_INVITE_CLIENT_ROWS,
    PROCEEDING,
    PROVISIONAL,
    PROXY_CLIENT_ROWS,
    REPEAT,
    REQUEST,
    SEND,
    SUCCESS,
    TERMINATED,
)  # fmt: skip
from kamtool.sip.via import MAGIC_COOKIE
from kamtool.speed import match_key

# What is Final, compiled code need not look up.
_match_key: Final = match_key

_RARE: Final = UNUSUAL | ARM_RETRANSMIT


class Transactions(Deadlines):
    """Every transaction of one server. `send(flow, data)` puts bytes on the wire, `now` is a clock."""

    def __init__(self, user: User, send: Callable[[Flow, bytes], bool], now: Callable[[], float]) -> None:
        super().__init__(user, send)
        self.now = now
        self.invite_rows = PROXY_CLIENT_ROWS
        self.on_created: list[Callable[[ServerTransaction, Context], None]] = []
        """Called with every new server transaction, before its request goes anywhere."""
        self.on_acknowledged: list[Callable[[Context], None]] = []
        """Called with every ACK that is relayed: those for a 2xx."""
        # Not to be guessed: who knows a label can forge a response. The prefix marks our branches.
        self.prefix = f"{MAGIC_COOKIE}{urandom(4).hex()}"
        self._drawn, self._drawn_to = "", 0
        self._known: Message | None = None
        self._known_key: Key = ()

    def use_prefix(self, prefix: str) -> None:
        """From now on begin our branches with this, magic cookie and all."""
        self.prefix = prefix

    def _label(self) -> str:
        """A random name of 56 bits behind `prefix`, drawn from the system in blocks."""
        at = self._drawn_to
        if at >= len(self._drawn):
            self._drawn, at = urandom(7 * 512).hex(), 0
        self._drawn_to = at + 14
        return self.prefix + self._drawn[at : at + 14]

    # Matching

    @staticmethod
    def key(msg: Message, method: str) -> Key:
        """§17.2.3: branch, sent-by and method; without the magic cookie the rules of RFC 2543."""
        return _match_key(msg, method)

    def key_of(self, msg: Message) -> Key:
        """The key by which `find` looks; the last one is kept, for a script asks several times."""
        if msg is self._known:
            return self._known_key
        method = msg.method
        key = self.key(msg, "INVITE" if method == "ACK" else method)
        self._known, self._known_key = msg, key
        return key

    def find(self, msg: Message) -> ServerTransaction | None:
        """The transaction that this request is a retransmission of; for an ACK, the INVITE's."""
        return self.by_key.get(self.key_of(msg))

    def find_invite(self, msg: Message) -> ServerTransaction | None:
        """The INVITE that this CANCEL (or ACK) is about (§9.2)."""
        return self.by_key.get(self.key(msg, "INVITE"))

    def check(self, ctx: Context) -> int:
        """t_check_trans: whether the message belongs to a transaction; what is repeated is dealt with."""
        msg = ctx.msg
        if not msg.is_request:
            return 1 if self.match(msg) is not None else -1
        known, method = self.find(msg), msg.method
        if method == "ACK":
            if known is not None and known.status >= 300:
                return 0
            return 1 if known is not None or self.has_dialog(msg) else -1
        if known is not None and known is not ctx.transaction:
            self.repeated(known)
            return 0
        if method == "CANCEL":
            return 1 if self.find_invite(msg) is not None else -1
        return 1 if known is not None else -1

    def match(self, msg: Message) -> tuple[ServerTransaction, int] | None:
        """§17.1.3: the transaction and which of its machines sent what this response answers."""
        label, _, number = msg.branch.partition(".")
        tx = self.by_label.get(label)
        if tx is None:
            return None
        if number == "0" and tx.branches:
            index = 0
        elif number.isdigit() and len(number) < 4 and int(number) < len(tx.branches):
            index = int(number)
        else:
            return None
        client = tx.branches[index]
        if msg.cseq_method == client.method:
            return tx, index
        if msg.cseq_method == "CANCEL" and client.cancel is not None:
            return tx, -2 - index
        return None

    # Server side

    def create(self, ctx: Context, key: Key, reply_flow: Flow) -> ServerTransaction:
        """A transaction for the request in `ctx`, whose key is `key`."""
        method = ctx.msg.method
        label = self._label()
        reliable = reply_flow.transport != "udp"
        table = self.settings.durations(method == "INVITE", reliable)
        tx = ServerTransaction(table, label, key, method, reply_flow)
        tx.ctx = ctx
        self.by_key[key] = self.by_label[label] = tx
        return tx

    def repeated(self, tx: ServerTransaction) -> None:
        """A retransmission of the request came: the last response goes out again, if there is one."""
        if tx.step(REQUEST, 0.0) & REPEAT and tx.last:
            self.send(tx.reply_flow, tx.last)

    def acknowledged(self, tx: ServerTransaction) -> bool:
        """An ACK came; false when it is for a 2xx, and so goes on to the far end."""
        effects = tx.step(ACKED, self.now())
        self._after(tx, tx, SERVER, effects)
        return tx.status >= 300

    def respond(self, tx: ServerTransaction, status: int, data: bytes) -> bool:
        """Send a response upstream if the state allows it."""
        event = PROVISIONAL if status < 200 else SUCCESS if status < 300 else FAILURE
        effects = tx.step(event, self.now())
        if not effects & SEND:
            return False
        tx.status, tx.last = status, data
        if not self.send(tx.reply_flow, data) and not self.user.send_elsewhere(tx, data):
            self._after(tx, tx, SERVER, tx.step(ERROR, 0.0) & TERMINATED)
        if effects & ARM_EXPIRY:
            self.expiries.arm(tx.wait, tx.expire_at, tx.label, SERVER)
        if effects & _RARE:
            self._after(tx, tx, SERVER, effects & _RARE)
        for watcher in tx.watchers:
            watcher.responded(tx, status, data)
        return True

    def dropped(self, tx: ServerTransaction) -> None:
        """It will never be answered: it absorbs retransmissions for as long as a final response would."""
        tx.last = b""
        tx.step(PROVISIONAL, 0.0)
        self._after(tx, tx, SERVER, tx.step(SUCCESS, self.now()))

    def accepted(self, tx: ServerTransaction, msg: Message) -> None:
        """An INVITE got its 2xx: its ACK, a transaction of its own, will be known by the dialog."""
        if not tx.dialog:
            tx.dialog = (msg.call_id, msg.from_tag, msg.cseq)
            self.dialogs.add(tx.dialog)

    def has_dialog(self, ack: Message) -> bool:
        """Whether this ACK is for a 2xx that went through here a moment ago."""
        return (ack.call_id, ack.from_tag, ack.cseq) in self.dialogs

    # Client side

    def create_local(self, method: str) -> ServerTransaction:
        """A transaction for a request made here: it has no server side, only branches."""
        label = self._label()
        table = self.settings.durations(method == "INVITE", True)
        tx = ServerTransaction(table, label, (), method, NOWHERE)
        tx.alive = 0
        self.by_label[label] = tx
        return tx

    def client(
        self, tx: ServerTransaction, flow: Flow, data: bytes, uri: str, timers: Settings | None = None
    ) -> ClientTransaction:
        """A new branch, not yet sent."""
        invite = tx.method == "INVITE"
        rows = self.invite_rows if invite else NON_INVITE_CLIENT_ROWS
        table = (timers or tx.timers or self.settings).durations(invite, flow.transport != "udp")
        return ClientTransaction(rows, table, tx.method, flow, data, uri)

    def start(self, tx: ServerTransaction, client: ClientTransaction) -> bool:
        """Send the request of a new branch, which joins the transaction; false when that fails at once."""
        tx.branches.append(client)
        tx.alive += 1
        return self._start(tx, client, len(tx.branches) - 1)

    def _start(self, tx: ServerTransaction, client: ClientTransaction, which: int) -> bool:
        effects = client.step(REQUEST, self.now())
        if self.send(client.flow, client.data):
            if effects & ARM_EXPIRY:
                self.expiries.arm(client.wait, client.expire_at, tx.label, which)
            if effects & ARM_RETRANSMIT:
                self.retransmissions.arm(client.interval, client.retransmit_at, tx.label, which)
            return True
        self._after(tx, client, which, client.step(ERROR, 0.0) & ~FAILED)
        return False

    def start_cancel(self, tx: ServerTransaction, branch: int, data: bytes) -> None:
        """Send the CANCEL of a branch: a transaction of its own, to the same place (§9.1)."""
        client = tx.branches[branch]
        table = self.settings.durations(False, client.flow.transport != "udp")
        client.cancel = ClientTransaction(
            NON_INVITE_CLIENT_ROWS, table, "CANCEL", client.flow, data, client.uri
        )
        tx.alive += 1
        self._start(tx, client.cancel, -2 - branch)
        self._after(tx, client, branch, client.step(CANCEL, self.now()))

    def responded(self, tx: ServerTransaction, which: int, status: int) -> int:
        """A response came for this machine: the effects, of which the caller carries out PASS and ACK."""
        client = tx.branches[which] if which >= 0 else tx.branches[-2 - which].cancel
        assert client is not None
        event = PROVISIONAL if status < 200 else SUCCESS if status < 300 else FAILURE
        effects = client.step(event, self.now())
        if self.invite_rows is not PROXY_CLIENT_ROWS and client.rows is self.invite_rows:
            effects |= self._steady(client, status)
        if effects & ARM_EXPIRY:
            self.expiries.arm(client.wait, client.expire_at, tx.label, which)
        if effects & TERMINATED:
            self._ended(tx, client, which)
        return effects

    def _steady(self, client: ClientTransaction, status: int) -> int:
        """restart_fr_on_each_reply off: only what is more than the last one restarts timer C."""
        if status >= 180 and client.status < status and client.state == PROCEEDING:
            return client.restart_c(self.now())
        return 0

    def failed(self, data: bytes) -> None:
        """The transport gave this back: §17.1.4 for our requests; a lost response is repeated anyway."""
        if data.startswith(b"SIP/2.0 "):
            return
        try:
            sent = Request(data)
        except ParseError:
            return
        label, _, number = sent.branch.partition(".")
        tx = self.by_label.get(label)
        if tx is None or not number.isdigit():
            return
        which = -2 - int(number) if sent.method == "CANCEL" else int(number)
        machine = self.machine(tx, which)
        if machine is not None and sent.method != "ACK":
            self._after(tx, machine, which, machine.step(ERROR, self.now()))
