"""HTTP on a SIP port: curl and raw sockets ask, the script answers."""

import asyncio
import json
import shutil
import socket
import urllib.request

import pytest

from tests.support.server import MODULES, SOON, port_of
from tests.support.tls import client_context

pytestmark = pytest.mark.live

HTTP = MODULES + 'loadmodule "xhttp.so"\n'
ECHO = """
request_route { sl_send_reply("200", "SIP"); }
event_route[xhttp:request] {
    if ($hu == "/silent") exit;
    if ($hu == "/sip") { sl_send_reply("403", "Not You"); exit; }
    if ($hu == "/close") set_reply_close();
    append_to_reply("X-Host: $hdr(Host)\\r\\n");
    xhttp_reply("200", "Fine", "text/plain", "$rm $hu $rb $pr");
}
"""


async def fetch(url, data=None, method=None, context=None, headers=()):
    """Status, headers and body of an HTTP request, without following anything."""

    def ask():
        request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=SOON, context=context) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    return await asyncio.to_thread(ask)


async def test_a_request_is_answered_by_the_script(kamtool):
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    status, headers, body = await fetch(f"http://127.0.0.1:{port}/a?b=c")
    assert (status, headers["X-Host"], headers["Content-Type"]) == (200, f"127.0.0.1:{port}", "text/plain")
    assert body == b"GET /a?b=c  tcp"
    status, _, body = await fetch(f"http://127.0.0.1:{port}/post", data=b"the body")
    assert body == b"POST /post the body tcp"


async def test_sip_is_spoken_on_the_same_port(kamtool, peer):
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    one = await peer(tcp=port)
    text = one.request("OPTIONS", f"sip:127.0.0.1:{port};transport=tcp")
    one.send(text[:5])
    await asyncio.sleep(0)
    one.send(text[5:])
    await one.expect("200")
    one.send("\r\n\r\n")
    await asyncio.wait_for(one.raw.get(), SOON)


async def test_what_answers_sip_answers_http(kamtool):
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    status, headers, _ = await fetch(f"http://127.0.0.1:{port}/sip")
    assert status == 403
    assert "Via" not in headers
    assert headers["Server"].startswith("kamtool")


async def test_a_request_without_an_answer_gets_404(kamtool):
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    assert (await fetch(f"http://127.0.0.1:{port}/silent"))[0] == 404


async def talk(port, data, count):
    """Send, and read until so many answers have come or the other side has closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    got = b""
    while got.count(b"HTTP/1.1 ") < count or not got.endswith(b"tcp"):
        piece = await asyncio.wait_for(reader.read(65536), SOON)
        if not piece:
            break
        got += piece
    return got, reader, writer


async def test_requests_in_a_row_are_answered_in_order_on_one_connection(kamtool):
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    data = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(5))
    got, _, writer = await talk(port, data, 5)
    assert [got.find(b"GET /%d " % number) > 0 for number in range(5)] == [True] * 5
    writer.close()


async def test_set_reply_close_closes_behind_the_answer(kamtool):
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    got, reader, writer = await talk(port, b"GET /close HTTP/1.1\r\nHost: x\r\n\r\n", 1)
    assert b"200 Fine" in got
    assert await asyncio.wait_for(reader.read(), SOON) == b""
    writer.close()


async def test_a_client_that_asks_may_send_its_body(kamtool):
    """RFC 9110 10.1.1."""
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert b"100 Continue" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), SOON)
    writer.write(b"hi")
    assert b"200 Fine" in await asyncio.wait_for(reader.readuntil(b"hi tcp"), SOON)
    writer.close()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * 40_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 400_000, b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
    ],
    ids=["no host", "long line", "long head", "long body", "two lengths"],
)
async def test_a_bad_request_is_refused_and_the_connection_closed(kamtool, data, status):
    port = port_of(await kamtool(HTTP + ECHO), "tcp")
    with socket.create_connection(("127.0.0.1", port)) as sock:
        loop = asyncio.get_running_loop()
        sock.setblocking(False)
        got = b""
        try:
            await loop.sock_sendall(sock, data)
            while piece := await asyncio.wait_for(loop.sock_recv(sock, 65536), SOON):
                got += piece
        except ConnectionError:
            pass
    assert not status or not got or got.split()[1] == status


async def test_url_skip_and_url_match(kamtool):
    params = 'modparam("xhttp", "url_skip", "^/skip")\nmodparam("xhttp", "url_match", "^/(skip|ok)")\n'
    port = port_of(await kamtool(HTTP + params + ECHO), "tcp")
    found = [(await fetch(f"http://127.0.0.1:{port}{path}"))[0] for path in ("/ok", "/skip", "/other")]
    assert found == [200, 404, 404]


async def test_digest_authentication_works_on_http(kamtool):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    cfg = """
loadmodule "auth.so"
request_route { exit; }
event_route[xhttp:request] {
    if (!pv_www_authenticate("web", "secret", "0")) { www_challenge("web", "1"); exit; }
    xhttp_reply("200", "OK", "text/plain", "hello $au");
}
"""
    port = port_of(await kamtool(HTTP + cfg), "tcp")

    async def curl(password):
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", "--digest", "-u", f"alice:{password}", "-w", " %{http_code}",
            f"http://127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return (await process.communicate())[0].decode()

    assert await curl("secret") == "hello alice 200"
    assert (await curl("wrong")).endswith("401")


RPC = (
    HTTP
    + """
loadmodule "jsonrpcs.so"
modparam("jsonrpcs", "transport", 1)
request_route { exit; }
event_route[xhttp:request] {
    if ($hu =~ "^/RPC") jsonrpc_dispatch(); else xhttp_reply("403", "Forbidden", "", "");
}
"""
)


async def test_json_rpc_is_answered_over_http(kamtool):
    port = port_of(await kamtool(RPC), "tcp")
    ask = json.dumps({"jsonrpc": "2.0", "method": "tm.stats", "id": 7}).encode()
    status, headers, body = await fetch(f"http://127.0.0.1:{port}/RPC", data=ask)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["id"] == 7
    assert "result" in json.loads(body)
    ask = json.dumps({"jsonrpc": "2.0", "method": "no.such", "id": 8}).encode()
    status, _, body = await fetch(f"http://127.0.0.1:{port}/RPC", data=ask)
    assert (status, json.loads(body)["id"]) == (500, 8)
    assert (await fetch(f"http://127.0.0.1:{port}/", data=ask))[0] == 403


class Elsewhere:
    """Takes every address for one on another machine."""

    def admits(self, host):
        return False


ASK = json.dumps({"jsonrpc": "2.0", "method": "tm.stats", "id": 7}).encode()


async def test_json_rpc_over_http_answers_strangers_only_with_a_password(kamtool):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    asked = RPC.replace('loadmodule "jsonrpcs.so"', 'loadmodule "auth.so"\nloadmodule "jsonrpcs.so"').replace(
        "jsonrpc_dispatch();",
        '{ if ($hu =~ "secret" && !pv_www_authenticate("web", "secret", "0")) {'
        ' www_challenge("web", "1"); exit; } jsonrpc_dispatch(); }',
    )
    server = await kamtool(asked)
    server.modules["jsonrpcs"].admission = Elsewhere()
    url = f"http://127.0.0.1:{port_of(server, 'tcp')}/RPC"
    assert (await fetch(url, data=ASK))[0] == 403

    async def curl(password):
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", "--digest", "-u", f"alice:{password}", "-d", ASK.decode(), "-w", " %{http_code}",
            f"{url}/secret", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return (await process.communicate())[0].decode()

    assert "result" in await curl("secret")
    assert (await curl("wrong")).endswith("401")


async def test_a_web_page_in_a_browser_of_this_machine_commands_nothing(kamtool):
    port = port_of(await kamtool(RPC), "tcp")
    url = f"http://127.0.0.1:{port}/RPC"
    status, _, body = await fetch(
        url, data=ASK, headers={"Origin": "https://evil.example", "Content-Type": "text/plain"}
    )
    assert (status, b"result" in body) == (403, False)
    assert (await fetch(url, data=ASK))[0] == 200


@pytest.mark.parametrize("method", ["ACK", "CANCEL", "PRACK"])
async def test_a_method_that_cannot_be_challenged_in_sip_is_none_of_http(kamtool, method):
    """`www_authorize` would let it pass without a password."""
    port = port_of(await kamtool(RPC), "tcp")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"{method} /RPC HTTP/1.1\r\nHost: x\r\nContent-Length: {len(ASK)}\r\n\r\n"
    writer.write(head.encode() + ASK)
    assert (await asyncio.wait_for(reader.readline(), SOON)).startswith(b"HTTP/1.1 501 ")
    writer.close()


async def test_https_on_the_tls_port(tls_server, authority):
    from tests.support.tls import BASE

    server = await tls_server(ECHO, modules=BASE + 'loadmodule "xhttp.so"\n')
    url = f"https://127.0.0.1:{port_of(server, 'tls')}/over"
    status, _, body = await fetch(url, context=client_context(authority))
    assert (status, body) == (200, b"GET /over  tls")


async def test_without_its_route_the_module_is_refused(kamtool):
    from kamtool.script import check

    report = check(HTTP + "request_route { exit; }")
    assert any("event_route[xhttp:request]" in str(error) for error in report.errors)
