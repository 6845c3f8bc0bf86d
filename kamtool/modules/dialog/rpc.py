"""The RPC methods `dlg.*`, in the shape that Kamailio 5.6 answers them."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kamtool.errors import RpcError, ScriptError
from kamtool.module import rpc
from kamtool.modules.dialog.bridge import HELD, Bridging
from kamtool.modules.dialog.requests import read_headers
from kamtool.modules.dialog.state import ANSWERED, CONFIRMED, EARLY, ENDED, UNCONFIRMED, Dialog, Party

Tree = dict[str, Any]

NOTHING = "<null string>"
STATES = {"starting": UNCONFIRMED, "connecting": EARLY, "answering": ANSWERED, "ongoing": CONFIRMED}
BRIEF: dict[str, tuple[str, Callable[[Dialog], Any]]] = {
    "f": ("from_uri", lambda d: d.from_uri),
    "t": ("to_uri", lambda d: d.to_uri),
    "c": ("call-id", lambda d: d.call_id),
    "F": ("from_tag", lambda d: d.caller.tag),
    "T": ("to_tag", lambda d: d.callee.tag if d.callee else NOTHING),
    "I": ("init_ts", lambda d: int(d.init_epoch)),
    "S": ("start_ts", lambda d: int(d.start_epoch)),
    "E": ("end_ts", lambda d: int(d.end_epoch)),
    "s": ("state", lambda d: d.state),
}
KEYS: dict[str, Callable[[Dialog], str]] = {
    "ruri": lambda d: d.request_uri,
    "furi": lambda d: d.from_uri,
    "turi": lambda d: d.to_uri,
    "callid": lambda d: d.call_id,
}


def _party(party: Party | None, cseq: int | None) -> Tree:
    if party is None:
        return dict.fromkeys(("tag", "contact", "cseq", "route_set", "socket"), NOTHING)
    return {
        "tag": party.tag, "contact": party.contact, "cseq": str(cseq), "route_set": party.routes,
        "socket": party.socket,
    }  # fmt: skip


class DialogRpc(Bridging):
    """The control plane of dialogs."""

    def _tree(self, dialog: Dialog) -> Tree:
        end = dialog.end_epoch or time.time()
        until = dialog.data.get("dialog.until", 0.0) if dialog.is_alive else 0.0
        return {
            "h_entry": dialog.hash_entry,
            "h_id": dialog.hash_id,
            "ref": 1 if dialog.state == ENDED else 2,
            "call-id": dialog.call_id,
            "from_uri": dialog.from_uri,
            "to_uri": dialog.to_uri,
            "state": dialog.state,
            "start_ts": int(dialog.start_epoch),
            "init_ts": int(dialog.init_epoch),
            "end_ts": int(dialog.end_epoch),
            "duration": int(end) - int(dialog.start_epoch) if dialog.start_epoch else 0,
            "timeout": int(until - self.server.now() + time.time()) if until else 0,
            "lifetime": dialog.lifetime,
            "dflags": dialog.dflags,
            "sflags": dialog.sflags,
            "iflags": dialog.iflags,
            "caller": _party(dialog.caller, dialog.caller.cseq),
            "callee": _party(dialog.callee, dialog.callee.cseq if dialog.callee else None),
            "profiles": [
                {profile.name: profile.value} if profile.value else profile.name
                for profile in reversed(dialog.profiles)
            ],
            "variables": [{name: value} for name, value in reversed(dialog.variables.items())],
        }

    @rpc("dlg.list", "dlg.list_ctx", workers="join")
    async def rpc_list(self) -> list[Tree]:
        """All dialogs."""
        return await self._trees(self.table)

    async def _trees(self, dialogs: Iterable[Dialog]) -> list[Tree]:
        trees = []
        for number, dialog in enumerate(dialogs, 1):
            trees.append(self._tree(dialog))
            if number % 200 == 0:
                await asyncio.sleep(0)
        return trees

    @rpc("dlg.dlg_list", "dlg.dlg_list_ctx", workers="join")
    def rpc_dlg_list(self, call_id: str, from_tag: str | None = None) -> list[Tree]:
        """The dialogs of one Call-ID: `dlg.dlg_list CALL_ID [FROM_TAG]`."""
        found = self.table.of_call(call_id)
        return [self._tree(dialog) for dialog in found if from_tag in (None, dialog.caller.tag)]

    @rpc("dlg.list_match", "dlg.list_match_ctx", workers="join")
    async def rpc_list_match(self, key: str, operator: str, value: str, limit: int = 0) -> list[Tree]:
        """Dialogs that match: `dlg.list_match KEY OPERATOR VALUE [LIMIT]`.

        KEY is ruri, furi, turi, callid or start_ts; OPERATOR eq, re, sw, and for start_ts gt or lt.
        """
        test = _test(key, operator, value)
        found = [dialog for dialog in self.table if test(dialog)]
        if not found:
            raise RpcError(404, "Not found")
        return await self._trees(found[:limit] if limit > 0 else found)

    @rpc("dlg.briefing", workers="join")
    async def rpc_briefing(self, attributes: str = "ftcFT") -> list[Tree]:
        """A few attributes of all dialogs: letters of f t c F T I S E s."""
        shown = [BRIEF[letter] for letter in BRIEF if letter in attributes]
        return [
            {
                "h_entry": dialog.hash_entry,
                "h_id": dialog.hash_id,
                **{name: get(dialog) for name, get in shown},
            }
            for dialog in self.table
        ]

    @rpc("dlg.dump_file")
    async def rpc_dump_file(self, file: str) -> None:
        """Write all dialogs to a file, one JSON object a line."""
        trees = await self._trees(self.table)
        text = "".join(json.dumps(_flat(tree), separators=(",", ":")) + "\n" for tree in trees)
        try:
            await asyncio.to_thread(Path(file).write_text, text)
        except OSError as error:
            raise RpcError(500, f"{file}: {error.strerror}") from error

    @rpc("dlg.stats_active", workers="sum")
    def rpc_stats_active(self, local_only: int = 0) -> Tree:
        """How many dialogs are starting, connecting, answering, ongoing, and all."""
        states = Counter(dialog.state for dialog in self.table)
        counts = {name: states[state] for name, state in STATES.items()}
        return {**counts, "all": sum(counts.values())}

    @rpc("dlg.is_alive", workers="any")
    def rpc_is_alive(self, call_id: str, from_tag: str, to_tag: str) -> str:
        """Whether a call is answered and goes on."""
        found = self.table.search(call_id, from_tag, to_tag)
        if found is None:
            raise RpcError(404, "Dialog not found")
        if found[0].state not in (ANSWERED, CONFIRMED):
            raise RpcError(500, "Dialog not in confirmed state")
        return "Alive"

    # Changing

    @rpc("dlg.end_dlg", workers="any")
    def rpc_end_dlg(self, h_entry: int, h_id: int, headers: str = "") -> None:
        """End a call with BYE to both sides: `dlg.end_dlg H_ENTRY H_ID [HEADERS]`."""
        dialog = self.table.get(h_entry, h_id)
        if dialog is None:
            raise RpcError(404, "Dialog not found")
        try:
            lines = read_headers(headers)
        except ValueError as error:
            raise RpcError(400, str(error)) from error
        self._terminate(dialog, lines)

    @rpc("dlg.terminate_dlg", workers="any")
    def rpc_terminate_dlg(self, call_id: str, from_tag: str, to_tag: str) -> None:
        """End a call with BYE to both sides, found by Call-ID and tags."""
        found = self.table.search(call_id, from_tag, to_tag)
        if found is None:
            raise RpcError(500, "Couldnt find callid in dialog")
        self._terminate(found[0], [])

    def _terminate(self, dialog: Dialog, lines: list[tuple[str, str]]) -> None:
        if not self.terminate(dialog, lines):
            raise RpcError(500, "Dialog not in confirmed state")

    @rpc("dlg.set_state", workers="any")
    def rpc_set_state(self, call_id: str, from_tag: str, to_tag: str, state: int) -> str:
        """Set the state by hand; 5 forgets the dialog without BYE, event route or record."""
        found = self.table.search(call_id, from_tag, to_tag)
        if found is None:
            raise RpcError(500, "Dialog not found")
        if not UNCONFIRMED <= state <= ENDED:
            raise RpcError(500, "Invalid state")
        dialog = found[0]
        if state == ENDED:
            self.drop(dialog)
        else:
            self.count_as(dialog, state)
        return "Done"

    @rpc("dlg.bridge_dlg")
    def rpc_bridge_dlg(self, caller: str, callee: str, proxy: str = ".", body: str = ".") -> None:
        """Call CALLER and ask him to call CALLEE; `.` for PROXY or BODY is none given, `_` no body."""
        offer = HELD if body == "." else "" if body in ("", "_") else body
        try:
            self.begin_bridge(caller, callee, "" if proxy == "." else proxy, offer)
        except ScriptError as error:
            raise RpcError(500, str(error)) from error

    # Profiles

    @rpc("dlg.profile_get_size", workers="sum")
    def rpc_profile_get_size(self, profile: str, value: str | None = None) -> int:
        """How many dialogs are in a profile, or in it with this value."""
        self._known(profile)
        return self.profiles.size(profile, value)

    @rpc("dlg.profile_list")
    async def rpc_profile_list(self, profile: str, value: str | None = None) -> list[Tree]:
        """The dialogs in a profile, or in it with this value."""
        self._known(profile)
        return await self._trees(self.profiles.members(profile, value))

    def _known(self, profile: str) -> None:
        if profile not in self.profiles.valued:
            raise RpcError(404, f"Profile not found: {profile}")


def _test(key: str, operator: str, value: str) -> Callable[[Dialog], bool]:
    if key == "start_ts":
        text = value.removeprefix("s:")
        if operator not in ("eq", "gt", "lt"):
            raise RpcError(500, "Invalid matching operator parameter")
        if not text.isdigit():
            raise RpcError(500, "Invalid matching value parameter")
        number = int(text)
        compare = {"eq": int.__eq__, "gt": int.__gt__, "lt": int.__lt__}[operator]
        return lambda dialog: compare(int(dialog.start_epoch), number)
    get = KEYS.get(key)
    if get is None:
        raise RpcError(500, "Invalid matching key parameter")
    match operator:
        case "eq":
            return lambda dialog: get(dialog) == value
        case "sw":
            return lambda dialog: get(dialog).startswith(value)
        case "re":
            try:
                pattern = re.compile(value)
            except re.error as error:
                raise RpcError(500, "Invalid matching value parameter") from error
            return lambda dialog: pattern.search(get(dialog)) is not None
    raise RpcError(500, "Invalid matching operator parameter")


def _flat(tree: Tree) -> Tree:
    """As Kamailio's file has it: profiles and variables as objects."""
    plain = {"call_id" if name == "call-id" else name: value for name, value in tree.items()}
    plain["profiles"] = {
        name: value
        for each in tree["profiles"]
        for name, value in (each.items() if isinstance(each, dict) else [(each, "")])
    }
    plain["variables"] = {name: value for each in tree["variables"] for name, value in each.items()}
    return plain
