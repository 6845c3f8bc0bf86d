"""Pseudo-variables of flags and of the destination set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Index, Value, pv
from kamtool.script.context import Branch
from kamtool.script.pv_socket import find_socket
from kamtool.script.pv_uri import request_uri
from kamtool.script.values import to_int, to_str

if TYPE_CHECKING:
    from kamtool.script.context import Context


class FlagVariables:
    """`$mf $bf $sf` as numbers, `$mF $bF $sF` as eight hexadecimal digits."""

    @pv("mf", setter="set_mf", kind=int, inline="ctx.flags")
    def get_mf(self, ctx: Context) -> Value:
        """The message flags as a number."""
        return ctx.flags

    def set_mf(self, ctx: Context, value: Value) -> None:
        ctx.flags = to_int(value)

    @pv("mF", setter="set_mf", kind=str)
    def get_mF(self, ctx: Context) -> Value:  # noqa: N802
        """The message flags in hexadecimal."""
        return f"{ctx.flags & 0xFFFFFFFF:08X}"

    @pv("bf", setter="set_bf", kind=int, inline="ctx.branch_flags")
    def get_bf(self, ctx: Context) -> Value:
        """The branch flags of the R-URI's branch as a number."""
        return ctx.branch_flags

    def set_bf(self, ctx: Context, value: Value) -> None:
        ctx.branch_flags = to_int(value)

    @pv("bF", setter="set_bf", kind=str)
    def get_bF(self, ctx: Context) -> Value:  # noqa: N802
        """The branch flags of the R-URI's branch in hexadecimal."""
        return f"{ctx.branch_flags & 0xFFFFFFFF:08X}"

    @pv("sf", setter="set_sf", kind=int, inline="ctx.script_flags")
    def get_sf(self, ctx: Context) -> Value:
        """The script flags as a number."""
        return ctx.script_flags

    def set_sf(self, ctx: Context, value: Value) -> None:
        ctx.script_flags = to_int(value)

    @pv("sF", setter="set_sf", kind=str)
    def get_sF(self, ctx: Context) -> Value:  # noqa: N802
        """The script flags in hexadecimal."""
        return f"{ctx.script_flags & 0xFFFFFFFF:08X}"


def shown_q(q: int) -> str:
    """A q value as a Contact writes it: 1000 is `1`, 500 is `0.5`, unset is empty."""
    if q < 0:
        return ""
    return "1" if q >= 1000 else f"{q / 1000:.3f}".rstrip("0").rstrip(".") if q else "0"


def parsed_q(text: str) -> int:
    """Thousandths of a q value; -1 for an empty or bad one (RFC 3261 §20.10)."""
    try:
        value = float(text)
    except ValueError:
        return -1
    return round(value * 1000) if 0 <= value <= 1 else -1


def contact(uri: str, q: int) -> str:
    """A destination as `$br` shows it: in angle brackets only when a q value follows."""
    return uri if q < 0 else f"<{uri}>;q={shown_q(q)}"


class BranchVariables:
    """`$br $bR $ds $branch(…) $sbranch(…)` and what usrloc left with the R-URI."""

    @pv("br", setter="set_br", kind=str)
    def get_br(self, ctx: Context) -> Value:
        """The URI of the first additional branch. Assigning a URI appends a branch."""
        return ctx.branches[0].uri if ctx.branches else None

    def set_br(self, ctx: Context, value: Value) -> None:
        if value is None:
            ctx.branches = ()
        else:
            ctx.add_branch(Branch(to_str(value)))

    @pv("bR", kind=str)
    def get_bR(self, ctx: Context) -> Value:  # noqa: N802
        """All additional branches, as Contacts."""
        return ", ".join(contact(branch.uri, branch.q) for branch in ctx.branches) or None

    @pv("ds", kind=str)
    def get_ds(self, ctx: Context) -> Value:
        """The additional branches as the Contact header of a 302."""
        if not ctx.branches:
            return None
        shown = [f"<{b.uri}>" if b.q < 0 else contact(b.uri, b.q) for b in ctx.branches]
        return "Contact: " + ", ".join(shown)

    @pv(
        "branch",
        setter="set_branch",
        inner_required=True,
        form="count|uri|dst_uri|path|q|send_socket|flags|ruid|location_ua|otcpid",
    )
    def get_branch(self, ctx: Context, inner: str, index: Index = None) -> Value:
        """An attribute of an additional branch: `uri dst_uri path q send_socket flags ruid location_ua`.

        `$branch(count)` says how many there are, undefined for none; `$(branch(uri)[1])` is the second's.
        `q` is in thousandths.
        """
        if not ctx.branches:
            return None
        if inner == "count":
            return len(ctx.branches)
        number = index if type(index) is int else 0
        if not -len(ctx.branches) <= number < len(ctx.branches):
            return None
        return branch_value(ctx.branches[number], inner)

    def set_branch(self, ctx: Context, inner: str, index: Index, value: Value) -> None:
        number = index if type(index) is int else 0
        if not -len(ctx.branches) <= number < len(ctx.branches):
            raise ScriptError(f"there is no branch {number}")
        if inner == "uri" and value is None:
            del ctx.branches[number]  # type: ignore[union-attr]
        else:
            change_branch(ctx, ctx.branches[number], inner, value)

    @pv(
        "sbranch",
        setter="set_sbranch",
        inner_required=True,
        form="count|uri|dst_uri|path|q|send_socket|flags|ruid|location_ua|otcpid",
    )
    def get_sbranch(self, ctx: Context, inner: str) -> Value:
        """An attribute of the static branch that `sbranch_set_ruri()` and `sbranch_append()` use."""
        held = ctx.scratch.get("pv.sbranch")
        return None if held is None else branch_value(held, inner)

    def set_sbranch(self, ctx: Context, inner: str, value: Value) -> None:
        held = ctx.scratch.setdefault("pv.sbranch", Branch(""))
        change_branch(ctx, held, inner, value)

    @pv("ruid", kind=str, inline="(ctx.ruid or None)")
    def get_ruid(self, ctx: Context) -> Value:
        """The unique id of the location record that the R-URI came from."""
        return ctx.ruid or None

    @pv("location_ua", kind=str, inline="(ctx.user_agent or None)")
    def get_location_ua(self, ctx: Context) -> Value:
        """The User-Agent of the location record that the R-URI came from."""
        return ctx.user_agent or None


def branch_value(branch: Branch, attribute: str) -> Value:
    """An attribute of a branch by Kamailio's name. Raises ScriptError for an unknown one."""
    if attribute == "uri":
        return branch.uri or None
    if attribute == "dst_uri":
        return branch.dst_uri
    if attribute == "path":
        return branch.path or None
    if attribute == "q":
        return branch.q if branch.q >= 0 else None
    if attribute == "flags":
        return branch.flags
    if attribute == "ruid":
        return branch.ruid or None
    if attribute == "location_ua":
        return branch.user_agent or None
    if attribute == "otcpid":
        return branch.connection
    if attribute == "send_socket":
        socket = branch.send_socket
        return None if socket is None else f"{socket.transport}:{socket.address}"
    raise ScriptError(f"a branch has no {attribute!r}")


def change_branch(ctx: Context, branch: Branch, attribute: str, value: Value) -> None:
    """Set an attribute of a branch by Kamailio's name; None clears it."""
    text = to_str(value)
    if attribute == "uri":
        branch.uri = text
    elif attribute == "dst_uri":
        branch.dst_uri = text or None
    elif attribute == "path":
        branch.path = text
    elif attribute == "q":
        branch.q = (
            parsed_q(text) if isinstance(value, str) else -1 if value is None else min(max(value, 0), 1000)
        )
    elif attribute == "flags":
        branch.flags = to_int(value)
    elif attribute == "ruid":
        branch.ruid = text
    elif attribute == "location_ua":
        branch.user_agent = text
    elif attribute == "otcpid":
        branch.connection = to_int(value)
    elif attribute == "send_socket":
        branch.send_socket = find_socket(ctx, text) if text else None
    else:
        raise ScriptError(f"a branch has no {attribute!r}")


def current_branch(ctx: Context) -> Branch:
    """The R-URI and what goes with it as a branch: what `append_branch()` without a URI adds."""
    return Branch(
        request_uri(ctx) or "", ctx.dst_uri, ctx.path, ctx.q, ctx.branch_flags, ctx.send_socket,
        ctx.ruid, ctx.user_agent, ctx.instance, 0, ctx.connection,
    )  # fmt: skip
