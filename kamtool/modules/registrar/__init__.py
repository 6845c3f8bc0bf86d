"""registrar: REGISTER in, destinations out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kamtool.errors import ConfigError
from kamtool.module import Module, Variable
from kamtool.modules.registrar.aor import AorRule
from kamtool.modules.registrar.asking import Asking
from kamtool.modules.registrar.finding import Finding
from kamtool.modules.registrar.gruus import TempGruus
from kamtool.modules.registrar.lookup import Short
from kamtool.modules.registrar.save import Saver
from kamtool.modules.registrar.saving import Saving
from kamtool.modules.registrar.ulc import SCRATCH, Profile
from kamtool.modules.usrloc import Usrloc
from kamtool.modules.usrloc.contact import Contact
from kamtool.modules.usrloc.table import Event


class Registrar(Saving, Finding, Asking, Module):
    """Take REGISTER requests and find the contacts they left.

    `save("location")` answers a REGISTER and keeps its contacts in the user location tables of usrloc;
    `lookup("location")` turns a request for a user into one for their phones.
    """

    name = "registrar"
    depends = ("usrloc",)
    events = ("usrloc:contact-expired",)

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """What cannot work."""
        if self.event_callback:
            yield ConfigError(
                "registrar: `event_callback` names a KEMI function", code="KT1201",
                hint="write event_route[usrloc:contact-expired]",
            )  # fmt: skip

    async def start(self) -> None:
        """Bind to usrloc. Raises ConfigError."""
        usrloc = self.server.modules.get("usrloc")
        if not isinstance(usrloc, Usrloc):
            raise ConfigError("registrar needs usrloc.so", hint='loadmodule "usrloc.so" before registrar.so')
        if not 0 <= self.outbound_mode <= 2:
            raise ConfigError(f"registrar: outbound_mode is 0, 1 or 2, not {self.outbound_mode}")
        if self.flow_timer and not self.outbound_mode:
            raise ConfigError("registrar: flow_timer needs outbound_mode 1 or 2")
        for error in self.verify(None):
            raise error
        self.usrloc = usrloc
        self.saver = Saver(usrloc.ruids, usrloc.matching, usrloc.cseq_delay)
        rule = AorRule(bool(usrloc.use_domain), bool(self.case_sensitive), self.realm_prefix)
        self.aor_of = rule
        self.is_plain = self._is_plain()
        self.looks_plain = self._looks_plain()
        self.short = Short(self)
        self.gruus = TempGruus()
        self._received = self._optional(self.received_avp)
        self._reg_callid = self._optional(self.reg_callid_avp)
        self._aor = self._optional(self.aor_avp)
        self.shown_sockets = {}
        self._sockets = {}
        stats = self.server.stats
        for key in ("accepted_regs", "rejected_regs"):
            stats.setdefault(f"registrar:{key}", 0)
        stats["registrar:max_expires"] = self.max_expires
        stats["registrar:max_contacts"] = self.max_contacts
        stats["registrar:default_expire"] = self.default_expires
        stats["registrar:default_expires_range"] = self.default_expires_range
        stats["registrar:expires_range"] = self.expires_range
        usrloc.listen_to_census(self._heard)

    def _is_plain(self) -> bool:
        """Whether no parameter asks for more than the short way of save() knows."""
        special = (
            self.received_avp, self.aor_avp, self.xavp_cfg, self.use_path, self.outbound_mode, self.sock_mode,
            self.expires_range, self.default_expires_range, self.usrloc.server_id, self.min_expires_mode,
            self.usrloc.matching_mode, self.usrloc.desc_time_order, self.realm_prefix,
            self.usrloc.xavp_contact,
        )  # fmt: skip
        return not any(special) and self.sock_flag < 0

    def _optional(self, text: str) -> Variable | None:
        return self.server.variable(text) if text else None

    def _heard(self, event: Event, contact: Contact) -> None:
        sharing = self.usrloc.sharing
        if event is Event.EXPIRED and not (sharing is not None and sharing.is_copying):
            run = getattr(self.server, "run_event", None)
            if run is not None:
                offset = self.usrloc.locations["location"].offset() if self.usrloc.locations else 0.0
                profile = Profile(contact.aor, "location", (contact,), offset)
                run("usrloc:contact-expired", {SCRATCH: {"exp": profile}})
