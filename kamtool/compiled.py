"""Which modules run compiled, and when their sources run instead.

mypyc turns the files of MODULES, the path of every message, into extensions beside them (`setup.py`, optional
as the kernel is). They stay ordinary Python: without a compiler, with `KAMTOOL_PURE=1`, or in a checkout once
one of them has been edited since, the sources run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mypy_extensions import mypyc_attr as mypyc_attr
else:

    def mypyc_attr(**_: Any) -> Any:
        """Only the compiler reads it; it comes with the type checker, which a server does without."""
        return lambda decorated: decorated


MODULES = (
    "kamtool.modules.acc.extra",
    "kamtool.modules.acc.record",
    "kamtool.modules.acc.watch",
    "kamtool.modules.auth.challenge",
    "kamtool.modules.auth.checking",
    "kamtool.modules.auth.nonce",
    "kamtool.modules.auth.passwords",
    "kamtool.modules.maxfwd.counting",
    "kamtool.modules.pike.tree",
    "kamtool.modules.registrar.lookup",
    "kamtool.modules.registrar.quick",
    "kamtool.modules.rr.loose",
    "kamtool.modules.rr.record",
    "kamtool.modules.sanity.plain",
    "kamtool.modules.tm.entering",
    "kamtool.modules.topoh.code",
    "kamtool.modules.topoh.masks",
    "kamtool.modules.topoh.pieces",
    "kamtool.modules.topos.hiding",
    "kamtool.modules.topos.learning",
    "kamtool.modules.topos.naming",
    "kamtool.modules.topos.reading",
    "kamtool.modules.topos.records",
    "kamtool.modules.usrloc.counting",
    "kamtool.modules.usrloc.loading",
    "kamtool.modules.usrloc.table",
    "kamtool.script.context",
    "kamtool.script.edits",
    "kamtool.script.guards",
    "kamtool.script.handled",
    "kamtool.script.values",
    "kamtool.server.answering",
    "kamtool.server.branching",
    "kamtool.server.cancelling",
    "kamtool.server.core",
    "kamtool.server.deadlines",
    "kamtool.server.log_line",
    "kamtool.server.myself",
    "kamtool.server.outgoing",
    "kamtool.server.receive",
    "kamtool.server.relay",
    "kamtool.server.reply",
    "kamtool.server.responses",
    "kamtool.server.routing",
    "kamtool.server.running",
    "kamtool.server.tally",
    "kamtool.server.timers",
    "kamtool.server.transaction",
    "kamtool.server.transactions",
    "kamtool.server.unanswered",
    "kamtool.sip.build",
    "kamtool.sip.flow",
    "kamtool.sip.framing",
    "kamtool.sip.nameaddr",
    "kamtool.sip.transaction",
    "kamtool.sip.uri",
    "kamtool.sip.via",
    "kamtool.transport.beat",
    "kamtool.transport.handshakes",
    "kamtool.transport.hello",
    "kamtool.transport.outlet",
    "kamtool.transport.secure",
    "kamtool.transport.sending",
    "kamtool.transport.stream",
    "kamtool.transport.target",
    "kamtool.transport.tcp",
    "kamtool.transport.tcp_options",
    "kamtool.transport.tls",
    "kamtool.transport.udp",
    "kamtool.transport.watch",
)
ROOT = Path(__file__).parent.parent


def path_of(module: str) -> Path:
    """The source of one of MODULES."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def state() -> str:
    """`compiled`, `pure` (nothing is built, or KAMTOOL_PURE says so), or `edited`: a source is newer."""
    built = next(ROOT.glob("kamtool__mypyc.*"), None)
    if built is None or os.environ.get("KAMTOOL_PURE", "") not in ("", "0"):
        return "pure"
    # Only a checkout is edited; the files of an installed wheel have the dates that the installer gave them.
    if (ROOT / "setup.py").exists():
        date = built.stat().st_mtime
        if any(path_of(module).stat().st_mtime > date for module in MODULES):
            return "edited"
    return "compiled"


class Sources:
    """Finds MODULES by their sources, whatever stands beside them."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return spec_from_file_location(name, path_of(name)) if name in MODULES else None


STATE = state()
if STATE != "compiled":
    sys.meta_path.insert(0, Sources)
