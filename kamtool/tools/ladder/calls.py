"""Messages sorted by call: what belongs to one Call-ID, who called whom, and how it stands."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from kamtool.tools.captured import Captured

MOST_CALLS = 20_000
MOST_MESSAGES = 5_000
"""Of one call; a registration that goes on for weeks may not eat the memory."""


class Call:
    """The messages of one Call-ID, in the order they were seen."""

    __slots__ = ("call_id", "first", "lost", "messages", "state", "status")

    def __init__(self, seen: Captured) -> None:
        self.call_id, self.first = seen.call_id, seen
        self.messages: list[Captured] = []
        self.lost = 0
        """Messages that were too many to keep."""
        self.status = 0
        self.state = ""
        self.add(seen)

    def add(self, seen: Captured) -> None:
        """One message more."""
        if len(self.messages) >= MOST_MESSAGES:
            del self.messages[1]
            self.lost += 1
        self.messages.append(seen)
        self._look(seen)

    def _look(self, seen: Captured) -> None:
        method, status = seen.method, seen.status
        if status:
            if method == self.first.method and (status >= self.status or status >= 200):
                self.status = status
            if method == "INVITE" and self.state not in ("ended", "cancelled"):
                if status < 200:
                    self.state = "ringing" if status > 100 else "trying"
                else:
                    self.state = (
                        "in call" if status < 300 else "ended" if status in (401, 407) else "rejected"
                    )
                    if status in (401, 407):
                        self.state = "challenged"
            elif method != "INVITE" and method == self.first.method and status >= 200:
                self.state = "done" if status < 300 else "challenged" if status in (401, 407) else "refused"
        elif method == "BYE":
            self.state = "ended"
        elif method == "CANCEL":
            self.state = "cancelled"
        elif method == "INVITE" and self.state in ("", "challenged", "rejected"):
            self.state = "calling"
        elif not self.state and method == self.first.method:
            self.state = "asked"

    @property
    def began(self) -> float:
        return self.first.at

    @property
    def lasted(self) -> float:
        """Seconds from the first message to the last."""
        return self.messages[-1].at - self.first.at

    @property
    def method(self) -> str:
        return self.first.method

    @property
    def caller(self) -> str:
        return self.first.from_user

    @property
    def callee(self) -> str:
        return self.first.to_user

    def holds(self, text: str) -> bool:
        """Whether any of its messages holds this text, in upper or lower case."""
        wanted = text.lower().encode("utf-8", "surrogateescape")
        return any(wanted in seen.data.lower() for seen in self.messages)


class Calls:
    """All calls, the oldest first. Beyond `limit` the one that began first goes."""

    def __init__(self, limit: int = MOST_CALLS) -> None:
        self.limit = limit
        self.by_call_id: OrderedDict[str, Call] = OrderedDict()
        self.forgotten = self.count = 0

    def add(self, seen: Captured) -> Call:
        """Sort one message in; the call it belongs to. What has no Call-ID goes together."""
        self.count += 1
        call = self.by_call_id.get(seen.call_id)
        if call is not None:
            call.add(seen)
            return call
        call = self.by_call_id[seen.call_id] = Call(seen)
        if len(self.by_call_id) > self.limit:
            self.by_call_id.popitem(last=False)
            self.forgotten += 1
        return call

    def add_all(self, messages: Iterable[Captured]) -> Calls:
        """Sort all of them in."""
        for seen in messages:
            self.add(seen)
        return self

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self.by_call_id.values()))

    def __len__(self) -> int:
        return len(self.by_call_id)
