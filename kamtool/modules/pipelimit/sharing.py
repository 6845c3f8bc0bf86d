"""Pipes of several workers: each counts what all of them let through, so a limit is one for the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.modules.pipelimit.pipes import Pipe

if TYPE_CHECKING:
    from kamtool.server.workers_link import Link


class Sharing:
    """Tells the other workers of each message counted here, and counts theirs; `topic` names the module."""

    def __init__(self, link: Link, topic: str, pipes: Callable[[], dict[Any, Pipe]]) -> None:
        self.link, self.topic, self.pipes = link, topic, pipes
        link.on(topic, self._heard)

    def counted(self, name: Any, pipe: Pipe) -> None:
        """One message was counted here."""
        self.link.publish(self.topic, (name, pipe.algorithm, pipe.limit, pipe.is_own))

    def _heard(self, sender: int, value: Any) -> None:
        name, algorithm, limit, is_own = value
        pipes = self.pipes()
        pipe = pipes.get(name)
        if pipe is None and is_own:
            pipe = pipes[name] = Pipe(algorithm, limit, is_own=True)
        if pipe is not None:
            pipe.counter += 1
