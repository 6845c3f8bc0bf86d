"""What `dbg_pv_dump()` and `dbg_sip_msg()` write into the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, ScriptError
from kamtool.script import edits
from kamtool.script.avp import Records
from kamtool.script.values import from_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script

NULLS, AVPS, VARS, XAVPS, OTHERS = 1, 2, 4, 8, 16

_MENTIONED = re.compile(r"\$(?:\((\w+)\)|(\w[\w.]*)(?:\(([^()$]*)\))?)")
_OWN_TYPES = frozenset(
    ("ru", "rU", "rd", "du", "hdr", "br", "avp", "var", "xavp", "xavi", "xavu", "vn", "shv")
)


def mentioned(script: Script) -> dict[str, str]:
    """The variables that the cfg names: `$var(x)` and what it is called, in their order."""
    found: dict[str, str] = {}
    for text in script.text.files.values():
        for match in _MENTIONED.finditer(re.sub(r"(?m)^\s*#(?!!).*|//.*$", "", text)):
            name, inner = match[1] or match[2], match[3]
            if name in script.scope.pvs:
                found.setdefault(f"${name}" if inner is None else f"${name}({inner})", name)
    return found


def variables(ctx: Context, known: dict[str, str], mask: int) -> str:
    """The variables of the message as one JSON object; `mask` chooses which kinds."""
    out: dict[str, Any] = {}
    avps = ctx._avps
    if mask & AVPS:
        names = {} if avps is None else {f"$avp({name})": held[::-1] for name, held in avps.named.items()}
        if mask & NULLS:
            names = {name: [] for name, kind in known.items() if kind == "avp"} | names
        out |= names
    if mask & VARS:
        out |= {name: _value(ctx, name) for name, kind in known.items() if kind == "var"}
    if mask & XAVPS and avps is not None:
        out |= {f"$xavp({name})": records for name, records in _records(avps.xavps)}
    if mask & OTHERS:
        for name, kind in known.items():
            value = None if kind in _OWN_TYPES else _value(ctx, name)
            if kind not in _OWN_TYPES and (value is not None or mask & NULLS):
                out[name] = value
    return json.dumps(out, ensure_ascii=False, separators=(",", ":"))


def _value(ctx: Context, text: str) -> Any:
    try:
        return ctx.host.variable(text).get(ctx)
    except (ScriptError, ConfigError):
        return None


def _records(held: Records) -> Iterable[tuple[str, list[Any]]]:
    for name, stack in held.named.items():
        yield (
            name,
            [
                {field: values[::-1] for field, values in record.fields.items()}
                if record.fields
                else record.value
                for record in reversed(stack)
            ],
        )


def message(ctx: Context, line: int) -> str:
    """The message as it would leave now, and what was taken out (`- `) and put in."""
    body = ctx.msg.body_start
    data = ctx.msg.data
    head: list[str] = []
    tail: list[str] = []
    for start, end, text in ctx.edits:
        lines = head if end <= body else tail
        if end > start:
            lines.append("- " + from_octets(data[start:end]).rstrip("\r\n"))
        if text:
            lines.append(from_octets(text).rstrip("\r\n"))
    return "\n".join(
        [
            f"CONFIG LINE {line}",
            "------------------------- START OF SIP message debug --------------------------",
            from_octets(edits.applied(ctx)).replace("\r\n", "\n").rstrip("\n") + "\n",
            "------------------------------ SIP header diffs -------------------------------",
            *head,
            "------------------------------- SIP body diffs --------------------------------",
            *tail,
            "-------------------------- END OF SIP message debug ---------------------------",
        ]
    )
