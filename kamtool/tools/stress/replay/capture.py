"""What a capture holds for a replay: the peers of one server, what each sent to it, and what it answered."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from kamtool.errors import UsageError
from kamtool.sip.flow import Address
from kamtool.tools.captured import Captured
from kamtool.tools.trace.sources import Files

Key = tuple[int, str]
"""CSeq's number and method."""
CHALLENGES = (401, 407)


@dataclass(slots=True)
class Answers:
    """What a peer answered to one request that the server sent it: seconds after it, and the response."""

    request: Captured
    responses: list[tuple[float, Captured]] = field(default_factory=list)
    used: bool = False


@dataclass(slots=True)
class Part:
    """One peer's part in one dialog, or in what has its Call-ID."""

    peer: Address
    call_id: str
    requests: list[Captured] = field(default_factory=list)
    finals: dict[Key, int] = field(default_factory=dict)
    """The final answers of the server."""
    answers: dict[Key, Answers] = field(default_factory=dict)

    def proved(self, key: Key) -> Key | None:
        """Of a request that was challenged: the same once more, with its proof; None when there is none."""
        if self.finals.get(key, 0) not in CHALLENGES:
            return None
        later = (one.key[1:] for one in self.requests)
        return min((each for each in later if each[1] == key[1] and each[0] > key[0]), default=None)


@dataclass(slots=True)
class Capture:
    """A capture as the server saw it. `ignored` counts and names what is not sent again."""

    server: Address
    transport: str
    parts: list[Part]
    peers: list[Address]
    start: float
    span: float
    ignored: Counter[str]


def read(path: Path, server: str = "") -> Capture:
    """Read a capture; `server` is the address whose place the target takes, "" lets it be found.

    Raises UsageError for a file that is none, or holds nothing to send.
    """
    files = Files([path])
    messages = sorted((one for batch in files.batches() for one in batch), key=lambda one: one.at)
    ignored = files.problems
    sound = [one for one in messages if one.message is not None]
    ignored["malformed messages"] += len(messages) - len(sound)
    ends = {str(end): end for one in sound for end in (one.source, one.target)}
    if server and server not in ends:
        raise UsageError(f"{path}: nothing to or from {server}", hint=", ".join(sorted(ends)[:8]))
    place = ends[server] if server else _server(sound)
    if place is None:
        raise UsageError(f"{path}: no SIP request in it", hint=", ".join(ignored))
    made = _parts(sound, place, ignored)
    sent = [one for part in made for one in part.requests]
    if not sent:
        raise UsageError(
            f"{path}: no request to {place}", hint="another --server, of " + ", ".join(sorted(ends)[:8])
        )
    transports = Counter(one.transport for one in sent)
    start = min(one.at for one in sent)
    peers = list(dict.fromkeys(part.peer for part in made))
    span = max(one.at for one in sound) - start
    ignored = +ignored
    return Capture(place, transports.most_common(1)[0][0], made, peers, start, span, ignored)


def _server(messages: list[Captured]) -> Address | None:
    """Whom the most peers send requests to; of equals, who gets the most."""
    peers: defaultdict[Address, set[Address]] = defaultdict(set)
    requests: Counter[Address] = Counter()
    for one in messages:
        peers[one.source].add(one.target)
        peers[one.target].add(one.source)
        requests[one.target] += one.is_request
    if not any(requests.values()):
        return None
    return max((end for end in peers if requests[end]), key=lambda end: (len(peers[end]), requests[end]))


def _parts(messages: list[Captured], server: Address, ignored: Counter[str]) -> list[Part]:
    parts: dict[tuple[Address, str], Part] = {}
    seen: set[tuple[Address, Address, bytes]] = set()
    for one in messages:
        if server not in (one.source, one.target) or one.source == one.target:
            ignored["messages between others"] += 1
            continue
        copy = (one.source, one.target, one.data)
        if copy in seen:
            ignored["messages sent again"] += 1
            continue
        seen.add(copy)
        peer = one.source if one.target == server else one.target
        part = parts.setdefault((peer, one.call_id), Part(peer, one.call_id))
        _place(part, one, one.target == server, ignored)
    return list(parts.values())


def _place(part: Part, one: Captured, inbound: bool, ignored: Counter[str]) -> None:
    key: Key = one.key[1:]
    if one.is_request and inbound:
        part.requests.append(one)
    elif one.is_request:
        part.answers.setdefault(key, Answers(one))
    elif not inbound:
        if one.status >= 200:
            part.finals.setdefault(key, one.status)
    elif key in part.answers:
        answers = part.answers[key]
        if all(given.status != one.status for _, given in answers.responses):
            answers.responses.append((one.at - answers.request.at, one))
    else:
        ignored["answers to what was not captured"] += 1
