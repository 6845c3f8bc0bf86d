"""What is STUN gets an answer that is STUN, or none."""

from kamtool.modules import stun
from kamtool.sip.flow import Address


def seeds():
    head = b"\0\1\0\0\x21\x12\xa4\x42" + b"t" * 12
    return [
        head, b"\0\1\0\0" + b"t" * 16, head[:2] + b"\0\x08" + head[4:] + b"\x80\x22\0\4abcd",
        head[:2] + b"\0\x08" + head[4:] + b"\0\x24\0\1a\0\0\0", b"\0\x11" + head[2:], b"\x01\x01" + head[2:],
    ]  # fmt: skip


def run(data):
    if not stun.is_stun(data):
        return
    for host in ("192.0.2.1", "2001:db8::1"):
        answer = stun.respond(data, Address(host, 5060))
        assert answer == b"" or stun.is_stun(answer)
        # No amplifier: an answer never asks for an answer, and grows by little.
        assert len(answer) <= len(data) + 64
        assert not answer or stun.respond(answer, Address(host, 5060)) == b""
