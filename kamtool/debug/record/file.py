"""The file of a recording: a line that says what it is, a line about the server, then entry after entry.

An entry is a letter, its length, the server's time, and its content:

    F  a flow, as JSON: number, transport, local, remote, connection      I  a message that came: flow, bytes
    O  a message that left: flow, bytes                                   S  the timers were swept
    K  something that runs every so many seconds ran: its number          R  a call over RPC, as JSON
    Q  a database answered, as JSON: statement, arguments, rows           D  a name server answered, as JSON
    C  a connection was lost: flow, reason                                M  the server has started
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kamtool.errors import UsageError

MAGIC = b"kamtool recording 1\n"
HEAD = struct.Struct(">cId")
FLOW = struct.Struct(">I")
LARGEST = 64 << 20


class Entry(NamedTuple):
    """One thing that happened. `at` is the server's clock, in seconds."""

    kind: str
    at: float
    data: bytes

    @property
    def facts(self) -> Any:
        """The content of an entry in JSON."""
        return json.loads(self.data, object_hook=_octets)

    @property
    def flow(self) -> int:
        """The number of the flow of a message."""
        return int(FLOW.unpack_from(self.data)[0])

    @property
    def message(self) -> bytes:
        """The message itself."""
        return self.data[FLOW.size :]


def packed(kind: bytes, at: float, data: bytes) -> bytes:
    """An entry as it stands in the file."""
    return HEAD.pack(kind, len(data), at) + data


def in_json(value: Any) -> bytes:
    """JSON with octets in it."""
    return json.dumps(value, default=lambda octets: {"octets": bytes(octets).hex()}).encode()


def _octets(found: dict[str, Any]) -> Any:
    return bytes.fromhex(found["octets"]) if set(found) == {"octets"} else found


@dataclass(slots=True)
class Recording:
    """What a file holds. `cut` says why it ends too early, "" when it does not."""

    about: dict[str, Any]
    entries: list[Entry] = field(default_factory=list)
    cut: str = ""

    @property
    def came(self) -> int:
        """How many messages came in."""
        return sum(entry.kind == "I" for entry in self.entries)


def read(path: Path) -> Recording:
    """A recording, as far as it is whole. Raises UsageError for a file that is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", exit_code=3) from error
    if not data.startswith(MAGIC):
        raise UsageError(f"{path} is no recording", hint="`kamtool serve --record FILE` makes one")
    line, _, _ = data[len(MAGIC) :].partition(b"\n")
    try:
        about = json.loads(line)
        if not isinstance(about, dict):
            raise ValueError
    except ValueError as error:
        raise UsageError(f"{path}: its first lines are cut off") from error
    recording = Recording(about)
    for entry in _entries(data, len(MAGIC) + len(line) + 1, recording):
        recording.entries.append(entry)
    return recording


def _entries(data: bytes, at: int, recording: Recording) -> Iterator[Entry]:
    while at < len(data):
        if at + HEAD.size > len(data):
            recording.cut = f"it is cut off after {at} octets"
            return
        kind, size, moment = HEAD.unpack_from(data, at)
        begin = at + HEAD.size
        if not kind.isalpha() or size > LARGEST or moment != moment:
            recording.cut = f"what stands at octet {at} is no entry"
            return
        if begin + size > len(data):
            recording.cut = f"it is cut off after {at} octets"
            return
        yield Entry(kind.decode(), moment, data[begin : begin + size])
        at = begin + size
