"""What topos does to a message: out, others' headers go into the records; in, they come back.

The two headers by which a message finds its record again are seen by the script and by nobody else: those
that come from the network are cut out.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from kamtool.modules.topoh.pieces import Edit, items
from kamtool.modules.topos.learning import OPENING, REFRESHING, Learning
from kamtool.modules.topos.naming import BY_USER, Choices, Naming, Users, new_key
from kamtool.modules.topos.reading import after, backwards, contact_of, cut, octets_of, text_of
from kamtool.modules.topos.records import B, Dialog, Leg, Records
from kamtool.sip.message import Message
from kamtool.speed import splice

DIALOG_HEADER, LEG_HEADER = "P-SR-XUID", "P-SR-XBranch"
SKIPPED = frozenset(("REGISTER", "PUBLISH"))
STILL_ON = frozenset((401, 407))
_USER = re.compile(rb"sips?:([ab]tpsh-[A-Za-z0-9._-]++)@", re.IGNORECASE)


class Hiding:
    """Both directions, for one set of records."""

    def __init__(
        self,
        records: Records,
        choices: Choices,
        is_ours: Callable[[bytes], bool],
        given: Users | None = None,
    ) -> None:
        self.records, self.choices, self.is_ours = records, choices, is_ours
        self._naming, self._learning = Naming(choices, given), Learning(records, choices)
        name = re.escape(choices.cparam_name.encode())
        self._param = re.compile(rb";" + name + rb"=([ab]tpsh-[A-Za-z0-9._-]++)", re.IGNORECASE)

    # In ----------------------------------------------------------------------------------------------------

    def arrived(self, msg: Message) -> bytes:
        """The message as if nobody had hidden anything."""
        edits: list[Edit] = []
        cut(msg, DIALOG_HEADER, edits)
        cut(msg, LEG_HEADER, edits)
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
        edits.append((msg.uri_start, msg.uri_end, octets_of(target)))
        routes = [dialog.s_rr, dialog.a_rr] if from_b else [backwards(dialog.s_rr), backwards(dialog.b_rr)]
        at = after(msg, "Route")
        for route in routes:
            if route:
                edits.append((at, at, b"Route: %b\r\n" % octets_of(route)))
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
            edits.append((at, at, b"Via: %b\r\n" % octets_of(leg.x_via)))
        at = after(msg, "Record-Route")
        for value in (leg.s_rr, leg.x_rr):
            if value:
                edits.append((at, at, b"Record-Route: %b\r\n" % octets_of(value)))
        at = msg.head_end
        edits.append((at, at, b"%b: %b\r\n" % (LEG_HEADER.encode(), leg.x_vbranch.encode())))

    # Out ---------------------------------------------------------------------------------------------------

    def leaving(self, msg: Message) -> bytes:
        """The message as the other side may see it."""
        edits: list[Edit] = []
        alias = branch = ""
        if msg.data.find(b"P-SR-X") >= 0:  # as `arrived` writes them; all other spellings it has cut out
            alias = cut(msg, DIALOG_HEADER, edits)
            branch = cut(msg, LEG_HEADER, edits)
        if msg.cseq_method not in SKIPPED:
            if msg.is_request:
                self._request_out(msg, alias, edits)
            elif branch:
                self._response_out(msg, branch, edits)
        return splice(msg.data, edits) if edits else msg.data

    def bare(self, msg: Message) -> bytes:
        """The message without what is only for the script."""
        edits: list[Edit] = []
        cut(msg, DIALOG_HEADER, edits)
        cut(msg, LEG_HEADER, edits)
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
        cut(msg, "Record-Route", edits)
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
            edits.append((row[3], row[4], octets_of(shown)) if number == 0 else (row[1], row[5], b""))

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
            x_via=text_of(b",".join([data[start:end] for start, end in vias[1:]])),
            x_rr=text_of(b",".join(others)),
            s_rr=text_of(b",".join(own)),
            x_tag=dialog.a_tag, a_tag=msg.from_tag, b_tag=msg.to_tag,
        )  # fmt: skip

    def _leg_inside(self, msg: Message, vias: list[tuple[int, int]], alias: str, dialog: Dialog) -> Leg:
        leg = self._leg(msg, vias, dialog)
        leg.direction = int(alias.startswith(B))
        contact = contact_of(msg) if msg.method in REFRESHING else ""
        if leg.direction:
            leg.b_contact = contact
        else:
            leg.a_contact = contact
        self.records.add_leg(leg)
        return leg

    def _leg_outside(self, msg: Message, vias: list[tuple[int, int]]) -> Leg:
        now, choices = self.records.now(), self.choices
        key = new_key(choices.context)
        dialog = Dialog(
            f"a{key}", f"b{key}", now,
            x_context=choices.context, s_method=msg.method, s_cseq=str(msg.cseq), a_callid=msg.call_id,
            a_contact=contact_of(msg), a_tag=msg.from_tag,
            until=now + self.records.leg_seconds,
        )  # fmt: skip
        leg = self._leg(msg, vias, dialog)
        dialog.a_rr, dialog.s_rr = leg.x_rr, leg.s_rr
        leg.b_uuid, leg.a_contact = dialog.b_uuid, dialog.a_contact
        self._naming.name(msg, dialog)
        leg.as_contact, leg.bs_contact = dialog.as_contact, dialog.bs_contact
        if dialog.a_contact or msg.method in OPENING:
            self.records.add(dialog)
        self.records.add_leg(leg)
        return leg

    def _response_out(self, msg: Message, branch: str, edits: list[Edit]) -> None:
        leg = self.records.leg(branch)
        if leg is None:
            return
        dialog = self.records.dialog(leg.a_uuid)
        shown = leg
        if dialog is not None and 100 < msg.status < 300 and msg.to_tag:
            dialog = self._learning.learn(msg, leg, dialog)
            if leg.direction == 0 and dialog.a_uuid != leg.a_uuid:
                shown = Leg(branch, dialog.a_uuid, "", 0.0)  # another of the fork: its own Contact
        if dialog is not None and leg.s_method == "BYE" and msg.status >= 200 and msg.status not in STILL_ON:
            self.records.end(dialog)
        cut(msg, "Record-Route", edits)
        if leg.x_rr:
            at = msg.head_end
            edits.append((at, at, b"Record-Route: %b\r\n" % octets_of(leg.x_rr)))
        if msg.status < 300:  # beyond, a Contact is where else to try
            self._show(msg, shown, leg.direction == 0, edits)
