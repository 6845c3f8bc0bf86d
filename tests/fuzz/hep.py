"""HEP is read or refused with ParseError; what is read can be written and read again."""

from dataclasses import replace

from kamtool.errors import ParseError
from kamtool.sip import hep
from kamtool.sip.flow import Address

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\n\r\n"


def seeds():
    four, six = (
        (Address("192.0.2.1", 5060), Address("192.0.2.2", 5062)),
        (Address("::1", 1), Address("::2", 2)),
    )
    return [
        hep.encode(hep.Hep(*ends, MESSAGE, at=5.5, node=7, key="k", correlation="c", version=version))
        for ends in (four, six) for version in (1, 2, 3)
    ]  # fmt: skip


def run(data):
    hep.is_hep(data)
    try:
        packets, rest = hep.split_stream(data)
        assert b"".join(packets) + rest == data
    except ParseError:
        pass
    try:
        found = hep.decode(data)
    except ParseError:
        return
    _ = found.transport
    plain = replace(found, version=3, protocol=17, kind=hep.SIP, at=0.0, chunks={}, key="", correlation="")
    if len(plain.payload) < 60_000 and ":" in plain.source.host and ":" in plain.target.host:
        again = hep.decode(hep.encode(plain))
        assert (again.source, again.target, again.payload) == (plain.source, plain.target, plain.payload)
