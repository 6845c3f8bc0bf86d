"""What changed between two states of a message, in the words of the cfg."""

from __future__ import annotations

from typing import Any

from kamtool.debug.history import Moment, State
from kamtool.script.avp import Avps
from kamtool.script.context import Context
from kamtool.script.values import from_octets

Effect = dict[str, Any]
"""`what` changed, its `old` and its `new` value; None for what was or is not there."""

_NAMED = {
    "dst_uri": "$du", "path": "path", "q": "q", "ruid": "ruid", "on_failure": "t_on_failure",
    "on_reply": "t_on_reply", "on_branch": "t_on_branch",
    "force_rport": "force_rport", "add_local_rport": "add_local_rport", "rc": "$rc",
    "advertised_host": "advertised address", "advertised_port": "advertised port",
}  # fmt: skip
_FLAGS = {"flags": "flag", "branch_flags": "bflag", "script_flags": "sflag"}


def effects(before: State, after: State) -> list[Effect]:
    """Every change, those of the routing first; `$rc` last, for it changes all the time."""
    old, new = before.held, after.held
    found: list[Effect] = []
    if old.get("msg") is not new.get("msg"):
        found.append(_effect("message", None, "changes applied"))
    if _ruri(old) != _ruri(new):
        found.append(_effect("$ru", _ruri(old), _ruri(new)))
    for name, what in _NAMED.items():
        one, two = old[name], new[name]
        if one != two and name != "rc":
            found.append(_effect(what, one, two))
    if old.get("send_socket") != new.get("send_socket"):
        socket = new.get("send_socket")
        found.append(_effect("$fs", None, socket and f"{socket.transport}:{socket.address}"))
    if old.get("record_route") is not new.get("record_route"):
        found.append(_effect("Record-Route", None, "will be added"))
    for name, what in _FLAGS.items():
        found += _flags(what, old.get(name, 0), new.get(name, 0))
    found += _edits(before, after)
    found += _added("branch", old.get("branches", ()), new.get("branches", ()), lambda each: each.uri)
    found += _added("reply header", old.get("reply_headers", ()), new.get("reply_headers", ()), str.rstrip)
    found += _avps(before.avps, after.avps)
    for name in {*before.variables, *after.variables}:
        one, two = before.variables.get(name), after.variables.get(name)
        if one != two:
            found.append(_effect(f"$var({name})", one, two))
    if old.get("transaction") is None and new.get("transaction") is not None:
        found.append(_effect("transaction", None, "created"))
    if after.sent > before.sent:
        found.append(_effect("branches sent", before.sent, after.sent))
    if after.status != before.status:
        found.append(_effect("response", before.status or None, after.status))
    if old.get("rc", 1) != new.get("rc", 1):
        found.append(_effect("$rc", old.get("rc", 1), new.get("rc", 1)))
    return found


def of_moment(moment: Moment, after: State) -> list[Effect]:
    """What the statement at a moment did, its response included."""
    found = effects(moment.state, after)
    if moment.replied and not any(each["what"] == "response" for each in found):
        found.insert(0, _effect("response", None, moment.replied))
    return found


def _effect(what: str, old: Any, new: Any) -> Effect:
    return {"what": what, "old": old, "new": new}


def _ruri(held: dict[str, Any]) -> str:
    new = held.get("new_uri")
    return str(held["msg"].uri if new is None else new)


def _flags(what: str, old: int, new: int) -> list[Effect]:
    changed = old ^ new
    return [
        _effect(f"{what} {bit}", old >> bit & 1, new >> bit & 1) for bit in range(32) if changed >> bit & 1
    ]


def _edits(before: State, after: State) -> list[Effect]:
    """Header and body edits that were queued, or taken back."""
    held, msg = before.held, after.held["msg"]
    old, new = held["edits"], after.held["edits"]
    if old == new or held["msg"] is not msg:
        return []
    found = []
    for start, end, text in new:
        if (start, end, text) in old:
            continue
        name = header_at(msg, start, text)
        was = from_octets(msg.data[start:end]).strip() or None
        found.append(_effect(f"header {name}" if name else "body", was, from_octets(text).strip() or None))
    for start, end, text in old:
        if (start, end, text) not in new and not any(e[0] == start and e[1] == end for e in new):
            name = header_at(msg, start, text)
            found.append(_effect(f"edit of {name or 'the body'}", from_octets(text).strip() or None, None))
    return found


def header_at(msg: Any, start: int, text: bytes) -> str:
    """The name of the header that an edit is about, "" for the body."""
    if start < msg.first_line_end:
        return "first line"
    if start >= msg.body_start:
        return ""
    for field in msg.fields():
        if field.start <= start < field.end and not (start == field.start and b":" in text[:60]):
            return str(field.name)
    return from_octets(text).partition(":")[0].strip()


def edits_of(ctx: Context, name: str) -> tuple[Any, ...]:
    """The edits that are about the headers of this name, in lower case."""
    return tuple(each for each in ctx.edits if header_at(ctx.msg, each[0], each[2]).lower() == name)


def _added(what: str, old: Any, new: Any, shown: Any) -> list[Effect]:
    found = [_effect(what, None, shown(each)) for each in new[len(old) :]]
    return found + [_effect(what, shown(each), None) for each in old[len(new) :]]


def _avps(old: Avps | None, new: Avps | None) -> list[Effect]:
    one, two = listed(old), listed(new)
    return [
        _effect(name, one.get(name), two.get(name))
        for name in sorted({*one, *two})
        if one.get(name) != two.get(name)
    ]


def listed(avps: Avps | None) -> dict[str, Any]:
    """Every AVP, XAVP and XAVU with its values, the newest first."""
    if avps is None:
        return {}
    found: dict[str, Any] = {f"$avp({name})": _stack(values) for name, values in avps.named.items()}
    for word, records in (("xavp", avps.xavps), ("xavi", avps.xavis)):
        for name, stack in records.named.items():
            for place, record in enumerate(reversed(stack)):
                at = f"[{place}]" if len(stack) > 1 else ""
                if record.value is not None:
                    found[f"${word}({name}{at})"] = record.value
                for field, values in record.fields.items():
                    found[f"${word}({name}{at}=>{field})"] = _stack(values)
    for name, held in avps.xavus.named.items():
        if isinstance(held, dict):
            found |= {f"$xavu({name}=>{field})": value for field, value in held.items()}
        else:
            found[f"$xavu({name})"] = held
    return found


def _stack(values: list[Any]) -> Any:
    return values[-1] if len(values) == 1 else values[::-1]
