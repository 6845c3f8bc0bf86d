"""Asking destinations whether they live."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, ParseError, TransportError
from kamtool.modules.dispatcher.base import Sets
from kamtool.modules.dispatcher.destination import DISABLED, INACTIVE, PROBING, TRYING, Destination

if TYPE_CHECKING:
    from collections.abc import Iterator

ONLY_PROBING, ALL, INACTIVE_PROBING, FLAGGED = 0, 1, 2, 3
_CODE = re.compile(r"\s*(code|class)=(\d{1,3})\s*")


def accepted(text: str) -> tuple[frozenset[int], frozenset[int]]:
    """The codes and classes of `class=2;code=403` that count as life. Raises ConfigError."""
    codes, classes = {200}, set()
    for part in filter(None, text.split(";")):
        found = _CODE.fullmatch(part)
        if found is None:
            raise ConfigError(
                f"dispatcher: ds_ping_reply_codes: {part!r} is no code",
                hint="class=2;code=403",
                code="KT1201",
            )
        number = int(found[2])
        if found[1] == "code":
            codes.add(number)
        else:
            classes.add(number // 100 if number >= 100 else number)
    return frozenset(codes), frozenset(classes)


class Pinger(Sets):
    """Pings at an interval, each in its own task: one that does not answer holds up no other."""

    ds_ping_method: str
    ds_ping_from: str
    ds_probing_mode: int
    ds_ping_latency_stats: int
    ds_latency_estimator_alpha: int
    outbound_proxy: str
    ping_active: bool
    accepted: tuple[frozenset[int], frozenset[int]]
    pinging: set[Destination]

    def wanted(self) -> Iterator[Destination]:
        """The destinations that are due by `ds_probing_mode`."""
        for _, each in self.all():
            if each.flags & DISABLED or each in self.pinging:
                continue
            flagged = bool(each.flags & PROBING)
            if self.ds_probing_mode == ALL or (
                flagged and (self.ds_probing_mode != INACTIVE_PROBING or each.flags & INACTIVE)
            ):
                yield each

    def ping_all(self) -> None:
        """Send a ping to each that is due."""
        if self.ping_active:
            for each in list(self.wanted()):
                self.pinging.add(each)
                self.server.spawn(self._ping(each), f"ping {each.uri}")

    async def _ping(self, each: Destination) -> None:
        server: Any = self.server
        began = asyncio.get_running_loop().time()
        sender = each.attributes.get("ping_from", self.ds_ping_from)
        try:
            status, reply = await server.uac.request(
                self.ds_ping_method, each.uri, [("From", f"<{sender}>")],
                next_hop=each.attributes.get("obproxy", self.outbound_proxy), socket=self.socket_of(each),
            )  # fmt: skip
        except (ParseError, TransportError):
            status, reply = 408, None
        finally:
            self.pinging.discard(each)
        if self.ds_ping_latency_stats:
            if reply is None:
                each.timeouts += 1
            else:
                alpha = self.ds_latency_estimator_alpha / 1000
                each.measured((asyncio.get_running_loop().time() - began) * 1000, alpha)
        self.pinged(each, status)

    def pinged(self, each: Destination, status: int) -> None:
        """Take in the answer to a ping."""
        if each.flags & DISABLED:
            return
        codes, classes = self.accepted
        if status in codes or status // 100 in classes:
            keep = self.ds_probing_mode in (ALL, FLAGGED)
            self.change(each, PROBING if keep else 0)
        else:
            keep = self.ds_probing_mode != ONLY_PROBING or bool(each.flags & PROBING)
            self.change(each, TRYING | (PROBING if keep else 0))
