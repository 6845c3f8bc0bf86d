"""One thing to account: what it was, and how it reads as a line and as a row. Compiled."""

from __future__ import annotations

import re
import time
from typing import Final

from kamtool.modules.acc.extra import Pairs
from kamtool.store.times import to_julian

ANSWERED = "ACC: transaction answered: "
MISSED = "ACC: call missed: "
ACKNOWLEDGED = "ACC: request acknowledged: "
REQUESTED = "ACC: request accounted: "

SECONDS, WHOLE, LOCAL, UTC = 1, 2, 3, 4
"""Values of time_mode: seconds and microseconds apart, seconds with milliseconds, formatted."""

_now: Final = time.time  # what is Final, compiled code need not look up
_COMMENT = re.compile(r"([0-9]{3}) *(.*)", re.DOTALL)


class Record:
    """What all records tell; `epoch` is when it happened."""

    def __init__(
        self, kind: str, method: str, from_tag: str, to_tag: str, call_id: str, code: str, reason: str
    ) -> None:
        self.kind, self.method, self.from_tag, self.to_tag = kind, method, from_tag, to_tag
        self.call_id, self.code, self.reason = call_id, code, reason
        self.legs: list[Pairs] = []
        self.epoch: float = _now()

    def line(self, times: Times, extras: Pairs) -> str:
        """The line in the log."""
        seconds = str(int(self.epoch))
        parts = [self.kind, "timestamp=", seconds, ";"]
        if times.mode:
            parts += [f"{text};" for text in times.in_line(self.epoch)]
        parts += [
            "method=", self.method, ";from_tag=", self.from_tag, ";to_tag=", self.to_tag,
            ";call_id=", self.call_id, ";code=", self.code, ";reason=", self.reason,
        ]  # fmt: skip
        _tell(parts, extras)
        for leg in self.legs:
            _tell(parts, leg)
        return "".join(parts)

    def rows(self, times: Times, extras: Pairs, *, nullable: bool) -> list[list[object]]:
        """The rows in the database, one a leg, in the order of `columns`."""
        first: list[object] = [
            self.method, self.from_tag, self.to_tag, self.call_id, self.code, self.reason,
            to_julian(int(self.epoch)), *times.in_row(self.epoch),
        ]  # fmt: skip
        nothing = None if nullable else ""
        rows = [[*first, *(nothing if value is None else value for _, value in extras)]]
        if not self.legs:
            return rows
        return [[*rows[0], *(nothing if value is None else value for _, value in leg)] for leg in self.legs]


def _tell(parts: list[str], pairs: Pairs) -> None:
    """Put `;name=value` for each, the value empty where there is none."""
    for name, value in pairs:
        parts.append(";")
        parts.append(name)
        parts.append("=")
        if value is not None:
            parts.append(value)


class Times:
    """What `time_mode` adds to a record."""

    def __init__(self, mode: int, attribute: str, extension: str, form: str) -> None:
        self.mode, self.attribute, self.extension, self.form = mode, attribute, extension, form

    @property
    def columns(self) -> list[str]:
        """The columns that rows have for it."""
        if self.mode == SECONDS:
            return [name for name in (self.attribute, self.extension) if name]
        return [self.attribute] if self.mode and self.attribute else []

    def in_line(self, epoch: float) -> list[str]:
        # The timestamp tells the seconds already.
        if self.mode == SECONDS:
            return [f"{self.extension}={_microseconds(epoch)}"] if self.extension else []
        if not self.mode or not self.attribute:
            return []
        shown = f"{epoch:.3f}" if self.mode == WHOLE else self._formatted(epoch)
        return [f"{self.attribute}={shown}"]

    def in_row(self, epoch: float) -> list[object]:
        if self.mode == SECONDS:
            pairs = ((self.attribute, int(epoch)), (self.extension, _microseconds(epoch)))
            return [value for name, value in pairs if name]
        if not self.mode or not self.attribute:
            return []
        return [epoch if self.mode == WHOLE else self._formatted(epoch)]

    def _formatted(self, epoch: float) -> str:
        broken_down = time.localtime(epoch) if self.mode == LOCAL else time.gmtime(epoch)
        return time.strftime(self.form, broken_down)


def _microseconds(epoch: float) -> int:
    return min(round(epoch % 1 * 1_000_000), 999_999)


def comment(text: str) -> tuple[str, str]:
    """`404 Not here` as code and reason; a text without three digits at its head is all reason."""
    found = _COMMENT.fullmatch(text)
    return (found[1], found[2]) if found else ("", text)
