"""`$shv` of several workers: what one sets, all have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kamtool.server.workers_link import Link

TOPIC = "shv"


class Shared(dict[str, "int | str"]):
    """The shared variables by name; an assignment is published."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        link.on(TOPIC, self._heard)
        link.snapshots.append(self._snapshot)

    def __setitem__(self, name: str, value: int | str) -> None:
        super().__setitem__(name, value)
        self._link.publish(TOPIC, (name, value))

    def _heard(self, sender: int, told: Any) -> None:
        name, value = told
        super().__setitem__(name, value)

    async def _snapshot(self, sender: int, value: Any) -> None:
        for item in self.items():
            self._link.send(sender, TOPIC, item)
