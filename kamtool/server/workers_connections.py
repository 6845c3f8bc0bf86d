"""The TCP, TLS and WebSocket connections of all workers: each knows of every one, its owner alone has it.

The number of a connection says whose it is: it is the worker's number modulo STEP. A worker that dies takes
its connections with it; its successor's have other numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from kamtool.server.workers import STEP
from kamtool.server.workers_dispatch import flat, unflat

if TYPE_CHECKING:
    from kamtool.server.workers_link import Link
    from kamtool.sip.flow import Flow
    from kamtool.transport.stream import Connection
    from kamtool.transport.transports import Transports

OPENED, CLOSED, SEND, UNSENT, ALIAS, FINISH = "opened", "closed", "send", "unsent", "alias", "finish"
Key = tuple[str, str, int]


class Connections:
    """The connections of the other workers: kamtool.transport.tcp.Elsewhere."""

    def __init__(self, link: Link, transports: Transports, numbers: Callable[[], Iterator[int]]) -> None:
        self.link, self.transports = link, transports
        self.flows: dict[int, Flow] = {}
        self._keys: dict[Key, int] = {}
        self._keys_of: dict[int, list[Key]] = {}
        transports.tcp.numbers = numbers()
        transports.tcp.elsewhere = self
        link.on(OPENED, self._opened)
        link.on(CLOSED, self._closed)
        link.on(SEND, self._send)
        link.on(UNSENT, self._unsent)
        link.on(ALIAS, self._alias)
        link.on(FINISH, self._finish)
        link.on_begun.append(self._died)
        link.snapshots.append(self._snapshot)

    # Ours, told to the others

    def opened(self, connection: Connection, key: Key) -> None:
        """One of ours is found under a further key."""
        self.link.publish(OPENED, self._news(connection, key))

    @staticmethod
    def _news(connection: Connection, key: Key) -> tuple[Any, ...]:
        # One that we opened leads others to its far end only by its number: each worker opens its own.
        return (() if connection.is_outgoing else key, *flat(connection.flow))

    def closed(self, connection: Connection) -> None:
        self.link.publish(CLOSED, connection.flow.connection)

    async def _snapshot(self, worker: int, value: Any) -> None:
        for connection in self.transports.tcp:
            for key in connection.keys:
                self.link.send(worker, OPENED, self._news(connection, key))
        # And what others have told: a worker that begins asks only one.
        for key, number in list(self._keys.items()):
            if number % STEP != worker:
                self.link.send(worker, OPENED, (key, *flat(self.flows[number])))

    # Theirs

    def owns(self, number: int) -> bool:
        """Whether the connection with this number is another worker's."""
        return number != 0 and number % STEP != self.link.number

    def find(self, transport: str, remote: tuple[str, int], number: int) -> Flow | None:
        """The flow of the connection with this number, else of one that leads to `remote`."""
        found = self.flows.get(number)
        if found is not None:
            return found
        other = self._keys.get((transport, *remote))
        return None if other is None else self.flows.get(other)

    def send(self, flow: Flow, data: bytes) -> bool:
        """Send by a connection of another worker; false when it is gone."""
        if flow.connection not in self.flows:
            return False
        self.link.send(flow.connection % STEP, SEND, (data, *flat(flow)))
        return True

    def alias(self, flow: Flow, port: int, forced: bool) -> None:
        self.link.send(flow.connection % STEP, ALIAS, (port, forced, *flat(flow)))

    def finish(self, flow: Flow) -> None:
        self.link.send(flow.connection % STEP, FINISH, flat(flow))

    def _died(self, worker: int) -> None:
        """A worker died, and its connections with it: its neighbour tells those who wait for their end."""
        tells = self.link.number == (worker + 1) % self.link.size
        for flow in [flow for number, flow in self.flows.items() if number % STEP == worker]:
            self._closed(worker, flow.connection)
            if tells:
                self.transports.receiver.closed(flow, "its worker died")

    def _opened(self, sender: int, value: Any) -> None:
        key, *rest = value
        flow = unflat(*rest)
        self.flows[flow.connection] = flow
        if key:
            self._keys[key] = flow.connection
            self._keys_of.setdefault(flow.connection, []).append(key)

    def _closed(self, sender: int, number: int) -> None:
        self.flows.pop(number, None)
        for key in self._keys_of.pop(number, ()):
            if self._keys.get(key) == number:
                del self._keys[key]

    def _send(self, sender: int, value: Any) -> None:
        data, *rest = value
        flow = unflat(*rest)
        # The sender's transports have done all else with it, and have shown it to those who watch.
        connection = self.transports.tcp.find(flow.transport, flow.remote, flow.connection)
        if connection is None or not connection.write(data):
            self.link.send(sender, UNSENT, value)

    def _unsent(self, sender: int, value: Any) -> None:
        data, *rest = value
        self.transports.receiver.unsent(data, unflat(*rest))

    def _alias(self, sender: int, value: Any) -> None:
        port, forced, *rest = value
        self.transports.add_alias(unflat(*rest), port, forced=forced)

    def _finish(self, sender: int, value: Any) -> None:
        self.transports.finish(unflat(*value))
