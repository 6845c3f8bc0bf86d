"""siputils: P-Charging-Vector (RFC 7315 §5.6)."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from kamtool.module import ANY, Value, function, pv
from kamtool.script import edits

if TYPE_CHECKING:
    from kamtool.script.context import Context

_HEADER = "P-Charging-Vector"
_MADE = "siputils.pcv"
_FIELDS = {"value": "icid-value", "genaddr": "icid-generated-at", "orig": "orig-ioi", "term": "term-ioi"}
_PARAM = re.compile(r';?[ \t]*([^=;\s]+)[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;\s]*)')


def _field(text: str, name: str) -> str | None:
    for found in _PARAM.finditer(text):
        if found[1].lower() == name:
            return found[2].strip('"')
    return None


class ChargingFunctions:
    """What correlates the bills of the servers on a call's way."""

    @function("sip_p_charging_vector", routes=ANY)
    def sip_p_charging_vector(self, ctx: Context, flags: str) -> int:
        """Change P-Charging-Vector: `r` removes it, `g` makes one unless there is one, `f` makes it anew."""
        held = ctx.msg.fields(_HEADER)
        mode = flags[:1].lower()
        if held and mode in ("r", "f"):
            edits.remove(ctx, held)
            ctx.scratch[_MADE] = ""
        if mode == "f" or (mode == "g" and not held and not ctx.scratch.get(_MADE)):
            host = ctx.flow.local.host
            shown = f"[{host}]" if ":" in host else host
            made = f"icid-value={secrets.token_hex(16).upper()}; icid-generated-at={shown}"
            edits.append_header(ctx, f"{_HEADER}: {made}")
            ctx.scratch[_MADE] = made
        return 1

    @pv("pcv", kind=str, inner_required=True, form="all|value|genaddr|orig|term")
    def get_pcv(self, ctx: Context, inner: str) -> Value:
        """P-Charging-Vector: `all` of it, `value` and `genaddr` of its ICID, `orig` and `term` IOI."""
        made = ctx.scratch.get(_MADE)
        text = made if made is not None else ctx.msg.header(_HEADER)
        if not text:
            return None
        return text if inner == "all" else _field(text, _FIELDS[inner])
