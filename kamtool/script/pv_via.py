"""Pseudo-variables of the Via headers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Value, pv
from kamtool.script.pv_socket import PROTOCOLS
from kamtool.script.uri_text import param

if TYPE_CHECKING:
    from kamtool.script.context import Context

_VIA = re.compile(
    r"\s*SIP\s*/\s*[0-9.]+\s*/\s*([A-Za-z]+)\s+(\[[^\]]*\]|[^\s:;]+)\s*(?::\s*(\d+))?\s*(?:;(.*))?",
    re.IGNORECASE | re.DOTALL,
)


def via_part(value: str, name: str) -> Value:
    """A part of one Via entry: `host port proto protoid branch received rport i`."""
    found = _VIA.match(value)
    if found is None:
        return None
    if name == "host":
        return found[2]
    if name == "port":
        return int(found[3][:5]) if found[3] else 0
    if name == "proto":
        return found[1]
    if name == "protoid":
        return PROTOCOLS.get(found[1].lower(), 0)
    if name in ("branch", "received", "rport", "i"):
        return param(found[4], name) or None
    raise ScriptError(f"a Via has no {name!r}")


class ViaVariables:
    """`$via0(…)` the first, `$via1(…)` the second, `$viaZ(…)` the last Via."""

    def _via(self, ctx: Context, place: int, name: str) -> Value:
        entries = ctx.msg.items("Via")
        if not entries or place >= len(entries):
            return None
        return via_part(entries[place], name)

    @pv("via0", inner_required=True, form="host|port|proto|protoid|branch|received|rport|i")
    def get_via0(self, ctx: Context, inner: str) -> Value:
        """A part of the first Via: `host port proto protoid branch received rport i`."""
        return self._via(ctx, 0, inner)

    @pv("via1", inner_required=True, form="host|port|proto|protoid|branch|received|rport|i")
    def get_via1(self, ctx: Context, inner: str) -> Value:
        """A part of the second Via: `host port proto protoid branch received rport i`."""
        return self._via(ctx, 1, inner)

    @pv("viaZ", inner_required=True, form="host|port|proto|protoid|branch|received|rport|i")
    def get_viaZ(self, ctx: Context, inner: str) -> Value:  # noqa: N802
        """A part of the last Via: `host port proto protoid branch received rport i`."""
        return self._via(ctx, -1, inner)
