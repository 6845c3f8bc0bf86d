"""OpenSSL on a socket that we keep: what a TLS connection reads and writes through.

`ssl.SSLSocket` takes a socket over: five system calls and sixty Python calls a connection, two more calls and
half a kilobyte for nothing that is of use here. The object beneath it has the same methods.
"""

from __future__ import annotations

import socket as sockets
import ssl
from typing import Any


def secure(context: ssl.SSLContext, sock: sockets.socket, server_side: bool, name: str | None) -> Any:
    """What shakes hands, reads and writes on `sock`, which must live as long. Raises OSError, ValueError."""
    wrap: Any = getattr(context, "_wrap_socket", None)
    if wrap is None:
        # A Python that has another way inside: the public one does the same.
        return context.wrap_socket(
            sock, server_side=server_side, do_handshake_on_connect=False, server_hostname=name
        )
    return wrap(sock, server_side, None if name is None else name.encode("idna").decode("ascii"))


def say_goodbye(secured: Any) -> None:
    """Tell the peer that nothing follows (close_notify). Raises OSError, ValueError."""
    if hasattr(secured, "unwrap"):
        secured.unwrap()
    else:
        secured.shutdown()
