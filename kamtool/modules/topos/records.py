"""What topos remembers of dialogs and of requests under way, under Kamailio's names for the columns.

`a` is who sent the request that opened the dialog, `b` who got it; `s` is this server. The alias `a_uuid` is
what stands in the Contact that `a` sees, `b_uuid` in the one that `b` sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from typing import Any, Protocol

A, B = "a", "b"
Facts = tuple[Any, ...]


@dataclass(slots=True)
class Dialog:
    """A dialog, or one that may come of it: a row of topos_d. `rectime` is in seconds since 1970."""

    a_uuid: str
    b_uuid: str
    rectime: float
    x_context: str = ""
    s_method: str = ""
    s_cseq: str = ""
    a_callid: str = ""
    a_contact: str = ""
    b_contact: str = ""
    as_contact: str = ""
    bs_contact: str = ""
    a_tag: str = ""
    b_tag: str = ""
    a_rr: str = ""
    b_rr: str = ""
    s_rr: str = ""
    until: float = 0.0
    """When it is forgotten, in seconds since 1970: not in the database, which knows `rectime` alone."""


@dataclass(slots=True)
class Leg:
    """A request that left, until its answer has come: a row of topos_t. `direction` 1 is from `b` to `a`."""

    x_vbranch: str
    a_uuid: str
    b_uuid: str
    rectime: float
    x_context: str = ""
    s_method: str = ""
    s_cseq: str = ""
    a_callid: str = ""
    direction: int = 0
    x_via: str = ""
    x_rr: str = ""
    s_rr: str = ""
    a_contact: str = ""
    b_contact: str = ""
    as_contact: str = ""
    bs_contact: str = ""
    x_tag: str = ""
    a_tag: str = ""
    b_tag: str = ""
    until: float = 0.0

    @property
    def opens(self) -> bool:
        """Whether this request came before there was a dialog."""
        return bool(self.b_uuid)


class Keeper(Protocol):
    """Where records outlive this process. Nothing here may wait."""

    def save_dialog(self, dialog: Dialog, is_new: bool) -> None: ...
    def save_leg(self, leg: Leg) -> None: ...
    def forget(self, dialog: Dialog) -> None: ...
    def clean(self, dialogs_before: float, legs_before: float) -> None: ...

    def find_dialog(self, alias: str) -> Dialog | None: ...
    def find_leg(self, branch: str) -> Leg | None: ...


Tell = Callable[[str, Facts], None]


class Records:
    """All dialogs and legs, in memory; the keeper and the other workers are told of every change."""

    def __init__(self, now: Callable[[], float], dialog_seconds: float, leg_seconds: float) -> None:
        self.now, self.dialog_seconds, self.leg_seconds = now, dialog_seconds, leg_seconds
        self.by_a: dict[str, Dialog] = {}
        self.by_b: dict[str, list[Dialog]] = {}
        self.legs: dict[str, Leg] = {}
        self.keeper: Keeper | None = None
        self.tell: Tell | None = None

    # Looking ---------------------------------------------------------------------------------------------

    def dialog(self, alias: str, b_tag: str = "") -> Dialog | None:
        """The dialog of an alias; of several with the same `b` alias that of this tag, else the first."""
        if alias.startswith(B):
            found = self.by_b.get(alias)
            if found:
                return next((dialog for dialog in found if dialog.b_tag == b_tag), found[0])
        elif (known := self.by_a.get(alias)) is not None:
            return known
        kept = None if self.keeper is None else self.keeper.find_dialog(alias)
        if kept is not None:
            self._take(kept)
        return kept

    def leg(self, branch: str) -> Leg | None:
        """The request that left with this branch."""
        leg = self.legs.get(branch)
        if leg is None and self.keeper is not None:
            leg = self.keeper.find_leg(branch)
            if leg is not None:
                self.legs[branch] = leg
        return leg

    def fork(self, dialog: Dialog, b_tag: str) -> Dialog | None:
        """Of the dialogs that one request has opened, the one with this tag (RFC 3261 §12.1)."""
        return next((one for one in self.by_b.get(dialog.b_uuid, ()) if one.b_tag == b_tag), None)

    # Changing --------------------------------------------------------------------------------------------

    def add(self, dialog: Dialog) -> None:
        self._take(dialog)
        self._changed(dialog, True)

    def changed(self, dialog: Dialog) -> None:
        self._changed(dialog, False)

    def _changed(self, dialog: Dialog, is_new: bool) -> None:
        if self.keeper is not None:
            self.keeper.save_dialog(dialog, is_new)
        if self.tell is not None:
            self.tell("d" if is_new else "c", astuple(dialog))

    def add_leg(self, leg: Leg) -> None:
        leg.until = self.now() + self.leg_seconds
        self.legs[leg.x_vbranch] = leg
        if self.keeper is not None:
            self.keeper.save_leg(leg)
        if self.tell is not None:
            self.tell("l", astuple(leg))

    def seen(self, leg: Leg) -> None:
        """An answer came: what is under way is not forgotten."""
        leg.until = self.now() + self.leg_seconds
        dialog = self.by_a.get(leg.a_uuid)
        if dialog is not None and dialog.until < leg.until:
            dialog.until = leg.until

    def end(self, dialog: Dialog) -> None:
        """The dialog is over: it is kept for what is still repeated."""
        dialog.until = self.now() + self.leg_seconds
        if self.tell is not None:
            self.tell("c", astuple(dialog))

    # The others, the past --------------------------------------------------------------------------------

    def heard(self, kind: str, facts: Facts) -> None:
        """Another worker's change."""
        if kind == "l":
            leg = Leg(*facts)
            self.legs[leg.x_vbranch] = leg
            if self.keeper is not None:
                self.keeper.save_leg(leg)
            return
        dialog = Dialog(*facts)
        self._take(dialog)
        if self.keeper is not None:
            self.keeper.save_dialog(dialog, kind == "d")

    def facts(self) -> Iterator[tuple[str, Facts]]:
        """Everything, for a worker or a server that begins late."""
        for dialog in list(self.by_a.values()):
            yield "d", astuple(dialog)
        for leg in list(self.legs.values()):
            yield "l", astuple(leg)

    def take(self, kind: str, facts: Facts) -> None:
        """One of another's `facts`: it is kept already."""
        if kind == "l":
            leg = Leg(*facts)
            self.legs[leg.x_vbranch] = leg
        else:
            self._take(Dialog(*facts))

    def found(self, record: Dialog | Leg | None) -> None:
        """What another server has kept."""
        if isinstance(record, Leg):
            self.legs[record.x_vbranch] = record
        elif record is not None:
            self._take(record)

    def _take(self, dialog: Dialog) -> None:
        self._drop(dialog.a_uuid)
        self.by_a[dialog.a_uuid] = dialog
        self.by_b.setdefault(dialog.b_uuid, []).append(dialog)

    def _drop(self, a_uuid: str) -> None:
        old = self.by_a.pop(a_uuid, None)
        if old is None:
            return
        rest = [one for one in self.by_b.get(old.b_uuid, ()) if one is not old]
        if rest:
            self.by_b[old.b_uuid] = rest
        else:
            self.by_b.pop(old.b_uuid, None)

    # Forgetting ------------------------------------------------------------------------------------------

    def expire(self, keys: list[str]) -> None:
        """Forget those of these dialogs and legs that are over."""
        now = self.now()
        for key in keys:
            dialog = self.by_a.get(key)
            if dialog is not None:
                if dialog.until <= now:
                    self._drop(key)
                    if self.keeper is not None:
                        self.keeper.forget(dialog)
            else:
                leg = self.legs.get(key)
                if leg is not None and leg.until <= now:
                    del self.legs[key]

    def clean(self) -> None:
        """Let the keeper forget what nobody here knows any more."""
        if self.keeper is not None:
            now = self.now()
            self.keeper.clean(now - self.dialog_seconds, now - self.leg_seconds)
