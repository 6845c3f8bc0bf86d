"""A trace of a running server: of all its workers, their messages as one, in order of time."""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kamtool.errors import UsageError
from kamtool.tools.captured import Captured
from kamtool.tools.pcap.streams import Record
from kamtool.tools.trace.stream import Frames, Recent

HOLD = 0.2
"""Seconds that a message waits for older ones of other workers."""
TURN, RETRY = 0.25, 0.5


class End:
    """The connection to one worker. Raises UsageError."""

    def __init__(self, path: Path, wishes: dict[str, Any], recent: Recent) -> None:
        self.frames = Frames(recent)
        self.socket = _connect(path)
        asked = {"jsonrpc": "2.0", "id": 1, "method": "trace.attach", "params": wishes}
        try:
            self.socket.sendall(json.dumps(asked).encode() + b"\n")
            line = b""
            while not line.endswith(b"\n"):
                piece = self.socket.recv(1)
                if not piece:
                    raise UsageError(f"the server at {path} hung up", exit_code=5)
                line += piece
        except TimeoutError:
            raise UsageError(f"the server at {path} did not answer", exit_code=8) from None
        except OSError as error:
            raise UsageError(f"no server answers at {path}: {error.strerror or error}", exit_code=5) from None
        said = json.loads(line)
        if "error" in said:
            code = 6 if said["error"]["code"] == 403 else 1
            raise UsageError(f"{path}: {said['error']['message']}", exit_code=code)
        self.hello: dict[str, Any] = said["result"]
        self.socket.settimeout(None)


class Attached:
    """A trace of the server behind a control socket, of all its workers. Iterate over `batches`.

    Behind `NAME.1` is worker 1 alone. `on_record` gets the records of TLS connections that begin from now on.
    """

    def __init__(
        self, path: Path, *, cfg: bool = False, before: float = 0.0,
        on_record: Callable[[Record], None] | None = None,
    ) -> None:  # fmt: skip
        """Raises UsageError."""
        self.path, self.before, self.on_record = path, before, on_record
        self._wishes = {"cfg": cfg, "before": before, "records": on_record is not None}
        self._recent = Recent()
        self.late = 0
        """Messages that came when younger ones had been given already."""
        first = End(path, self._wishes, self._recent)
        self.hello, self.frames, self.socket = first.hello, first.frames, first.socket
        self._all = [first.frames]
        self._ends: dict[int, End] = {0: first}
        self._absent: set[int] = set()
        self._leaving = False
        if not self.hello.get("worker"):
            self._absent = set(range(1, self.hello.get("workers", 1)))
        self._is_alone = not self._absent
        self._selector = selectors.DefaultSelector()
        self._selector.register(first.socket, selectors.EVENT_READ, 0)
        self._look_for_absent()

    @property
    def dropped(self) -> int:
        return sum(frames.dropped for frames in self._all)

    @property
    def forgotten(self) -> int:
        return sum(frames.forgotten for frames in self._all)

    @property
    def is_live(self) -> bool:
        """Whether the past, if any was asked for, has been given."""
        return not self.before or all(end.frames.is_live for end in self._ends.values())

    def _look_for_absent(self) -> None:
        """Attach to workers that are not attached to: one that died has a successor soon."""
        for number in sorted(self._absent):
            place = self.path.with_name(f"{self.path.name}.{number}") if number else self.path
            try:
                end = End(place, self._wishes, self._recent)
            except UsageError:
                continue
            self._absent.discard(number)
            self._ends[number] = end
            self._all.append(end.frames)
            self._selector.register(end.socket, selectors.EVENT_READ, number)

    def batches(self) -> Iterator[list[Captured]]:
        """Messages as they come, until the server goes; an empty batch now and then, to look at the clock."""
        held: list[Captured | Record] = []
        given, looked = 0.0, time.monotonic()
        while self._ends:
            held += self._read(HOLD / 4 if held and not self._is_alone else TURN)
            if self._absent and not self._leaving and time.monotonic() - looked > RETRY:
                looked = time.monotonic()
                self._look_for_absent()
            if self._is_alone:
                ripe, held = held, []
            elif not self.is_live:
                ripe = []
            else:
                held.sort(key=_moment)
                edge = time.time() - HOLD
                count = next((place for place, each in enumerate(held) if each.at > edge), len(held))
                ripe, held = held[:count], held[count:]
                self.late += sum(each.at < given for each in ripe)
                given = ripe[-1].at if ripe else given
            yield from self._given(ripe)
        yield from self._given(sorted(held, key=_moment))

    def _given(self, ripe: list[Captured | Record]) -> Iterator[list[Captured]]:
        batch: list[Captured] = []
        for each in ripe:
            if isinstance(each, Captured):
                batch.append(each)
                continue
            if batch:
                yield batch
                batch = []
            if self.on_record is not None:
                self.on_record(each)
        yield batch

    def _read(self, patience: float) -> list[Captured | Record]:
        found: list[Captured | Record] = []
        for key, _ in self._selector.select(patience):
            end = self._ends[key.data]
            try:
                data = end.socket.recv(1 << 18)
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(end.socket)
                end.socket.close()
                del self._ends[key.data]
                if not self._is_alone:
                    self._absent.add(key.data)
                continue
            found += end.frames.feed(data)
            if end.frames.records:
                records, end.frames.records = end.frames.records, []
                found = sorted([*records, *found], key=_moment)
        return found

    def leave(self) -> None:
        """Ask for what is on its way, and no more: `batches` ends with it."""
        self._leaving = True
        for end in self._ends.values():
            with suppress(OSError):  # it has hung up
                end.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        for end in self._ends.values():
            end.socket.close()
        self._selector.close()


def _moment(seen: Captured | Record) -> float:
    return seen.at


def _connect(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.settimeout(10)
    try:
        if os.stat(path).st_uid not in (os.getuid(), 0) and os.getuid() != 0:
            raise UsageError(f"{path} belongs to somebody else", exit_code=6)
        made.connect(str(path))
    except PermissionError:
        made.close()
        raise UsageError(
            f"no permission to use {path}", exit_code=6, hint="the control socket is for its owner"
        ) from None
    except OSError as error:
        raise UsageError(
            f"no server answers at {path}: {error.strerror or error}", exit_code=5,
            hint="start one with `kamtool serve`, name its control socket with -s, or read a file with -r",
        ) from None  # fmt: skip
    return made
