"""What topos does to a message: out, others' headers go into the records; in, they come back.

The two headers by which a message finds its record again are seen by the script and by nobody else: those
that come from the network are cut out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

from kamtool.errors import ParseError
from kamtool.modules.topoh.pieces import Edit, items, parts, uri_of
from kamtool.modules.topos.records import B, Dialog, Leg, Records
from kamtool.sip.message import Message
from kamtool.speed import splice, split_uri

DIALOG_HEADER, LEG_HEADER = "P-SR-XUID", "P-SR-XBranch"
SKIPPED = frozenset(("REGISTER", "PUBLISH"))
OPENING = frozenset(("INVITE", "SUBSCRIBE", "REFER"))
REFRESHING = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))
"""Requests whose Contact is the remote target from then on (RFC 3261 §12.2, RFC 6665 §4.1.2)."""
STILL_ON = frozenset((401, 407))
_USER = re.compile(rb"sips?:([ab]tpsh-[A-Za-z0-9._-]++)@", re.IGNORECASE)
MARK = "tpsh-"
BY_USER, BY_PARAM, BY_XAVU = 0, 1, 2


@dataclass(slots=True)
class Choices:
    """The module's parameters, as far as they change messages."""

    contact_mode: int = BY_USER
    contact_host: str = ""
    cparam_name: str = "tps"
    rr_update: bool = False
    context: str = ""


Users = Callable[[str], tuple[str, str, str]]
"""By the branch of our Via: the users of the Contacts that `a` and `b` see, and their host; "" is unset."""


class Hiding:
    """Both directions, for one set of records."""

    def __init__(
        self,
        records: Records,
        choices: Choices,
        is_ours: Callable[[bytes], bool],
        given: Users | None = None,
    ) -> None:
        self.records, self.choices, self.is_ours, self.given = records, choices, is_ours, given
        name = re.escape(choices.cparam_name.encode())
        self._param = re.compile(rb";" + name + rb"=([ab]tpsh-[A-Za-z0-9._-]++)", re.IGNORECASE)

    # In ----------------------------------------------------------------------------------------------------

    def arrived(self, msg: Message) -> bytes:
        """The message as if nobody had hidden anything."""
        edits: list[Edit] = []
        _cut(msg, DIALOG_HEADER, edits)
        _cut(msg, LEG_HEADER, edits)
        if msg.cseq_method not in SKIPPED:
            if not msg.is_request:
                self._response_in(msg, edits)
            elif msg.to_tag:
                self._request_in(msg, edits)
        return splice(msg.data, edits) if edits else msg.data

    def unknown(self, msg: Message) -> str:
        """The alias or branch that the message asks for when nobody here knows it, else ""."""
        if msg.cseq_method in SKIPPED:
            return ""
        if not msg.is_request:
            return "" if msg.branch in self.records.legs else msg.branch
        alias = self._alias_in(msg) if msg.to_tag else ""
        return alias if alias and self.records.dialog(alias) is None else ""

    def _alias_in(self, msg: Message) -> str:
        pattern = _USER if self.choices.contact_mode == BY_USER else self._param
        found = pattern.search(msg.data, msg.uri_start, msg.uri_end)
        return "" if found is None else found[1].decode()

    def _request_in(self, msg: Message, edits: list[Edit]) -> None:
        alias = self._alias_in(msg)
        if not alias:
            return
        from_b = alias.startswith(B)
        dialog = self.records.dialog(alias, msg.from_tag)
        if dialog is None or dialog.a_tag != (msg.to_tag if from_b else msg.from_tag):
            return  # who does not know the tag of `a` is not in the dialog
        target = dialog.a_contact if from_b else dialog.b_contact
        if not target:
            return
        edits.append((msg.uri_start, msg.uri_end, _octets(target)))
        routes = [dialog.s_rr, dialog.a_rr] if from_b else [_backwards(dialog.s_rr), _backwards(dialog.b_rr)]
        at = _after(msg, "Route")
        for route in routes:
            if route:
                edits.append((at, at, b"Route: %b\r\n" % _octets(route)))
        at = msg.head_end
        edits.append((at, at, b"%b: %b\r\n" % (DIALOG_HEADER.encode(), alias.encode())))

    def _response_in(self, msg: Message, edits: list[Edit]) -> None:
        leg = self.records.leg(msg.branch)
        if leg is None:
            return
        self.records.seen(leg)
        if leg.opens and msg.status >= 300:
            dialog = self.records.dialog(leg.a_uuid)
            if dialog is not None and not dialog.b_tag:
                self.records.end(dialog)
        places = msg.find("Via")
        at = msg.row(places[0])[5]
        if leg.x_via:
            edits.append((at, at, b"Via: %b\r\n" % _octets(leg.x_via)))
        at = _after(msg, "Record-Route")
        for value in (leg.s_rr, leg.x_rr):
            if value:
                edits.append((at, at, b"Record-Route: %b\r\n" % _octets(value)))
        at = msg.head_end
        edits.append((at, at, b"%b: %b\r\n" % (LEG_HEADER.encode(), leg.x_vbranch.encode())))

    # Out ---------------------------------------------------------------------------------------------------

    def leaving(self, msg: Message) -> bytes:
        """The message as the other side may see it."""
        edits: list[Edit] = []
        alias = branch = ""
        if msg.data.find(b"P-SR-X") >= 0:  # as `arrived` writes them; all other spellings it has cut out
            alias = _cut(msg, DIALOG_HEADER, edits)
            branch = _cut(msg, LEG_HEADER, edits)
        if msg.cseq_method not in SKIPPED:
            if msg.is_request:
                self._request_out(msg, alias, edits)
            elif branch:
                self._response_out(msg, branch, edits)
        return splice(msg.data, edits) if edits else msg.data

    def bare(self, msg: Message) -> bytes:
        """The message without what is only for the script."""
        edits: list[Edit] = []
        _cut(msg, DIALOG_HEADER, edits)
        _cut(msg, LEG_HEADER, edits)
        return splice(msg.data, edits) if edits else msg.data

    def _request_out(self, msg: Message, alias: str, edits: list[Edit]) -> None:
        vias = items(msg, "Via")
        if len(vias) < 2:
            return  # made here: nobody behind us is in it
        leg = self.records.legs.get(msg.branch)  # only who sent it before sends it again
        if leg is None:
            if msg.method == "CANCEL":
                return
            if msg.to_tag:
                dialog = self.records.dialog(alias, msg.from_tag) if alias else None
                if dialog is None:
                    return  # it was opened without us
                leg = self._leg_inside(msg, vias, alias, dialog)
            else:
                leg = self._leg_outside(msg, vias)
        places = msg.find("Via")
        for place in places[1:]:
            row = msg.row(place)
            edits.append((row[1], row[5], b""))
        first = msg.row(places[0])
        if vias[1][0] < first[4]:  # two in one line
            edits.append((vias[0][1], first[4], b""))
        _cut(msg, "Record-Route", edits)
        self._show(msg, leg, leg.direction == 1, edits)

    def _show(self, msg: Message, leg: Leg, to_a: bool, edits: list[Edit]) -> None:
        """Put our alias where the Contacts stand."""
        places = msg.find("Contact")
        shown = leg.as_contact if to_a else leg.bs_contact
        if not shown:
            dialog = self.records.dialog(leg.a_uuid)
            if dialog is None:
                return
            shown = dialog.as_contact if to_a else dialog.bs_contact
        for number, place in enumerate(places):
            row = msg.row(place)
            edits.append((row[3], row[4], _octets(shown)) if number == 0 else (row[1], row[5], b""))

    def _leg(self, msg: Message, vias: list[tuple[int, int]], dialog: Dialog) -> Leg:
        data = msg.data
        own: list[bytes] = []
        others: list[bytes] = []
        for start, end in items(msg, "Record-Route"):
            item = data[start:end]
            (own if self.is_ours(item) else others).append(item)
        return Leg(
            msg.branch, dialog.a_uuid, "", self.records.now(),
            x_context=dialog.x_context, s_method=msg.method, s_cseq=str(msg.cseq), a_callid=msg.call_id,
            x_via=_text(b",".join([data[start:end] for start, end in vias[1:]])),
            x_rr=_text(b",".join(others)),
            s_rr=_text(b",".join(own)),
            x_tag=dialog.a_tag, a_tag=msg.from_tag, b_tag=msg.to_tag,
        )  # fmt: skip

    def _leg_inside(self, msg: Message, vias: list[tuple[int, int]], alias: str, dialog: Dialog) -> Leg:
        leg = self._leg(msg, vias, dialog)
        leg.direction = int(alias.startswith(B))
        contact = _contact(msg) if msg.method in REFRESHING else ""
        if leg.direction:
            leg.b_contact = contact
        else:
            leg.a_contact = contact
        self.records.add_leg(leg)
        return leg

    def _leg_outside(self, msg: Message, vias: list[tuple[int, int]]) -> Leg:
        now, choices = self.records.now(), self.choices
        key = _key()
        if choices.context:
            key = f"{key}-{choices.context}"
        dialog = Dialog(
            f"a{key}", f"b{key}", now,
            x_context=choices.context, s_method=msg.method, s_cseq=str(msg.cseq), a_callid=msg.call_id,
            a_contact=_contact(msg), a_tag=msg.from_tag,
            until=now + self.records.leg_seconds,
        )  # fmt: skip
        leg = self._leg(msg, vias, dialog)
        dialog.a_rr, dialog.s_rr = leg.x_rr, leg.s_rr
        leg.b_uuid, leg.a_contact = dialog.b_uuid, dialog.a_contact
        self._name(msg, dialog)
        leg.as_contact, leg.bs_contact = dialog.as_contact, dialog.bs_contact
        if dialog.a_contact or msg.method in OPENING:
            self.records.add(dialog)
        self.records.add_leg(leg)
        return leg

    def _name(self, msg: Message, dialog: Dialog) -> None:
        """The Contacts that stand for the sides: the hosts are those of our Record-Route, each side's own."""
        given = self.given(msg.branch) if self.given is not None else ("", "", "")
        host = given[2] or self.choices.contact_host
        a_user, b_user = given[0], given[1]
        if self.choices.contact_mode == BY_PARAM:
            a_user, b_user = msg.uri_user or "", _user(dialog.a_contact)
        port = f":{msg.via_port}" if msg.via_port else ""
        own = [_text(item) for item in parts(_octets(dialog.s_rr))] or [f"<sip:{msg.via_host}{port}>"]
        dialog.as_contact = self._alias(own[-1], host, dialog.a_uuid, a_user)
        dialog.bs_contact = self._alias(own[0], host, dialog.b_uuid, b_user)

    def _alias(self, route: str, host: str, uuid: str, user: str) -> str:
        octets = _octets(route)
        found = uri_of(octets, 0, len(octets))
        assert found is not None  # it was found to be ours
        scheme, _, _, own, port, params, _ = split_uri(_text(octets[found[0] : found[1]]))
        transport = re.search(r";transport=[a-z]+", f";{params or ''}", re.IGNORECASE)
        place = f"{host or own}{f':{port}' if port else ''}{transport[0] if transport else ''}"
        if self.choices.contact_mode == BY_USER:
            return f"<{scheme}:{uuid}@{place}>"
        return f"<{scheme}:{f'{user}@' if user else ''}{place};{self.choices.cparam_name}={uuid}>"

    def _response_out(self, msg: Message, branch: str, edits: list[Edit]) -> None:
        leg = self.records.leg(branch)
        if leg is None:
            return
        dialog = self.records.dialog(leg.a_uuid)
        shown = leg
        if dialog is not None and 100 < msg.status < 300 and msg.to_tag:
            dialog = self._learn(msg, leg, dialog)
            if leg.direction == 0 and dialog.a_uuid != leg.a_uuid:
                shown = Leg(branch, dialog.a_uuid, "", 0.0)  # another of the fork: its own Contact
        if dialog is not None and leg.s_method == "BYE" and msg.status >= 200 and msg.status not in STILL_ON:
            self.records.end(dialog)
        _cut(msg, "Record-Route", edits)
        if leg.x_rr:
            at = msg.head_end
            edits.append((at, at, b"Record-Route: %b\r\n" % _octets(leg.x_rr)))
        if msg.status < 300:  # beyond, a Contact is where else to try
            self._show(msg, shown, leg.direction == 0, edits)

    def _learn(self, msg: Message, leg: Leg, dialog: Dialog) -> Dialog:
        """What a 101 to 299 says of the side it comes from. Returns the dialog that it belongs to."""
        contact, before = _contact(msg), dialog
        if leg.opens:
            if dialog.s_method not in OPENING:
                return dialog
            if dialog.b_tag and dialog.b_tag != msg.to_tag:
                dialog = self.records.fork(dialog, msg.to_tag) or self._forked(dialog)
        was = (dialog.a_contact, dialog.b_contact, dialog.b_tag, dialog.b_rr, dialog.rectime)
        confirmed = msg.status >= 200
        if leg.opens:
            dialog.b_tag = msg.to_tag
            dialog.b_contact = contact or dialog.b_contact
            dialog.b_rr = self._theirs(msg, leg)
        elif confirmed and leg.s_method in REFRESHING:
            if leg.direction:
                dialog.b_contact, dialog.a_contact = (
                    leg.b_contact or dialog.b_contact, contact or dialog.a_contact
                )  # fmt: skip
            else:
                dialog.a_contact, dialog.b_contact = (
                    leg.a_contact or dialog.a_contact, contact or dialog.b_contact
                )  # fmt: skip
            if self.choices.rr_update and leg.s_method == "INVITE":
                self._update_routes(msg, leg, dialog)
        if confirmed and leg.s_method in ("INVITE", "SUBSCRIBE", "REFER"):
            self._prolong(msg, leg, dialog)
        if dialog.a_uuid not in self.records.by_a:
            self.records.add(dialog)
        elif was != (dialog.a_contact, dialog.b_contact, dialog.b_tag, dialog.b_rr, dialog.rectime):
            self.records.changed(dialog)
        return dialog if leg.opens else before

    def _update_routes(self, msg: Message, leg: Leg, dialog: Dialog) -> None:
        if leg.direction:
            dialog.b_rr, dialog.a_rr = _backwards(leg.x_rr), _backwards(self._theirs(msg, leg))
        else:
            dialog.a_rr, dialog.b_rr = leg.x_rr, self._theirs(msg, leg)

    def _prolong(self, msg: Message, leg: Leg, dialog: Dialog) -> None:
        """A call lives for `dialog_expire` from its beginning, a subscription as long as granted."""
        records = self.records
        if leg.s_method == "SUBSCRIBE":
            granted = (msg.header("Expires") or "").strip()
            seconds = int(granted) if granted.isdigit() and len(granted) < 9 else records.dialog_seconds
            dialog.until = records.now() + seconds + records.leg_seconds
            dialog.rectime = dialog.until - records.dialog_seconds
        elif leg.opens:
            dialog.until = dialog.rectime + records.dialog_seconds

    def _forked(self, dialog: Dialog) -> Dialog:
        """One more dialog from the same request: `a` must be able to tell their targets apart."""
        key = f"a{_key()}"
        if dialog.x_context:
            key = f"{key}-{dialog.x_context}"
        return Dialog(
            key, dialog.b_uuid, dialog.rectime, dialog.x_context, dialog.s_method, dialog.s_cseq,
            dialog.a_callid, dialog.a_contact, "", dialog.as_contact.replace(dialog.a_uuid, key),
            dialog.bs_contact, dialog.a_tag, "", dialog.a_rr, "", dialog.s_rr, dialog.until,
        )  # fmt: skip

    def _theirs(self, msg: Message, leg: Leg) -> str:
        """The Record-Route values of the side that a response comes from: those above ours."""
        routes = [msg.data[start:end] for start, end in items(msg, "Record-Route")]
        if leg.s_rr or leg.x_rr:
            own = len(parts(_octets(leg.s_rr))) + len(parts(_octets(leg.x_rr)))
            routes = routes[:-own]
        return _text(b",".join(routes))


def _key() -> str:
    random = token_hex(8)
    return f"{MARK}{random[:8]}-{random[8:]}-1"


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "surrogateescape")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _cut(msg: Message, name: str, edits: list[Edit]) -> str:
    """Cut out all headers of this name; the value of the first."""
    first = ""
    for place in msg.find(name):
        row = msg.row(place)
        first = first or _text(msg.data[row[3] : row[4]])
        edits.append((row[1], row[5], b""))
    return first


def _after(msg: Message, name: str) -> int:
    places = msg.find(name)
    return msg.row(places[-1])[5] if places else msg.head_end


def _contact(msg: Message) -> str:
    for start, end in items(msg, "Contact"):
        found = uri_of(msg.data, start, end)
        return _text(msg.data[found[0] : found[1]]) if found and msg.data[start:end] != b"*" else ""
    return ""


def _user(uri: str) -> str:
    try:
        return split_uri(uri)[1] or ""
    except ParseError:
        return ""


def _backwards(routes: str) -> str:
    """A route set in the order for the other side."""
    return _text(b",".join(reversed(parts(_octets(routes)))))
