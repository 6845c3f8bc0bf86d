"""The transactions and dialogs whose messages are copied."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from kamtool.modules.siptrace.copies import Copy
from kamtool.modules.siptrace.receiver import Receiver
from kamtool.sip.message import Message

TRANSACTION_SECONDS, DIALOG_SECONDS = 300.0, 43_200.0
"""How long after its last message a transaction or a dialog is no longer watched for."""
MOST = 100_000


@dataclass(slots=True)
class Wish:
    """What becomes of the copies of one message, transaction or dialog."""

    receiver: Receiver | None
    correlation: str
    users: tuple[str, ...]
    table: str
    until: float = 0.0
    lasts: float = 0.0


class Watched:
    """Wishes by Call-ID and CSeq number for a transaction, by Call-ID for a dialog."""

    def __init__(self) -> None:
        self._wishes: OrderedDict[object, Wish] = OrderedDict()

    def __len__(self) -> int:
        return len(self._wishes)

    def add(self, msg: Message, wish: Wish, now: float, *, whole_dialog: bool) -> None:
        """Watch for what belongs to this message; beyond `MOST` the oldest is forgotten."""
        wish.lasts = DIALOG_SECONDS if whole_dialog else TRANSACTION_SECONDS
        wish.until = now + wish.lasts
        if len(self._wishes) >= MOST:
            self._wishes.popitem(last=False)
        self._wishes[msg.call_id if whole_dialog else (msg.call_id, msg.cseq)] = wish

    def find(self, copy: Copy) -> Wish | None:
        """What becomes of this copy, None when nobody asked for it."""
        key = copy.key
        return self._wishes.get(key) or self._wishes.get(key[0])

    def forget(self, now: float) -> None:
        """Watch no more for what has ended."""
        for key in [key for key, wish in self._wishes.items() if wish.until < now]:
            del self._wishes[key]
