"""One message on its way through the script, and all that the script may change about it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from kamtool.module import Host, Routes
from kamtool.script.avp import Avps

if TYPE_CHECKING:
    from kamtool.sip.flow import Flow, Socket
    from kamtool.sip.message import Message


# Looked up once: an enum's members are slow to reach in Python 3.11.
_REQUEST: Final = Routes.REQUEST


class Exit(Exception):  # a way out, not an error
    """`exit`, `drop` or a code of 0: the script ends here. Raise a fresh one each time."""

    def __init__(self, code: int = 1, dropped: bool = False) -> None:
        self.code, self.dropped = code, dropped


@dataclass(init=False, slots=True)
class Branch:
    """One more destination beside the R-URI: what `append_branch` and `lookup` add.

    `q` is in thousandths, -1 when unset. `path` is a Route header's value. `connection` names the TCP
    connection to reuse.
    """

    uri: str
    dst_uri: str | None
    path: str
    q: int
    flags: int
    send_socket: Socket | None
    ruid: str
    user_agent: str
    instance: str
    reg_id: int
    connection: int

    # Written out so that it is compiled: what @dataclass makes at run time is not, and costs five times that.
    def __init__(
        self, uri: str, dst_uri: str | None = None, path: str = "", q: int = -1, flags: int = 0,
        send_socket: Socket | None = None, ruid: str = "", user_agent: str = "", instance: str = "",
        reg_id: int = 0, connection: int = 0,
    ) -> None:  # fmt: skip
        self.uri, self.dst_uri, self.path, self.q, self.flags = uri, dst_uri, path, q, flags
        self.send_socket, self.ruid, self.user_agent = send_socket, ruid, user_agent
        self.instance, self.reg_id, self.connection = instance, reg_id, connection


class Context:
    """A message in the script. The class attributes are the resting values: a new one sets only what differs.

    `msg` never changes while routes run, except through `msg_apply_changes()`: edits are queued in `edits`
    as `(start, end, replacement)` on `msg.data` and applied when the message is sent.
    """

    route_kind: Routes = _REQUEST
    route_name: str = ""
    line: int = 0

    # Routing, as Kamailio's sip_msg has it. `new_uri` None means the R-URI as received.
    new_uri: str | None = None
    dst_uri: str | None = None
    path: str = ""
    send_socket: Socket | None = None
    connection: int = 0
    q: int = -1
    ruid: str = ""
    user_agent: str = ""
    instance: str = ""
    branches: list[Branch] | tuple[()] = ()

    flags: int = 0
    branch_flags: int = 0
    script_flags: int = 0

    edits: list[tuple[int, int, bytes]] | tuple[()] = ()
    reply_headers: list[str] | tuple[()] = ()
    """Header lines, without line ends, for the next local reply: append_to_reply, save()'s Contact."""

    record_route: Any = None
    """What record_route() asked for: its `lines(inbound, outbound)` are put above the first header of each
    branch, for the socket that the branch leaves by is only known then."""

    route_params: str | None = None
    """The parameters of the Route URI by which the request found us, once somebody has looked."""

    rc: int = 1
    depth: int = 1
    """How many blocks and routes are open, as far as routes that can call themselves keep count."""
    force_rport: bool = False
    add_local_rport: bool = False
    advertised_host: str = ""
    advertised_port: int = 0

    authorized: tuple[tuple[str, Any], ...] = ()
    """The credentials that were found right, each with the name of its header."""

    # Transactions: what t_on_failure and friends armed, the transaction once there is one, and in branch,
    # failure and reply routes the branch it is about.
    on_failure: str = ""
    on_reply: str = ""
    on_branch: str = ""
    transaction: Any = None
    branch_index: int = 0
    reply: Message | None = None
    """In a failure_route: the winning reply, None when it was made here (a timeout)."""

    program: Any = None
    """The program this message runs on, once a reload has put another into the server; None: the server's."""

    _avps: Avps | None = None
    _origin: Context | None = None
    """The context this one was forked from: it holds the AVPs, should either come to want any."""
    _scratch: dict[str, Any] | None = None

    def __init__(self, host: Host, msg: Message, flow: Flow) -> None:
        self.host = host
        self.msg = msg
        self.flow = flow

    @property
    def ruri(self) -> str:
        """The R-URI as it would leave now."""
        return self.msg.uri if self.new_uri is None else self.new_uri

    @property
    def avps(self) -> Avps:
        """The AVPs, XAVPs and XAVUs of this message, or of its transaction once it has one."""
        if self._avps is None:
            if self._origin is not None:
                self._avps = self._origin.avps
            else:
                self._avps = Avps()
        return self._avps

    @property
    def scratch(self) -> dict[str, Any]:
        """A place for modules to remember something about this message; keys begin with the module's name."""
        if self._scratch is None:
            self._scratch = {}
        return self._scratch

    def edit(self, start: int, end: int, text: bytes) -> None:
        """Queue the replacement of `msg.data[start:end]`; an insertion has start == end. Order is kept."""
        if not self.edits:
            self.edits = []
        self.edits.append((start, end, text))

    def add_branch(self, branch: Branch) -> None:
        if not self.branches:
            self.branches = []
        self.branches.append(branch)

    def add_reply_header(self, line: str) -> None:
        if not self.reply_headers:
            self.reply_headers = []
        self.reply_headers.append(line)

    def fork(self) -> Context:
        """A copy for one branch: what a branch_route changes there stays there. AVPs are shared."""
        twin = Context(self.host, self.msg, self.flow)
        _copy(self, twin)  # its slots have no dict to update, and to ask for one costs as much as ten of them
        if self.edits:
            twin.edits = list(self.edits)
        if self._avps is None:
            twin._origin = self
        if self.branches:
            twin.branches = [replace(branch) for branch in self.branches]
        return twin


def _copy(ctx: Context, twin: Context) -> None:
    """Every resting value that has changed, and the others too."""
    twin.route_kind = ctx.route_kind
    twin.route_name = ctx.route_name
    twin.authorized = ctx.authorized
    twin.program = ctx.program
    twin.line = ctx.line
    twin.new_uri = ctx.new_uri
    twin.dst_uri = ctx.dst_uri
    twin.path = ctx.path
    twin.send_socket = ctx.send_socket
    twin.connection = ctx.connection
    twin.q = ctx.q
    twin.ruid = ctx.ruid
    twin.user_agent = ctx.user_agent
    twin.instance = ctx.instance
    twin.branches = ctx.branches
    twin.flags = ctx.flags
    twin.branch_flags = ctx.branch_flags
    twin.script_flags = ctx.script_flags
    twin.edits = ctx.edits
    twin.reply_headers = ctx.reply_headers
    twin.record_route = ctx.record_route
    twin.route_params = ctx.route_params
    twin.rc = ctx.rc
    twin.depth = ctx.depth
    twin.force_rport = ctx.force_rport
    twin.add_local_rport = ctx.add_local_rport
    twin.advertised_host = ctx.advertised_host
    twin.advertised_port = ctx.advertised_port
    twin.authorized = ctx.authorized
    twin.on_failure = ctx.on_failure
    twin.on_reply = ctx.on_reply
    twin.on_branch = ctx.on_branch
    twin.transaction = ctx.transaction
    twin.branch_index = ctx.branch_index
    twin.reply = ctx.reply
    twin.program = ctx.program
    twin._avps = ctx._avps
    twin._origin = ctx._origin
    twin._scratch = ctx._scratch
