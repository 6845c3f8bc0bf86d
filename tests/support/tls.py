"""Certificates of an authority of the tests' own, servers that use them, and a peer over TLS."""

import asyncio
import ssl

import pytest
import pytest_asyncio

from kamtool.sip.framing import Framer
from kamtool.sip.message import parse
from kamtool.tools.tls_authority import Authority
from tests.support.server import MODULES, Peer
from tests.support.until import SOON

BASE = "enable_tls=yes\n" + MODULES.removeprefix("#!KAMAILIO\n") + 'loadmodule "tls.so"\n'
SOCKETS = (("udp", "127.0.0.1"), ("tcp", "127.0.0.1"), ("tls", "127.0.0.1"))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """An authority; what it issues are P-256 keys, made in a millisecond."""
    return Authority.create(tmp_path_factory.mktemp("authority"), "tests")


def tls_cfg(folder, authority, issued, *, server="", client="verify_certificate = no", more=""):
    """Write a tls.cfg with one certificate; returns the path."""
    path = folder / "tls.cfg"
    path.write_text(
        f"[server:default]\ncertificate = {issued.certificate}\nprivate_key = {issued.key}\n"
        f"ca_list = {authority.certificate_file}\n{server}\n"
        f"[client:default]\nca_list = {authority.certificate_file}\n{client}\n{more}\n"
    )
    return path


@pytest.fixture
def issued(authority, request):
    """A server certificate for sip.example.com and 127.0.0.1."""
    return authority.issue(["sip.example.com", "127.0.0.1"], stem=f"s{abs(hash(request.node.nodeid))}")


@pytest_asyncio.fixture
async def tls_server(kamtool, tmp_path, authority, issued):
    """`await tls_server("request_route {…}", server="…", client="…")`: a server with a tls: socket."""

    async def start(cfg, *, modparams="", settings="", listens=SOCKETS, modules=BASE, **sections):
        path = tls_cfg(tmp_path, authority, issued, **sections)
        text = f'{settings}\n{modules}modparam("tls", "config", "{path}")\n{modparams}\n{cfg}'
        server = await kamtool(text, listens=listens)
        server.tls_cfg = path
        return server

    return start


class TlsPeer(Peer):
    """A TLS connection to the server, or a listener that the server connects to."""

    def __init__(self, host="127.0.0.1"):
        super().__init__(host, 0, "tls")
        self.tasks, self.writer, self.listener = [], None, None
        self.accepted = asyncio.Queue()
        self.closed = asyncio.Event()

    async def connect(self, port, context, name="sip.example.com"):
        reader, self.writer = await asyncio.open_connection(
            self.host, port, ssl=context, server_hostname=name, ssl_handshake_timeout=SOON
        )
        self.port = self.writer.get_extra_info("sockname")[1]
        self.tasks.append(asyncio.ensure_future(self._read(reader)))
        return self

    async def listen(self, context):
        async def serve(reader, writer):
            self.writer = writer
            self.accepted.put_nowait(writer.get_extra_info("ssl_object"))
            await self._read(reader)

        self.listener = await asyncio.start_server(serve, self.host, 0, ssl=context)
        self.port = self.listener.sockets[0].getsockname()[1]
        return self

    @property
    def secure(self):
        return self.writer.get_extra_info("ssl_object")

    async def _read(self, reader):
        framer = Framer()
        try:
            while data := await reader.read(65536):
                for event in framer.feed(data):
                    if isinstance(event, bytes):
                        self.inbox.put_nowait(parse(event))
        except (OSError, ssl.SSLError):
            pass
        self.closed.set()

    def send(self, text, port=0):
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def close(self):
        for task in self.tasks:
            task.cancel()
        if self.listener:
            self.listener.close()
        if self.writer:
            self.writer.close()


def client_context(authority, issued=None, **versions):
    """A context that trusts the authority, and shows a certificate when given one."""
    context = ssl.create_default_context(cafile=authority.certificate_file)
    for name, value in versions.items():
        setattr(context, name, value)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


@pytest_asyncio.fixture
async def tls_peer(authority):
    """`await tls_peer(port)` connects, `await tls_peer(server_context=…)` listens."""
    made = []

    async def make(port=0, *, context=None, server_context=None, name="sip.example.com"):
        peer = TlsPeer()
        made.append(peer)
        if server_context is not None:
            return await peer.listen(server_context)
        return await peer.connect(port, context or client_context(authority), name)

    yield make
    for peer in made:
        await peer.close()
