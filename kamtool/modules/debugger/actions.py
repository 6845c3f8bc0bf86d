"""How Kamailio 5.6 calls statements in its trace: the block they stand in, a number, a name."""

from __future__ import annotations

from kamtool.module import Routes
from kamtool.script.guards import Action

MODULE = 24
"""A module's function without arguments; each argument adds one."""

NUMBERS = {
    "drop": 2, "return": 2, "exit": 2, "log": 3, "route": 5, "sethost": 7, "sethostport": 8, "setuser": 9,
    "setuserpass": 10, "setport": 11, "seturi": 12, "sethostporttrans": 13, "sethostall": 14,
    "setuserphone": 15, "if": 16, "block": 18, "switch": 21, "while": 23, "setflag": 39, "resetflag": 40,
    "isflagset": 41, "prefix": 44, "strip": 45, "striptail": 46, "reverturi": 50, "force_rport": 55,
    "add_local_rport": 56, "set_adv_addr": 57, "set_adv_port": 58, "force_send_socket": 62, "assign": 63,
    "udp_mtu_try_proto": 65,
}  # fmt: skip
"""As recorded from 5.6.3: they differ between its versions, the names do not."""

SPELLINGS = {
    "strip_tail": "striptail",
    "userphone": "setuserphone",
    "set_advertised_address": "set_adv_addr",
    "set_advertised_port": "set_adv_port",
}

KINDS = {
    Routes.REQUEST: "request_route",
    Routes.FAILURE: "failure_route",
    Routes.BRANCH: "branch_route",
    Routes.ONREPLY: "onreply_route",
    Routes.REPLY: "onreply_route",
    Routes.ONSEND: "onsend_route",
    Routes.EVENT: "event_route",
}


def name_of(action: Action) -> str:
    """The name of what is done."""
    return SPELLINGS.get(action.name, action.name)


def number_of(action: Action) -> int:
    """The number of its kind."""
    return NUMBERS.get(name_of(action), MODULE + max(action.count, 0))


def short(action: Action) -> str:
    """`[FILE:LINE] a=NUMBER n=NAME`, as the dialogue of `dbg.bp` shows it."""
    return f"[{action.span.file}:{action.line}] a={number_of(action)} n={name_of(action)}"


def traced(action: Action, *, with_file: bool = True) -> str:
    """A line of the trace, behind its prefix."""
    route = action.route or ("DEFAULT_ROUTE" if action.kind is Routes.REQUEST else "")
    file = f"c=[{action.span.file}] " if with_file else ""
    return f"{KINDS[action.kind]}=[{route}] {file}l={action.line} a={number_of(action)} n={name_of(action)}"
