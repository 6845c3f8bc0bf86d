"""The phone's side of digest authentication, written from RFC 7616 and not with the code it tests."""

import hashlib
import re

ALGORITHMS = {
    "MD5": hashlib.md5, "SHA-256": hashlib.sha256,
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data),
}  # fmt: skip


def nonce_of(reply):
    return re.search(
        r'nonce="([^"]+)"', reply.header("WWW-Authenticate") or reply.header("Proxy-Authenticate")
    )[1]


def authorization(
    nonce, username="alice", password="secret", realm="kamtool", method="REGISTER", uri="sip:example.com",
    nc=1, qop="auth", algorithm="", body=b"", extra="",
):  # fmt: skip
    """The value of an Authorization header."""

    def h(text):
        return ALGORITHMS[algorithm.removesuffix("-sess") or "MD5"](text.encode()).hexdigest()

    ha1, ha2 = h(f"{username}:{realm}:{password}"), f"{method}:{uri}"
    if algorithm.endswith("-sess"):
        ha1 = h(f"{ha1}:{nonce}:cn")
    if qop == "auth-int":
        ha2 += ":" + h(body.decode())
    middle = f"{nc:08x}:cn:{qop}:" if qop else ""
    proof = h(f"{ha1}:{nonce}:{middle}{h(ha2)}")
    value = f'Digest username="{username}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{proof}"'
    if qop:
        value += f', qop={qop}, nc={nc:08x}, cnonce="cn"'
    return value + (f", algorithm={algorithm}" if algorithm else "") + extra
