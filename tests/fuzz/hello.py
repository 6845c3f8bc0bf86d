"""The name that a ClientHello asks for is the one that OpenSSL reads out of it."""

import ssl
from contextlib import suppress

from kamtool.transport.hello import Hello, NotTls, read_hello


def seeds():
    return [client_hello(name) for name in ("", "sip.example.com", "a." * 60 + "example")]


def client_hello(name, more=0):
    """What a client says first, `more` octets longer than it would be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if more:
        context.set_alpn_protocols([f"{number:0200}" for number in range(more // 200)])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    wrapped = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name or None)
    try:
        wrapped.do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake without a server")


def run(data):
    try:
        found = read_hello(data)
    except NotTls:
        return
    if isinstance(found, int):
        assert found > len(data)
        for end in range(0, len(data), 97):
            read_hello(data[:end])  # what may become a hello was never refused before
        return
    assert isinstance(found, Hello)
    names = openssl_names(data)
    assert not names or names == [found.server_name], (names, found)


def openssl_names(data):
    """What OpenSSL calls our SNI callback with; nothing when it refuses the hello before."""
    seen = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _, name, __: seen.append((name or "").rstrip(".").lower())
    incoming = ssl.MemoryBIO()
    incoming.write(data)
    wrapped = context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
    with suppress(ssl.SSLError, UnicodeError):
        wrapped.do_handshake()
    return seen[:1]
