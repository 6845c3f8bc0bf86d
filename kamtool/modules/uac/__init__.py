"""uac: the server as a client: credentials for trunks, other From and To, requests and registrations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError
from kamtool.module import Host, Module, Param
from kamtool.modules.uac.authenticating import Authenticating
from kamtool.modules.uac.credentials import Account, read_credential
from kamtool.modules.uac.registration import Registrar, Registration
from kamtool.modules.uac.registrations import Registrations
from kamtool.modules.uac.replacing import Replacing
from kamtool.modules.uac.sending import Sending

if TYPE_CHECKING:
    from kamtool.script.program import Script

MODES = ("none", "manual", "auto")


class Uac(Replacing, Authenticating, Sending, Registrations, Module):
    """Act as a client: answer the challenges of trunks, change From and To, send requests, stay registered.

    What is changed in From and To is taken back in responses, and with `restore_mode` `auto` kept in step
    in the whole dialog, by a parameter of our Record-Route or by the dialog's variables.
    """

    name = "uac"
    depends = ("tm",)
    tables = ("uacreg",)
    events = ("uac:reply",)
    live = ("reg_active", "reg_use_domain")

    rr_from_store_param = Param("vsf", "the Record-Route parameter with the original From URI")
    rr_to_store_param = Param("vst", "the Record-Route parameter with the original To URI")
    restore_mode = Param(
        "auto", "`auto`: requests in the dialog are kept in step; `manual`, `none`: they are not"
    )
    restore_dlg = Param(0, "1: the URIs are kept in the dialog's variables, if the call is tracked")
    restore_passwd = Param("", "a password that hides the original URI in Record-Route")
    restore_from_avp = Param("", "a pseudo-variable that gets the original From URI")
    restore_to_avp = Param("", "a pseudo-variable that gets the original To URI")
    credential = Param("", "an account: `username:realm:password`", repeat=True)
    auth_realm_avp = Param("", "the pseudo-variable with the realm for uac_auth; empty fits any")
    auth_username_avp = Param("", "the pseudo-variable with the user name for uac_auth")
    auth_password_avp = Param("", "the pseudo-variable with the password for uac_auth")
    reg_db_url = Param("", "the database of remote registrations; none means that there are none")
    reg_timer_interval = Param(90, "registrations are renewed so many seconds before they end, and 3 more")
    reg_retry_interval = Param(
        0, "seconds until a registration that failed is tried again; 0: it is disabled"
    )
    reg_random_delay = Param(0, "the first REGISTERs are spread over so many seconds")
    reg_hash_size = Param(4, "accepted: registrations are found by their names at once")
    reg_db_table = Param("uacreg", "the table of remote registrations")
    reg_contact_addr = Param("", "the address in Contact: `host[:port][;params]`, without `sip:`")
    reg_keep_callid = Param(0, "1: a registration keeps its Call-ID, as RFC 3261 §10.2.4 asks for")
    reg_active = Param(1, "0: no registration is sent until `uac.reg_active 1`")
    reg_gc_interval = Param(150, "accepted: what was removed is gone at once")
    reg_use_domain = Param(0, "1: users are found together with their domains")
    default_socket = Param("", "the socket for requests made here: `udp:192.0.2.1:5060`")
    event_callback = Param("", "only empty: there is no KEMI, the event runs event_route[uac:reply]")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.accounts: list[Account] = []
        self.originals = {}
        self.realm_variable = self.username_variable = self.password_variable = None
        self.records: dict[str, Registration] = {}
        self.registrar: Registrar | None = None
        self.database = None
        self.socket = None

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """What cannot work."""
        if self.restore_mode not in MODES:
            yield _bad(f"restore_mode {self.restore_mode!r} is none of {', '.join(MODES)}")
        if self.event_callback:
            yield _bad("`event_callback` names a KEMI function", hint="write event_route[uac:reply]")
        avps = (self.auth_realm_avp, self.auth_username_avp, self.auth_password_avp)
        if any(avps) and not all(avps):
            yield _bad("auth_realm_avp, auth_username_avp and auth_password_avp go together")
        if self.reg_contact_addr.lower().startswith(("sip:", "sips:")):
            yield _bad("reg_contact_addr has no scheme", hint="host:port")
        for text in self.__dict__["credential"]:
            try:
                read_credential(text)
            except ConfigError as error:
                yield error

    async def start(self) -> None:
        """Compile the parameters, read the registrations. Raises ConfigError or StoreError."""
        for error in self.verify(None):  # type: ignore[arg-type]
            raise error
        modules: dict[str, Any] = dict(self.server.modules)
        if self.restore_mode == "auto":
            if "rr" in modules:
                modules["rr"].routed.append(self.routed)
            elif not self.restore_dlg:
                self.restore_mode = "manual"  # nothing could be restored: there is no Record-Route
        if self.restore_dlg:
            if "dialog" not in modules:
                raise _bad("restore_dlg needs dialog.so")
            modules["dialog"].on_request.append(self.within)
            modules["dialog"].on_ended.append(self._ended)
        self.accounts = [read_credential(text) for text in self.__dict__["credential"]]
        if self.restore_from_avp:
            self.originals["From"] = self.server.variable(self.restore_from_avp)
        if self.restore_to_avp:
            self.originals["To"] = self.server.variable(self.restore_to_avp)
        if self.auth_realm_avp:
            self.realm_variable = self.server.variable(self.auth_realm_avp)
            self.username_variable = self.server.variable(self.auth_username_avp)
            self.password_variable = self.server.variable(self.auth_password_avp)
        if self.default_socket:
            self.socket = self.socket_named(self.default_socket)
            if self.socket is None:
                raise _bad(f"default_socket {self.default_socket!r} is no socket of ours")
        for name in ("regtotal", "regactive", "regdisabled"):
            self.server.stats.setdefault(f"uac:{name}", 0)
        if self.reg_db_url:
            await self.open_registrations()
            self.every(1, self.refresh_due, alone=True)
            self.per_worker = "looks registrations up; worker 0 keeps them, and alone knows their status"

    def _ended(self, dialog: Any, ctx: Any, how: str) -> None:
        """The BYE that ends a dialog is kept in step too."""
        if how == "bye" and ctx is not None:
            self.within(dialog, ctx)


def _bad(message: str, hint: str = "") -> ConfigError:
    return ConfigError(f"uac: {message}", hint=hint, code="KT1201")
