"""Which hosts are this server: its sockets, what they advertise, and the aliases of the cfg."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kamtool.sip.flow import Socket

MAX_CACHED = 4096


class Myself:
    """`uri == myself`. An alias without a port fits any port; without a transport, any transport.

    Asked for port 0, as `src_ip == myself` does, any port of the host will do.
    """

    def __init__(self, sockets: Iterable[Socket], aliases: Iterable[tuple[str, str, int]] = ()) -> None:
        self._known: set[tuple[str, str, int]] = set()
        self._answers: dict[tuple[str, int | None, str], bool] = {}
        self.uris: dict[str, bool] = {}
        """The answers by URI, for who has one: kept there, emptied here."""
        self._kept: list[dict[bytes, bool]] = []
        self._asked: list[Callable[[str], bool]] = []
        self._domains: list[tuple[str, str, int]] = []
        for socket in sockets:
            for host, port in {socket.address, socket.shown}:
                self._known.add((socket.transport, host.lower(), port))
                self._known.add(("?", host.lower(), port))
        self._aliases: set[tuple[str, str, int]] = set()
        self.set_aliases(aliases)

    def add(self, transport: str, host: str, port: int) -> None:
        """One more name; `transport` "" and `port` 0 stand for any."""
        self._known |= _spelt(transport, host, port)
        self.forget()

    def set_aliases(self, aliases: Iterable[tuple[str, str, int]]) -> None:
        """The aliases of the cfg, in the place of those before."""
        self._aliases = {name for alias in aliases for name in _spelt(*alias)}
        self.forget()

    def add_domain(self, transport: str, domain: str, port: int) -> None:
        """A domain with all below it; "" and 0 stand for any, and a URI without them fits as well."""
        self._domains.append((transport.lower(), domain.lower(), port))
        self.forget()

    def ask(self, is_ours: Callable[[str], bool]) -> None:
        """Ask this too whether a host is ours, whatever the port; `forget` when its answers change."""
        self._asked.append(is_ours)
        self.forget()

    def keep(self, answers: dict[bytes, bool]) -> None:
        """Empty these too when the answers may have changed: somebody keeps them by a key of his own."""
        self._kept.append(answers)

    def forget(self) -> None:
        """Look again at every host."""
        self._answers.clear()
        self.uris.clear()
        for answers in self._kept:
            answers.clear()

    def __call__(self, host: str, port: int | None = None, transport: str = "") -> bool:
        key = (host, port, transport)
        answer = self._answers.get(key)
        if answer is None:
            if len(self._answers) >= MAX_CACHED:
                self._answers.clear()
            answer = self._answers[key] = self._look(host.strip("[]").lower(), port, transport.lower())
        return answer

    def _look(self, host: str, port: int | None, transport: str) -> bool:
        if port == 0:
            known = any(host == known for names in (self._known, self._aliases) for _, known, _ in names)
            return known or self._is_below(host, port, transport) or self._ask(host)
        number = port or (5061 if transport == "tls" else 5060)
        # "" is a name for every transport; "?" one that a URI without a transport may mean.
        kinds = ("", transport) if transport else ("", "?")
        spelt = {(kind, host, place) for kind in kinds for place in (number, 0)}
        if not spelt.isdisjoint(self._known) or not spelt.isdisjoint(self._aliases):
            return True
        return self._is_below(host, port, transport) or self._ask(host)

    def _is_below(self, host: str, port: int | None, transport: str) -> bool:
        return any(
            (host == domain or host.endswith(f".{domain}"))
            and (not wanted or not port or port == wanted)
            and (not kind or not transport or transport == kind)
            for kind, domain, wanted in self._domains
        )

    def _ask(self, host: str) -> bool:
        return any(is_ours(host) for is_ours in self._asked)


def _spelt(transport: str, host: str, port: int) -> set[tuple[str, str, int]]:
    """A name as it is looked up; with a transport also as one that a URI without any may mean."""
    bare = host.strip("[]").lower()
    return {(kind, bare, port) for kind in ((transport.lower(), "?") if transport else ("",))}
