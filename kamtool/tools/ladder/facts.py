"""A message as facts for programs: what `--format jsonl` prints."""

from __future__ import annotations

from typing import Any

from kamtool.tools.captured import Captured


def facts(seen: Captured) -> dict[str, Any]:
    """JSON-able; what is not known is left out. Octets that are no UTF-8 come as lone surrogates do not:
    they are replaced, and the capture file keeps them."""
    found: dict[str, Any] = {
        "time": round(seen.at, 6), "transport": seen.transport, "source": str(seen.source),
        "target": str(seen.target), "call_id": _clean(seen.call_id), "method": _clean(seen.method),
        "status": seen.status, "cseq": seen.key[1], "from": _clean(seen.from_user),
        "to": _clean(seen.to_user), "first_line": seen.first_line, "size": len(seen.data),
        "message": seen.data.decode("utf-8", "replace"),
    }  # fmt: skip
    if seen.inbound is not None:
        found["direction"] = "in" if seen.inbound else "out"
    if seen.connection:
        found["connection"] = seen.connection
    if seen.correlation:
        found["correlation"] = seen.correlation
    if seen.malformed:
        found["malformed"] = seen.malformed
    if seen.sent_by is not None:
        found["sent_by"] = _place(seen.sent_by.file, seen.sent_by.line, seen.sent_by.name, seen.sent_by.route)
    if seen.path:
        found["route"] = seen.route
        found["path"] = [_place(each.file, each.line, each.name, each.route) for each in seen.path]
    if seen.replied:
        found["replied"] = seen.replied
    if seen.error:
        found["error"] = seen.error
    if seen.comment:
        found["comment"] = seen.comment
    return found


def _place(file: str, line: int, name: str, route: str) -> dict[str, Any]:
    return {"file": file, "line": line, "name": name, "route": route}


def _clean(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
