"""Every row of the comparison in one table: `python -m tests.bench table [--quick]`.

CPU per operation, the most a second, p50 and p99, memory, of both servers; the ratio, the goal, and, where it
is missed, why (WHY, from a profile).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]

GOALS = {"call": 0.5, "call-digest": 0.5, "call-stock": 0.5}
"""Saturated calls are to cost half; everything else no more than there."""
IDLE_TLS_BYTES = 24 * 1024
WHY: Mapping[str, str] = {
    "options": "a third is the system's sockets, half the interpreter: the way from datagram to route",
    "call": "a quarter is the system's sockets, 58 % the interpreter: the routes and what is not compiled",
    "call-digest": "as call, and the routes run once more for the challenge",
    "call-stock": "a quarter of the instructions are acc's two lines, the rest is as call",
    "tls-register": "a quarter is Python's runtime, 15 % OpenSSL, a third the system's sockets",
    "TLS handshake": "56 % is OpenSSL with its memory, 27 % the system's sockets, 15 % our own",
    "paced": "most of it are wake-ups: at 1,000 a second datagrams come alone, and no batch forms",
}
"""By regime, else by row: what a profile showed (`perf record -- python -m tests.bench live call`, then
`perf report --sort pid,dso`; the server's share, its start included). Who missed and is not here has none."""
COLUMNS = ("cpu_us", "rate", "p50_ms", "p99_ms", "bytes", "lost", "unavailable")


def table(result: Mapping[str, Any]) -> list[Row]:
    """The rows, one for each operation and regime, from what the other parts have measured."""
    found = list(_pairs(_flat(result)))
    for row in found:
        row["goal"] = GOALS.get(row["what"], 1.0) if row["regime"] != "paced" else 1.0
        row["met"] = None if row["ratio"] is None else row["ratio"] <= row["goal"]
        row["why"] = "" if row["met"] is not False else why(row["what"], row["regime"])
    return found


def why(what: str, regime: str) -> str:
    """Why a row misses its goal."""
    return WHY.get(regime) or WHY.get(what) or "not profiled yet (python -m tests.bench replay --profile)"


def _flat(result: Mapping[str, Any]) -> Iterator[Row]:
    for row in result.get("live", ()):
        yield _row(row["case"], row, row.get("rss"))
    for row in result.get("scale", ()):
        if row.get("unit") == "us" or "regime" in row:
            cost = row.get("cpu_us", row.get("value"))
            yield _row(row["what"], {**row, "cpu_us": cost}, row.get("rss"))
        else:
            yield _row(row["what"], {**row, "bytes": row.get("value")}, None)
    for row in result.get("tls", ()):
        yield _row(row["what"], row, None)
    for row in result.get("registers", ()):
        yield _row(row["what"], row, None)


def _row(what: str, row: Mapping[str, Any], resident: float | None) -> Row:
    return {
        "what": what, "regime": row.get("regime", ""), "server": row["server"],
        **{key: row.get(key) for key in COLUMNS},
        "resident": resident,
    }  # fmt: skip


def _pairs(rows: Iterator[Row]) -> Iterator[Row]:
    both: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        both.setdefault((row["what"], row["regime"]), {})[row["server"]] = row
    for (what, regime), servers in both.items():
        ours, theirs = servers.get("kamtool", {}), servers.get("kamailio", {})
        measure = "cpu_us" if ours.get("cpu_us") is not None else "bytes"
        mine, other = ours.get(measure), theirs.get(measure)
        yield {
            "what": what, "regime": regime, "kamtool": ours, "kamailio": theirs, "measure": measure,
            "ratio": mine / other if mine is not None and other else None,
        }  # fmt: skip


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """The table as text."""
    head = (
        f"{'row':<15}{'regime':<11}{'':<9}{'us/op':>8}{'rate/s':>8}{'p50 ms':>8}{'p99 ms':>8}{'memory':>11}"
    )
    yield head
    for row in rows:
        for name in ("kamailio", "kamtool"):
            yield f"{row['what']:<15}{row['regime']:<11}{name:<9}" + _figures(row[name])
        if row["ratio"] is None:
            yield f"{'':<26}one of them could not be measured"
            continue
        verdict = "met" if row["met"] else "NOT MET: " + row["why"]
        yield f"{'':<26}ratio {row['ratio']:.2f}, goal {row['goal']:.2f}: {verdict}"


def _figures(row: Row) -> str:
    if not row or row.get("unavailable"):
        return f"  not measured: {row.get('unavailable', 'not asked for')}"
    text = "".join(
        f"{row[key]:8.{digits}f}" if row.get(key) is not None else f"{'-':>8}"
        for key, digits in (("cpu_us", 1), ("rate", 0), ("p50_ms", 2), ("p99_ms", 2))
    )
    if row.get("bytes") is not None:
        return text + f"{row['bytes']:>9.0f} B"
    return text + (f"{row['resident'] / 1e6:>8.0f} MB" if row.get("resident") else "")
