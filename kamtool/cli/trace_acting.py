"""Which options of `kamtool trace` act in which run: a table, read by `acting`."""

from __future__ import annotations

from typing import Any

from kamtool.cli.acting import Rule, refuse_idle


def _lacks(option: str) -> Any:
    return lambda given: not given[option]


def _is_stream(given: dict[str, Any]) -> bool:
    return str(given["write"]) == "-"


_FILED = tuple((option, _lacks("write"), "it is of the file of --write") for option in (
    "encap", "rotate_size", "rotate_time", "keep"))  # fmt: skip

RULES: tuple[Rule, ...] = (
    ("listen_hep", lambda given: given["files"], "--read has the messages"),
    ("before", lambda given: given["files"] or given["listen_hep"], "it asks a server's flight recorder"),
    ("cfg", lambda given: given["files"] or given["listen_hep"], "only a running server tells its cfg lines"),
    ("socket", lambda given: given["files"] or given["listen_hep"], "no server is asked"),
    ("duration", lambda given: given["files"], "a file is read to its end"),
    *_FILED,
    ("rotate_size", _is_stream, "stdout is one stream"),
    ("rotate_time", _is_stream, "stdout is one stream"),
    ("keep", lambda given: not (given["rotate_size"] or given["rotate_time"]),
     "it is how many files of --rotate-size or --rotate-time are kept"),
    ("hep_version", _lacks("hep_place"), "it is of --hep"),
    ("hep_id", _lacks("hep_place"), "it is of --hep"),
    ("hep_id", lambda given: given["hep_version"] == 1, "HEP 1 has no place for it"),
    ("hep_key_file", lambda given: not (given["hep_place"] or given["listen_hep"]), "it is of HEP"),
    ("hep_key_file", lambda given: given["hep_place"] and given["hep_version"] < 3, "only HEP 3 has a key"),
    ("whole_calls", lambda given: not any(given[one] for one in ("expression", "call_id", "user", "ip")),
     "without a filter every call is whole"),
    ("count", lambda given: given["browses"], "the screen goes on until you leave; with --format it counts"),
    ("duration", lambda given: given["browses"], "the screen goes on until you leave; --format ends then"),
)  # fmt: skip


def check(options: dict[str, str], given: dict[str, Any]) -> None:
    """Raise UsageError when something that was asked for would be ignored."""
    refuse_idle(options, RULES, given)
