"""Any file is read as a capture, or refused with ParseError; what is no packet is counted."""

import io

from kamtool.errors import ParseError
from kamtool.sip.flow import Address
from kamtool.sip.hep import Hep, encode
from kamtool.tools.captured import Captured
from kamtool.tools.pcap.reader import Reader
from kamtool.tools.pcap.writer import Writer
from tests.fuzz.messages import MINIMAL, RESPONSE

ENDS = Address("192.0.2.1", 5060), Address("192.0.2.2", 5062)
SIX = Address("2001:db8::1", 5060), Address("2001:db8::2", 5062)
MOST = 1000


def seeds():
    found = []
    for form, encap in (("pcap", "raw"), ("pcapng", "raw"), ("pcapng", "pdu"), ("pcap", "pdu")):
        file = io.BytesIO()
        writer = Writer(file, form, encap)
        for ends, data in ((ENDS, MINIMAL), (SIX, RESPONSE), (ENDS, encode(Hep(*ENDS, MINIMAL)))):
            writer.write(Captured(1.5, "udp", *ends, data, True))
        found.append(file.getvalue())
    return [*found, b"", b"\n\r\r\n"]


def run(data):
    reader = Reader(io.BytesIO(data))
    count = 0
    try:
        for seen in reader:
            count += 1
            assert seen.data is not None
            assert count < MOST + len(data)
    except ParseError:
        pass
