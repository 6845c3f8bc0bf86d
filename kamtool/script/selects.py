"""Selects: the dotted paths of SER, `@ruri.user` and `$sel(ruri.user)`, into a message.

A path is names joined by dots, each with an optional `[key]`: `via[1].host`, `contact.uri.user`.
A select yields a text, or None for what is not there; an unknown path raises ScriptError.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ScriptError
from kamtool.script import selects_tls, uri_text
from kamtool.script.custom_parameters import custom_parameter
from kamtool.script.selects_parts import address, nth, params, uri
from kamtool.script.selects_path import Step, path, wrong
from kamtool.script.values import to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context


def evaluate(ctx: Context, text: str) -> str | None:
    """The value of `@text`."""
    steps = path(text)
    head = _HEADS.get(steps[0][0])
    if head is None:
        raise ScriptError(f"no select begins with {steps[0][0]!r}")
    return head(ctx, steps)


def known(text: str) -> bool:
    """Whether a select of that name exists: for the checker."""
    try:
        return path(text)[0][0] in _HEADS
    except ScriptError:
        return False


def _of_address(header: str, *, many: bool) -> Callable[[Any, tuple[Step, ...]], str | None]:
    def read(ctx: Context, steps: tuple[Step, ...]) -> str | None:
        if not many:
            return address(ctx.msg.header(header), steps[1:])
        if len(steps) == 1 and steps[0][1] is None:
            return ctx.msg.header(header)
        return address(nth(ctx.msg.items(header), steps[0][1]), steps[1:])

    return read


def _ruri(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    return uri(ctx.new_uri or ctx.msg.uri or None, steps[1:])


def _dst_uri(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    return uri(ctx.dst_uri, steps[1:])


def _next_hop(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    return uri(ctx.dst_uri or ctx.new_uri or ctx.msg.uri or None, steps[1:])


_VIA = re.compile(
    r"\s*(SIP)\s*/\s*([0-9.]+)\s*/\s*([A-Za-z]+)\s+(\[[^\]]*\]|[^\s:;]+)\s*(?::\s*(\d+))?\s*(?:;(.*))?", re.S
)


def _via(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    value = nth(ctx.msg.items("Via"), steps[0][1])
    if value is None or len(steps) == 1:
        return value
    found = _VIA.match(value)
    if found is None:
        return None
    name, key = steps[1]
    if name in ("name", "version", "transport", "host", "port"):
        return found[("name", "version", "transport", "host", "port").index(name) + 1]
    if name in ("branch", "received", "rport", "i", "alias", "ttl", "maddr"):
        return uri_text.param(found[6], name)
    if name == "params":
        return uri_text.param(found[6], key) if key else params(found[6], steps[2:])
    if name == "comment":
        return None
    raise wrong(steps)


def _event(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    return ctx.msg.header("Event")


def _method(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    return ctx.msg.method


def _cseq(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    if len(steps) == 1:
        return f"{ctx.msg.cseq} {ctx.msg.cseq_method}"
    return {"num": str(ctx.msg.cseq), "method": ctx.msg.cseq_method}.get(steps[1][0])


def _call_id(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    return ctx.msg.call_id


def _msg(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    if len(steps) == 1:
        return ctx.msg.data.decode("utf-8", "surrogateescape")
    name = steps[1][0]
    if name == "len":
        return str(len(ctx.msg.data))
    if name in ("flags", "id"):
        return str(ctx.flags)
    if name == "header":
        fields = ctx.msg.fields()
        return ctx.msg.data[fields[0].start : fields[-1].end].decode("utf-8", "surrogateescape")
    if name == "body":
        return ctx.msg.body.decode("utf-8", "surrogateescape")
    if name in ("first_line", "version", "type", "request", "response"):
        return _first_line(ctx, steps[1:])
    raise wrong(steps)


def _first_line(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    line = ctx.msg.data[: ctx.msg.fields()[0].start].strip().decode("utf-8", "surrogateescape")
    name = steps[0][0]
    if name == "first_line":
        return line
    if name == "type":
        return "response" if line.startswith("SIP/") else "request"
    if name == "version":
        return line.split()[0] if line.startswith("SIP/") else line.split()[-1]
    if name == "request" and steps[1:]:
        part = steps[1][0]
        return {"method": ctx.msg.method, "uri": ctx.msg.uri or None}.get(part)
    if name == "response" and steps[1:]:
        status = ctx.msg.status or None
        part = steps[1][0]
        return {
            "status": None if status is None else str(status),
            "reason": ctx.msg.reason,
        }.get(part)
    raise wrong(steps)


def _addresses(remote: bool) -> Callable[[Any, tuple[Step, ...]], str | None]:
    def read(ctx: Context, steps: tuple[Step, ...]) -> str | None:
        where = ctx.flow.remote if remote else ctx.flow.local
        name = steps[1][0] if len(steps) > 1 else "ip"
        shown = f"[{where.host}]" if ":" in where.host else where.host
        facts = {
            "ip": shown,
            "port": str(where.port),
            "ip_port": f"{shown}:{where.port}",
            "proto": ctx.flow.transport,
            "proto_ip_port": f"{ctx.flow.transport}:{shown}:{where.port}",
        }
        if name not in facts:
            raise wrong(steps)
        return facts[name]

    return read


def _received(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    return _addresses(remote=False)(ctx, steps)


def _hf_value(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    """`hf_value.NAME`, `hf_value.NAME[2]`, `hf_value.NAME.PARAM`; `_` in the name stands for `-`."""
    if len(steps) < 2:
        raise wrong(steps)
    name, key = steps[1]
    header = name.replace("_", "-")
    items = ctx.msg.items(header)
    if key in (None, "") and len(steps) == 2:
        return ",".join(items) if items else None
    value = nth(items, key)
    if value is None or len(steps) == 2:
        return value
    inner, inner_key = steps[2]
    if inner in ("name", "uri", "params"):
        return address(value, steps[2:])
    if inner in ("p", "param"):
        return uri_text.param(value.partition(";")[2], inner_key or "")
    return uri_text.param(value.partition(";")[2], inner)


def _hf_value_exists(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    if len(steps) < 3:
        raise wrong(steps)
    wanted = (steps[2][0]).lower()
    items = ctx.msg.items(steps[1][0].replace("_", "-"))
    return "1" if any(item.partition(";")[0].strip().lower() == wanted for item in items) else "0"


def _credentials(header: str) -> Callable[[Any, tuple[Step, ...]], str | None]:
    def read(ctx: Context, steps: tuple[Step, ...]) -> str | None:
        from kamtool.script.pv_identity import digest_params

        if len(steps) == 1 or ctx.msg.header(header) is None:
            return ctx.msg.header(header)
        name = {"user": "username", "username": "username"}.get(steps[1][0], steps[1][0])
        value = digest_params(ctx).get(name)
        if name == "username" and steps[2:] and value is not None:
            user, _, domain = value.partition("@")
            return {"user": user, "domain": domain}.get(steps[2][0], value)
        return value

    return read


def _cfg_get(ctx: Context, steps: tuple[Step, ...]) -> str | None:
    if len(steps) != 3:
        raise wrong(steps)
    group, name = steps[1][0], steps[2][0]
    chosen = steps[1][1] or (ctx.scratch.get("core.cfg", {}).get(group) if ctx._scratch else None)
    value = custom_parameter(ctx.host, f"{group}[{chosen}].{name}") if chosen is not None else None
    if value is None:
        value = custom_parameter(ctx.host, f"{group}.{name}")
    return None if value is None else to_str(value)


_HEADS: dict[str, Callable[[Any, tuple[Step, ...]], str | None]] = {
    "ruri": _ruri,
    "dst_uri": _dst_uri,
    "next_hop": _next_hop,
    "from": _of_address("From", many=False),
    "f": _of_address("From", many=False),
    "to": _of_address("To", many=False),
    "t": _of_address("To", many=False),
    "contact": _of_address("Contact", many=False),
    "m": _of_address("Contact", many=False),
    "refer_to": _of_address("Refer-To", many=False),
    "rpid": _of_address("Remote-Party-ID", many=False),
    "rr": _of_address("Record-Route", many=True),
    "record_route": _of_address("Record-Route", many=True),
    "route": _of_address("Route", many=True),
    "via": _via,
    "v": _via,
    "event": _event,
    "method": _method,
    "cseq": _cseq,
    "call_id": _call_id,
    "msg": _msg,
    "src": _addresses(remote=True),
    "dst": _addresses(remote=False),
    "received": _received,
    "hf_value": _hf_value,
    "hf_value2": _hf_value,
    "hf_value_exists": _hf_value_exists,
    "authorization": _credentials("Authorization"),
    "proxy_authorization": _credentials("Proxy-Authorization"),
    "tls": selects_tls.tls,
    "cfg_get": _cfg_get,
    "cfg_selected": _cfg_get,
}
