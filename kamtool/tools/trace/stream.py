"""The client's end of a trace: frames from a running server become messages."""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kamtool.errors import ParseError, UsageError
from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured, Place
from kamtool.tools.trace.frames import (
    DROPPED,
    END_OF_BATCH,
    END_OF_PAST,
    FACTS,
    FLOW,
    HEAD,
    IN,
    OUT,
    PLACE,
)  # fmt: skip

LARGEST_FRAME = 64 << 20
FIRST_ROUTES = ("request_route", "reply_route")
REMEMBERED = 512
"""Messages that may still be told what the script did for them."""


class Frames:
    """Octets in, messages out. `dropped` and `forgotten` count what the server could not give."""

    def __init__(self) -> None:
        self.dropped = self.forgotten = 0
        self.is_live = False
        """Whether the past, if any was asked for, is over."""
        self._buffer = bytearray()
        self._flows: dict[int, tuple[str, Address, Address, int]] = {}
        self._places: dict[int, Place] = {}
        self._batch: list[Captured] = []
        self._recent: deque[Captured] = deque(maxlen=REMEMBERED)

    def feed(self, data: bytes) -> list[Captured]:
        """The messages of the batches that `data` completes. Raises ParseError."""
        self._buffer += data
        found: list[Captured] = []
        at = 0
        buffer = self._buffer
        while len(buffer) - at >= HEAD.size:
            kind, moment, number, place, size = HEAD.unpack_from(buffer, at)
            if size > LARGEST_FRAME:
                raise ParseError(f"a frame of {size} octets")
            end = at + HEAD.size + size
            if len(buffer) < end:
                break
            body = bytes(buffer[at + HEAD.size : end])
            at = end
            try:
                self._frame(kind, moment, number, place, body, found)
            except (KeyError, ValueError, TypeError, IndexError) as error:
                raise ParseError(f"a frame of kind {kind} that says nothing: {error}") from error
        del buffer[:at]
        return found

    def _frame(
        self, kind: int, moment: float, number: int, place: int, body: bytes, found: list[Captured]
    ) -> None:
        if kind in (IN, OUT):
            self._batch.append(self._message(kind == IN, moment, number, place, body))
        elif kind == END_OF_BATCH:
            found += self._batch
            self._recent.extend(self._batch)
            self._batch = []
        elif kind == FLOW:
            transport, here, port, there, port2, connection = json.loads(body)
            self._flows[number] = transport, Address(here, port), Address(there, port2), connection
        elif kind == PLACE:
            self._places[number] = Place(*json.loads(body))
        elif kind == FACTS:
            self._facts(json.loads(body))
        elif kind == DROPPED:
            self.dropped += number
        elif kind == END_OF_PAST:
            self.is_live, self.forgotten = True, number
        else:
            raise ValueError(kind)

    def _message(self, inbound: bool, at: float, number: int, place: int, data: bytes) -> Captured:
        transport, here, there, connection = self._flows[number]
        source, target = (there, here) if inbound else (here, there)
        sent_by = self._places[place] if place else None
        return Captured(at, transport, source, target, data, inbound, connection, sent_by=sent_by)

    def _facts(self, facts: dict[str, Any]) -> None:
        """What the script did goes to the message that it did it for: the last to come in of that name."""
        key = facts["call_id"], facts["cseq"], facts["method"]
        path = [self._places[number] for number in facts["path"]]
        is_first = facts["route"] in FIRST_ROUTES
        for held in (self._batch, self._recent):
            for seen in reversed(held):
                if not seen.inbound or seen.key != key or seen.status != facts["status"]:
                    continue
                if is_first and seen.route in FIRST_ROUTES:
                    continue  # the same once more: this is about an earlier copy
                # A branch_route ends before the request_route that it is part of does.
                seen.path = path + seen.path if is_first else seen.path + path
                seen.route = facts["route"] if is_first else seen.route or facts["route"]
                seen.replied = (facts["replied"] or [seen.replied])[-1]
                seen.error = facts["error"] or seen.error
                return


class Attached:
    """A trace of the server behind a control socket. Iterate over `batches`."""

    def __init__(self, path: Path, *, cfg: bool = False, before: float = 0.0) -> None:
        """Raises UsageError."""
        self.frames = Frames()
        self.before = before
        self.socket = _connect(path)
        asked = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "trace.attach",
            "params": {"cfg": cfg, "before": before},
        }
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

    def batches(self) -> Iterator[list[Captured]]:
        """Messages as they come, until the server goes; an empty batch now and then, to look at the clock."""
        self.socket.settimeout(0.25)
        while True:
            try:
                data = self.socket.recv(1 << 18)
            except TimeoutError:
                yield []
                continue
            except OSError:
                return
            if not data:
                return
            yield self.frames.feed(data)

    def close(self) -> None:
        self.socket.close()


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
        made.close()
        raise UsageError(
            f"no server answers at {path}: {error.strerror or error}", exit_code=5,
            hint="start one with `kamtool serve`, name its control socket with -s, or read a file with -r",
        ) from None  # fmt: skip
    return made
