"""The names that a cfg may use in this server, each with the first line of what its manual says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamtool.debug.breakpoints import block_of
from kamtool.script.scope import signature

if TYPE_CHECKING:
    from kamtool.server.server import Server


def of(server: Server) -> dict[str, dict[str, str]]:
    """`variables`, `functions`, `routes` and `rpcs`: names and a line about each."""
    scope = server.script.scope
    actions = server.observers.actions
    return {
        "variables": {
            f"${name}{'(' if pv.inner_required else ''}": _line(pv.doc) for name, (_, pv) in scope.pvs.items()
        },
        "functions": {
            name: f"{signature(found[-1][1])}: {_line(found[-1][1].doc)} [{found[-1][0]}]"
            for name, found in scope.functions.items()
        },
        "routes": {
            block: f"{action.span.file}:{action.span.line}"
            for action in reversed(actions)
            for block in (block_of(action),)
        },
        "targets": {action.target: "is assigned in the cfg" for action in actions if action.target},
        "called": {
            action.name: "is called in the cfg" for action in actions if action.name in scope.functions
        },
        "rpcs": {name: _line(server.rpc.find(name).doc) for name in server.rpc.names()},
    }


def _line(doc: str) -> str:
    return doc.strip().partition("\n")[0]
