"""Time stands still for the transaction of a parked message, and for no other.

Deadlines are taken away from its machines, so that their entries in the queues fall through, and come back
later by as much as the message was parked. A machine that moved on meanwhile keeps what it then set.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kamtool.server.deadlines import SERVER

if TYPE_CHECKING:
    from kamtool.server.transaction import ServerTransaction
    from kamtool.server.transactions import Transactions


@dataclass(slots=True)
class Frozen:
    """What was taken away: machine by machine, its number, state and deadlines."""

    tx: ServerTransaction
    since: float
    held: list[tuple[Any, int, Any, float, float]] = field(default_factory=list)


def machines(tx: ServerTransaction) -> list[tuple[int, Any]]:
    """The machines of a transaction by their numbers, as its timers know them."""
    found: list[tuple[int, Any]] = [(SERVER, tx)]
    for number, branch in enumerate(tx.branches):
        found.append((number, branch))
        if branch.cancel is not None:
            found.append((-2 - number, branch.cancel))
    return found


def freeze(tx: ServerTransaction, now: float) -> Frozen:
    """Stop the timers of a transaction."""
    frozen = Frozen(tx, now)
    for number, machine in machines(tx):
        expire_at, retransmit_at = machine.expire_at, machine.retransmit_at
        if expire_at or retransmit_at:
            frozen.held.append((machine, number, machine.state, expire_at, retransmit_at))
            machine.expire_at = machine.retransmit_at = 0.0
    return frozen


def thaw(frozen: Frozen, transactions: Transactions, now: float) -> None:
    """Let them run on from where they stood."""
    pause = now - frozen.since
    label = frozen.tx.label
    for machine, number, state, expire_at, retransmit_at in frozen.held:
        if machine.state != state:
            continue
        if expire_at and not machine.expire_at:
            machine.expire_at = expire_at + pause
            _arm(transactions.expiries, machine.expire_at, label, number, now)
        if retransmit_at and not machine.retransmit_at:
            machine.retransmit_at = retransmit_at + pause
            _arm(transactions.retransmissions, machine.retransmit_at, label, number, now)


def _arm(queues: Any, deadline: float, label: str, number: int, now: float) -> None:
    # A queue holds what waits equally long; this wait is its own.
    queues.arm(max(deadline - now, 0.0), deadline, label, number)
