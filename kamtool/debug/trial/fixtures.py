"""For tests in Python: `pytest_plugins = ["kamtool.debug.trial.fixtures"]` gives the fixture `cfg`.

def test_strangers_are_refused(cfg):
    server = cfg("edge.cfg", rows={"subscriber": [...]})
    (refused,) = server.send("INVITE sip:x@elsewhere.example")
    assert refused.status == 403
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from kamtool import script as language
from kamtool.debug.offline.server import Offline
from kamtool.debug.offline.wire import Sent
from kamtool.debug.trial import message as messages
from kamtool.sip.message import Message, parse


class Phone:
    """A server that is offline, and the messages that it is sent. `flows` are those of what it sent last."""

    def __init__(self, offline: Offline) -> None:
        self.offline = offline
        self.sent: list[Sent] = []
        self._number = 0

    def _taken(self, sent: list[Sent]) -> list[Message]:
        self.sent = sent
        return [parse(each.data) for each in sent]

    def send(self, text: str, **more: Any) -> list[Message]:
        """A request, as `send` of a test file has it; what the server sent because of it."""
        transport, source = messages.place_of(more.pop("source", f"udp:{messages.PEER}"))
        flow = self.offline.flow(source, transport)
        self._number += 1
        step: Mapping[str, Any] = {"send": text, **{name.rstrip("_"): value for name, value in more.items()}}
        return self._taken(self.offline.receive(messages.request(step, flow, self._number), flow))

    def answer(self, status: str, to: Message | None = None, **headers: str) -> list[Message]:
        """A response to a request that the server sent (the last one); what it sent because of that."""
        asked = [each for each in self.sent if not each.data.startswith(b"SIP/2.0 ")]
        chosen = next((each for each in asked if to is not None and each.data == to.data), asked[-1])
        return self._taken(
            self.offline.receive(messages.response(parse(chosen.data), status, headers), chosen.flow)
        )

    def wait(self, seconds: float) -> list[Message]:
        """Let time pass; what the server sent meanwhile."""
        return self._taken(self.offline.wait(seconds))

    def rpc(self, method: str, *params: Any) -> Any:
        """Call a method of the control plane."""
        return self.offline.rpc(method, params)


@pytest.fixture
def cfg() -> Iterator[Callable[..., Phone]]:
    """Starts servers offline: `cfg(path, defines={…}, rows={…}, dns={…})`."""
    made: list[Offline] = []

    def start(path: str | Path, *, defines: Mapping[str, str | None] | None = None, **options: Any) -> Phone:
        offline = Offline(language.load(Path(path), defines=defines or {}), **options)
        made.append(offline)
        return Phone(offline.start())

    yield start
    for offline in made:
        offline.stop()


__all__: Sequence[str] = ("Phone", "cfg")
