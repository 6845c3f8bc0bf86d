"""`kamtool lsp` as an editor runs it: a scripted client on the stock file, from initialize to exit."""

import json
import subprocess
import threading
from pathlib import Path
from queue import Queue

import pytest

from tests.support.process import KAMTOOL
from tests.support.until import SOON

pytestmark = pytest.mark.live

STOCK = Path("/etc/kamailio/kamailio.cfg")


class Client:
    """An editor with its own reader: answers by number, diagnostics as they come."""

    def __init__(self):
        self.process = subprocess.Popen(
            [*KAMTOOL, "lsp", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.number, self.heard = 0, Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        stream = self.process.stdout
        while line := stream.readline():
            length = int(line.partition(b":")[2])
            assert stream.readline() == b"\r\n"
            self.heard.put(json.loads(stream.read(length)))
        self.heard.put(None)

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def tell(self, method, **params):
        self.send({"method": method, "params": params})

    def hear(self, claim):
        while True:
            message = self.heard.get(timeout=30)
            assert message is not None, self.process.stderr.read()
            if claim(message):
                return message

    def ask(self, method, **params):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        answer = self.hear(lambda message: message.get("id") == self.number)
        assert "error" not in answer, answer
        return answer["result"]

    def diagnostics(self):
        """The version that was checked, and what is worse than a hint."""
        found = self.hear(lambda m: m.get("method") == "textDocument/publishDiagnostics")["params"]
        return found["version"], [row for row in found["diagnostics"] if row["severity"] < 4]

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture
def client():
    made = Client()
    yield made
    made.end()


def at(text, what, offset=0):
    place = text.index(what) + offset
    before = text[:place]
    return {"line": before.count("\n"), "character": place - before.rfind("\n") - 1}


def test_an_editor_opens_the_stock_file_works_in_it_and_leaves(client):
    if not STOCK.exists():
        pytest.skip(f"{STOCK} is not installed")
    text = STOCK.read_text()
    document = {"uri": STOCK.as_uri()}
    capabilities = client.ask("initialize", processId=None, rootUri=None, capabilities={})["capabilities"]
    assert capabilities["hoverProvider"] is True
    client.tell("initialized")
    client.tell(
        "textDocument/didOpen", textDocument={**document, "languageId": "k", "version": 1, "text": text}
    )
    assert client.diagnostics() == (1, [])

    told = client.ask("textDocument/hover", textDocument=document, position=at(text, "t_relay()", 2))
    assert "module tm" in told["contents"]["value"]
    told = client.ask("textDocument/hover", textDocument=document, position=at(text, "$rU==", 1))
    assert "$rU" in told["contents"]["value"]
    found = client.ask(
        "textDocument/definition", textDocument=document, position=at(text, "route(WITHINDLG)", 8)
    )
    assert text.split("\n")[found[0]["range"]["start"]["line"]] == "route[WITHINDLG] {"
    symbols = client.ask("textDocument/documentSymbol", textDocument=document)
    assert {"request_route", "route[RELAY]", "failure_route[MANAGE_FAILURE]"} <= {s["name"] for s in symbols}
    found = client.ask(
        "textDocument/references", textDocument=document, position=at(text, "route[NATMANAGE]", 8),
        context={"includeDeclaration": False},
    )  # fmt: skip
    assert len(found) == text.count("route(NATMANAGE)")
    renamed = client.ask(
        "textDocument/rename", textDocument=document, position=at(text, "route[RELAY]", 7), newName="SEND"
    )
    assert len(renamed["changes"][STOCK.as_uri()]) == 1 + text.count("route(RELAY)")

    place = at(text, "\t\tsl_reply_error();")
    where = {"start": place, "end": {**place, "character": 16}}
    changed = text.replace("\t\tsl_reply_error", "\t\tsl_repli_error", 1)
    client.tell(
        "textDocument/didChange", textDocument={**document, "version": 2},
        contentChanges=[{"range": where, "text": "\t\tsl_repli_error"}],
    )  # fmt: skip
    version, (wrong,) = client.diagnostics()
    assert version == 2
    assert (wrong["code"], wrong["range"]["start"]["line"]) == ("KT1150", place["line"])
    (action,) = client.ask(
        "textDocument/codeAction",
        textDocument=document,
        range=wrong["range"],
        context={"diagnostics": [wrong]},
    )
    assert action["edit"]["changes"][STOCK.as_uri()][0]["newText"] == "sl_reply_error"
    items = client.ask(
        "textDocument/completion", textDocument=document, position=at(changed, "route(WITHINDLG)", 6)
    )["items"]
    assert {"WITHINDLG", "RELAY"} <= {item["label"] for item in items}
    client.tell(
        "textDocument/didChange", textDocument={**document, "version": 3}, contentChanges=[{"text": text}]
    )
    assert client.diagnostics() == (3, [])
    edits = client.ask(
        "textDocument/formatting", textDocument=document, options={"tabSize": 4, "insertSpaces": False}
    )
    assert edits
    assert client.ask("shutdown") is None
    client.tell("exit")
    assert client.process.wait(SOON) == 0


def test_a_malformed_message_ends_that_session_with_an_error(client):
    other = Client()
    try:
        for each in (client, other):
            each.ask("initialize", processId=None, rootUri=None, capabilities={})
        client.process.stdin.write(b"Content-Length: 7\r\n\r\nno json")
        client.process.stdin.flush()
        assert client.hear(lambda m: "error" in m)["error"]["code"] == -32700
        assert client.process.wait(SOON) == 1
        assert other.ask("shutdown") is None
        other.tell("exit")
        assert other.process.wait(SOON) == 0
    finally:
        other.end()


def test_an_editor_that_dies_takes_its_server_along(client):
    client.ask("initialize", processId=None, rootUri=None, capabilities={})
    client.process.stdin.close()
    assert client.process.wait(SOON) == 1
