"""What a message and the flags make of a request to rtpengine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kamtool.module import BRANCH_ROUTE
from kamtool.modules.rtpengine.flags import FlagError, Flags
from kamtool.modules.rtpproxy.call import branch_of

if TYPE_CHECKING:
    from kamtool.module import Variable
    from kamtool.script.context import Context

OFFER, ANSWER, DELETE = "offer", "answer", "delete"
ABOUT_THE_CALL = frozenset({
    "block media", "unblock media", "silence media", "unsilence media", "block DTMF", "unblock DTMF",
    "start forwarding", "stop forwarding",
})  # fmt: skip
"""Commands that mean the whole call, unless the flags name a side."""


def build(ctx: Context, command: str, flags: Flags, extra_id: Variable | None) -> dict[str, Any]:
    """The request without its SDP. Raises FlagError for what the message cannot give."""
    msg = ctx.msg
    call_id = flags.call_id or msg.call_id
    if not call_id:
        raise FlagError("the message has no Call-ID")
    request: dict[str, Any] = {
        "supports": ["load limit"],
        **flags.entries,
        "command": command,
        "call-id": call_id,
    }
    source = ctx.flow.remote.host
    request["received-from"] = flags.received_from or ["IP6" if ":" in source else "IP4", source]
    if flags.via:
        branch = _branch(ctx, flags.via, extra_id)
        if not branch:
            raise FlagError(f"via-branch={flags.via} finds no branch")
        request["via-branch"] = branch
    _tags(ctx, command, flags, request)
    return request


def _tags(ctx: Context, command: str, flags: Flags, request: dict[str, Any]) -> None:
    msg = ctx.msg
    ours, theirs = flags.from_tag or msg.from_tag, flags.to_tag or msg.to_tag
    if command in ABOUT_THE_CALL:
        if flags.from_tag or flags.directional:
            request["from-tag"] = ours
        return
    # Who offers in a reply is the callee, who answers in an ACK is the caller.
    turned = command == ANSWER if msg.is_request else command not in (ANSWER, DELETE)
    if turned:
        if not theirs:
            raise FlagError("the message has no To tag")
        ours, theirs = theirs, ours
    elif command == DELETE and not flags.with_to_tag and not flags.to_tag:
        theirs = ""
    if not ours:
        raise FlagError("the message has no From tag")
    request["from-tag"] = ours
    if theirs:
        request["to-tag"] = theirs
    elif command == ANSWER:
        raise FlagError("the message has no To tag")


def _branch(ctx: Context, which: str, extra_id: Variable | None) -> str:
    """The branch or text by which rtpengine tells the forks of a call apart; "" when there is none."""
    is_request = ctx.msg.is_request
    if which in ("1", "2"):
        return branch_of(ctx, int(which))
    if which == "auto":
        return branch_of(ctx, 3)
    if which in ("auto-next", "next-auto"):
        return _next(ctx) if is_request else branch_of(ctx, 1)
    if which in ("auto-extra", "extra-auto") and not is_request:
        return branch_of(ctx, 1)
    if which == "next":
        return _next(ctx)
    value = extra_id.get(ctx) if extra_id is not None else None
    return "" if value is None else str(value)


def _next(ctx: Context) -> str:
    """The branch that this request will leave with: known in a branch_route."""
    if ctx.transaction is None or ctx.route_kind is not BRANCH_ROUTE:
        return ""
    return f"{ctx.transaction.label}.{ctx.branch_index}"
