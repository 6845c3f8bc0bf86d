"""The RPC of the module tls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from kamtool.errors import ConfigError, ConfigErrors, RpcError
from kamtool.module import rpc
from kamtool.modules.tls.variables import description
from kamtool.transport.tls import TlsConnection
from kamtool.transport.x509 import BadCertificate, one_line, read_der, shown_date

if TYPE_CHECKING:
    from kamtool.modules.tls import Tls


OPTIONS = (
    "method verify_certificate verify_depth require_certificate verify_client private_key ca_list "
    "certificate cipher_list session_cache session_id config connection_timeout send_close_notify "
    "con_ct_wq_max ct_wq_max ct_wq_blk_size"
)


class Control:
    """`tls.*`."""

    def _tls(self) -> Tls:
        return cast("Tls", self)

    def _connections(self) -> Iterator[TlsConnection]:
        return self._tls().open_connections()

    @rpc("tls.list", workers="join")
    def rpc_list(self) -> list[dict[str, Any]]:
        """Every TLS connection: who, how long it may still be idle, cipher, what waits, its state."""
        tls = self._tls()
        now = tls.host.now()
        return [self._row(connection, now) for connection in self._connections()]

    def _row(self, connection: TlsConnection, now: float) -> dict[str, Any]:
        lifetime = connection.lifetime or self._tls().host.transports.tcp.options.lifetime
        row: dict[str, Any] = {
            "id": connection.flow.connection,
            "timeout": max(0, int(lifetime - (now - connection.used_at))),
            "src_ip": connection.flow.remote.host,
            "src_port": connection.flow.remote.port,
            "dst_ip": connection.flow.local.host,
            "dst_port": connection.flow.local.port,
            "cipher": "unknown" if connection.connecting else description(connection),
            "ct_wq_size": connection.queued_bytes,
            "enc_rd_buf": connection.framer.pending,
            "flags": int(not connection.is_outgoing) << 1,
            "state": "handshake" if connection.connecting else "established",
            "transport": connection.flow.transport,
            "server_name": connection.server_name,
            "verified": int(connection.is_verified()),
        }
        der = connection.peer_certificate()
        if der:
            try:
                row["peer"] = one_line(read_der(der).subject)
            except BadCertificate:
                row["peer"] = "unreadable"
        return row

    @rpc("tls.info")
    def rpc_info(self) -> dict[str, int]:
        """How many connections there may be, how many there are, and what waits to be encrypted."""
        tcp = self._tls().host.transports.tcp
        return {
            "max_connections": tcp.options.max_tls_connections,
            "opened_connections": tcp.tls_count,
            "clear_text_write_queued_bytes": sum(c.queued_bytes for c in self._connections()),
            "handshakes": len(tcp.handshakes.open),
        }

    @rpc("tls.options")
    def rpc_options(self) -> dict[str, Any]:
        """The parameters of the module."""
        tls = self._tls()
        names = OPTIONS.split()
        found = {name: getattr(tls, "tls_method" if name == "method" else name) for name in names}
        return {"force_run": tls.tls_force_run, **found, "config": str(tls.path or tls.config)}

    @rpc("tls.profiles")
    def rpc_profiles(self) -> list[dict[str, Any]]:
        """The profiles in use, each with its certificate and the date until which it is good."""
        profiles = self._tls().profiles
        return [
            {
                "profile": each.domain.title,
                "server_name": each.domain.server_name,
                "method": each.domain.method,
                "verify": each.context.verify_mode.name.removeprefix("CERT_").lower(),
                "certificate": each.domain.certificate,
                "subject": one_line(each.chain[0].subject) if each.chain else "",
                "not_after": shown_date(each.chain[0].not_after_epoch) if each.chain else "",
                "not_after_epoch": each.chain[0].not_after_epoch if each.chain else 0,
            }
            for each in (profiles.profiles if profiles else ())
        ]

    @rpc("tls.reload", workers="all")
    async def rpc_reload(self) -> str:
        """Read tls.cfg and all its files again. When anything is wrong, the old set stays."""
        try:
            made = await self._tls().reload_profiles()
        except ConfigError as error:
            errors = error.errors if isinstance(error, ConfigErrors) else (error,)
            lines = [f"{each}" + (f" ({each.hint})" if each.hint else "") for each in errors]
            raise RpcError(500, "; ".join(lines) + ": the old set goes on") from error
        return f"Ok. TLS configuration reloaded: {len(made.profiles)} profiles."

    @rpc("tls.kill", workers="any")
    def rpc_kill(self, id: int) -> str:  # noqa: A002
        """Close the TLS connection with this number (tls.list shows it)."""
        for connection in self._connections():
            if connection.flow.connection == id:
                connection.close("closed by tls.kill")
                return "Ok."
        raise RpcError(404, f"no TLS connection {id}")
