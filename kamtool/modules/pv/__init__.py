"""Pseudo-variables and transformations."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from kamtool.errors import ConfigError, RpcError
from kamtool.module import Host, Module, Param, rpc
from kamtool.modules.pv.sharing import Shared
from kamtool.modules.pv.variables import VariableFunctions
from kamtool.modules.pv.xavp import XavpFunctions
from kamtool.script.avp import Key
from kamtool.script.pv_address import FromVariables, ToVariables
from kamtool.script.pv_branch import BranchVariables, FlagVariables
from kamtool.script.pv_identity import DigestVariables, IdentityVariables
from kamtool.script.pv_message import BufferVariables, FirstLineVariables, HeaderVariables
from kamtool.script.pv_process import ScriptVariables, ServerVariables
from kamtool.script.pv_socket import LocalSocketVariables, SendSocketVariables, SourceVariables
from kamtool.script.pv_store import AvpStore, VariableStore, XavpStore
from kamtool.script.pv_time import TimeVariables
from kamtool.script.pv_uri import NextHopVariables, RequestUriVariables
from kamtool.script.pv_via import ViaVariables
from kamtool.script.transformations_address import AddressTransformations
from kamtool.script.transformations_codec import CodecTransformations
from kamtool.script.transformations_line import LineTransformations
from kamtool.script.transformations_param import ParamTransformations
from kamtool.script.transformations_string import StringTransformations
from kamtool.script.transformations_uri import UriTransformations
from kamtool.script.values import text_to_int


class Pv(
    RequestUriVariables,
    NextHopVariables,
    FromVariables,
    ToVariables,
    FirstLineVariables,
    HeaderVariables,
    BufferVariables,
    ViaVariables,
    SourceVariables,
    LocalSocketVariables,
    SendSocketVariables,
    FlagVariables,
    BranchVariables,
    DigestVariables,
    IdentityVariables,
    TimeVariables,
    VariableStore,
    AvpStore,
    XavpStore,
    ServerVariables,
    ScriptVariables,
    StringTransformations,
    CodecTransformations,
    UriTransformations,
    ParamTransformations,
    AddressTransformations,
    LineTransformations,
    VariableFunctions,
    XavpFunctions,
    Module,
):
    """Pseudo-variables and transformations: what a script reads and writes of a message and around it."""

    name = "pv"
    shvset = Param("", "a shared variable and its first value: `name=i:5` or `name=s:text`", repeat=True)
    varset = Param("", "a `$var` and its first value: `name=i:5` or `name=s:text`", repeat=True)
    avp_aliases = Param("", "short names for AVPs: `uuid=i:660;did=s:did`", repeat=True)

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.variables: dict[str, int | str] = {}
        self.nullable: dict[str, int | str] = {}
        link = getattr(server, "link", None)
        self.shared: dict[str, int | str] = {} if link is None else Shared(link)
        self.aliases: dict[str, Key] = {}
        self.started = time.time()

    def set_param(self, name: str, value: int | str) -> None:
        super().set_param(name, value)
        if name == "shvset":
            key, first = _assignment(str(value))
            self.shared[key] = first
        elif name == "varset":
            key, first = _assignment(str(value))
            self.variables[key] = first
        else:
            for piece in filter(None, str(value).split(";")):
                alias, _, target = piece.partition("=")
                self.aliases[alias.strip()] = self.avp_key(target.strip())

    def state(self) -> Iterable[Any]:
        """The shared variables."""
        return self.shared.items()

    def take_state(self, items: Sequence[Any]) -> None:
        """The shared variables of another server."""
        for name, value in items:
            self.shared[name] = value

    @rpc("pv.shvGet")
    def rpc_shv_get(self, name: str = "") -> dict[str, int | str]:
        """The shared variable `name`, or all of them."""
        if not name:
            return dict(self.shared)
        if name not in self.shared:
            raise RpcError(404, f"no shared variable {name!r}")
        return {name: self.shared[name]}

    @rpc("pv.shvSet")
    def rpc_shv_set(self, name: str, kind: str, value: str) -> None:
        """Set a shared variable; `kind` is `int` or `str`."""
        if kind not in ("int", "str"):
            raise RpcError(400, "the type is `int` or `str`")
        self.shared[name] = text_to_int(value) if kind == "int" else value


def _assignment(text: str) -> tuple[str, int | str]:
    name, equals, rest = text.partition("=")
    kind, colon, value = rest.partition(":")
    if not equals or not colon or kind not in ("i", "s") or not name.strip():
        raise ConfigError(f"bad value {text!r}", hint="write `name=i:5` or `name=s:text`", code="KT1201")
    return name.strip(), text_to_int(value) if kind == "i" else value
