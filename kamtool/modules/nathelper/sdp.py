"""nathelper: the SDP's addresses made those that the media will come from."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from kamtool.module import ANY, ONSEND_ROUTE, Param, function
from kamtool.script import sdp_body

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.sdp_body import Body, Host

DIRECTION_ACTIVE = 1
CONNECTIONS = 2
NO_RTPPROXY = 4
ORIGIN = 8

UNTOUCHED = 2
_NULL = ("0.0.0.0", "::")


class SdpFunctions:
    """What is to be changed in an SDP when no media relay is used."""

    nortpproxy_str = Param("a=nortpproxy:yes", "the SDP line that says: media are taken care of")
    append_sdp_oldmediaip = Param(1, "0: fix_nated_sdp leaves out `a=oldmediaip:`, the addresses it replaced")

    @function("fix_nated_sdp", routes=ANY & ~ONSEND_ROUTE)
    def fix_nated_sdp(self, ctx: Context, flags: int, address: str = "") -> int:
        """Change the SDP; the flags are added up. 2 when no address was changed, -1 without an SDP.

        1 add `a=direction:active` to each stream; 2 put the source address, or `address`, into every c= line;
        4 add `nortpproxy_str`; 8 the same in o=. A held stream's 0.0.0.0 stays. Addresses that went are
        kept in lines `a=oldmediaip:`.
        """
        body = sdp_body.read(ctx.msg)
        if body is None:
            return -1
        address = address.strip("[]") or ctx.flow.remote.host
        try:
            ip_address(address)
        except ValueError:
            return -1
        replaced = []
        if flags & CONNECTIONS:
            replaced += _replace(ctx, body, "c", address)
        if flags & ORIGIN:
            replaced += _replace(ctx, body, "o", address)
        if flags & DIRECTION_ACTIVE:
            for stream in body.streams:
                sdp_body.insert(ctx, stream.lines[-1].stop, "a=direction:active\r\n")
        tail = f"{self.nortpproxy_str.rstrip()}\r\n" if flags & NO_RTPPROXY else ""
        if self.append_sdp_oldmediaip:
            tail += "".join(f"a=oldmediaip{_six(host.address)}:{host.address}\r\n" for host in replaced)
        if tail:
            sdp_body.insert(ctx, body.end, tail)
        return 1 if replaced else UNTOUCHED


def _six(address: str) -> str:
    return "6" if ":" in address else ""


def _replace(ctx: Context, body: Body, kind: str, address: str) -> list[Host]:
    """Queue the address for all lines of this kind; what was there before."""
    hosts = [host for line in body.lines() if line.kind == kind and (host := sdp_body.host_of(line))]
    return [host for host in hosts if host.address not in _NULL and sdp_body.set_host(ctx, host, address)]
