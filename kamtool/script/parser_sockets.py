"""The addresses of a cfg: `listen` and `alias`, one or several behind each."""

from __future__ import annotations

from kamtool.script.nodes import Alias, Listen
from kamtool.script.parser_tokens import TokenParser
from kamtool.script.settings import NAMES
from kamtool.script.source import join
from kamtool.script.tokens import TOP_WORDS, T

PROTOCOLS = frozenset(["udp", "tcp", "tls", "sctp", "ws", "wss", "UDP", "TCP", "TLS", "SCTP", "WS", "WSS"])


class SocketParser(TokenParser):
    """Reads one line of addresses."""

    def listen(self) -> list[Listen]:
        word = self.next()
        self.expect("=", "after `listen`")
        result = [self._socket()]
        while self._continues():
            result.append(self._socket())
        if not result:
            raise self.fail("`listen` needs an address", word.span, "KT1124")
        return result

    def _continues(self) -> bool:
        """Whether one more address follows: a protocol, a host or an address, not the next item."""
        token = self.peek()
        if token.kind in (T.NUMBER, T.IPV6, T.HOSTPART, T.STRING):
            return True
        if token.text in ("[", "(") and token.kind is T.MARK:
            return True
        if token.kind is not T.WORD or token.text in TOP_WORDS or token.text in NAMES | {"listen", "alias"}:
            return False
        following = self.peek(1)
        if following.text == ":" or token.text in PROTOCOLS:
            return True
        return following.text != "=" and not (following.text == "." and self._is_custom())

    def _is_custom(self) -> bool:
        return self.peek(2).kind is T.WORD and self.peek(3).text == "="

    def _socket(self) -> Listen:
        first = self.peek().span
        protocol = self._protocol()
        hosts, port = self._hosts(), 0
        if self.accept(":"):
            port = self._port()
        advertised, advertised_port, name, virtual = "", 0, "", False
        if self.accept_word("advertise", "ADVERTISE"):
            advertised = self.host()
            if self.accept(":"):
                advertised_port = self._port()
        if self.accept_word("name", "NAME"):
            name = str(self.string("the socket's name").value)
        if self.accept_word("virtual", "VIRTUAL"):
            virtual = True
        span = join(first, self.last)
        return Listen(span, protocol, hosts, port, advertised, advertised_port, name, virtual)

    def _protocol(self) -> str:
        if self.peek().kind is T.WORD and self.peek().text in PROTOCOLS and self.peek(1).text == ":":
            word = self.next().text.lower()
            self.next()
            return word
        return ""

    def _hosts(self) -> tuple[str, ...]:
        if not self.accept("("):
            return (self.host(),)
        hosts = [self.host()]
        while self.accept(","):
            hosts.append(self.host())
        self.expect(")", "at the end of the addresses")
        return tuple(hosts)

    def _port(self) -> int:
        if self.accept("*"):
            return 0
        token = self.number("a port")
        if not 0 <= int(token.value) <= 65535:
            raise self.fail(f"{token.text} is no port", token.span, "KT1125")
        return int(token.value)

    def alias(self) -> list[Alias]:
        self.next()
        self.expect("=", "after `alias`")
        result = [self._one_alias()]
        while self._continues():
            result.append(self._one_alias())
        return result

    def _one_alias(self) -> Alias:
        first = self.peek().span
        protocol = self._protocol()
        host = self.host()
        port = self._port() if self.accept(":") else 0
        return Alias(join(first, self.last), protocol, host, port)
