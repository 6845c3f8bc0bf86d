"""What topos learns of a side of a dialog from its answers: tags, Contacts, routes, how long it lives."""

from __future__ import annotations

from kamtool.modules.topoh.pieces import items, parts
from kamtool.modules.topos.naming import Choices, new_key
from kamtool.modules.topos.reading import backwards, contact_of, octets_of, text_of
from kamtool.modules.topos.records import Dialog, Leg, Records
from kamtool.sip.message import Message

OPENING = frozenset(("INVITE", "SUBSCRIBE", "REFER"))
REFRESHING = frozenset(("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"))
"""Requests whose Contact is the remote target from then on (RFC 3261 §12.2, RFC 6665 §4.1.2)."""


class Learning:
    """Keeps the records of dialogs as the answers say."""

    def __init__(self, records: Records, choices: Choices) -> None:
        self.records, self.choices = records, choices

    def learn(self, msg: Message, leg: Leg, dialog: Dialog) -> Dialog:
        """What a 101 to 299 says of the side it comes from. Returns the dialog that it belongs to."""
        contact, before = contact_of(msg), dialog
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
        if confirmed and leg.s_method in OPENING:
            self._prolong(msg, leg, dialog)
        if dialog.a_uuid not in self.records.by_a:
            self.records.add(dialog)
        elif was != (dialog.a_contact, dialog.b_contact, dialog.b_tag, dialog.b_rr, dialog.rectime):
            self.records.changed(dialog)
        return dialog if leg.opens else before

    def _update_routes(self, msg: Message, leg: Leg, dialog: Dialog) -> None:
        if leg.direction:
            dialog.b_rr, dialog.a_rr = backwards(leg.x_rr), backwards(self._theirs(msg, leg))
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
        key = f"a{new_key(dialog.x_context)}"
        return Dialog(
            key, dialog.b_uuid, dialog.rectime, dialog.x_context, dialog.s_method, dialog.s_cseq,
            dialog.a_callid, dialog.a_contact, "", dialog.as_contact.replace(dialog.a_uuid, key),
            dialog.bs_contact, dialog.a_tag, "", dialog.a_rr, "", dialog.s_rr, dialog.until,
        )  # fmt: skip

    def _theirs(self, msg: Message, leg: Leg) -> str:
        """The Record-Route values of the side that a response comes from: those above ours."""
        routes = [msg.data[start:end] for start, end in items(msg, "Record-Route")]
        if leg.s_rr or leg.x_rr:
            own = len(parts(octets_of(leg.s_rr))) + len(parts(octets_of(leg.x_rr)))
            routes = routes[:-own]
        return text_of(b",".join(routes))
