"""http_client: ask web servers from a script, which waits for the answer; other messages do not."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from kamtool.errors import ConfigError, TransportError
from kamtool.module import ANY, Host, Module, Param, Plain, Value, Variable, function, pv, rpc
from kamtool.modules.http_client.wire import Answer, Ask, TimedOut, Tls, fetch, header_pairs

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script

logger = logging.getLogger("kamtool.modules.http_client")

COULD_NOT_CONNECT, TIMED_OUT = -7, -28
"""What curl says, negative."""
WORDS: Final = {7: "Couldn't connect to server", 28: "Timeout was reached"}
_CONNECTION: Final = re.compile(r"(\w+)=>(https?://)(?:([^:@/]*):([^@/]*)@)?([^;]+)((?:;.*)?)")
REDIRECTED: Final = "http_client.location"


@dataclass(frozen=True, slots=True)
class Connection:
    """A web server by its name in the cfg."""

    name: str
    base: str
    ask: Ask
    failover: str = ""


class HttpClient(Module):
    """HTTP and HTTPS requests; the body of the answer goes into a variable, its status is the return code.

    The route waits for the answer, `connection_timeout` seconds at most; messages beside it are served. A
    request that cannot be sent, or has no answer, gives a negative code: `$curlerror(code)` has words for it.
    """

    name = "http_client"
    live = ("connection_timeout", "query_result", "query_maxdatasize", "maxdatasize", "useragent")

    httpcon = Param("", "a server: `name=>http://user:password@host/path;timeout=4`", repeat=True)
    connection_timeout = Param(4, "seconds until an answer must be there")
    useragent = Param("kamtool", "the User-Agent of requests")
    maxdatasize = Param(0, "the most octets of an answer to http_connect, 0 for 16 MiB")
    query_maxdatasize = Param(0, "the most octets of an answer to http_client_query, 0 for 16 MiB")
    query_result = Param(1, "1: the whole body goes into the variable, 0: its first line")
    httpredirect = Param(1, "0: redirects are not followed")
    cacert = Param("", "the file with the CAs to trust; by default those of the system")
    client_cert = Param("", "the file with our certificate")
    client_key = Param("", "the file with its key")
    cipher_suites = Param("", "the TLS ciphers, in OpenSSL's words")
    tlsversion = Param(0, "accepted: TLS 1.2 and above are used")
    verify_peer = Param(1, "0: certificates are not checked")
    verify_host = Param(2, "0: the name in a certificate is not checked")
    httpproxy = Param("", "the proxy for http")
    httpproxyport = Param(0, "its port")
    keep_connections = Param(0, "accepted: each request has a connection of its own")
    timeout_mode = Param(1, "accepted: connection_timeout is in seconds")
    authmethod = Param("basic", "only `basic`")
    netinterface = Param("", "only empty: the system chooses the interface")
    config_file = Param("", "only empty: connections stand in the cfg, as httpcon")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.connections: dict[str, Connection] = {}
        self._variables: dict[str, Variable] = {}
        self._formats: dict[str, Any] = {}

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """What cannot work."""
        for name in ("netinterface", "config_file"):
            if getattr(self, name):
                yield _bad(f"`{name}` is not supported")
        if str(self.authmethod).lower() not in ("basic", "1", "3"):
            yield _bad(f"authmethod {self.authmethod!r} is not supported", hint="basic")
        for text in self.__dict__["httpcon"]:
            if _CONNECTION.fullmatch(text) is None:
                yield _bad(f"httpcon {text!r}", hint="name=>http://host/path;timeout=4")

    async def start(self) -> None:
        """Read the connections. Raises ConfigError."""
        for error in self.verify(None):  # type: ignore[arg-type]
            raise error
        for text in self.__dict__["httpcon"]:
            connection = self._read(text)
            self.connections[connection.name] = connection

    @property
    def _plain(self) -> Ask:
        tls = Tls(
            bool(self.verify_peer), bool(self.verify_host), self.cacert, self.client_cert, self.client_key,
            self.cipher_suites,
        )  # fmt: skip
        proxy = (self.httpproxy, self.httpproxyport or 8080) if self.httpproxy else None
        return Ask(
            "", headers=[("User-Agent", self.useragent)], seconds=float(max(1, self.connection_timeout)),
            redirect=bool(self.httpredirect), proxy=proxy, tls=tls,
        )  # fmt: skip

    def _read(self, text: str) -> Connection:
        found = _CONNECTION.fullmatch(text)
        assert found is not None
        name, scheme, username, password, place, rest = found.groups()
        ask, failover = replace(self._plain, username=username or "", password=password or ""), ""
        ask = replace(ask, most=self.maxdatasize)
        for part in filter(None, (part.strip() for part in rest.split(";"))):
            key, _, value = part.partition("=")
            match key.strip():
                case "timeout":
                    ask = replace(ask, seconds=float(_number(value)))
                case "maxdatasize":
                    ask = replace(ask, most=_number(value))
                case "httpredirect":
                    ask = replace(ask, redirect=value.strip() != "0")
                case "verify_peer":
                    ask = replace(ask, tls=replace(ask.tls, verify_peer=value.strip() != "0"))
                case "verify_host":
                    ask = replace(ask, tls=replace(ask.tls, verify_host=value.strip() != "0"))
                case "cacert":
                    ask = replace(ask, tls=replace(ask.tls, ca_file=value.strip()))
                case "useragent":
                    ask = replace(ask, headers=[("User-Agent", value.strip())])
                case "failover":
                    failover = value.strip()
                case _:
                    raise _bad(f"httpcon {text!r}: {key!r} is no setting")
        return Connection(name, scheme + place, ask, failover)

    # From the script

    def _result(self, text: str) -> Variable:
        found = self._variables.get(text)
        if found is None:
            found = self._variables[text] = self.server.variable(text)
        return found

    def _text(self, ctx: Context, text: str) -> str:
        found = self._formats.get(text)
        if found is None:
            found = self._formats[text] = self.server.format(text)
        return str(found(ctx))

    async def _ask(self, ctx: Context, ask: Ask) -> tuple[int, Answer | None]:
        try:
            answer = await fetch(ask)
        except TimedOut as error:
            logger.error("%s", error)
            return TIMED_OUT, None
        except TransportError as error:
            logger.error("%s", error)
            return COULD_NOT_CONNECT, None
        if answer.location:
            ctx.scratch[REDIRECTED] = answer.location
        return answer.status, answer

    @function("http_client_query", "http_query", routes=ANY, arities=(2, 3, 4))
    async def http_client_query(self, ctx: Context, url: str, *rest: Plain) -> int:
        """`(url, result)`, `(url, body, result)`, `(url, body, headers, result)`: ask a web server.

        With a body it is a POST. The answer's body goes into `result`, a variable; its status is the return
        code, negative when there was no answer.
        """
        body = self._text(ctx, rest[0]) if len(rest) > 1 else ""
        lines = self._text(ctx, rest[1]) if len(rest) > 2 else ""
        plain = self._plain
        ask = replace(
            plain, url=url, method="POST" if body else "GET", body=body.encode("utf-8", "surrogateescape"),
            headers=[*plain.headers, *header_pairs(lines)], most=self.query_maxdatasize,
        )  # fmt: skip
        code, answer = await self._ask(ctx, ask)
        text = "" if answer is None else answer.body.decode("utf-8", "surrogateescape")
        if not self.query_result:
            text = text.partition("\n")[0].rstrip("\r")
        self._result(rest[-1]).set(ctx, text)
        return code

    @function("http_connect", routes=ANY, arities=(3, 5))
    async def http_connect(self, ctx: Context, connection: str, path: str, *rest: Plain) -> int:
        """`(connection, path, result)`, or `(connection, path, content_type, body, result)` for a POST.

        The status is the return code, negative when there was no answer, also of the `failover`.
        """
        name: str | None = connection
        kind = self._text(ctx, rest[0]) if len(rest) > 1 else ""
        body = self._text(ctx, rest[1]).encode("utf-8", "surrogateescape") if len(rest) > 1 else b""
        code, answer, seen = COULD_NOT_CONNECT, None, set[str]()
        while name and name not in seen:
            seen.add(name)
            found = self.connections.get(name)
            if found is None:
                logger.error("http_connect: there is no connection %r", name)
                return -1
            url = f"{found.base.rstrip('/')}/{path.lstrip('/')}" if path else found.base
            extra = [("Content-Type", kind)] if kind else []
            ask = replace(found.ask, url=url, headers=[*found.ask.headers, *extra])
            if len(rest) > 1:
                ask = replace(ask, method="POST", body=body)
            code, answer = await self._ask(ctx, ask)
            name = found.failover if code < 0 or code >= 500 else None
        self._result(rest[-1]).set(
            ctx, "" if answer is None else answer.body.decode("utf-8", "surrogateescape")
        )
        return code

    @function("http_get_redirect", routes=ANY)
    def http_get_redirect(self, ctx: Context, connection: str, result: Variable) -> bool:
        """Put the URL that the last request of this message was redirected to into a variable."""
        location = ctx.scratch.get(REDIRECTED)
        if location is None:
            return False
        result.set(ctx, location)
        return True

    @pv("curlerror", kind=str, inner_required=True)
    def curlerror(self, ctx: Context, inner: str) -> Value:
        """Words for a return code: a status's phrase, or what went wrong for a negative one."""
        try:
            number = int(inner)
        except ValueError:
            return None
        if number >= 100:
            return (
                HTTPStatus(number).phrase if number in HTTPStatus._value2member_map_ else "HTTP result code"
            )
        return WORDS.get(abs(number), "Unknown error")

    @rpc("httpclient.listcon")
    def rpc_listcon(self) -> list[dict[str, Any]]:
        """The connections, without their passwords."""
        return [
            {
                "CONNECTION": each.name, "URL": each.base, "USERNAME": each.ask.username,
                "TIMEOUT": int(each.ask.seconds), "MAXDATASIZE": each.ask.most,
                "HTTP-REDIRECT": int(each.ask.redirect), "FAILOVER": each.failover,
            }
            for each in self.connections.values()
        ]  # fmt: skip


def _number(text: str) -> int:
    if not text.strip().isdigit():
        raise _bad(f"{text!r} is no number")
    return int(text)


def _bad(message: str, hint: str = "") -> ConfigError:
    return ConfigError(f"http_client: {message}", hint=hint, code="KT1201")
