"""What the lexer makes of cfg text: tokens, and the words that can never be names."""

from __future__ import annotations

from enum import Enum

from kamtool.errors import Span


class Mode(Enum):
    """The dialect a first-line marker chooses. Only KAMAILIO refuses an unknown `$name`."""

    KAMAILIO = "KAMAILIO"
    OPENSER = "OPENSER"
    SER = "SER"
    MAXCOMPAT = "MAXCOMPAT"
    ALL = "ALL"

    @property
    def knows_attributes(self) -> bool:
        """Whether `$name` may be an attribute of old SER."""
        return self in (Mode.SER, Mode.MAXCOMPAT, Mode.ALL)


class T(Enum):
    """The kinds of token."""

    WORD = "word"
    NUMBER = "number"
    STRING = "string"
    PV = "pseudo-variable"
    HOSTPART = "host part"  # digits then letters, or 08: legal only inside host and interface names
    IPV6 = "IPv6 address"
    MARK = "mark"
    END = "end of file"


class Token:
    """One token. `text` is its spelling; `value` the number or the string it stands for.

    A plain class, for a cfg has thousands: it is made in a quarter of the time of a Record.
    """

    __slots__ = ("kind", "span", "text", "value")

    def __init__(self, kind: T, text: str, span: Span, value: int | str = 0) -> None:
        self.kind, self.text, self.span, self.value = kind, text, span, value

    def __repr__(self) -> str:
        return f"Token({self.kind}, {self.text!r}, {self.span}, {self.value!r})"

    @property
    def shown(self) -> str:
        """The token as an error message names it."""
        return "end of file" if self.kind is T.END else f"`{self.text}`"


ON_WORDS = frozenset(["yes", "true", "on", "enable"])
OFF_WORDS = frozenset(["no", "false", "off", "disable"])
FAMILY_WORDS = {"INET": 2, "ipv4": 2, "inet": 2, "INET6": 10, "ipv6": 10, "inet6": 10}

OPERATOR_WORDS = {
    "and": "&&", "or": "||", "not": "!", "mod": "mod",
    "eq": "eq", "ne": "ne", "ieq": "ieq", "ine": "ine",
}  # fmt: skip

ROUTE_KINDS = frozenset([
    "route", "request_route", "reply_route", "onreply_route", "failure_route", "branch_route", "onsend_route",
    "event_route",
])  # fmt: skip
MODULE_WORDS = frozenset(
    ["loadmodule", "loadmodulex", "mpath", "loadpath", "modparam", "modparamx", "cfgengine"]
)
FLAG_WORDS = frozenset(["flags", "bool", "avpflags"])
TOP_WORDS = ROUTE_KINDS | MODULE_WORDS | FLAG_WORDS
"""With these an item of the outer level begins, beside the global parameters."""

STATEMENT_WORDS = TOP_WORDS | frozenset([
    "if", "else", "while", "switch", "case", "default", "break", "return", "exit", "drop", "defined",
    "strlen", "strempty", "selval", "myself", "include_file", "import_file",
])  # fmt: skip

# The left sides of keyword tests, and what they are called here.
TEST_WORDS = {
    "method": "method",
    "uri": "uri",
    "status": "uri",
    "from_uri": "from_uri",
    "to_uri": "to_uri",
    "src_ip": "src_ip",
    "dst_ip": "dst_ip",
    "src_port": "src_port",
    "dst_port": "dst_port",
    "proto": "proto",
    "af": "af",
    "snd_ip": "snd_ip",
    "snd_port": "snd_port",
    "snd_proto": "snd_proto",
    "to_proto": "snd_proto",
    "snd_af": "snd_af",
    "to_ip": "to_ip",
    "to_port": "to_port",
    "to_af": "snd_af",
    "max_len": "max_len",
}

# Core functions that may stand without parentheses.
BARE_FUNCTIONS = frozenset(
    [
        "force_rport",
        "add_rport",
        "add_local_rport",
        "revert_uri",
        "force_tcp_alias",
        "add_tcp_alias",
        "userphone",
        "set_forward_no_connect",
        "set_forward_close",
        "set_reply_no_connect",
        "set_reply_close",
    ]
)

CORE_WORDS = BARE_FUNCTIONS | frozenset(
    [
        "forward",
        "forward_udp",
        "forward_tcp",
        "forward_tls",
        "forward_sctp",
        "setflag",
        "resetflag",
        "isflagset",
        "setavpflag",
        "resetavpflag",
        "isavpflagset",
        "rewriteuri",
        "seturi",
        "rewritehost",
        "sethost",
        "seth",
        "rewritehostport",
        "sethostport",
        "sethp",
        "rewritehostporttrans",
        "sethostporttrans",
        "sethpt",
        "rewriteport",
        "setport",
        "setp",
        "rewriteuser",
        "setuser",
        "setu",
        "rewriteuserpass",
        "setuserpass",
        "setup",
        "prefix",
        "strip",
        "strip_tail",
        "clear_branches",
        "remove_branch",
        "force_send_socket",
        "set_advertised_address",
        "set_advertised_port",
        "udp_mtu_try_proto",
        "log",
        "error",
        "exec",
        "cfg_select",
        "cfg_reset",
    ]
)
