"""usrloc's RPC methods `ul.*`, in the shape that Kamailio 5.6 answers them."""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import Any

from kamtool.errors import ParseError, RpcError, StoreError
from kamtool.module import Host, rpc
from kamtool.modules.usrloc.contact import ALL_METHODS, PLAIN, Contact, Details
from kamtool.modules.usrloc.keepalive import Keepalive
from kamtool.modules.usrloc.location import DbMode, Location
from kamtool.modules.usrloc.ruid import Ruids
from kamtool.modules.usrloc.watching import Watch
from kamtool.sip.uri import parse_uri

DUMPED_AT_ONCE = 500
NOT_SET = "[not set]"
NOTHING = ("", "0", ".")

Tree = dict[str, Any]


def aor_hash(aor: str) -> int:
    """The number of an address-of-record that `$ulc(x=>aorhash)` and ul.dump show."""
    return zlib.crc32(aor.encode("utf-8", "surrogateescape"))


def contact_tree(contact: Contact, now: float, offset: float) -> Tree:
    """All about one contact."""
    details = contact.details
    left = contact.remaining(now)
    expires: int | str = "permanent" if not contact.expires_at else left if left else "expired"
    modified = int(contact.modified_at + offset)
    return {
        "Address": contact.uri,
        "Expires": expires,
        "Q": contact.q / 1000 if contact.q >= 0 else -1,
        "Call-ID": contact.call_id,
        "CSeq": contact.cseq,
        "User-Agent": contact.user_agent or NOT_SET,
        "Received": contact.received or NOT_SET,
        "Path": details.path or NOT_SET,
        "State": "CS_SYNC",
        "Flags": details.flags,
        "CFlags": contact.cflags,
        "Socket": contact.socket or NOT_SET,
        "Methods": contact.methods,
        "Ruid": contact.ruid,
        "Instance": details.instance or NOT_SET,
        "Reg-Id": details.reg_id,
        "Server-Id": details.server_id,
        "Tcpconn-Id": contact.connection or -1,
        "Keepalive": 0,
        "Last-Keepalive": modified,
        "KA-Roundtrip": 0,
        "Last-Modified": modified,
    }


class LocationRpc:
    """The RPC methods of usrloc."""

    server: Host
    mode: DbMode
    locations: dict[str, Location]
    ruids: Ruids
    server_id: int

    watches: dict[str, Watch]
    keepalive: Keepalive | None

    def _location(self, table: str) -> Location:
        location = self.locations.get(table)
        if location is None:
            known = ", ".join(sorted(self.locations))
            raise RpcError(500, f"no location table {table!r}; there is {known}")
        return location

    def _tree(self, location: Location, contacts: tuple[Contact, ...]) -> list[Tree]:
        now, offset = self.server.now(), location.offset()
        found = [{"Contact": contact_tree(contact, now, offset)} for contact in contacts]
        if self.keepalive is not None:
            for contact, entry in zip(contacts, found, strict=True):
                asked = self.keepalive.asked.get(contact.ruid)
                if asked is not None:
                    tree = entry["Contact"]
                    tree["Keepalive"], tree["Last-Keepalive"] = 1, int(asked[1] + offset)
                    tree["KA-Roundtrip"] = self.keepalive.round_trips.get(contact.ruid, 0)
        return found

    @rpc("ul.dump")
    async def ul_dump(self, mode: str = "") -> Tree:
        """Every location table: its addresses-of-record with their contacts; with `brief` without them."""
        brief = mode == "brief"
        return {"Domains": [{"Domain": await self._dump(entry, brief)} for entry in self.locations.values()]}

    async def _dump(self, location: Location, brief: bool) -> Tree:
        records = location.table.records
        aors: list[Tree] = []
        for number, aor in enumerate(list(records), 1):
            if not number % DUMPED_AT_ONCE:
                await asyncio.sleep(0)  # a million contacts must not hold up a call
            contacts = records.get(aor, ())
            if brief:
                aors.append({"AoR": aor})
            else:
                info = {"AoR": aor, "HashID": aor_hash(aor), "Contacts": self._tree(location, contacts)}
                aors.append({"Info": info})
        most = max((len(contacts) for contacts in records.values()), default=0)
        stats = {"Records": len(records), "Max-Slots": most}
        return {"Domain": location.name, "Size": len(records), "AoRs": aors, "Stats": stats}

    @rpc("ul.watch")
    def ul_watch(self, table: str, since: int = 0) -> Tree:
        """What has changed in a table since the number `since`, and the number to ask with next.

        The first question begins the watch; it ends by itself a minute after the last one.
        """
        location = self._location(table)
        watch = self.watches.get(table)
        if watch is None:
            watch = self.watches[table] = Watch(location.table)
        number, changes = watch.since(since, self.server.now())
        return {"Number": number, "Contacts": location.table.count, "Changes": changes}

    @rpc("ul.lookup")
    async def ul_lookup(self, table: str, aor: str) -> Tree:
        """The contacts of one address-of-record: `ul.lookup location alice`."""
        location = self._location(table)
        contacts = await self._fetch(location, aor)
        if not contacts:
            raise RpcError(404, f"{aor!r} is not registered in {table}")
        return {"AoR": aor, "Contacts": self._tree(location, contacts)}

    async def _fetch(self, location: Location, aor: str) -> tuple[Contact, ...]:
        try:
            return await location.fetch(aor)
        except StoreError as error:
            raise RpcError(500, str(error)) from error

    async def _commit(self, location: Location) -> None:
        """An operator who is told `done` may rely on it: the change is in the database, whatever the mode."""
        if self.mode is DbMode.LOAD_ONLY:
            return
        try:
            await location.commit()
        except StoreError as error:
            raise RpcError(500, str(error)) from error

    @rpc("ul.rm")
    async def ul_rm(self, table: str, aor: str) -> None:
        """Remove an address-of-record with all its contacts."""
        location = self._location(table)
        contacts = await self._fetch(location, aor)
        if not contacts:
            raise RpcError(404, f"{aor!r} is not registered in {table}")
        for contact in contacts:
            location.delete(contact)
        await self._commit(location)

    @rpc("ul.rm_contact")
    async def ul_rm_contact(self, table: str, aor: str, contact: str) -> None:
        """Remove one contact of an address-of-record, by its URI or its ruid."""
        location = self._location(table)
        found = [c for c in await self._fetch(location, aor) if contact in (c.uri, c.ruid)]
        if not found:
            raise RpcError(404, f"{aor!r} has no contact {contact!r} in {table}")
        for entry in found:
            location.delete(entry)
        await self._commit(location)

    @rpc("ul.add")
    async def ul_add(
        self,
        table: str,
        aor: str,
        contact: str,
        expires: int,
        q: str = "-1",
        path: str = "",
        flags: int = 0,
        cflags: int = 0,
        methods: int = ALL_METHODS,
        received: str = "",
        socket: str = "",
    ) -> None:
        """Add or refresh a contact; expires 0 is permanent, and `.` leaves out a text that is not wanted."""
        location = self._location(table)
        try:
            parse_uri(contact)
        except ParseError as error:
            raise RpcError(400, f"the contact is no URI: {error.reason}") from error
        now = self.server.now()
        fields: Tree = {
            "expires_at": now + expires if expires > 0 else 0.0,
            "modified_at": now,
            "q": _thousandths(q),
            "call_id": "kamtool-control",
            "cseq": 1,
            "received": "" if received in NOTHING else received,
            "user_agent": "kamtool control",
            "socket": "" if socket in NOTHING else socket,
            "methods": methods or ALL_METHODS,
            "cflags": cflags,
            "details": PLAIN
            if path in NOTHING and not flags and not self.server_id
            else Details("" if path in NOTHING else path, flags=flags, server_id=self.server_id),
        }
        for known in await self._fetch(location, aor):
            if known.uri == contact:
                for field, value in fields.items():
                    setattr(known, field, value)
                location.update(known, reorder=True)
                break
        else:
            location.insert(Contact(aor, contact, self.ruids.next(), **fields))
        await self._commit(location)

    @rpc("ul.flush")
    async def ul_flush(self) -> None:
        """Write all changes to the database now."""
        for location in self.locations.values():
            await self._commit(location)

    async def _number(self, table: str, what: str) -> int:
        location = self._location(table)
        if location.rows is None or location.journal is None:
            raise RpcError(500, "usrloc has no database: db_mode is 0")
        sql = getattr(location.rows, what)
        try:
            rows = await location.journal.database.query(sql, (location.rows.time(time.time()),))
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return int(rows[0][0])

    @rpc("ul.db_users")
    async def ul_db_users(self, table: str) -> int:
        """How many users have contacts in the database that have not expired."""
        return await self._number(table, "count_users")

    @rpc("ul.db_contacts")
    async def ul_db_contacts(self, table: str) -> int:
        """How many contacts in the database have not expired."""
        return await self._number(table, "count_contacts")

    @rpc("ul.db_expired_contacts")
    async def ul_db_expired_contacts(self, table: str) -> int:
        """How many contacts in the database have expired."""
        return await self._number(table, "count_expired")


def _thousandths(q: str) -> int:
    try:
        value = float(q)
    except ValueError as error:
        raise RpcError(400, f"q is a number from 0 to 1, not {q!r}") from error
    if value > 1:
        raise RpcError(400, f"q is a number from 0 to 1, not {q!r}")
    return round(value * 1000) if value >= 0 else -1
