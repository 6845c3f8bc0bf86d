"""The control socket: JSON-RPC 2.0 over unix sockets, a stream and a datagram one, for the owner alone."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, RpcError, UsageError
from kamtool.server.rpc import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, RpcTable

log = logging.getLogger("kamtool.control")

LARGEST_REQUEST = 1 << 20
"""Octets of one request; whoever sends more is cut off."""
LARGEST_LINE = 1 << 24
"""The same on the stream of the control socket, which its owner alone can open: lists are long."""
MOST_CLIENTS = 64
if TYPE_CHECKING:  # a check imports this file and needs no asyncio
    Taker = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE = 60.0
"""Seconds a client may keep a connection without asking anything, or not read its answer."""


def default_socket() -> Path:
    """Where the control socket stands: $KAMTOOL_SOCKET, else /run for root, else $XDG_RUNTIME_DIR or /tmp."""
    if chosen := os.environ.get("KAMTOOL_SOCKET"):
        return Path(chosen)
    if os.getuid() == 0:
        return Path("/run/kamtool/kamtool.sock")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "kamtool" / "kamtool.sock"
    import tempfile

    return Path(tempfile.gettempdir()) / f"kamtool-{os.getuid()}" / "kamtool.sock"


async def answer(table: RpcTable, request: bytes) -> bytes | None:
    """The response to one JSON-RPC request or batch; None when there is nothing to say (notifications)."""
    try:
        asked = json.loads(request)
    except (ValueError, RecursionError):
        return _encode(_failure(None, PARSE_ERROR, "this is no JSON"))
    if not isinstance(asked, list):
        response = await _one(table, asked)
        return None if response is None else _encode(response)
    if not asked:
        return _encode(_failure(None, INVALID_REQUEST, "the batch is empty"))
    responses = [response for entry in asked if (response := await _one(table, entry)) is not None]
    return _encode(responses) if responses else None


def _encode(response: Any) -> bytes:
    try:
        return json.dumps(response, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except (TypeError, ValueError):
        log.exception("an RPC gave data that JSON cannot hold")
        return json.dumps(_failure(None, INTERNAL_ERROR, "the answer cannot be shown as JSON")).encode()


def _failure(identity: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": identity}


async def _one(table: RpcTable, asked: Any) -> dict[str, Any] | None:
    if not isinstance(asked, Mapping):
        return _failure(None, INVALID_REQUEST, "a request is an object")
    identity = asked.get("id")
    method, params = asked.get("method"), asked.get("params", ())
    if isinstance(identity, dict | list | bool):
        return _failure(None, INVALID_REQUEST, "`id` must be text or a number")
    if not isinstance(method, str) or not isinstance(params, list | dict | tuple):
        return _failure(identity, INVALID_REQUEST, "`method` must be text and `params` a list or an object")
    try:
        result = await table.call(method, params)
    except RpcError as error:
        response = _failure(identity, error.code, error.message)
    except Exception:
        # The edge between a client's request and our code: what rises here is our mistake, not the client's.
        log.exception("rpc %s failed", method)
        response = _failure(identity, INTERNAL_ERROR, "the server failed; its log says why")
    else:
        response = {"jsonrpc": "2.0", "result": {} if result is None else result, "id": identity}
    return response if "id" in asked else None


class ControlSocket:
    """Serves an RpcTable on `path` (stream, one JSON value a line) and on `path` + `.dgram`."""

    def __init__(self, table: RpcTable, path: Path) -> None:
        self.table, self.path = table, path
        self.datagram_path = path.with_name(path.name + ".dgram")
        self.takers: dict[bytes, Taker] = {}
        """Who takes a connection over whose first line holds these octets, until it is closed."""
        self._server: asyncio.Server | None = None
        self._datagram: socket.socket | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._work: set[asyncio.Task[None]] = set()

    async def start(self, patience: float = 0.0) -> None:
        """Bind both, mode 0600. Raises UsageError when a server has them or the place is forbidden.

        One that is about to go is waited for: `patience` seconds.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while loop.time() < end and _answers(self.path, socket.SOCK_STREAM):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._server = await asyncio.start_unix_server(
                self._connected, sock=bind(self.path, socket.SOCK_STREAM), limit=LARGEST_LINE
            )
            self._datagram = bind(self.datagram_path, socket.SOCK_DGRAM)
        except OSError as error:
            await self.stop()
            raise UsageError(
                f"cannot open the control socket {self.path}: {error.strerror or error}", exit_code=1
            ) from error
        asyncio.get_running_loop().add_reader(self._datagram, self._datagram_ready)

    async def stop(self) -> None:
        """Close the sockets, let go of the clients, remove the files."""
        if self._datagram is not None:
            asyncio.get_running_loop().remove_reader(self._datagram)
            # The name goes first: once we do not answer, another server may take it.
            self.datagram_path.unlink(missing_ok=True)
            self._datagram.close()
            self._datagram = None
        if self._server is not None:
            self.path.unlink(missing_ok=True)
            self._server.close()
            self._server = None
        pending = [*self._clients, *self._work]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if len(self._clients) <= MOST_CLIENTS:
                await self._converse(reader, writer)
        except (OSError, TimeoutError, asyncio.LimitOverrunError, ValueError, asyncio.CancelledError):
            pass  # the client left, kept silent, or sent a line without end
        finally:
            self._clients.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await asyncio.wait_for(reader.readline(), PATIENCE):
            taken = next((each for mark, each in self.takers.items() if mark in line), None)
            if taken is not None:
                await taken(line, reader, writer)
                return
            if line.strip() and (response := await answer(self.table, line)) is not None:
                writer.write(response + b"\n")
                await asyncio.wait_for(writer.drain(), PATIENCE)

    def _datagram_ready(self) -> None:
        assert self._datagram is not None
        try:
            request, sender = self._datagram.recvfrom(LARGEST_REQUEST)
        except OSError:
            return
        if len(self._work) < MOST_CLIENTS:
            task = asyncio.ensure_future(self._answer_datagram(request, sender))
            self._work.add(task)
            task.add_done_callback(self._work.discard)

    async def _answer_datagram(self, request: bytes, sender: Any) -> None:
        response = await answer(self.table, request)
        if response is not None and sender and self._datagram is not None:
            # A client that does not read, or has gone, loses its answer: it must not stop the server.
            with suppress(OSError):
                self._datagram.sendto(response, sender)


def bind(path: Path, kind: int, mode: int = 0o600) -> socket.socket:
    """A non-blocking unix socket at `path`; a dead server's is replaced, a live one's is not (OSError)."""
    made = socket.socket(socket.AF_UNIX, kind)
    try:
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise OSError(f"{path} exists and is no socket")
            if _answers(path, kind):
                raise OSError("another server is using it")
            path.unlink()
        before = os.umask(0o777 & ~mode)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.listen(MOST_CLIENTS)
    except OSError:
        made.close()
        raise
    return made


def give(path: Path, user: str, group: str) -> None:
    """Give `path` to a user and a group, by name or number; "" changes nothing. Raises ConfigError."""
    import grp
    import pwd

    try:
        owner = -1 if not user else int(user) if user.isdigit() else pwd.getpwnam(user).pw_uid
        number = -1 if not group else int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"{path} cannot be given to {user}:{group}: there is no such user or group"
        ) from None
    if (owner, number) != (-1, -1):  # under a system call filter even a chown that changes nothing is refused
        os.chown(path, owner, number)


def _answers(path: Path, kind: int) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True


def ask(path: Path, method: str, params: list[Any], timeout: float = 5.0) -> Any:
    """Call a method on a running server.

    Raises RpcError as the server refused; UsageError with code 5 when none answers, 6 when it is another's,
    8 when it is late.
    """
    request = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1}).encode()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(str(path))
            connection.sendall(request + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
    except TimeoutError:
        raise UsageError(f"the server at {path} did not answer within {timeout:g} s", exit_code=8) from None
    except PermissionError:
        raise UsageError(
            f"no permission to use {path}", exit_code=6, hint="the control socket is for its owner"
        ) from None
    except OSError as error:
        raise UsageError(
            f"no server answers at {path}: {error.strerror or error}",
            exit_code=5,
            hint="start one with `kamtool serve`",
        ) from None
    if not line:
        raise UsageError(f"the server at {path} hung up without an answer", exit_code=5)
    response = json.loads(line)
    if "error" in response:
        raise RpcError(response["error"]["code"], response["error"]["message"])
    return response["result"]
