"""dialog: calls that the server knows from their INVITE to their BYE."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from zlib import crc32

from kamtool.errors import ConfigError
from kamtool.module import Host, Module, Param
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.dialog.functions import DialogFunctions
from kamtool.modules.dialog.keepalive import KeepAlive
from kamtool.modules.dialog.persistence import (
    COLUMNS,
    DELAYED,
    REALTIME,
    SHUTDOWN,
    VARIABLES,
    Persistence,
)
from kamtool.modules.dialog.profiles import Profiles
from kamtool.modules.dialog.requests import Requests, read_headers
from kamtool.modules.dialog.rpc import DialogRpc
from kamtool.modules.dialog.state import Dialog
from kamtool.modules.dialog.table import Table
from kamtool.modules.dialog.variables import DialogVariables
from kamtool.script.context import Context
from kamtool.store.databases import require_version

if TYPE_CHECKING:
    from kamtool.script.program import Script
    from kamtool.sip.message import Message

logger = logging.getLogger("kamtool.modules.dialog")

STATISTICS = ("active", "early", "processed", "expired", "failed")
VERSION = 7


class DialogModule(DialogFunctions, DialogVariables, DialogRpc, KeepAlive, Module):
    """Know the calls that go through: count and limit them, attach values to them, end them.

    `dlg_manage()` in the route of the INVITE (or its flag, `dlg_flag`) begins a dialog; `loose_route()`
    finds it again for the requests in it. It ends with BYE, with a final response of 300 and above, or
    when its lifetime is over. With a database calls outlive a restart.
    """

    per_worker = "knows the calls that their Call-IDs give to it: a profile counts these alone"

    name = "dialog"
    depends = ("tm", "rr")
    tables = ("dialog", "dialog_vars")
    events = ("dialog:start", "dialog:end", "dialog:failed")
    live = (
        "default_timeout", "early_timeout", "noack_timeout", "end_timeout", "detect_spirals", "send_bye",
        "wait_ack", "timeout_noreset", "ka_interval", "ka_failed_limit", "bridge_controller",
        "bridge_contact", "dlg_match_mode",
    )  # fmt: skip

    enable_stats = Param(1, "accepted: the statistics cost nothing")
    hash_size = Param(
        4096, "slots of the table, a power of two; rows in a database are only read with the same"
    )
    rr_param = Param("did", "the Record-Route parameter by which a dialog is found again")
    dlg_flag = Param(-1, "the flag of INVITEs whose dialog is tracked without dlg_manage")
    timeout_avp = Param("", "a pseudo-variable with another lifetime, in seconds")
    default_timeout = Param(43200, "the lifetime in seconds; requests in the dialog begin it anew")
    early_timeout = Param(300, "seconds after which a call that nobody answered is forgotten")
    noack_timeout = Param(60, "seconds after which a call without its ACK has 10 seconds left")
    end_timeout = Param(300, "seconds that an ended dialog is known at most; 5 are enough")
    dlg_extra_hdrs = Param("", "header lines for the BYEs that are made here: `X-Why: credit\\r\\n`")
    dlg_match_mode = Param(
        0, "requests find their dialog 0 by rr_param, 1 else by Call-ID and tags, 2 by these alone"
    )
    detect_spirals = Param(1, "0: an INVITE that comes by again is another dialog")
    db_url = Param("", "the database")
    db_mode = Param(0, "0 none, 1 written at once, 2 every db_update_period seconds, 3 when the server stops")
    db_update_period = Param(60, "seconds between writes in db_mode 2")
    db_fetch_rows = Param(200, "accepted: rows are read beside the calls")
    db_skip_load = Param(0, "1: nothing is read at start")
    table_name = Param("dialog", "the table of dialogs")
    vars_table_name = Param("dialog_vars", "the table of their variables")
    call_id_column = Param("callid", "the column of the Call-ID")
    from_uri_column = Param("from_uri", "the column of the caller's URI")
    from_tag_column = Param("from_tag", "the column of the caller's tag")
    to_uri_column = Param("to_uri", "the column of the callee's URI")
    to_tag_column = Param("to_tag", "the column of the callee's tag")
    from_cseq_column = Param("caller_cseq", "the column of the caller's CSeq")
    to_cseq_column = Param("callee_cseq", "the column of the callee's CSeq")
    from_route_column = Param("caller_route_set", "the column of the route set to the caller")
    to_route_column = Param("callee_route_set", "the column of the route set to the callee")
    from_contact_column = Param("caller_contact", "the column of the caller's Contact")
    to_contact_column = Param("callee_contact", "the column of the callee's Contact")
    from_sock_column = Param("caller_sock", "the column of the socket towards the caller")
    to_sock_column = Param("callee_sock", "the column of the socket towards the callee")
    h_id_column = Param("hash_id", "the column of the dialog's number")
    h_entry_column = Param("hash_entry", "the column of its slot")
    state_column = Param("state", "the column of the state")
    start_time_column = Param("start_time", "the column of the moment of the answer")
    timeout_column = Param("timeout", "the column of the moment when it times out")
    sflags_column = Param("sflags", "the column of the script's flags")
    toroute_name_column = Param("toroute_name", "the column of the timeout route")
    vars_h_id_column = Param("hash_id", "the column of the dialog's number, in the table of variables")
    vars_h_entry_column = Param("hash_entry", "the column of its slot there")
    vars_key_column = Param("dialog_key", "the column of a variable's name")
    vars_value_column = Param("dialog_value", "the column of its value")
    profiles_with_value = Param("", "profiles whose members have a value: `caller;callee`", repeat=True)
    profiles_no_value = Param("", "profiles without values", repeat=True)
    bridge_controller = Param("sip:controller@kamailio.org", "From and Referred-By of dlg_bridge, dlg_refer")
    bridge_contact = Param("sip:controller@kamailio.org:5060", "their Contact")
    initial_cbs_inscript = Param(1, "accepted: other modules hear of a dialog at once")
    send_bye = Param(0, "1: a call that times out gets BYE to both sides")
    dlg_filter_mode = Param(0, "accepted: every dialog here is this server's own")
    wait_ack = Param(1, "0: a refused call is forgotten at once, before its ACK")
    ka_timer = Param(0, "seconds between looks at who is due for a keep-alive, 0 for none")
    ka_interval = Param(0, "seconds between keep-alives in a dialog, 30 at least")
    ka_failed_limit = Param(1, "keep-alives in a row without an answer after which a dialog times out")
    timeout_noreset = Param(0, "1: requests in the dialog do not begin its lifetime anew")
    timer_procs = Param(0, "accepted: timeouts hold up no message")
    enable_dmq = Param(0, "only 0: there is no replication between servers")
    track_cseq_updates = Param(0, "1: keep CSeq in step when uac_auth has sent the INVITE again")
    lreq_callee_headers = Param("", "header lines for what is made here and goes to the callee")
    event_callback = Param("", "only empty: there is no KEMI, events run event_route blocks")
    h_id_start = Param(0, "added to the numbers of dialogs; -1 for server_id")
    h_id_step = Param(1, "the distance of two numbers, for servers that share a database")
    keep_proxy_rr = Param(0, "1, 2 or 3: BYE to callee, caller or both takes the way through this script")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.table = Table(self.hash_size)
        self.profiles = Profiles()
        self.requests = Requests(server)
        self.keeper: Persistence | None = None
        self.timeout_variable = None
        self.known_variables = {}
        self.known_formats = {}
        self._claims = set()
        self.on_created: list[Callable[[Dialog, Context], None]] = []
        self.on_confirmed: list[Callable[[Dialog, Message], None]] = []
        self.on_request: list[Callable[[Dialog, Context], None]] = []
        self.on_ended: list[Callable[[Dialog, Any, str], None]] = []

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """What cannot work."""
        if self.hash_size < 1 or self.hash_size & (self.hash_size - 1):
            yield _bad(f"hash_size {self.hash_size} is no power of two")
        if not 0 <= self.dlg_match_mode <= 2:
            yield _bad(f"dlg_match_mode is 0, 1 or 2, not {self.dlg_match_mode}")
        if not 0 <= self.db_mode <= 3:
            yield _bad(f"db_mode is 0 to 3, not {self.db_mode}")
        if self.ka_interval and self.ka_interval < 30:
            yield _bad(f"ka_interval is 30 seconds at least, not {self.ka_interval}")
        if not -1 <= self.dlg_flag < 32:
            yield _bad(f"dlg_flag {self.dlg_flag} is no flag")
        if self.enable_dmq:
            yield _bad("`enable_dmq` is set, but there is no replication", hint="set it to 0")
        if self.event_callback:
            yield _bad("`event_callback` names a KEMI function", hint="write event_route[dialog:start]")
        for name in ("dlg_extra_hdrs", "lreq_callee_headers"):
            try:
                read_headers(getattr(self, name))
            except ValueError as error:
                yield _bad(f"{name}: {error}", hint="Name: value\\r\\n")
        known = Profiles()
        try:
            self._define(known)
        except ConfigError as error:
            yield error

    def _define(self, profiles: Profiles) -> None:
        for text in self.__dict__["profiles_with_value"]:
            profiles.define(text, valued=True)
        for text in self.__dict__["profiles_no_value"]:
            profiles.define(text, valued=False)

    async def start(self) -> None:
        """Define the profiles, read the database, watch transactions. Raises ConfigError or StoreError."""
        for error in self.verify(None):  # type: ignore[arg-type]
            raise error
        for name in STATISTICS:
            self.server.stats.setdefault(f"dialog:{name}_dialogs", 0)
        server_id = int(getattr(self.server, "setting", lambda name, default: default)("server_id", 0))
        first = self.h_id_start if self.h_id_start >= 0 else server_id
        # Workers number their dialogs so that no two have one name.
        workers = self._workers
        self.table = Table(self.hash_size, first + self.worker * self.h_id_step, self.h_id_step * workers)
        self._define(self.profiles)
        self.requests.extra = read_headers(self.dlg_extra_hdrs)
        self.requests.to_callee = read_headers(self.lreq_callee_headers)
        if self.timeout_avp:
            self.timeout_variable = self.server.variable(self.timeout_avp)
        if self.db_mode:
            await self._open()
        self._run.transactions.on_created.append(self.transaction_created)
        routed: Any = self.server.modules["rr"]
        routed.routed.append(self.routed)
        self.every(1, self._tick)
        if self.ka_timer > 0 and self.ka_interval > 0:
            self.every(self.ka_timer, self.keep_alive)

    async def _open(self) -> None:
        database = await open_database(self.server, self.db_url, "dialog")
        await require_version(database, self.table_name, VERSION)
        names = {
            name: getattr(self, f"{name}_column", column) for name, column in (COLUMNS | VARIABLES).items()
        }
        self.keeper = Persistence(
            database, names, (self.table_name, self.vars_table_name), self.db_mode, self.profiles,
            lambda deadline: deadline - self.server.now() + time.time(),
        )  # fmt: skip
        if not self.db_skip_load:
            count = await self.keeper.load(time.time(), self._adopt_own)
            logger.info("%d dialogs loaded", count)
        if self.db_mode == DELAYED:
            self.every(max(1, self.db_update_period), self._save)

    @property
    def _workers(self) -> int:
        team: Any = getattr(self.server, "team", None)
        return int(team.size) if team is not None else 1

    def _adopt_own(self, dialog: Dialog, seconds: float) -> bool:
        """Take in what the database holds, where there are several workers only the calls that come here."""
        call_id = dialog.call_id.encode("utf-8", "surrogateescape")
        return crc32(call_id) % self._workers == self.worker and self.adopt(dialog, seconds)

    def _save(self) -> None:
        if self.keeper is not None:
            self.keeper.save(self.table)

    def _tick(self) -> None:
        self.table.sweep(self.server.now(), self.overdue)
        self.profiles.expire(time.time())

    async def stop(self) -> None:
        """Write what the database lacks."""
        if self.keeper is not None and self.db_mode in (REALTIME, DELAYED, SHUTDOWN):
            self.keeper.save(self.table)


def _bad(message: str, hint: str = "") -> ConfigError:
    return ConfigError(f"dialog: {message}", hint=hint, code="KT1201")
