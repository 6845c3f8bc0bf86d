"""topos: see `Topos`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError
from kamtool.module import ANY, Host, Module, Param, function
from kamtool.modules.db_sqlite import open_database
from kamtool.modules.topoh.hooks import Ours, excepted, read
from kamtool.modules.topos.hiding import Hiding
from kamtool.modules.topos.naming import BY_XAVU, Choices
from kamtool.modules.topos.records import Dialog, Keeper, Leg, Records
from kamtool.modules.topos.tables import DIALOGS, LEGS, VERSION, Tables
from kamtool.script.context import Context
from kamtool.sip.flow import Flow
from kamtool.store.databases import require_version

if TYPE_CHECKING:
    from kamtool.server.server import Server

logger = logging.getLogger("kamtool.modules.topos")

OUTGOING, SENDING = "topos:msg-outgoing", "topos:msg-sending"
INCOMING, RECEIVING = "topos:msg-incoming", "topos:msg-receiving"
TOPIC = "topos"
SLICE = 1000
MOST_ASKED = 1000
"""So many records are asked for at the same time; then what is not known here is not known."""
LONGEST_CONTEXT = 12


class Topos(Module):
    """Hide from each side of a call how the other is reached: loading the module is all there is to do.

    The Vias, Record-Routes and Contacts of others are taken out of what leaves and kept, in memory and in
    the tables topos_d and topos_t (or with `storage` "redis" there, by topos_redis); each side sees one Via
    and a Contact with an alias, and requests to the alias get back what was taken. The script sees it all.
    Initial requests have to be record-routed. Calls outlive a restart. REGISTER and PUBLISH pass as they are.
    """

    name = "topos"
    depends = ("rr",)
    tables = (DIALOGS, LEGS)
    events = (OUTGOING, SENDING, INCOMING, RECEIVING)

    storage = Param("db", "where records are kept: `db` or `redis`")
    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    branch_expire = Param(180, "seconds that a request is remembered after its last answer")
    dialog_expire = Param(10800, "seconds that a call is remembered after its beginning")
    clean_interval = Param(60, "seconds between runs that drop what is over")
    event_mode = Param(3, "which events run: 1 msg-outgoing, 2 msg-sending, 4 msg-incoming, 8 msg-receiving")
    contact_host = Param("", "the host of the Contacts shown; unset: that of the Record-Route")
    contact_mode = Param(0, "the alias is 0 the Contact's user, 1, 2 a parameter (2: users from `xavu_cfg`)")
    cparam_name = Param("tps", "the parameter with the alias")
    xavu_cfg = Param("", "the XAVU with the values for one request")
    xavu_field_a_contact = Param("", "its field with the user of the Contact that the caller sees")
    xavu_field_b_contact = Param("", "its field with the user of the Contact that the callee sees")
    xavu_field_contact_host = Param("", "its field with the host of the Contacts")
    rr_update = Param(0, "1: a re-INVITE's Record-Routes replace those of the INVITE")
    context = Param("", "a name for this server's records, at most 12 characters")

    sanity_checks = Param(0, "accepted: a message that cannot be read is never touched")
    mask_callid = Param(0, "accepted, and the Call-ID stays, as in Kamailio; topoh masks it")
    event_callback = Param("", "only empty: there is no KEMI, events run event_route blocks")

    _fetch: Callable[[str], Awaitable[Dialog | Leg | None]] | None = None

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self._asked: set[str] = set()

    def set_param(self, name: str, value: int | str) -> None:
        """Refuse what cannot work. Raises ConfigError."""
        super().set_param(name, value)
        if name == "event_callback" and value:
            raise _wrong(
                "`event_callback` names a KEMI function, and there is no KEMI",
                f"write event_route[{OUTGOING}]",
            )
        if name == "storage" and value not in ("db", "redis"):
            raise _wrong(f"there is no storage {value!r}", 'write "db" or "redis"')
        if name == "contact_mode" and value not in (0, 1, 2):
            raise _wrong(f"`contact_mode` is {value}", "write 0, 1 or 2")
        if name == "cparam_name" and not str(value).strip():
            raise _wrong("`cparam_name` is empty", "give it a value")
        if name == "context" and len(str(value)) > LONGEST_CONTEXT:
            raise _wrong(
                f"`context` {value!r} has more than {LONGEST_CONTEXT} characters", "choose a shorter one"
            )
        if name in ("branch_expire", "dialog_expire", "clean_interval") and int(value) < 1:
            raise _wrong(f"`{name}` is {value}", "write a number of seconds above 0")

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """Parameters that need each other."""
        fields = (self.xavu_field_a_contact, self.xavu_field_b_contact, self.xavu_field_contact_host)
        if any(fields) and not self.xavu_cfg:
            yield _wrong("`xavu_field_…` needs `xavu_cfg`", 'modparam("topos", "xavu_cfg", "_tps_")')
        if self.contact_mode == BY_XAVU and not (self.xavu_field_a_contact and self.xavu_field_b_contact):
            yield _wrong(
                "`contact_mode` 2 needs `xavu_field_a_contact` and `xavu_field_b_contact`", "set them"
            )

    async def start(self) -> None:
        """Load what is kept, then hide. Raises ConfigError or StoreError."""
        server = cast("Server", self.server)
        if server._receive.arriving is not None or server.transports.leaving is not None:
            raise _wrong("another module hides the topology already", "load topoh or topos")
        if self.mask_callid:
            logger.warning("topos: `mask_callid` changes nothing; topoh masks Call-IDs")
        self.choices = Choices(
            self.contact_mode, self.contact_host, self.cparam_name, bool(self.rr_update), self.context
        )
        self.records = Records(time.time, self.dialog_expire, self.branch_expire)
        by_xavu = self.contact_mode == BY_XAVU or self.xavu_field_contact_host
        self._hiding = Hiding(self.records, self.choices, Ours(server), self._given if by_xavu else None)
        if self.storage == "db":
            await self._open()
        else:
            if "topos_redis" not in server.modules:
                raise _wrong('`storage` "redis" needs topos_redis.so', 'loadmodule "topos_redis.so"')
            kept_in = cast("Any", server.modules["topos_redis"])
            self.records.keeper, self._fetch = kept_in, kept_in.fetch
        link = getattr(server, "link", None)
        if link is not None:
            link.on(TOPIC, lambda sender, value: self.records.heard(*value))
            link.snapshots.append(self._snapshot)
            self.records.tell = lambda kind, facts: link.publish(TOPIC, (kind, facts))
        self.every(self.clean_interval, self._clean)
        server._receive.arriving = self._arriving
        server.transports.leaving = self._leaving

    async def _open(self) -> None:
        database = await open_database(self.server, self.db_url, "topos")
        for table in self.tables:
            await require_version(database, table, VERSION)
        tables = Tables(database, time.time, self.dialog_expire, self.branch_expire, not self.worker)
        await self.keep_in(tables)

    async def keep_in(self, keeper: Keeper) -> None:
        """Let this keeper hold the records, and take what it has."""
        load = getattr(keeper, "load", None)
        if load is not None:
            dialogs, legs = await load()
            for dialog in dialogs:
                self.records._take(dialog)
            self.records.legs.update((leg.x_vbranch, leg) for leg in legs)
            if dialogs:
                logger.info("topos: %d dialogs and %d requests are known", len(dialogs), len(legs))
        self.records.keeper = keeper

    # Others ------------------------------------------------------------------------------------------------

    async def _snapshot(self, sender: int, value: Any) -> None:
        link = cast("Any", self.server).link
        for number, (kind, facts) in enumerate(self.records.facts(), 1):
            link.send(sender, TOPIC, (kind, facts))
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def state(self) -> Iterable[Any]:
        """All records."""
        return self.records.facts()

    def take_state(self, items: Sequence[Any]) -> None:
        """The records of the server before this one; the database has them already."""
        for kind, facts in items:
            self.records.take(kind, facts)

    async def _clean(self) -> None:
        records = self.records
        keys = [*records.by_a, *records.legs]
        for at in range(0, len(keys), SLICE):
            records.expire(keys[at : at + SLICE])
            await asyncio.sleep(0)
        records.clean()

    # Messages ----------------------------------------------------------------------------------------------

    def _arriving(self, data: bytes, flow: Flow) -> bytes:
        if self._excepted(((4, INCOMING), (8, RECEIVING)), data, flow, leaves=False):
            return data
        msg = read(data)
        if msg is None:
            return data
        if self._fetch is not None and (key := self._hiding.unknown(msg)) and self._sought(key, data, flow):
            return b""
        return self._hiding.arrived(msg)

    def _sought(self, key: str, data: bytes, flow: Flow) -> bool:
        """Whether another server may know this record: it is asked for, and the message comes again."""
        server = cast("Server", self.server)
        if key in self._asked or len(self._asked) > MOST_ASKED:
            return False
        self._asked.add(key)
        server.spawn(self._seek(key, data, flow), f"topos {key}")
        return True

    async def _seek(self, key: str, data: bytes, flow: Flow) -> None:
        assert self._fetch is not None
        try:
            self.records.found(await self._fetch(key))
            cast("Server", self.server)._receive.message(data, flow)
        finally:
            self._asked.discard(key)

    def _leaving(self, data: bytes, flow: Flow) -> bytes:
        msg = read(data)
        if msg is None:
            return data
        if self._excepted(((1, OUTGOING), (2, SENDING)), data, flow, leaves=True):
            return self._hiding.bare(msg)
        return self._hiding.leaving(msg)

    def _excepted(self, events: Sequence[tuple[int, str]], data: bytes, flow: Flow, *, leaves: bool) -> bool:
        server = cast("Server", self.server)
        routes = server.program.event_routes
        return bool(routes) and any(
            self.event_mode & bit and name in routes and excepted(server, name, data, flow, leaves=leaves)
            for bit, name in events
        )

    def _given(self, branch: str) -> tuple[str, str, str]:
        """What the script has put into `xavu_cfg` for the request that leaves with this branch."""
        tx = cast("Server", self.server).transactions.by_label.get(branch.partition(".")[0])
        if tx is None or tx.ctx is None:
            return "", "", ""
        held = tx.ctx.avps.xavus.named.get(self.xavu_cfg)
        if not isinstance(held, dict):
            return "", "", ""
        fields = (self.xavu_field_a_contact, self.xavu_field_b_contact, self.xavu_field_contact_host)
        a_user, b_user, host = (str(held.get(field) or "") if field else "" for field in fields)
        return a_user, b_user, host

    @function("tps_set_context", routes=ANY)
    def tps_set_context(self, ctx: Context, name: str) -> int:
        """From now on records are made and looked for under this name; "" is the parameter's again."""
        if len(name) > LONGEST_CONTEXT:
            logger.error("tps_set_context: %r has more than %d characters", name, LONGEST_CONTEXT)
            return -1
        self.choices.context = name or self.context
        return 1


def _wrong(message: str, hint: str) -> ConfigError:
    return ConfigError(f"topos: {message}", hint=hint, code="KT1201")
