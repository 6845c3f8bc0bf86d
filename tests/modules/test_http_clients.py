"""http_client and http_async_client, against a web server of the test's own."""

import asyncio
import base64
from types import SimpleNamespace

import h11
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from kamtool.errors import ConfigError, TransportError
from kamtool.modules.http_client import HttpClient
from kamtool.modules.http_client.wire import Ask, TimedOut, fetch, header_pairs
from tests.support.server import MODULES, port_of

LOAD = MODULES + 'loadmodule "http_client.so"\nloadmodule "http_async_client.so"\n'


class Web:
    """A web server: what it was asked, and what it answers by path."""

    def __init__(self):
        self.asked, self.gate = [], asyncio.Event()

    async def serve(self, reader, writer):
        machine, body, request = h11.Connection(h11.SERVER), b"", None
        while not isinstance(event := machine.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                machine.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.ConnectionClosed):
                return
        headers = {name.decode(): value.decode() for name, value in request.headers}
        path = request.target.decode()
        self.asked.append(
            SimpleNamespace(method=request.method.decode(), path=path, headers=headers, body=bytes(body))
        )
        if path == "/slow":
            await self.gate.wait()
        if path == "/rude":
            writer.write(b"gibberish\r\n\r\n")
        else:
            text = b"x" * 5000 if path == "/long" else b"hello\nyou"
            status = b"302 Elsewhere\r\nLocation: /there" if path == "/moved" else b"200 Fine"
            if path == "/bad":
                status = b"503 Busy"
            writer.write(
                b"HTTP/1.1 %b\r\nX-Mine: 1\r\nContent-Length: %d\r\n\r\n%b" % (status, len(text), text)
            )
        await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def web():
    one = Web()
    listener = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.port = listener.sockets[0].getsockname()[1]
    one.url = f"http://127.0.0.1:{one.port}"
    yield one
    one.gate.set()
    listener.close()


@pytest.fixture
def ask(kamtool, peer, web):
    async def run(statements, params="", routes=""):
        cfg = f"request_route {{ {statements} }}\n{routes}".replace("WEB", web.url)
        server = await kamtool(LOAD + params.replace("WEB", web.url.removeprefix("http://")) + cfg)
        caller = await peer()
        caller.send(caller.request("INVITE", "sip:bob@b.com"), port_of(server))
        while (reply := await caller.expect()).status < 200:
            pass
        return reply

    return run


SAY = ' sl_send_reply("200", "$var(c) $(var(r){s.substr,0,9})");'


async def test_a_query_gives_status_and_body(ask, web):
    reply = await ask('$var(c) = http_client_query("WEB/a?b=c", "$var(r)");' + SAY)
    assert reply.reason.split() == ["200", "hello", "you"] or reply.reason.startswith("200 hello")
    (asked,) = web.asked
    assert (asked.method, asked.path, asked.headers["user-agent"]) == ("GET", "/a?b=c", "kamtool")


async def test_a_query_with_a_body_is_a_post(ask, web):
    await ask('http_client_query("WEB/", "from $fU", "X-A: 1\\r\\nContent-Type: text/x", "$var(r)");' + SAY)
    (asked,) = web.asked
    assert (asked.method, asked.body) == ("POST", b"from peer")
    assert (asked.headers["x-a"], asked.headers["content-type"]) == ("1", "text/x")


@pytest.mark.parametrize(
    ("path", "params", "answer"),
    [("/moved", "", "200"), ("/bad", "", "503"),
     ("/moved", 'modparam("http_client", "httpredirect", 0)\n', "302"),
     ("/rude", "", "-7"), ("/long", 'modparam("http_client", "query_maxdatasize", 100)\n', "-7"),
     ("/slow", 'modparam("http_client", "connection_timeout", 1)\n', "-28")],
)  # fmt: skip
async def test_what_a_query_returns(ask, path, params, answer):
    statement = f'$var(c) = http_client_query("WEB{path}", "$var(r)"); sl_send_reply("200", "$var(c)");'
    assert (await ask(statement, params)).reason == answer


async def test_nobody_there_is_an_error_with_words(ask):
    statement = '$var(c) = http_client_query("http://127.0.0.1:1/", "$var(r)");'
    reply = await ask(statement + ' sl_send_reply("200", "$var(c) $curlerror($var(c))");')
    assert reply.reason == "-7 Couldn't connect to server"


async def test_a_connection_has_a_name_a_password_and_a_failover(ask, web):
    params = (
        'modparam("http_client", "httpcon", "one=>http://127.0.0.1:1/x;failover=two")\n'
        'modparam("http_client", "httpcon", "two=>http://me:secret@WEB/base;timeout=3")\n'
    )
    statement = '$var(c) = http_connect("one", "path", "text/plain", "data", "$var(r)");' + SAY
    assert (await ask(statement, params)).reason.startswith("200")
    (asked,) = web.asked
    assert (asked.method, asked.path, asked.body) == ("POST", "/base/path", b"data")
    assert asked.headers["authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()


ASYNC = """
route[BACK] {
  append_to_reply("X-Seen: $http_rs $http_rr $http_bs $http_hdr(X-Mine) $avp(kept)\\r\\n");
  append_to_reply("X-Error: $http_err\\r\\n");
  if ($http_ok) { t_reply("200", "OK"); } else { t_reply("500", "No"); }
}
"""


async def test_a_suspended_call_goes_on_with_the_answer(ask, web):
    statements = """$avp(kept) = "k"; $http_req(method) = "PUT"; $http_req(body) = "b";
      $http_req(hdr) = "X-A: 1"; $http_req(hdr) = "X-B: 2"; $http_req(timeout) = 5000;
      http_async_query("WEB/q", "BACK"); exit;"""
    assert (await ask(statements, routes=ASYNC)).header("X-Seen") == "200 Fine 9 1 k"
    (asked,) = web.asked
    assert (asked.method, asked.body) == ("PUT", b"b")
    assert (asked.headers["x-a"], asked.headers["x-b"]) == ("1", "2")


async def test_a_query_without_an_answer_runs_the_route_too(ask):
    reply = await ask('$http_req(timeout) = 100; http_async_query("WEB/slow", "BACK"); exit;', routes=ASYNC)
    assert reply.status == 500
    assert reply.header("X-Error").endswith("nothing within 0.1 s")


async def test_a_query_that_need_not_be_waited_for(ask, web):
    statements = """$http_req(suspend) = 0; $var(c) = http_async_query("WEB/slow", "BACK");
      sl_send_reply("202", "$var(c) $http_req_id");"""
    assert (await ask(statements, routes=ASYNC)).reason == "1 1"


async def test_a_way_to_log_in_that_is_not_there_is_an_error(ask, caplog):
    statements = """$http_req(authmethod) = 2;
      if (!http_async_query("WEB/q", "BACK")) sl_send_reply("404", "No");"""
    assert (await ask(statements, routes=ASYNC)).status == 404
    assert "only 1, basic, is known" in caplog.text


async def test_a_route_that_is_not_there_is_an_error(ask):
    statements = 'if (!http_async_query("WEB/q", "NOWHERE")) sl_send_reply("404", "No");'
    assert (await ask(statements)).status == 404


async def test_a_password_stays_with_its_server(web):
    other = Web()
    listener = await asyncio.start_server(other.serve, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]

    async def redirecting(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        writer.close()

    first = await asyncio.start_server(redirecting, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{first.sockets[0].getsockname()[1]}/"
    answer = await fetch(Ask(url, username="me", password="secret"))
    assert (answer.status, answer.location) == (200, f"http://127.0.0.1:{port}/")
    assert "authorization" not in other.asked[0].headers
    first.close()
    listener.close()


async def test_what_is_no_web_address_is_refused(web):
    for url in ("ftp://x/", "http:///", "http://127.0.0.1:99999/", ""):
        with pytest.raises(TransportError):
            await fetch(Ask(url))
    with pytest.raises(TransportError):
        await fetch(Ask(web.url, headers=[("X", "a\r\nY: b")]))
    with pytest.raises(TimedOut):
        await fetch(Ask(web.url + "/slow", seconds=0.05))


@given(st.text(max_size=200))
def test_any_text_is_read_as_header_lines(text):
    assert all(name.strip() for name, _ in header_pairs(text))


@pytest.mark.parametrize(
    ("name", "value"),
    [("httpcon", "x"), ("httpcon", "x=>ftp://y"), ("config_file", "f"), ("netinterface", "eth0"),
     ("authmethod", "ntlm"), ("httpcon", "a=>http://b;colour=red"), ("httpcon", "a=>http://b;timeout=x")],
)  # fmt: skip
async def test_what_cannot_work_is_refused(name, value):
    module = HttpClient(SimpleNamespace(modules={}, stats={}))
    module.set_param(name, value)
    with pytest.raises(ConfigError):
        await module.start()
