"""Time in the transaction layer: what is due goes out again, fails or ends; what has ended is forgotten.

The timers are RFC 3261's A to K (§17) and C (§16.6); which of them run, and how long, the machines say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kamtool.server.timers import TimerQueues
from kamtool.server.transaction import ClientTransaction, Key, ServerTransaction, Settings, User
from kamtool.sip.flow import Flow
from kamtool.sip.transaction import (
    ARM_EXPIRY,
    ARM_RETRANSMIT,
    EXPIRE,
    FAILED,
    REPEAT,
    RETRANSMIT,
    TERMINATED,
    TIMEOUT,
    Machine,
)

UNUSUAL: Final = TIMEOUT | FAILED | TERMINATED
"""Effects of a step that most steps do not have."""

ALL: Final = 1 << 40
"""More deadlines than there are, and a number that compiled code keeps in a word."""

SERVER: Final = -1
"""Which machine of a transaction: its server; 0, 1 … its branches; -2, -3 … the CANCEL of branch 0, 1 …"""


class Deadlines:
    """The transactions that there are, by their names, and the deadlines of their machines."""

    def __init__(self, user: User, send: Callable[[Flow, bytes], bool]) -> None:
        self.user, self.send = user, send
        self.settings = Settings()
        self.by_key: dict[Key, ServerTransaction] = {}
        self.by_label: dict[str, ServerTransaction] = {}
        self.dialogs: set[Key] = set()
        self.expiries, self.retransmissions = TimerQueues(), TimerQueues()
        self._until = 0.0
        """To where a sweep that has not ended goes; 0 when none is under way."""

    def machine(self, tx: ServerTransaction, which: int) -> Machine | None:
        """SERVER, a branch, or the CANCEL of a branch."""
        if which == SERVER:
            return tx
        place = which if which >= 0 else -2 - which
        if place >= len(tx.branches):
            return None
        return tx.branches[place] if which >= 0 else tx.branches[place].cancel

    def sweep(self, now: float, most: int = 0) -> bool:
        """Let every deadline that has passed have its effect; call it every 50 to 100 ms.

        With `most`, so many and no more, retransmissions first; True says that others are left. Call it again
        then once others had their turn: it goes on to where it would have come at first, and no further, so
        that however much is to be repeated, what ends it has its turn too.
        """
        until, self._until = self._until or now, 0.0
        left = self._sweep(self.retransmissions, until, most or ALL, expire=False)
        left = self._sweep(self.expiries, until, left, expire=True)
        if left:
            return False
        self._until = until
        return True

    def _sweep(self, queues: TimerQueues, until: float, left: int, *, expire: bool) -> int:
        """How many more deadlines may be looked at."""
        for queue in queues.queues():
            while left:
                entry = queue.take(until)
                if entry is None:
                    break
                deadline: float = entry[0]
                label: str = entry[1]
                which: int = entry[2]
                left -= 1
                if expire:
                    self._expire(deadline, label, which)
                else:
                    self._retransmit(deadline, label, which)
            if not len(queue):
                queues.drop(queue)
        return left

    def _retransmit(self, deadline: float, label: str, which: int) -> None:
        tx = self.by_label.get(label)
        machine = tx and self.machine(tx, which)
        if not tx or not machine or machine.retransmit_at != deadline:
            return
        # From the deadline, not from now: a late sweep must not stretch every interval that follows.
        effects = machine.step(RETRANSMIT, deadline)
        if effects & REPEAT:
            if isinstance(machine, ClientTransaction):
                self.send(machine.flow, machine.data)
                is_slow = machine.interval >= (tx.timers or self.settings).t2
                if is_slow and not tx.status and which >= 0 and machine.method != "INVITE":
                    self.user.slow(tx)
            else:
                self.send(tx.reply_flow, tx.last)
        self._after(tx, machine, which, effects)

    def _expire(self, deadline: float, label: str, which: int) -> None:
        tx = self.by_label.get(label)
        if tx is None:
            return
        if which == SERVER:
            self._passed(tx, tx, which, deadline)
        elif which >= 0:
            self._passed(tx, tx.branches[which], which, deadline)
        else:
            cancel = tx.branches[-2 - which].cancel
            if cancel is not None:
                self._passed(tx, cancel, which, deadline)

    def _passed(self, tx: ServerTransaction, machine: Machine, which: int, deadline: float) -> None:
        """The time of a machine, if it is still this one."""
        if machine.expire_at != deadline:
            return
        machine.expire_at = 0.0
        effects = machine.step(EXPIRE, deadline)
        if effects == TERMINATED:
            self._ended(tx, machine, which)
        else:
            self._after(tx, machine, which, effects)

    def _after(self, tx: ServerTransaction, machine: Machine, which: int, effects: int) -> None:
        """Carry out what every step may ask for."""
        if effects & ARM_EXPIRY:
            self.expiries.arm(machine.wait, machine.expire_at, tx.label, which)
        if effects & ARM_RETRANSMIT:
            self.retransmissions.arm(machine.interval, machine.retransmit_at, tx.label, which)
        if not effects & UNUSUAL:
            return
        if effects & TIMEOUT:
            if which == SERVER:
                self.user.never_acknowledged(tx)
            elif which >= 0:
                self.user.timed_out(tx, which)
        if effects & FAILED and which >= 0:
            self.user.send_failed(tx, which)
        if effects & TERMINATED:
            self._ended(tx, machine, which)

    def _ended(self, tx: ServerTransaction, machine: Machine, which: int) -> None:
        machine.retransmit_at = 0.0
        if which == SERVER:
            if self.by_key.get(tx.key) is tx:
                del self.by_key[tx.key]
        else:
            assert isinstance(machine, ClientTransaction)
            machine.data = b""
        tx.alive -= 1
        if tx.alive <= 0:
            self.forget(tx)

    def forget(self, tx: ServerTransaction) -> None:
        """Drop every trace of a transaction."""
        if self.by_label.pop(tx.label, None) is None:
            return
        if self.by_key.get(tx.key) is tx:
            del self.by_key[tx.key]
        if tx.dialog:
            self.dialogs.discard(tx.dialog)
        self.user.ended(tx)

    def clean(self) -> int:
        """Forget transactions without a deadline to come; gives how many.

        A machine that waits has a deadline, and a suspended transaction or a running script has its own end,
        so only one whose script was lost on the way can be found here.
        """
        lost = [
            tx
            for tx in self.by_label.values()
            if not (tx.suspended or tx.script_running or tx.in_failure_route or self._waits(tx))
        ]
        for tx in lost:
            self.forget(tx)
        return len(lost)

    @staticmethod
    def _waits(tx: ServerTransaction) -> bool:
        """Whether any machine of it has a deadline."""
        if tx.expire_at or tx.retransmit_at:
            return True
        for client in tx.branches:
            if client.expire_at or client.retransmit_at:
                return True
            if client.cancel is not None and client.cancel.expire_at:
                return True
        return False

    def __len__(self) -> int:
        return len(self.by_label)
