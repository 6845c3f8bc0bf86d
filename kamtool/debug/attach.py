"""A client's conversation with its session: JSON-RPC 2.0, a line each way, over the control socket.

The first line asks for `debug.attach`; from then on the connection belongs to the debugger. What happens
unasked (a message stopped) goes to the client as a notification. When the connection ends, so does the
session, and everything it had parked goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from kamtool.debug.commands import Commands
from kamtool.debug.session import Session
from kamtool.debug.words import Mistake

if TYPE_CHECKING:
    from kamtool.server.server import Server

log = logging.getLogger("kamtool.server")

MISTAKE, MALFORMED, OURS = 400, -32600, -32603
MOST_UNREAD = 8 << 20
"""Octets that may wait for a client; one that does not read them is let go."""


async def converse(
    server: Server, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Serve one client until it leaves or says what is no request."""
    if not is_owner(writer):
        _send(writer, {"jsonrpc": "2.0", "id": None, "error": {"code": 403, "message": "not the owner"}})
        return
    session = Session(server, lambda event, facts: _notify(writer, event, facts))
    commands = Commands(session)
    await session.attach()
    log.log(25, "a debugger is attached")
    line: bytes = first
    try:
        while line:
            answer = await _answer(commands, line)
            _send(writer, answer)
            if "error" in answer and answer["error"]["code"] == MALFORMED:
                return
            await writer.drain()
            line = await reader.readline()
            while line.isspace():
                line = await reader.readline()
    finally:
        session.detach()
        log.log(25, "the debugger has left")


async def _answer(commands: Commands, line: bytes) -> dict[str, Any]:
    identity: Any = None
    try:
        asked = json.loads(line)
        identity, name, arguments = asked["id"], asked["method"], asked.get("params", {})
        if not isinstance(name, str) or not isinstance(arguments, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _failure(identity, MALFORMED, "this is no request", "")
    if name == "debug.attach":
        name = "hello"
    try:
        result = await commands.run(name, arguments)
    except Mistake as mistake:
        return _failure(identity, MISTAKE, mistake.message, mistake.hint)
    except Exception:
        # The edge between a client and the debugger: what rises here is ours, and ends neither of them.
        log.exception("the debugger's %s failed", name)
        return _failure(identity, OURS, "the debugger failed; the server's log says why", "")
    return {"jsonrpc": "2.0", "id": identity, "result": result}


def _failure(identity: Any, code: int, message: str, hint: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": code, "message": message, "data": hint}}


def _notify(writer: asyncio.StreamWriter, event: str, facts: dict[str, Any]) -> None:
    _send(writer, {"jsonrpc": "2.0", "method": event, "params": facts})


def _send(writer: asyncio.StreamWriter, value: Any) -> None:
    if writer.is_closing():
        return
    if writer.transport.get_write_buffer_size() > MOST_UNREAD:
        writer.transport.abort()
        return
    writer.write(json.dumps(value, default=str, ensure_ascii=True).encode() + b"\n")


def is_owner(writer: asyncio.StreamWriter) -> bool:
    """Whether the other side is a process of the same user, or root."""
    sock = writer.get_extra_info("socket")
    if sock is None or not hasattr(socket, "SO_PEERCRED"):
        return True  # the socket's own mode 0600 decides
    packed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", packed)[1] in (0, os.getuid())
