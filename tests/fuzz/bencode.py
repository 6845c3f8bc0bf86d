"""Bencoding is read or refused with BencodeError; what is read can be written and read again."""

from kamtool.modules.rtpengine.bencode import BencodeError, decode, encode


def seeds():
    return [
        encode({"result": "ok", "sdp": "v=0\r\n", "tags": {"a": {"created": 5, "medias": [{"index": 1}]}}}),
        b"i-5e", b"le", b"d1:ai0ee", b"4:\xff\xfe\x00a", b"l" * 40, b"i00012e", b"0:",
    ]  # fmt: skip


def run(data):
    try:
        value = decode(data)
    except BencodeError:
        return
    assert decode(encode(value)) == value
