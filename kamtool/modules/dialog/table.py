"""All dialogs of a server, by the cookie in Record-Route, by Call-ID, and by when they end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from kamtool.modules.dialog.state import ENDED, Dialog, Side
from kamtool.script.values import to_octets

Found = tuple[Dialog, Side]


def hash_of(call_id: str, size: int) -> int:
    """Kamailio's slot for a Call-ID: rows of the table `dialog` are only read by it when this is right."""
    octets = to_octets(call_id)
    total = 0
    whole = len(octets) & ~3
    for place in range(0, whole + 1, 4):
        word = int.from_bytes(octets[place : place + 4], "big")
        total += word ^ (word >> 3)
    total &= 0xFFFFFFFF
    return (total + (total >> 11) + (total >> 13) + (total >> 23)) & 0xFFFFFFFF & (size - 1)


def cookie_of(dialog: Dialog) -> str:
    """The value of the Record-Route parameter: slot and number, each in hexadecimal from its last digit."""
    return f"{dialog.hash_entry:x}"[::-1] + "." + f"{dialog.hash_id:x}"[::-1]


def read_cookie(text: str) -> tuple[int, int] | None:
    """Slot and number of a cookie, None when it is none."""
    entry, dot, number = text.partition(".")
    try:
        if dot and 0 < len(entry) < 9 and 0 < len(number) < 9 and (entry + number).isalnum():
            return int(entry[::-1], 16), int(number[::-1], 16)
    except ValueError:
        pass
    return None


class Table:
    """Every dialog that is tracked, and those that have just ended."""

    def __init__(self, size: int, start: int = 0, step: int = 1) -> None:
        self.size, self.step = size, max(1, step)
        first = random.randrange(1, 16384)
        self._number = start + first * self.step if self.step > 1 else start + first
        self._by_id: dict[tuple[int, int], Dialog] = {}
        self._by_call_id: dict[str, list[Dialog]] = {}
        self._due: dict[int, set[Dialog]] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Dialog]:
        return iter(list(self._by_id.values()))

    def number(self) -> int:
        """A number for a new dialog."""
        self._number = (self._number + self.step) & 0x7FFFFFFF
        return self._number

    def add(self, dialog: Dialog) -> None:
        self._by_id[dialog.hash_entry, dialog.hash_id] = dialog
        self._by_call_id.setdefault(dialog.call_id, []).append(dialog)

    def remove(self, dialog: Dialog) -> None:
        """Forget it; nothing happens when it is forgotten already."""
        if self._by_id.pop((dialog.hash_entry, dialog.hash_id), None) is None:
            return
        others = self._by_call_id[dialog.call_id]
        others.remove(dialog)
        if not others:
            del self._by_call_id[dialog.call_id]
        self._due.get(dialog.waits_in, set()).discard(dialog)

    def get(self, entry: int, number: int) -> Dialog | None:
        return self._by_id.get((entry, number))

    def of_call(self, call_id: str) -> list[Dialog]:
        """The dialogs with this Call-ID, the one that began last first."""
        return self._by_call_id.get(call_id, [])[::-1]

    def search(self, call_id: str, from_tag: str, to_tag: str) -> Found | None:
        """The dialog that a message with these belongs to, one that has not ended before others."""
        ended: Found | None = None
        for dialog in self.of_call(call_id):
            side = dialog.direction(from_tag, to_tag)
            if side is None:
                continue
            if dialog.state != ENDED:
                return dialog, side
            ended = ended or (dialog, side)
        return ended

    # Deadlines: one list a second, and a dialog stands in one of them that is not later than its own.

    def expect(self, dialog: Dialog, deadline: float) -> None:
        """Have `overdue` give this dialog once `deadline` has passed."""
        dialog.deadline = deadline
        second = int(deadline) + 1
        if 0 <= dialog.waits_in <= second:
            return  # it is moved on when that second comes
        self._due.get(dialog.waits_in, set()).discard(dialog)
        self._wait(dialog, second)

    def _wait(self, dialog: Dialog, second: int) -> None:
        dialog.waits_in = second
        self._due.setdefault(second, set()).add(dialog)

    def sweep(self, now: float, overdue: Callable[[Dialog], None]) -> None:
        """Call `overdue` with each dialog whose deadline has passed."""
        for second in [second for second in self._due if second <= now]:
            for dialog in self._due.pop(second):
                dialog.waits_in = -1
                if dialog.deadline > now:
                    self._wait(dialog, max(int(dialog.deadline) + 1, int(now) + 1))
                else:
                    overdue(dialog)
