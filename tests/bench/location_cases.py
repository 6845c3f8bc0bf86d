"""The operations of the location table at scale: refreshes, several contacts of a user, lookups."""

from tests.bench.cases import DOMAIN, Asked, Register, nonce_of


class Refresh(Register):
    """A registered phone comes again with the nonce it has: one REGISTER, one 200.

    The first of them `is_first`: it registers, and keeps the nonces for those `after` it.
    """

    name = "refresh"
    complete = 2
    is_first = False

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.nonces: list[bytes] = [b""] * self.total
        self.cseq = 2

    def after(self, first: "Refresh", times: int) -> "Refresh":
        """The same phones once more: the same Call-IDs, the next CSeq."""
        self.nonces, self.run, self.template = first.nonces, first.run, first.template
        self.cseq = 2 + times
        return self

    def begin(self, i: int) -> bytes:
        return super().begin(i) if self.is_first else self.authorized(i, self.nonces[i], self.cseq)

    def client(self, data: bytes) -> None:
        if self.is_first and data.startswith(b"SIP/2.0 401 "):
            i = self.number(data)
            self.nonces[i] = nonce_of(data)
            self.to_client.append(self.authorized(i, self.nonces[i], 2))
        else:
            super().client(data)


class Bindings(Asked):
    """A REGISTER without digest for each of a user's `each` contacts."""

    name = "bindings"

    def __init__(self, *args, each: int) -> None:
        super().__init__(*args)
        self.each = each

    def begin(self, i: int) -> bytes:
        user, number = divmod(i, self.each)
        return (
            b"REGISTER sip:" + DOMAIN + b" SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:" + self.client_port
            + b";branch=z9hG4bK-%08d-" % i + self.run + b";rport\r\n"
            b"From: <sip:u%07d@bench.test>;tag=1\r\nTo: <sip:u%07d@bench.test>\r\n" % (user, user)
            + b"Call-ID: %08d-" % i + self.run + b"\r\nCSeq: 1 REGISTER\r\n"
            b"Contact: <sip:u%07d@10.0.0.%d:5060>;q=0.%d\r\n" % (user, number + 1, number % 10)
            + b"Max-Forwards: 70\r\nUser-Agent: bench\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
        )  # fmt: skip


class Lookup(Asked):
    """A MESSAGE to a registered user, answered by the script once lookup() has found the contacts."""

    name = "lookup"
    users = 1000
    window = 48

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.template = (
            b"MESSAGE sip:u%(user)07d@bench.test SIP/2.0\r\n"
            b"Via: SIP/2.0/UDP 127.0.0.1:" + self.client_port + b";branch=z9hG4bK-%(i)08d-" + self.run
            + b";rport\r\nFrom: <sip:probe@bench.test>;tag=%(i)08d\r\nTo: <sip:u%(user)07d@bench.test>\r\n"
            b"Call-ID: %(i)08d-" + self.run + b"\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n"
            b"User-Agent: bench\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        )  # fmt: skip

    def begin(self, i: int) -> bytes:
        return self.template % {b"i": i, b"user": i % self.users}
