"""The list of destinations: from a file or a table."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from kamtool.errors import ConfigError, ParseError
from kamtool.modules.dispatcher.destination import Destination, Set, destination

logger = logging.getLogger("kamtool.modules.dispatcher")

Row = tuple[str, Any, Any, Any, Any, Any]
"""Where it stands, then set, destination, flags, priority, attributes."""


def rows_of(text: str, name: str) -> Iterator[Row]:
    """The rows of a list file: `setid destination [flags [priority [attrs]]]`."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(maxsplit=4)
        if words:
            words += ["", "0", "0", ""][len(words) - 1 :]
            yield (f"{name}:{number}", *words)  # type: ignore[misc]


def read_sets(rows: Iterable[Row], *, strict: bool, none: bool = False) -> dict[int, Set]:
    """The sets that rows make. A bad row is logged and passed over, or with `strict` raises ConfigError."""
    sets: dict[int, Set] = {}
    for where, set_id, uri, flags, priority, body in rows:
        try:
            attributes = str(body or "").strip() or ("none=yes" if none else "")
            new = destination(str(uri).strip(), int(flags or 0), int(priority or 0), attributes)
            number = int(set_id)
        except (ParseError, ValueError) as error:
            if strict:
                raise ConfigError(f"dispatcher: {where}: {error}", code="KT1201") from error
            logger.error("%s: %s; the destination is passed over", where, error)
            continue
        sets.setdefault(number, Set(number)).add(new)
    for each in sets.values():
        each.prepare()
    return sets


def keep_states(old: dict[int, Set], new: dict[int, Set]) -> None:
    """Let a destination whose row has not changed keep the state that it was found in."""
    for set_id, each in new.items():
        known: dict[str, Destination] = {}
        if set_id in old:
            known = {destination.uri: destination for destination in old[set_id].destinations}
        for fresh in each.destinations:
            before = known.get(fresh.uri)
            if before is not None and before.loaded_flags == fresh.loaded_flags:
                fresh.flags, fresh.count, fresh.load = before.flags, before.count, before.load
                fresh.average, fresh.deviation = before.average, before.deviation
                fresh.estimate, fresh.slowest = before.estimate, before.slowest
                fresh.timeouts = before.timeouts
        each.prepare()
