"""A small authoritative name server on loopback that can also be slow, silent, lame or short."""

import asyncio
import socket

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from kamtool.sip.flow import Address
from kamtool.transport.dns_ask import NameServers
from kamtool.transport.dns_options import DnsOptions
from kamtool.transport.resolver import Resolver


class NameServer(asyncio.DatagramProtocol):
    """Answers from `zone`: lines as in a zone file, `name ttl type data`.

    `delays` (seconds by name), `silent`, `lame` (refused), `broken` (server failure) and `truncated` (over
    UDP) hold the names that are treated so. `asked` is what was asked for, as `name/TYPE/udp`.
    """

    def __init__(self, zone=""):
        self.records, self.asked, self.delays = {}, [], {}
        self.silent, self.lame, self.broken, self.truncated = set(), set(), set(), set()
        self.soa_ttl = None
        self.tasks = set()
        self.add(zone)

    def add(self, zone):
        for line in filter(None, map(str.strip, zone.splitlines())):
            name, ttl, kind, data = line.split(None, 3)
            self.records.setdefault((name.lower(), kind), []).append((int(ttl), data))
        return self

    async def start(self):
        loop = asyncio.get_running_loop()
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", self.port))
        self.wire, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        return self

    async def stop(self):
        self.wire.close()
        self.listener.close()
        for task in self.tasks:
            task.cancel()

    def resolver(self, tmp_path, **options):
        """A resolver that asks this server; the hosts file is empty."""
        made = DnsOptions(**{"search": False, "ipv6": False, **options})
        query = NameServers(made, [Address("127.0.0.1", self.port)])
        return Resolver(made, query=query, hosts=tmp_path / "no-hosts")

    def count(self, name, kind="A"):
        return sum(asked.startswith(f"{name}/{kind}/") for asked in self.asked)

    def datagram_received(self, data, source):
        task = asyncio.ensure_future(self._udp(data, source))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _udp(self, data, source):
        answer = await self._answer(data, "udp")
        if answer is not None:
            self.wire.sendto(answer, source)

    async def _serve(self, reader, writer):
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            answer = await self._answer(await reader.readexactly(size), "tcp")
            if answer is not None:
                writer.write(len(answer).to_bytes(2, "big") + answer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def _answer(self, data, wire):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{name}/{kind}/{wire}")
        if name in self.delays:
            await asyncio.sleep(self.delays[name])
        if name in self.silent:
            return None
        response = dns.message.make_response(query)
        if name in self.lame:
            response.set_rcode(dns.rcode.REFUSED)
        elif name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
        elif name in self.truncated and wire == "udp":
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, kind)
        return response.to_wire()

    def _fill(self, response, name, kind):
        response.flags |= dns.flags.AA
        seen = set()
        while name not in seen:  # a loop of aliases is given once around
            seen.add(name)
            found = self.records.get((name, kind))
            alias = self.records.get((name, "CNAME"))
            for wanted, rows in ((kind, found), ("CNAME", None if found else alias)):
                if rows:
                    texts = [data for _, data in rows]
                    response.answer.append(dns.rrset.from_text(name + ".", rows[0][0], "IN", wanted, *texts))
            if found or not alias:
                break
            name = alias[0][1].rstrip(".").lower()
        if not response.answer and not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if not response.answer and self.soa_ttl is not None:
            soa = f"ns. admin. 1 2 3 4 {self.soa_ttl}"
            response.authority.append(dns.rrset.from_text("example.", 3600, "IN", "SOA", soa))


@pytest.fixture
async def nameserver():
    """Makes name servers: `await nameserver("sip.example 60 A 127.0.0.2")`."""
    made = []

    async def make(zone=""):
        made.append(await NameServer(zone).start())
        return made[-1]

    yield make
    for one in made:
        await one.stop()
