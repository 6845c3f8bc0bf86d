"""Pseudo-variables of the server, the script and the terminal."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kamtool.errors import ScriptError
from kamtool.module import Host, Routes, Value, pv
from kamtool.script import selects
from kamtool.script.custom_parameters import custom_parameter, set_custom_parameter
from kamtool.script.values import wrap

if TYPE_CHECKING:
    from kamtool.script.context import Context

CONSTANTS = {"IPv4": 2, "IPv6": 10, "UDP": 1, "TCP": 2, "TLS": 3, "SCTP": 4, "WS": 5, "WSS": 6}

# Kamailio 5.6 is what the language of this server is; scripts ask $version(num) to tell features apart.
LANGUAGE_VERSION = "5.6.3"

_COLOURS = "srgybpcw"
"""The letters of $C after `x`, the default, and `s`, black: red green yellow blue purple cyan white."""


def colour(letters: str) -> str:
    """The escape sequence of `$C(fb)`: foreground and background, one letter each, upper case for bold."""
    codes = ["0"]
    if len(letters) != 2 or any(letter.lower() not in "x" + _COLOURS for letter in letters):
        raise ScriptError(f"$C({letters}): two letters of x s r g y b p c w")
    foreground, background = letters[0], letters[1]
    if foreground.isupper():
        codes.append("1")
    codes.append("39" if foreground in "xX" else str(30 + _COLOURS.index(foreground.lower())))
    codes.append("49" if background in "xX" else str(40 + _COLOURS.index(background.lower())))
    return f"\x1b[{';'.join(codes)}m"


_UNNAMED = {
    Routes.REQUEST: "DEFAULT_ROUTE",
    Routes.FAILURE: "DEFAULT_FAILURE",
    Routes.BRANCH: "DEFAULT_BRANCH",
    Routes.ONREPLY: "DEFAULT_ONREPLY",
    Routes.REPLY: "DEFAULT_ONREPLY",
    Routes.ONSEND: "DEFAULT_SEND",
}


class ServerVariables:
    """`$pp $sid $version(…) $stat(…) $K(…) $env(…) $C(…)`."""

    server: Host
    started: float

    @pv("pp", kind=int)
    def get_pp(self, ctx: Context) -> Value:
        """The id of this process."""
        return os.getpid()

    @pv("sid", kind=int)
    def get_sid(self, ctx: Context) -> Value:
        """The server's id: the global parameter `server_id`."""
        settings = getattr(self.server, "settings", None)
        return settings.number("server_id") if settings is not None else 0

    @pv("version", kind=str, inner_required=True, form="num|full|hash")
    def get_version(self, ctx: Context, inner: str) -> Value:
        """The version of Kamailio whose language this is: `num`, `full`, `hash`."""
        if inner == "num":
            return LANGUAGE_VERSION
        if inner == "full":
            return f"kamtool (kamailio {LANGUAGE_VERSION})"
        if inner == "hash":
            return "unknown"
        raise ScriptError(f"$version({inner}): not one of num full hash")

    @pv("stat", kind=int, inner_required=True)
    def get_stat(self, ctx: Context, inner: str) -> Value:
        """A statistic by its name, or as `group:name`."""
        stats = self.server.stats
        if ":" in inner:
            found = stats.get(inner)
        else:
            ending = f":{inner}"
            found = next((value for key, value in stats.items() if key.endswith(ending)), None)
        return None if found is None else wrap(int(found))

    @pv("K", kind=int, inner_required=True, form="IPv4|IPv6|INET|INET6|UDP|TCP|TLS|SCTP|WS|WSS")
    def get_K(self, ctx: Context, inner: str) -> Value:  # noqa: N802
        """A constant: `IPv4 IPv6 UDP TCP TLS SCTP WS WSS`."""
        try:
            return CONSTANTS[inner]
        except KeyError:
            raise ScriptError(f"$K({inner}): no such constant") from None

    @pv("env", kind=str, inner_required=True)
    def get_env(self, ctx: Context, inner: str) -> Value:
        """A variable of the environment."""
        return os.environ.get(inner)

    @pv("C", kind=str, inner_required=True, form="[xsrgybpcwXSRGYBPCW]{2}")
    def get_C(self, ctx: Context, inner: str) -> Value:  # noqa: N802
        """Terminal colours, foreground and background: `$C(rx)` is red, `$C(xx)` back to normal."""
        return colour(inner)

    @pv("ccp", inner_required=True, setter="set_ccp")
    def get_ccp(self, ctx: Context, inner: str) -> Value:
        """A custom global parameter, `$ccp(group.name)`."""
        return custom_parameter(self.server, inner)

    def set_ccp(self, ctx: Context, inner: str, value: Value) -> None:
        set_custom_parameter(self.server, inner, value)


class ScriptVariables:
    """`$rc $null $true $err $cfg(…) $def(…) $_s(…) $sel(…)`."""

    server: Host

    @pv("null", inline="None")
    def get_null(self, ctx: Context) -> Value:
        """Undefined."""
        return None

    @pv("true", kind=int, inline="1")
    def get_true(self, ctx: Context) -> Value:
        """1."""
        return 1

    @pv("rc", "retcode", "?", kind=int, inline="ctx.rc")
    def get_rc(self, ctx: Context) -> Value:
        """The return code of the last module function or route."""
        return ctx.rc

    @pv("err.class", "err.level", "err.rcode", kind=int)
    def get_err_number(self, ctx: Context) -> Value:
        """What is wrong with the message, in an event route about a parse error: undefined elsewhere."""
        return None

    @pv("err.info", "err.rreason", kind=str)
    def get_err_text(self, ctx: Context) -> Value:
        """What is wrong with the message as text, in an event route about a parse error."""
        return None

    @pv("cfg", inner_required=True, form="line|route|file|name")
    def get_cfg(self, ctx: Context, inner: str) -> Value:
        """Where the script stands: `line`, `route`, `file`, `name`."""
        if inner == "line":
            return ctx.line
        if inner == "route":
            return ctx.route_name or _UNNAMED.get(ctx.route_kind, "")
        if inner in ("file", "name"):
            return str(getattr(getattr(self.server, "script", None), "name", "")) or None
        raise ScriptError(f"$cfg({inner}): not one of line route file name")

    @pv("def", kind=str, inner_required=True)
    def get_def(self, ctx: Context, inner: str) -> Value:
        """The value of a `#!define`, undefined when there is none."""
        return _define(self.server, inner)

    @pv("defn", kind=int, inner_required=True)
    def get_defn(self, ctx: Context, inner: str) -> Value:
        """The value of a `#!define` as a number, 0 when there is none."""
        from kamtool.script.values import text_to_int

        return text_to_int(_define(self.server, inner) or "")

    @pv("_s", kind=str, inner_required=True, inline="inner")
    def get__s(self, ctx: Context, inner: str) -> Value:
        """The text of a format: `$_s($rU@$rd)`."""
        return inner

    @pv("sel", kind=str, inner_required=True)
    def get_sel(self, ctx: Context, inner: str) -> Value:
        """What a select names: `$sel(ruri.user)`, `$sel(cfg_get.group.name)`."""
        return selects.evaluate(ctx, inner)


def _define(server: Host, name: str) -> str | None:
    defines = getattr(getattr(server, "script", None), "defines", {})
    value = defines.get(name)
    return None if value is None else str(value)
