"""What digest authentication costs on every REGISTER: credentials, MD5, nonces. The pure twin."""

from __future__ import annotations

import hashlib
import struct
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from hmac import compare_digest

from kamtool.speed.index import Index
from kamtool.speed.octets import encode
from kamtool.speed.scanners import split_credentials

NAMES = (
    "username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc",
)  # fmt: skip
REQUIRED = frozenset(NAMES[:5])
MASK = 0xFFFFFFFFFFFFFFFF


def md5_of(*parts: str) -> str:
    """The MD5 of the parts with colons between them: 32 hexadecimal digits."""
    return hashlib.md5(b":".join(map(encode, parts)), usedforsecurity=False).hexdigest()


class Proof:
    """Digest credentials as phones write them, without quotes; what is absent is "".

    `is_md5` says that `proves` can judge them: MD5 without `-sess`, no qop or `auth`.
    """

    __slots__ = (*NAMES, "is_md5")

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    cnonce: str
    opaque: str
    qop: str
    nc: str
    is_md5: bool

    def __init__(self, params: dict[str, str]) -> None:
        for name in NAMES:
            setattr(self, name, params.get(name, ""))
        self.is_md5 = self.algorithm.lower() in ("", "md5") and self.qop.lower() in ("", "auth")

    @property
    def user(self) -> str:
        """The user name without `@domain` behind it."""
        return self.username.partition("@")[0]

    @property
    def domain(self) -> str:
        """The domain in the user name, else the realm."""
        return self.username.partition("@")[2] or self.realm

    def ha1(self, password: str) -> str:
        """The HA1 of the user these credentials name, by MD5."""
        return md5_of(self.username, self.realm, password)

    def proves(self, ha1: str, method: str) -> bool:
        """Whether this HA1 made the response (RFC 7616 §3.4.1), for `is_md5`; compared in constant time."""
        middle = (self.nc, self.cnonce, self.qop) if self.qop else ()
        expected = md5_of(ha1, self.nonce, *middle, md5_of(method, self.uri))
        return compare_digest(expected, self.response.lower())


def read_proof(index: Index, header: str, realm: str) -> Proof | None:
    """The credentials for `realm` in the only header of this name.

    None when it is anything but the one ordinary line of a phone: then it takes a closer look.
    """
    places = index.find(header)
    if len(places) != 1:
        return None
    row = index.row(places[0])
    value = index.data[row.value_start : row.value_end]
    if value[:7].lower() != b"digest " or b"\n" in value:
        return None
    params = split_credentials(value[7:].decode("utf-8", "surrogateescape"))
    if params is None or not params.keys() >= REQUIRED or not params.keys() <= set(NAMES):
        return None
    proof = Proof(params)
    if proof.realm != realm or (proof.qop and not (proof.nc and proof.cnonce)):
        return None
    return proof


HEAD = struct.Struct(">IIB")
HASH_SIZE = 12
LENGTH = 28


def make_nonce(key: bytes, created: int, number: int, checks: int, binding: bytes = b"") -> str:
    """28 characters of base64: created (4 octets) | number (4) | checks (1) | keyed hash (12).

    The hash is SipHash-2-4 over what stands before it and `binding`.
    """
    head = HEAD.pack(created, number, checks)
    return b2a_base64(head + siphash(key, head + binding)[:HASH_SIZE], newline=False).decode()


def read_nonce(key: bytes, nonce: str, binding: bytes = b"") -> tuple[int, int] | None:
    """When a nonce was created and its number; None when it was not made with this key and binding."""
    if len(nonce) != LENGTH:
        return None
    try:
        raw = a2b_base64(nonce, strict_mode=True)
    except (Base64Error, ValueError):
        return None
    if len(raw) != HEAD.size + HASH_SIZE:
        return None
    head = raw[: HEAD.size]
    if not compare_digest(raw[HEAD.size :], siphash(key, head + binding)[:HASH_SIZE]):
        return None
    created, number, _ = HEAD.unpack(head)
    return created, number


def siphash(key: bytes, text: bytes) -> bytes:
    """SipHash-2-4 with a result of 16 octets: a keyed hash made for texts as short as these."""
    if len(key) != 16:
        raise ValueError("a key of nonces has 16 octets")
    k0, k1 = struct.unpack("<QQ", key)
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D ^ 0xEE
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def turn(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
        v0 = (v0 + v1) & MASK
        v2 = (v2 + v3) & MASK
        v1 = ((v1 << 13 | v1 >> 51) & MASK) ^ v0
        v3 = ((v3 << 16 | v3 >> 48) & MASK) ^ v2
        v0 = (v0 << 32 | v0 >> 32) & MASK
        v2 = (v2 + v1) & MASK
        v0 = (v0 + v3) & MASK
        v1 = ((v1 << 17 | v1 >> 47) & MASK) ^ v2
        v3 = ((v3 << 21 | v3 >> 43) & MASK) ^ v0
        return v0, v1, (v2 << 32 | v2 >> 32) & MASK, v3

    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v0, v1, v2, v3 = turn(*turn(v0, v1, v2, v3 ^ word))
        v0 ^= word
    v2 ^= 0xEE
    for _ in range(4):
        v0, v1, v2, v3 = turn(v0, v1, v2, v3)
    first = v0 ^ v1 ^ v2 ^ v3
    v1 ^= 0xDD
    for _ in range(4):
        v0, v1, v2, v3 = turn(v0, v1, v2, v3)
    return struct.pack("<QQ", first, v0 ^ v1 ^ v2 ^ v3)
