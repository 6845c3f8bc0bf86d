"""What a run is to do, whole: everything a worker process needs to begin."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kamtool.errors import TransportError
from kamtool.sip.flow import Address
from kamtool.tools.sippxml.model import Scenario
from kamtool.tools.sippxml.users import Users
from kamtool.tools.stress import builtin
from kamtool.tools.stress.datagrams import open_udp
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.pieces import Setting
from kamtool.tools.stress.program import Program
from kamtool.tools.stress.schedule import Load
from kamtool.tools.stress.streams import Maker, listen, open_stream, tls_context
from kamtool.tools.stress.target import Target

ANYWHERE = Address("", 0)


@dataclass(frozen=True, slots=True)
class Tls:
    """What TLS connections show and trust; without `ca` any certificate is taken: this is a load, not a
    bank.
    """

    certificate: str = ""
    key: str = ""
    ca: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. `name` is a built-in scenario, or of the file in `scenario`."""

    name: str
    target: Target | None
    load: Load = field(default_factory=Load)
    scenario: Scenario | None = None
    local: Address = ANYWHERE
    more_hosts: Sequence[str] = ()
    sources: int = 1
    transport: str = "udp"
    users: Users | None = None
    files: Sequence[Users] = ()
    keys: dict[str, str] = field(default_factory=dict)
    domain: str = ""
    service: str = "service"
    user: str = ""
    password: str = ""
    callee: bool = True
    hold: float = 0.0
    timeout: float = 32.0
    patience: float = 10.0
    seed: int = 0
    workers: int = 1
    tls: Tls = Tls()
    commands: bool = False
    expires: int = 3600
    connections: int = 100
    capture: str = ""
    """A capture to send again, `speed` times as fast, to the target in the place of its `server`."""
    speed: float = 1.0
    server: str = ""
    most_sockets: int = 500
    twins: dict[str, Address] = field(default_factory=dict)
    """Where commands go, by name; "" is the only twin. `own_twin` is where they come."""
    own_twin: Address | None = None
    tick: float | None = None
    """Seconds between two looks at the sockets, 0.0 for none, None: as the rate wants it."""
    segment: bool = False
    """Whether UDP datagrams of one length leave as one, see `segments`."""

    @property
    def kind(self) -> str:
        """Which of our own loads it is, "" for a scenario of a file, whatever that is named."""
        return self.name if self.scenario is None else ""

    @property
    def pairs(self) -> bool:
        """Whether we also answer: the callees of these calls are ours, registered first."""
        return self.callee and self.kind in ("invite", "message", "mixed")

    @property
    def is_server(self) -> bool:
        """Whether the calls come to us."""
        return self.scenario.is_server if self.scenario is not None else self.name == "uas"

    def settings(self, part: int) -> Setting:
        """The values that all messages of one worker share."""
        files = list(self.files)
        keys = dict(self.keys)
        if self.scenario is None and self.name not in ("uac", "uas"):
            users = self.users or default_users()
            files = [_with_callees(users.shared(part, self.workers))]
            keys = {
                "user": "[field0]",
                "callee": "[field2]" if self.pairs else self.service,
                "domain": self.domain,
                "expires": str(self.expires),
                "authentication": "[authentication username=[field0] password=[field1]]",
                **keys,
            }
        elif self.workers > 1:
            files = [one.shared(part, self.workers) for one in files]
        return Setting(
            service=self.service,
            user=self.user,
            password=self.password,
            keys=keys,
            users={one.name: one for one in files},
            media_port=6000 + 2 * part,
        )

    def open(self, part: int, callees: bool = False) -> list[Endpoint]:
        """The sockets of one worker. Raises TransportError."""
        assert self.target is not None
        count = max(1, self.sources // self.workers + (part < self.sources % self.workers))
        target = self.target
        made: list[Endpoint] = []
        context: ssl.SSLContext | None = None
        if self.transport in ("tls", "wss"):
            context = tls_context(self.tls.ca, self.tls.certificate, self.tls.key, bool(self.tls.ca))
        hosts = [*self.more_hosts] or [self.local.host]
        if self.is_server and not callees and self.transport != "udp":
            make: Maker | None = None
            if self.transport in ("ws", "wss"):
                from kamtool.tools.stress.websocket import accepted

                make = accepted
            local = Address(self.local.host or target.address.host, self.local.port or target.address.port)
            return [listen(self.transport, local, self.tls.certificate, self.tls.key, make)]
        for number in range(count):
            first = self.local.port or (target.address.port if self.is_server else 0)
            port = first + number + part * count if first and not callees else 0
            local = Address(hosts[number % len(hosts)], port)
            if self.transport == "udp":
                local = local._replace(host=local.host or facing(target.address))
                datagrams = open_udp(local, target.address, target.host)
                if self.segment:
                    datagrams.segment()
                made.append(datagrams)
            else:
                patience = min(self.patience, 10.0)
                stream = open_stream(self.transport, local, target.address, target.host, context, patience)
                if self.transport in ("ws", "wss"):
                    from kamtool.tools.stress.websocket import open_websocket

                    stream = open_websocket(stream, patience)
                made.append(stream)
        for number, endpoint in enumerate(made):
            endpoint.call_id_tail = b"%d%s" % (number, f"-{'b' if callees else 'a'}".encode())
        return made

    def program(self, setting: Setting, name: str = "") -> Program:
        """The scenario of this run, or a built-in one, made ready."""
        if self.scenario is not None and not name:
            return Program(self.scenario, setting, self.name)
        return Program(builtin.scenario(name or self.name), setting, name or self.name)

    def with_rate(self, rate: float, duration: float) -> Plan:
        """The same at another constant rate, for so long."""
        return replace(
            self, load=replace(self.load, rate=rate, duration=duration, calls=0, ramp=0.0, to_rate=0.0)
        )


def default_users(count: int = 100, password: str = "") -> Users:
    """Users `u0000000` and on; `{user}` in the password is the name."""
    rows = [[f"u{i:07d}", password.replace("{user}", f"u{i:07d}")] for i in range(count)]
    return Users("users", rows)


def _with_callees(users: Users) -> Users:
    """Each row with the next one's user as third field: whom it calls."""
    rows = users.rows
    made = [
        [row[0], row[1] if len(row) > 1 else "", rows[(i + 1) % len(rows)][0]] for i, row in enumerate(rows)
    ]
    return Users(users.name, made, users.order)


def facing(remote: Address) -> str:
    """The address of this machine from which `remote` is reached. Raises TransportError."""
    family = socket.AF_INET6 if ":" in remote.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(tuple(remote))
            return str(probe.getsockname()[0])
        except OSError as error:
            raise TransportError(f"{remote}: {error.strerror or error}") from error
