"""SIP over TLS: certificates, profiles, and what the script sees of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, ConfigErrors, Span
from kamtool.module import REQUEST_ROUTE, Host, Module, Param, Routes, function
from kamtool.modules.tls import config
from kamtool.modules.tls.config import CLIENT, SERVER, Domain
from kamtool.modules.tls.control import Control
from kamtool.modules.tls.profiles import ProfileSet
from kamtool.modules.tls.variables import CONNECTION, ConnectionVariables, connection_of
from kamtool.script.context import Exit
from kamtool.server.driver import resume
from kamtool.server.listen import event_context
from kamtool.sip.flow import Address
from kamtool.transport.tls import Profile, TlsConnection

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.modules.tls")

CONNECTION_OUT = "tls:connection-out"


class Tls(ConnectionVariables, Control, Module):
    """Speaks TLS on the `tls:` sockets, with the certificates of tls.cfg or of the parameters.

    `[server:…]` sections of tls.cfg are for connections that come in, `[client:…]` for those that go out. A
    section for an address and a `server_name` is chosen by what the client asks for (SNI), with all its
    attributes. Versions below TLS 1.2 are spoken only in a section with `legacy = yes`. Where a peer is to be
    verified and no `ca_list` is given, the system's authorities are taken; what it connects to by name must
    be named in its certificate (RFC 5922). `kamtool tls init` makes a first set; `tls.reload` reads tls.cfg
    again and keeps the old set if anything in it cannot be used. Connections keep the certificate that they
    began with.
    """

    events = (CONNECTION_OUT,)
    live = ("config", "connection_timeout", "send_close_notify", "con_ct_wq_max", "ct_wq_max")

    config = Param(
        "",
        "tls.cfg; relative to the cfg's folder. With it the parameters of one profile are unused. "
        "A new one is read by `tls.reload`",
    )
    tls_method = Param("TLSv1.2+", "the versions: TLSv1.3, TLSv1.3+, TLSv1.2, TLSv1.2+ and older ones")
    certificate = Param("./cert.pem", "the certificate, with those of its issuers behind it (PEM)")
    private_key = Param("./cert.pem", "its key")
    ca_list = Param("", "the authorities to verify peers with; empty for the system's")
    ca_path = Param("", "a folder of authorities, as `openssl rehash` makes it")
    crl = Param("", "certificates that were revoked")
    verify_certificate = Param(0, "verify the certificate that a peer shows")
    require_certificate = Param(0, "a client must show a certificate")
    verify_client = Param("", "off, optional or on: both switches in one word")
    verify_depth = Param(9, "how many issuers may stand between a peer and its authority")
    cipher_list = Param("", "OpenSSL's words for the ciphers of TLS 1.2; empty for a safe choice")
    server_name = Param("", "the name of the profile for SNI")
    server_id = Param("", "the name by which the script chooses the profile")
    xavp_cfg = Param("", "an XAVP whose server_name and server_id choose the profile of a new connection")
    event_callback = Param("", "accepted; there is no KEMI script whose function could be called")
    connection_timeout = Param(600, "seconds after which an idle TLS connection is closed; 0: as TCP")
    send_close_notify = Param(0, "say goodbye when closing")
    session_cache = Param(1, "0 gives clients no tickets to resume a session with")
    session_id = Param("", "accepted; tickets hold the sessions, not the server")
    con_ct_wq_max = Param(65_536, "the most that waits for one connection, in octets")
    ct_wq_max = Param(10_485_760, "the most that waits for all connections, in octets")
    ct_wq_blk_size = Param(4096, "accepted; queues are not made of blocks")
    tls_log = Param(3, "accepted; handshakes that fail are logged at level info")
    tls_debug = Param(3, "accepted, as tls_log")
    tls_disable_compression = Param(1, "accepted; compression is always off")
    ssl_release_buffers = Param(1, "accepted; buffers are always released")
    ssl_freelist_max_len = Param(0, "accepted; OpenSSL has no free list any more")
    ssl_max_send_fragment = Param(-1, "accepted; a message is shorter than a record")
    ssl_read_ahead = Param(0, "accepted; a record is read as it comes")
    tls_force_run = Param(0, "accepted; Python and OpenSSL fit together by construction")
    low_mem_threshold1 = Param(-1, "accepted; connections are limited by number")
    low_mem_threshold2 = Param(-1, "accepted, as low_mem_threshold1")
    renegotiation = Param(0, "accepted; a client may never renegotiate")
    init_mode = Param(0, "accepted")
    rand_engine = Param("", "accepted; OpenSSL's own randomness is used")
    engine = Param("", "an OpenSSL engine: refused, as Python has none")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.profiles: ProfileSet | None = None
        self.path: Path | None = None
        """The tls.cfg in use."""
        self._most = (0, 0)
        """What may wait for one connection and for all, whatever the parameters say."""

    # Reading

    def folder(self) -> Path:
        """The cfg's folder: what names in it are relative to."""
        script = getattr(self.server, "script", None)
        return Path(script.name).resolve().parent if script is not None else Path()

    def domains(self) -> list[Domain]:
        """What tls.cfg, or the parameters, ask for. Raises ConfigError."""
        if self.engine and self.engine != "NONE":
            raise ConfigError("tls: an engine cannot be used", hint="leave `engine` out", code=config.CODE)
        if self.config:
            path = self.path = config.resolve(self.config, self.folder())
            domains = config.read(path, self.folder())
            if not any(each.title == "client:default" for each in domains):
                domains.append(Domain(CLIENT))
            return domains
        return [self._own(SERVER), self._own(CLIENT)]

    def _own(self, role: str) -> Domain:
        """The one profile that the parameters describe."""
        folder = self.folder()

        def place(name: str) -> str:
            return str(config.resolve(name, folder)) if name else ""

        domain = Domain(
            role, method=config.method(self.tls_method, Span("", 0, 0, 0, 0)),
            verify_certificate=bool(self.verify_certificate),
            require_certificate=bool(self.require_certificate), verify_depth=self.verify_depth,
            private_key=place(self.private_key), certificate=place(self.certificate),
            ca_list=place(self.ca_list), ca_path=place(self.ca_path), crl=place(self.crl),
            cipher_list=self.cipher_list, server_id=self.server_id,
            server_name=self.server_name if role == CLIENT else "",
        )  # fmt: skip
        if self.verify_client and role == SERVER:
            config.verify_client(domain, self.verify_client, Span("", 0, 0, 0, 0))
        if role == CLIENT and not Path(domain.certificate).is_file():
            domain.certificate = domain.private_key = ""
        return domain

    def make(self) -> ProfileSet:
        """A whole set of profiles, tried out. Raises ConfigErrors; nothing has changed then."""
        return ProfileSet(self.domains(), tickets=bool(self.session_cache))

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """What `kamtool check` says: every mistake of tls.cfg and of the files that it names."""
        if not script.settings["enable_tls"]:
            return
        try:
            yield from self.make().warnings
        except ConfigErrors as several:
            yield from several.errors

    # Life

    async def start(self) -> None:
        """Read all certificates and let the TLS sockets accept."""
        host = self.host
        if not host.settings["enable_tls"] and not any(s.transport == "tls" for s in host.sockets):
            log.info("tls: enable_tls is not set, so there is no TLS")
            return
        self.profiles = self.make()
        self._show_warnings(self.profiles)
        options = host.transports.tcp.options
        self._most = options.max_queue_bytes, options.max_total_bytes
        self._bound(self.con_ct_wq_max, self.ct_wq_max)
        host.choose_tls = self.choose if self.xavp_cfg else None
        host.transports.tcp.use_tls(self)

    def _bound(self, for_one: int, for_all: int) -> None:
        options = self.host.transports.tcp.options
        one, together = self._most
        options.max_queue_bytes = min(one, for_one) or one
        options.max_total_bytes = min(together, for_all) or together

    def reload(self, program: Any, changed: Mapping[str, Any]) -> Callable[[], None] | None:
        """Bounds act at once, another tls.cfg at the next `tls.reload`."""

        def take() -> None:
            if self.profiles is not None:
                self._bound(
                    changed.get("con_ct_wq_max", self.con_ct_wq_max), changed.get("ct_wq_max", self.ct_wq_max)
                )
            if "config" in changed:
                log.warning("tls: %s is read by the next tls.reload", changed["config"])

        return take

    async def reload_profiles(self) -> ProfileSet:
        """Take what the files say now. Raises ConfigErrors, and then the old set goes on."""
        made = await asyncio.to_thread(self.make)
        self._show_warnings(made)
        self.profiles = made
        log.warning("tls: %d profiles reloaded", len(made.profiles))
        if self.host.transports.tcp.profiles is None:
            self.host.transports.tcp.use_tls(self)
        return made

    def _show_warnings(self, made: ProfileSet) -> None:
        for warning in made.warnings:
            log.warning("%s (%s)", warning, warning.hint)

    @property
    def host(self) -> Server:
        return cast("Server", self.server)

    # What the transport asks (kamtool.transport.tls.Profiles)

    @property
    def idle_seconds(self) -> float:
        return float(self.connection_timeout)

    @property
    def close_notify(self) -> bool:
        return bool(self.send_close_notify)

    def server_profile(self, local: Address, server_name: str) -> Profile | None:
        """The profile for a connection that came to `local`."""
        return self.profiles.server(local, server_name) if self.profiles else None

    def client_profile(self, remote: Address, server_name: str, server_id: str) -> tuple[Profile, str] | None:
        """The profile for a connection to `remote`, and the name to ask for."""
        found = self.profiles.client(remote, server_name, server_id) if self.profiles else None
        return (found, found.domain.server_name or server_name) if found else None

    def choose(self, ctx: Context, name: str) -> tuple[str, str]:
        """What the XAVP of `xavp_cfg` says of the connection that this request needs."""
        fields = ctx.avps.xavps
        server_name = fields.get(self.xavp_cfg, 0, "server_name")
        server_id = fields.get(self.xavp_cfg, 0, "server_id")
        return str(server_name or name), str(server_id or "")

    def established(self, connection: TlsConnection) -> bool:
        """A handshake has succeeded. event_route[tls:connection-out] may `drop` a connection that we made."""
        self.server.count("tls:connections")
        program = self.host.program
        if not connection.is_outgoing or CONNECTION_OUT not in program.event_routes:
            return True
        ctx = event_context(self.host)
        ctx.route_kind, ctx.route_name = Routes.EVENT, CONNECTION_OUT
        ctx.scratch[CONNECTION] = connection.flow.connection
        return self._is_let_through(program.event_routes[CONNECTION_OUT](ctx), connection)

    def _is_let_through(self, route: Coroutine[Any, Any, int], connection: TlsConnection) -> bool:
        """Run the route; one that waits decides later, while messages already flow."""
        try:
            waiting = route.send(None)
        except StopIteration:
            return True
        except Exit as end:
            return not end.dropped
        except Exception:
            log.exception("event_route[%s] failed", CONNECTION_OUT)
            return True

        async def rest() -> None:
            try:
                await resume(route, waiting)
            except Exit as end:
                if end.dropped:
                    connection.close("refused by the script")

        self.server.spawn(rest(), CONNECTION_OUT)
        return True

    # The script

    @function("is_peer_verified", routes=REQUEST_ROUTE)
    def is_peer_verified(self, ctx: Context) -> bool:
        """True when the message came over TLS from a peer with a certificate that was verified."""
        connection = connection_of(ctx)
        return connection is not None and connection.is_verified()

    def open_connections(self) -> Iterator[TlsConnection]:
        """Every TLS connection that is open, handshakes included."""
        connections: Any = self.host.transports.tcp.connections.values()
        return (each for each in list(connections) if isinstance(each, TlsConnection))
