"""Abuse packs: what a hostile or broken peer sends."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from kamtool.errors import ParseError, TransportError
from kamtool.sip import digest
from kamtool.tools.stress import received
from kamtool.tools.stress.abuse import PROBE_PATIENCE, Abuse, clock, request
from kamtool.tools.stress.torture import CASES
from kamtool.tools.stress.weird import mutate


def _torture(abuse: Abuse) -> None:
    """Messages at the edge of RFC 3261's grammar, well formed and not, again and again."""
    target, local = str(_address(abuse)), abuse.sender.local
    for number in abuse.paced():
        case = CASES[number % len(CASES)]
        abuse.send(
            case.replace("TARGET", target)
            .replace("HERE", str(local))
            .replace("NUMBER", str(number))
            .encode("latin-1")
        )


def _fuzz(abuse: Abuse) -> None:
    """Requests with octets and headers changed by chance; `seed` makes the same ones again."""
    local, target = abuse.sender.local, str(_address(abuse))
    methods = ("OPTIONS", "REGISTER", "INVITE", "SUBSCRIBE", "MESSAGE", "BYE", "CANCEL", "ACK")
    for number in abuse.paced():
        whole = request(abuse.choice.choice(methods), local.host, local.port, target, number)
        abuse.send(mutate(whole, abuse.choice)[:65000])


def _storm(abuse: Abuse) -> None:
    """One INVITE sent again and again as if no answer ever came, ten times each."""
    local, target = abuse.sender.local, str(_address(abuse))
    for number in abuse.paced():
        abuse.send(request("INVITE", local.host, local.port, target, number // 10))


def _brute_force(abuse: Abuse) -> None:
    """REGISTER with one wrong password after another, for one user."""
    local, target = abuse.sender.local, str(_address(abuse))
    challenge: digest.Challenge | None = None
    for number in abuse.paced():
        extra = ""
        if challenge is not None:
            made = digest.answer(
                challenge,
                "u0000000",
                f"guess{number}",
                method="REGISTER",
                uri=f"sip:{target}",
                cnonce=f"{number:08x}",
                count=number + 1,
            )
            extra = f"Authorization: {made}\r\n"
        abuse.send(request("REGISTER", local.host, local.port, target, number, extra))
        if challenge is None or number % 50 == 0:
            select.select([abuse.sender.fd], [], [], 0.05)
            for data, _ in abuse.sender.receive():
                status = received.first_line(data)[8:11]
                abuse.record.codes[status] += 1
                for value in received.values(data, "WWW-Authenticate"):
                    try:
                        challenge = digest.parse_challenge(value.decode(errors="replace")) or challenge
                    except ParseError:
                        continue


def _slow_loris(abuse: Abuse) -> None:
    """Many connections that each send a header an octet at a time and never end it."""
    data = request("OPTIONS", "127.0.0.1", 9, str(_address(abuse)), 1, "X-Slow: " + "x" * 4000)
    links: list[tuple[socket.socket, int]] = []
    wanted = max(1, abuse.plan.sources)
    for number in abuse.paced():
        if len(links) < wanted:
            try:
                links.append((abuse.stream(), 0))
                abuse.record.succeeded += 1
            except OSError as error:
                abuse.record.reasons[f"not connected: {error.strerror or error}"] += 1
        if not links:
            continue
        place = number % len(links)
        sock, at = links[place]
        try:
            sock.send(data[at : at + 1])
            abuse.record.sent += 1
            links[place] = (sock, min(at + 1, len(data) - 5))
        except OSError:
            # What a server should do: it has waited long enough and closed the connection.
            abuse.record.codes["closed by the target"] += 1
            sock.close()
            del links[place]
    for sock, _ in links:
        sock.close()


def _fragments(abuse: Abuse) -> None:
    """Whole requests over TCP in pieces of one to nine octets, several in a row."""
    try:
        sock = abuse.stream()
    except OSError as error:
        raise TransportError(f"tcp {_address(abuse)}: {error.strerror or error}") from error
    host, port = sock.getsockname()[:2]
    answered = b""
    with sock:
        for number in abuse.paced():
            data = request("OPTIONS", host, port, str(_address(abuse)), number).replace(
                b"SIP/2.0/UDP", b"SIP/2.0/TCP"
            )
            at, begun = 0, clock()
            try:
                while at < len(data):
                    size = abuse.choice.randint(1, 9)
                    sock.sendall(data[at : at + size])
                    at += size
                sock.settimeout(PROBE_PATIENCE)
                while b"\r\n\r\n" not in answered:
                    more = sock.recv(65536)
                    if not more:
                        raise ConnectionResetError(104, "closed by the target")
                    answered += more
                answered = answered.partition(b"\r\n\r\n")[2]
                abuse.record.succeeded += 1
                abuse.record.responses["fragments"].append(clock() - begun)
                abuse.record.services["fragments"].append(clock() - begun)
            except OSError as error:
                abuse.record.failed += 1
                abuse.record.reasons[f"fragmented request: {error.strerror or error}"] += 1
                return


def _address(abuse: Abuse) -> object:
    assert abuse.plan.target is not None
    return abuse.plan.target.address


PACKS: dict[str, Callable[[Abuse], None]] = {
    "torture": _torture, "fuzz": _fuzz, "slow-loris": _slow_loris, "fragments": _fragments,
    "brute-force": _brute_force, "storm": _storm,
}  # fmt: skip
