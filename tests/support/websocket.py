"""A browser's side of a WebSocket, and JavaScript's own clients where npm has brought them."""

import asyncio
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from kamtool.sip.message import parse
from tests.support.server import SOON, Peer

HOST = "b7x2.invalid"


class WebSocketPeer(Peer):
    """A WebSocket to the server. Its Contact has a host that no DNS knows, as RFC 7118 §5 wants."""

    def __init__(self, host="127.0.0.1", name=HOST):
        super().__init__(host, 0, "ws")
        self.name, self.events = name, asyncio.Queue()
        self.closed, self.close_code, self.status = asyncio.Event(), None, 0

    @property
    def uri(self):
        return f"sip:peer@{self.name};transport=ws"

    async def connect(self, port, *, context=None, sub_protocols=("sip",), server_name=None):
        self.reader, self.writer = await asyncio.open_connection(
            self.host, port, ssl=context, server_hostname=server_name if context else None
        )
        self.port = self.writer.get_extra_info("sockname")[1]
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.put(Request(host=f"{self.host}:{port}", target="/", subprotocols=list(sub_protocols)))
        self.task = asyncio.ensure_future(self._read())
        self.answer_to_handshake = await asyncio.wait_for(self.events.get(), SOON)
        return self

    def put(self, event):
        self.writer.write(self.ws.send(event))

    def send(self, text, port=0):
        self.put(TextMessage(data=text) if isinstance(text, str) else BytesMessage(data=text))

    async def _read(self):
        with suppress(OSError):
            while data := await self.reader.read(65536):
                self.ws.receive_data(data)
                for event in self.ws.events():
                    self._take(event)
        self.closed.set()

    def _take(self, event):
        if isinstance(event, AcceptConnection | RejectConnection):
            self.events.put_nowait(event)
        elif isinstance(event, TextMessage | BytesMessage):
            data = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
            if data.strip():
                self.inbox.put_nowait(parse(data))
            else:
                self.raw.put_nowait(data)
        elif isinstance(event, Ping):
            self.raw.put_nowait(event)
            self.put(event.response())
        elif isinstance(event, Pong):
            self.raw.put_nowait(event)
        elif isinstance(event, CloseConnection):
            self.close_code = event.code

    def register(self, user="bob", branch="reg", expires=600, domain="127.0.0.1"):
        return (
            f"REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/WS {self.name};branch=z9hG4bK{branch}\r\n"
            f"From: <sip:{user}@{domain}>;tag=w\r\nTo: <sip:{user}@{domain}>\r\nCall-ID: {branch}\r\n"
            f"CSeq: 1 REGISTER\r\nContact: <{self.uri}>;expires={expires}\r\nMax-Forwards: 70\r\n\r\n"
        )

    async def close(self):
        self.writer.close()
        self.task.cancel()


@pytest_asyncio.fixture
async def ws_peer():
    """`await ws_peer(port)`, over TLS with `context=`."""
    made = []

    async def make(port, name=HOST, **options):
        peer = WebSocketPeer(name=name)
        made.append(peer)
        return await peer.connect(port, **options)

    yield make
    for peer in made:
        await peer.close()


NODE_FOLDER = Path(__file__).parents[1] / "interop" / "node"


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory):
    """A folder with sip.js, jssip and ws, as npm installs them; skips where it cannot."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("Node is not installed (Debian: nodejs npm)")
    folder = tmp_path_factory.mktemp("node")
    for file in NODE_FOLDER.iterdir():
        shutil.copy(file, folder)
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline"], cwd=folder, capture_output=True,
        text=True, check=False, timeout=180,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"npm cannot install sip.js and jssip here: {done.stderr[-300:]}")
    return folder
