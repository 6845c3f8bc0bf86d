"""nat_traversal: the addresses that are kept reachable, why, and until when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DIALOG_SECONDS = 12 * 3600.0
"""How long a dialog is taken to last when nobody sees its BYE."""


@dataclass(slots=True)
class Endpoint:
    """One address behind a NAT. Times are on the loop's clock, 0 for no reason to keep it reachable."""

    uri: str
    socket: str
    registered_until: float = 0.0
    subscribed_until: float = 0.0
    dialogs: dict[str, float] = field(default_factory=dict)

    def is_wanted(self, now: float) -> bool:
        """Whether there still is a reason."""
        if self.dialogs:
            self.dialogs = {call_id: until for call_id, until in self.dialogs.items() if until > now}
        return self.registered_until > now or self.subscribed_until > now or bool(self.dialogs)


class Endpoints:
    """All of them by URI, and which have a dialog."""

    def __init__(self) -> None:
        self._known: dict[str, Endpoint] = {}
        self._dialogs: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(list(self._known.values()))

    def get(self, uri: str) -> Endpoint | None:
        return self._known.get(uri)

    def _of(self, uri: str, socket: str) -> Endpoint:
        found = self._known.get(uri)
        if found is None:
            found = self._known[uri] = Endpoint(uri, socket)
        found.socket = socket
        return found

    def registered(self, uri: str, socket: str, until: float) -> None:
        """A REGISTER was accepted; `until` in the past takes the reason away."""
        self._of(uri, socket).registered_until = until

    def subscribed(self, uri: str, socket: str, until: float) -> None:
        """A SUBSCRIBE was accepted."""
        endpoint = self._of(uri, socket)
        endpoint.subscribed_until = max(endpoint.subscribed_until, until)

    def calling(self, uri: str, socket: str, call_id: str, until: float) -> None:
        """A dialog of this endpoint has begun."""
        self._of(uri, socket).dialogs[call_id] = until
        self._dialogs.setdefault(call_id, set()).add(uri)

    def ended(self, call_id: str) -> None:
        """A dialog is over."""
        for uri in self._dialogs.pop(call_id, ()):
            endpoint = self._known.get(uri)
            if endpoint is not None:
                endpoint.dialogs.pop(call_id, None)

    def sweep(self, now: float) -> None:
        """Forget those that nobody wants any more."""
        for uri, endpoint in list(self._known.items()):
            if not endpoint.is_wanted(now):
                del self._known[uri]
        self._dialogs = {
            call_id: uris
            for call_id, uris in self._dialogs.items()
            if any(call_id in self._known[uri].dialogs for uri in uris if uri in self._known)
        }

    # The state file

    def dump(self, offset: float) -> str:
        """Everything as JSON; `offset` is added to times to get seconds since 1970."""

        def shown(moment: float) -> float:
            return moment + offset if moment else 0.0

        return json.dumps([
            {
                "uri": e.uri, "socket": e.socket, "registered": shown(e.registered_until),
                "subscribed": shown(e.subscribed_until),
                "dialogs": {call_id: shown(until) for call_id, until in e.dialogs.items()},
            }
            for e in self._known.values()
        ])  # fmt: skip

    def load(self, text: str, offset: float) -> None:
        """What `dump` wrote. Raises ValueError."""

        def read(moment: Any) -> float:
            return float(moment) - offset if moment else 0.0

        try:
            for row in json.loads(text):
                endpoint = self._of(str(row["uri"]), str(row["socket"]))
                endpoint.registered_until = read(row["registered"])
                endpoint.subscribed_until = read(row["subscribed"])
                for call_id, until in row["dialogs"].items():
                    self.calling(endpoint.uri, endpoint.socket, call_id, read(until))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not what this module wrote: {error!r}") from error
