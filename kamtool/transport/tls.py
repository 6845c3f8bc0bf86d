"""SIP over TLS: a Connection through OpenSSL (secure.py), and its handshake before it is one."""

from __future__ import annotations

import logging
import socket as sockets
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from kamtool.sip.flow import Address, Flow
from kamtool.transport.handshakes import Handshakes
from kamtool.transport.hello import Hello, NotTls, read_hello
from kamtool.transport.outlet import Owner
from kamtool.transport.records import Recording
from kamtool.transport.secure import say_goodbye, secure
from kamtool.transport.stream import Connection, Cutter
from kamtool.transport.tcp_options import TcpOptions
from kamtool.transport.tls_words import explain

log = logging.getLogger("kamtool.tls")

READ_BYTES = 16_384
"""The most that one TLS record holds."""
HELLO_BYTES = 2048
"""More than a ClientHello mostly has."""
TCP_INFO: int | None = getattr(sockets, "TCP_INFO", None)
ESTABLISHED = b"\1"
"""The state with which the kernel's TCP_INFO begins while both sides may speak."""
MAX_FRUITLESS = 1024
"""Records in a row that carry no data (key updates, alerts) before a peer is taken for hostile."""


class Profile(Protocol):
    """What a side of a connection is to be: a context, and what OpenSSL does not check by itself."""

    context: ssl.SSLContext

    def objection(self, secured: Any, name: str) -> str:
        """Why a finished handshake is not good enough, or nothing. `name` is what we connected to."""


class Profiles(Protocol):
    """Chooses a profile; the module tls is one. `idle_seconds` 0 leaves it to tcp_connection_lifetime."""

    @property
    def idle_seconds(self) -> float: ...

    @property
    def close_notify(self) -> bool: ...

    def server_profile(self, local: Address, server_name: str) -> Profile | None: ...

    def client_profile(self, remote: Address, server_name: str, server_id: str) -> tuple[Profile, str] | None:
        """The profile to connect with, and the name to ask for (SNI), "" for none."""

    def established(self, connection: TlsConnection) -> bool:
        """A handshake has succeeded; false closes the connection."""


class TlsOwner(Owner):
    """What a TLS connection asks beyond what any does."""

    def __init__(self, options: TcpOptions, receive: Callable[[bytes, Flow], None]) -> None:
        super().__init__(options, receive)
        self.handshakes: Handshakes = Handshakes(self.watch)
        self.profiles: Profiles | None = None
        """Who knows certificates. TLS listeners accept once somebody does."""
        self.recording: Recording | None = None
        """Who records the TLS connections that begin from now on."""

    def end_turn(self) -> None:
        self.flush()  # messages first
        self.handshakes.go_on()


class TlsConnection(Connection):
    """A connection whose bytes are encrypted. `connecting` lasts until its handshake has ended."""

    __slots__ = (
        "_expects",
        "_fruitless",
        "asked_name",
        "is_secured",
        "is_waiting",
        "profile",
        "secure",
        "server_id",
        "server_name",
    )

    def __init__(
        self, owner: TlsOwner, sock: sockets.socket, flow: Flow, framer: Cutter, outgoing: bool = False,
        name: str = "", server_id: str = "",
    ) -> None:  # fmt: skip
        self.is_secured = self.is_waiting = False
        self.secure: Any = None
        """OpenSSL's side of it, once there is any."""
        self.profile: Profile | None = None
        self.asked_name, self.server_id = name, server_id
        """Of a connection that we open: the host it is meant to reach, and the profile the script chose."""
        self.server_name = ""
        """The name in the ClientHello (SNI), theirs or ours."""
        self._expects = self._fruitless = 0
        super().__init__(owner, sock, flow, framer, True, outgoing)
        owner.handshakes.begin(self)

    def _watch(self) -> None:
        if self.is_outgoing:
            self._watch_writes(True)
        else:  # the first octets are the client's
            self._watch_reads()

    @property
    def _tls(self) -> TlsOwner:
        return cast(TlsOwner, self.owner)

    def _recv(self) -> bytes:
        try:
            data: bytes = self.secure.read(READ_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._fruitless += 1
            if self._fruitless > MAX_FRUITLESS:
                raise OSError("too many records without data") from None
            raise BlockingIOError from None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""
        except ssl.SSLError as error:
            raise OSError(explain(error)) from error
        self._fruitless = 0
        return data

    def _send(self, data: bytes) -> int:
        try:
            sent: int = self.secure.write(data)
            return sent
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLError as error:
            raise OSError(explain(error)) from error

    # The handshake

    def _readable(self) -> None:
        if self.connecting:
            self._tls.handshakes.add(self)
        else:
            super()._readable()

    def _connected(self) -> bool:
        if not self.is_secured and self.is_outgoing:
            if not self._is_connected():
                return False
            self.stalled_at = self.owner.loop.time()
            self._wrap_as_client()
            if not self.is_open:
                return False
            self._watch_reads()
        self._watch_writes(False)
        self._tls.handshakes.add(self)
        return False

    def step(self) -> None:
        """Go on with the handshake as far as the bytes that are there allow."""
        if not self.connecting or (not self.is_secured and not self._wrap_as_server()):
            return
        try:
            self.secure.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._watch_writes(True)
            return
        except ssl.SSLError as error:
            self._refused(explain(error))
            return
        except OSError as error:
            self._refused(error.strerror or str(error))
            return
        self._finish_handshake()

    def _refused(self, why: str) -> None:
        log.info("tls: handshake with %s failed: %s", self.flow.remote, why)
        self.close(f"handshake failed: {why}")

    def _wrap_as_server(self) -> bool:
        """Peek at the ClientHello and hand the socket to OpenSSL; false while it is not complete."""
        try:
            data: bytes = self.sock.recv(max(self._expects, HELLO_BYTES), sockets.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self.close(error.strerror or str(error))
            return False
        if not data:
            self.close("closed by the peer")
            return False
        try:
            hello = read_hello(data)
        except NotTls as error:
            self._refused(str(error))
            return False
        if not isinstance(hello, Hello):
            if self._expects == hello and self._has_hung_up():
                self.close("closed by the peer")
                return False
            # What was peeked at stays readable: without this mark the loop would spin until the rest comes.
            self.sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVLOWAT, hello)
            self._expects = hello
            return False
        if self._expects:
            self.sock.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVLOWAT, 1)
        self.server_name = hello.server_name
        self._tls.handshakes.heard(self)
        profiles = self._tls.profiles
        self.profile = profiles.server_profile(self.flow.local, hello.server_name) if profiles else None
        if self.profile is None:
            self._refused(f"no TLS profile for {self.flow.local} {hello.server_name}".rstrip())
            return False
        return self._wrap(server_side=True)

    def _has_hung_up(self) -> bool:
        """Whether nothing more will come. Where the kernel does not tell, whoever it is goes in the end."""
        if TCP_INFO is None:
            return False
        state: bytes = self.sock.getsockopt(sockets.IPPROTO_TCP, TCP_INFO, 1)
        return state != ESTABLISHED

    def _wrap_as_client(self) -> None:
        profiles = self._tls.profiles
        found = (
            profiles.client_profile(self.flow.remote, self.asked_name, self.server_id) if profiles else None
        )
        if found is None:
            self._refused("no TLS profile for clients")
            return
        self.profile, self.server_name = found
        self._wrap(server_side=False)

    def _wrap(self, *, server_side: bool) -> bool:
        assert self.profile is not None
        name = None if server_side else self.server_name or None
        recording = self._tls.recording
        context = self.profile.context
        try:
            if recording is not None:
                self.secure = self.sock = recording.wrap(
                    self.sock, context, self.flow, server_side=server_side, name=name
                )
            else:
                self.secure = secure(context, self.sock, server_side, name)
        except (OSError, ValueError) as error:
            self._refused(str(error))
            return False
        self.is_secured = True
        return True

    def _finish_handshake(self) -> None:
        owner = self._tls
        assert self.profile is not None
        assert owner.profiles is not None
        objection = self.profile.objection(self.secure, self.asked_name if self.is_outgoing else "")
        if objection:
            self._refused(objection)
            return
        self.connecting = False
        owner.handshakes.end(self)
        self.used_at = self.stalled_at = self.partial_at = owner.loop.time()
        self.lifetime = owner.profiles.idle_seconds or None
        if not owner.profiles.established(self):
            self.close("refused by the script")
            return
        if self.unsent:
            self._push()
        if self.is_open and self.secure.pending():
            super()._readable()

    def overdue(self, now: float, lifetime: float) -> str:
        if self.connecting and (self.is_secured or not self.is_outgoing):
            late = now - self.stalled_at > self.owner.options.handshake_timeout
            return "handshake timed out" if late else ""
        return super().overdue(now, lifetime)

    def _shut(self) -> None:
        owner = self._tls
        owner.handshakes.end(self)
        if self.is_secured and not self.connecting and owner.profiles and owner.profiles.close_notify:
            with suppress(OSError, ValueError):
                say_goodbye(self.secure)
        self.secure = None
        self.sock.close()

    # What is known of the peer

    def peer_certificate(self) -> bytes | None:
        """The peer's certificate (DER), verified or not; None when it showed none."""
        return None if self.connecting else cast("bytes | None", self.secure.getpeercert(True))

    @property
    def verifies(self) -> bool:
        """Whether this connection looks at the peer's certificate, as far as that is known yet."""
        return self.profile is None or self.profile.context.verify_mode is not ssl.CERT_NONE

    def is_verified(self) -> bool:
        """Whether the peer showed a certificate and it was verified."""
        return bool(not self.connecting and self.profile and self.profile.context.verify_mode and
                    self.peer_certificate())  # fmt: skip
