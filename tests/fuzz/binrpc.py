"""A binrpc packet is read or refused with RpcError."""

from kamtool.errors import RpcError
from kamtool.modules.ctl import binrpc


def seeds():
    return [
        binrpc.reply(b"\1\2\3\4", value) for value in ("core.ps", [1, -2, 1.5, "x"], {"a": [1, {"b": "c"}]})
    ] + [b"\xa1\x03\x0b\1\2\3\4\x91\x08core.ps\0", b"\xa1\x03\x0d\1\2\3\4\x91\x08core.ps\0\x10\x05"]


def run(data):
    try:
        size = binrpc.packet_size(data)
        if not size or size > len(data):
            return
        binrpc.cookie_of(data[:size])
        request = binrpc.decode(data[:size])
    except RpcError:
        return
    binrpc.packet_size(binrpc.reply(request.cookie, [request.method, *request.params]))
