"""The language server, a session without streams: what each question of an editor gets."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamtool.script import load
from kamtool.tools.lsp import wire
from kamtool.tools.lsp.document import Document, uri_of
from kamtool.tools.lsp.scan import scan
from kamtool.tools.lsp.session import DELAY, Session

CFG = """#!KAMAILIO
#!define LIMIT 10
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "tm.so"
loadmodule "maxfwd.so"
loadmodule "xlog.so"
modparam("maxfwd", "max_limit", 50)
debug=2
request_route {
	if (!mf_process_maxfwd_header("10")) exit;
	$var(x) = LIMIT;
	xlog("LIMIT $fU to $(ru{uri.user})\\n");
	t_on_failure("BUSY");
	route(RELAY);
}
# Sends it on.
# As far as it goes.
route[RELAY] {
	if ($rU == $null) route(RELAY);
	t_relay();
}
failure_route[BUSY] { exit; }
#!ifdef WITH_MORE
route[MORE] { route(RELAY); }
#!endif
"""


HINT = 4


class Editor:
    """Speaks to a Session as an editor would; `diagnostics` are the last ones by URI."""

    def __init__(self, **options):
        self.sent, self.diagnostics, self.now, self.number = [], {}, 0.0, 0
        self.session = Session(self._take, options.pop("defines", None))
        self.started = self.ask("initialize", processId=None, rootUri=None, capabilities=options)
        self.tell("initialized")

    def _take(self, message):
        json.dumps(message)
        self.sent.append(message)
        if message.get("method") == "textDocument/publishDiagnostics":
            rows = [row for row in message["params"]["diagnostics"] if row["severity"] < HINT]
            self.diagnostics[message["params"]["uri"]] = rows

    def tell(self, method, **params):
        self.session.handle({"jsonrpc": "2.0", "method": method, "params": params}, self.now)

    def raw(self, method, params):
        self.number += 1
        message = {"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}
        self.session.handle(message, self.now)
        return next(each for each in reversed(self.sent) if each.get("id") == self.number)

    def ask(self, method, **params):
        answer = self.raw(method, params)
        assert "error" not in answer, answer
        return answer["result"]

    def wait(self, seconds=1.0):
        self.now += seconds
        self.session.tick(self.now)

    def open(self, text, path="/nowhere/kamailio.cfg"):
        uri = uri_of(Path(path))
        self.text = text
        self.tell(
            "textDocument/didOpen", textDocument={"uri": uri, "languageId": "k", "version": 1, "text": text}
        )
        self.uri = uri
        return self

    def change(self, old, new):
        start = self.text.index(old)
        document = Document(self.uri, self.text)
        where = document.range(start, start + len(old))
        self.text = self.text.replace(old, new, 1)
        change = {"range": where, "text": new}
        self.tell(
            "textDocument/didChange", textDocument={"uri": self.uri, "version": 2}, contentChanges=[change]
        )

    def at(self, text, offset=0, occurrence=1):
        """A position: that of the n-th occurrence of a text."""
        place = -1
        for _ in range(occurrence):
            place = self.text.index(text, place + 1)
        position = Document(self.uri, self.text).position(place + offset)
        return {"textDocument": {"uri": self.uri}, "position": position}

    def hover(self, *where):
        found = self.ask("textDocument/hover", **self.at(*where))
        return found["contents"]["value"] if found else ""

    def labels(self, *where):
        items = self.ask("textDocument/completion", **self.at(*where))["items"]
        return [item["label"] for item in items]

    def apply(self, edit):
        """The text after a WorkspaceEdit or a list of edits."""
        edits = edit["changes"][self.uri] if isinstance(edit, dict) else edit
        document = Document(self.uri, self.text)
        places = [
            (document.offset(e["range"]["start"]), document.offset(e["range"]["end"]), e["newText"])
            for e in edits
        ]
        text = self.text
        for start, end, new in sorted(places, reverse=True):
            text = text[:start] + new + text[end:]
        return text


@pytest.fixture
def editor():
    return Editor().open(CFG)


# Life ------------------------------------------------------------------------------------------------------


def test_a_session_goes_from_initialize_to_exit():
    editor = Editor()
    assert editor.started["serverInfo"]["name"] == "kamtool"
    assert editor.started["capabilities"]["renameProvider"] == {"prepareProvider": True}
    assert editor.ask("shutdown") is None
    assert editor.raw("textDocument/hover", {})["error"]["code"] == -32600
    editor.tell("exit")
    assert editor.session.exit_code == 0


def test_nothing_is_answered_before_initialize():
    sent = []
    session = Session(sent.append)
    session.handle({"id": 1, "method": "textDocument/hover", "params": {}}, 0.0)
    session.handle({"method": "textDocument/didOpen", "params": {}}, 0.0)
    assert [each["error"]["code"] for each in sent] == [-32002]
    session.handle({"method": "exit"}, 0.0)
    assert session.exit_code == 1


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("no/such", {}, -32601),
        ("textDocument/hover", {}, -32602),
        ("textDocument/hover", [1], -32602),
        ("textDocument/hover", {"textDocument": {"uri": "file:///other"}, "position": {}}, -32602),
        ("textDocument/didChange", {"textDocument": 5}, -32602),
        ("textDocument/codeAction", {"textDocument": None}, -32602),
    ],
)
def test_a_wrong_request_is_an_error_and_the_session_goes_on(editor, method, params, code):
    assert editor.raw(method, params)["error"]["code"] == code
    assert "maxfwd" in editor.hover("mf_process", 3)


# Diagnostics -----------------------------------------------------------------------------------------------


def test_findings_come_when_a_file_is_opened(editor):
    editor.wait(0)
    assert editor.diagnostics[editor.uri] == []
    other = Editor().open(CFG.replace("route(RELAY)", "route(RELAI)", 1))
    other.wait(0)
    (found,) = other.diagnostics[other.uri]
    assert (found["severity"], found["code"], found["source"]) == (1, "KT1153", "kamtool")
    assert found["range"] == {"start": {"line": 14, "character": 7}, "end": {"line": 14, "character": 12}}
    assert "did you mean route[RELAY]?" in found["message"]


def test_changes_are_checked_once_the_typing_stops(editor):
    editor.wait(0)
    count = len(editor.sent)
    for old, new in (("exit;", "exi;"), ("exi;", "ex;"), ("ex;", "e;")):
        editor.change(old, new)
        editor.wait(DELAY / 2)
    assert len(editor.sent) == count
    editor.wait(DELAY)
    assert len(editor.sent) == count + 1
    assert len(editor.diagnostics[editor.uri]) == 1
    editor.change("e;", "exit;")
    editor.wait()
    assert editor.diagnostics[editor.uri] == []


def test_warnings_and_errors_of_an_included_file_stand_there(tmp_path):
    part = tmp_path / "part.cfg"
    part.write_text("route[A] {\n  nosuch();\n}\n")
    text = CFG.replace("route(RELAY);", "route(A);", 1) + 'include_file "part.cfg"\n'
    editor = Editor().open(text, tmp_path / "main.cfg")
    editor.wait()
    assert [each["range"]["start"]["line"] for each in editor.diagnostics[uri_of(part)]] == [1]
    assert [each["code"] for each in editor.diagnostics[editor.uri]] == []
    main = editor.uri
    # Opened too, it is checked as a part of the file that includes it, not by itself.
    editor.open(part.read_text(), part)
    editor.wait()
    assert [each["code"] for each in editor.diagnostics[uri_of(part)]] == ["KT1150"]
    assert editor.diagnostics[main] == []


def test_findings_go_when_the_file_is_closed(editor):
    editor.change("exit;", "nosuch();")
    editor.wait()
    assert editor.diagnostics[editor.uri]
    editor.tell("textDocument/didClose", textDocument={"uri": editor.uri})
    assert editor.diagnostics[editor.uri] == []


def test_defines_of_the_editor_count():
    text = "#!KAMAILIO\nrequest_route {\n#!ifdef BAD\n nosuch();\n#!endif\n exit;\n}\n"
    editor = Editor(defines={"BAD": None}).open(text)
    editor.wait()
    assert [each["code"] for each in editor.diagnostics[editor.uri]] == ["KT1150"]


# Hover -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (("mf_process", 3), ["mf_process_maxfwd_header(", "module maxfwd"]),
        (("$var(x)", 2), ["$var(…)", "may be assigned"]),
        (("$fU", 1), ["$fU"]),
        (("uri.user", 2), ["{uri.user}"]),
        (('"maxfwd"', 3), ["**maxfwd**"]),
        (("max_limit", 3), ['modparam("maxfwd", "max_limit", …)', "default `70`", "changes with a reload"]),
        (('"sl.so"', 3), ["**sl**"]),
        (("debug=2", 2), ["debug = …", "global parameter"]),
        (("LIMIT;", 2), ["#!define LIMIT 10", "kamailio.cfg:2"]),
        (("route(RELAY)", 8), ["route[RELAY]", "kamailio.cfg:19", "Sends it on.\nAs far as it goes."]),
        (('"BUSY"', 2), ["failure_route[BUSY]", "kamailio.cfg:23"]),
    ],
)
def test_what_stands_under_the_pointer_is_explained(editor, where, told):
    found = editor.hover(*where)
    for each in told:
        assert each in found


def test_blanks_and_comments_have_nothing_to_say(editor):
    assert editor.hover("# Sends", 3) == ""
    assert editor.hover("\n\tif (!mf", 1) == ""


# Completion ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("$", "$rU"),
        ("$f", "$fU"),
        ('xlog("$r', "$ru"),
        ("$(r", "$(ru"),
        ("$(ru{uri.", "uri.host"),
        ("route(", "RELAY"),
        ("route(R", "RELAY"),
        ('t_on_failure("', "BUSY"),
        ("t_re", "t_relay"),
        ("whi", "while"),
        ("LI", "LIMIT"),
        ("if (t_re", "t_relay"),
    ],
)
def test_what_is_typed_in_a_route_is_completed(editor, typed, offered):
    editor.change("\tt_relay();", f"\t{typed}")
    place = f"\t{typed}"
    labels = editor.labels(
        place, len(place), 1 if editor.text.count(place) == 1 else editor.text.count(place)
    )
    assert offered in labels


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ('loadmodule "', "htable.so"),
        ('loadmodule "ht', "htable.so"),
        ('modparam("', "maxfwd"),
        ('modparam("tm", "', "fr_timer"),
        ("#!if", "ifdef"),
        ("#!ifdef L", "LIMIT"),
        ("chil", "children"),
        ("fail", "failure_route"),
    ],
)
def test_what_is_typed_outside_is_completed(editor, typed, offered):
    editor.change("debug=2", typed)
    assert offered in editor.labels(typed + "\nrequest_route", len(typed))


def test_an_item_says_what_it_replaces(editor):
    editor.change("\tt_relay();", "\t$r")
    where = editor.at("\t$r\n", 3)
    item = next(
        each for each in editor.ask("textDocument/completion", **where)["items"] if each["label"] == "$rU"
    )
    line = where["position"]["line"]
    assert item["textEdit"] == {
        "range": {"start": {"line": line, "character": 1}, "end": {"line": line, "character": 3}},
        "newText": "$rU",
    }
    assert "read" in item["documentation"]["value"] or "assigned" in item["documentation"]["value"]


def test_nothing_is_offered_inside_a_comment_or_text(editor):
    assert editor.labels("# Sends it", 8) == []
    assert editor.labels("LIMIT $fU", 3) == []


# Definitions, references, rename ---------------------------------------------------------------------------


def lines_of(locations):
    return [each["range"]["start"]["line"] + 1 for each in locations]


def test_go_to_the_definition_of_a_route_and_a_define(editor):
    assert lines_of(editor.ask("textDocument/definition", **editor.at("route(RELAY)", 7))) == [19]
    assert lines_of(editor.ask("textDocument/definition", **editor.at('"BUSY"', 1))) == [23]
    assert lines_of(editor.ask("textDocument/definition", **editor.at("LIMIT;", 1))) == [2]
    assert editor.ask("textDocument/definition", **editor.at("t_relay", 1)) is None


def test_go_to_an_included_file_and_to_what_it_defines(tmp_path):
    part = tmp_path / "part.cfg"
    part.write_text("#!define FAR 1\nroute[FAR] { exit; }\n")
    editor = Editor().open(
        'include_file "part.cfg"\nrequest_route { route("FAR"); $var(x) = FAR; }\n', tmp_path / "main.cfg"
    )
    target = {
        "uri": uri_of(part),
        "range": {"start": {"line": 0, "character": 0}, "end": {"line": 0, "character": 0}},
    }
    assert editor.ask("textDocument/definition", **editor.at("part.cfg", 2)) == target
    found = editor.ask("textDocument/definition", **editor.at('("FAR"', 3))
    assert (found[0]["uri"], lines_of(found)) == (uri_of(part), [2])
    assert lines_of(editor.ask("textDocument/definition", **editor.at("= FAR", 3))) == [1]


def test_references_are_found_in_branches_not_taken_too(editor):
    where = editor.at("route[RELAY]", 7)
    found = editor.ask("textDocument/references", **where, context={"includeDeclaration": True})
    assert lines_of(found) == [19, 15, 20, 25]
    found = editor.ask("textDocument/references", **where, context={"includeDeclaration": False})
    assert lines_of(found) == [15, 20, 25]


def test_a_route_is_renamed_everywhere_and_the_cfg_means_the_same(editor):
    where = editor.at("route(RELAY)", 7)
    assert editor.ask("textDocument/prepareRename", **where)["placeholder"] == "RELAY"
    text = editor.apply(editor.ask("textDocument/rename", **where, newName="FORWARD"))
    assert "RELAY" not in text
    assert text.count("FORWARD") == 4
    load(text, defines={"WITH_MORE": None})
    text = editor.apply(editor.ask("textDocument/rename", **where, newName="for-ward"))
    assert 'route["for-ward"] {' in text
    assert 'route("for-ward");' in text
    load(text)


def test_a_failure_route_and_a_define_are_renamed(editor):
    text = editor.apply(editor.ask("textDocument/rename", **editor.at('"BUSY"', 2), newName="ENGAGED"))
    assert 't_on_failure("ENGAGED")' in text
    assert "failure_route[ENGAGED]" in text
    text = editor.apply(editor.ask("textDocument/rename", **editor.at("LIMIT;", 2), newName="MOST"))
    assert "#!define MOST 10" in text
    assert "$var(x) = MOST;" in text
    assert '"LIMIT $fU' in text, "in a string it is text"


@pytest.mark.parametrize("name", ["", "a b", "route", "MORE", 'x"y'])
def test_a_bad_or_taken_name_is_refused(editor, name):
    params = {**editor.at("route(RELAY)", 7), "newName": name}
    assert editor.raw("textDocument/rename", params)["error"]["code"] == -32803


def test_a_rename_reaches_modparams():
    text = (
        'modparam("rtimer", "exec", "timer=t;route=TICK")\nroute[TICK] { exit; }\nrequest_route { exit; }\n'
    )
    editor = Editor().open(text)
    text = editor.apply(editor.ask("textDocument/rename", **editor.at("route[TICK", 7), newName="TOCK"))
    assert '"timer=t;route=TOCK"' in text


# Symbols, formatting, actions ------------------------------------------------------------------------------


def test_symbols_are_modules_defines_and_routes_in_their_order(editor):
    found = editor.ask("textDocument/documentSymbol", textDocument={"uri": editor.uri})
    assert [each["name"] for each in found] == [
        "LIMIT", "sl", "pv", "tm", "maxfwd", "xlog", "request_route", "route[RELAY]", "failure_route[BUSY]",
        "route[MORE]",
    ]  # fmt: skip
    relay = found[7]
    assert (relay["range"]["start"]["line"], relay["range"]["end"]["line"]) == (18, 21)
    assert relay["selectionRange"]["start"] == {"line": 18, "character": 6}


def test_formatting_changes_only_the_lines_that_differ(editor):
    options = {"tabSize": 4, "insertSpaces": False}
    where = {"textDocument": {"uri": editor.uri}, "options": options}
    assert editor.ask("textDocument/formatting", **where) == []
    editor.change("\tt_relay();", "  t_relay( ) ;")
    (edit,) = editor.ask("textDocument/formatting", **where)
    assert edit["newText"] == "\tt_relay();\n"
    assert editor.apply([edit]) == CFG
    editor.change("request_route {", "request_route ")
    assert "is not formatted" in editor.raw("textDocument/formatting", where)["error"]["message"]


@pytest.mark.parametrize(
    ("old", "wrong"),
    [
        ("route(RELAY)", "route(RELAI)"),
        ("t_relay()", "t_rellay()"),
        ("max_limit", "max_limt"),
        ("debug=2", "debgu=2"),
        ("{uri.user}", "{uri.usr}"),
    ],
)
def test_a_near_miss_has_a_quick_fix(editor, old, wrong):
    editor.change(old, wrong)
    editor.wait()
    found = editor.diagnostics[editor.uri]
    assert found
    actions = editor.ask(
        "textDocument/codeAction", textDocument={"uri": editor.uri}, range=found[0]["range"],
        context={"diagnostics": found},
    )  # fmt: skip
    assert [each["kind"] for each in actions] == ["quickfix"]
    assert editor.apply(actions[0]["edit"]) == CFG


def test_text_behind_a_variable_is_set_apart(editor):
    editor.change("$fU to", "$fUx to")
    editor.wait()
    (found,) = editor.diagnostics[editor.uri]
    context = {"diagnostics": [found]}
    where = {"textDocument": {"uri": editor.uri}, "range": found["range"], "context": context}
    (action,) = editor.ask("textDocument/codeAction", **where)
    assert "LIMIT $(fU)x to" in editor.apply(action["edit"])


def test_a_missing_module_has_a_quick_fix(editor):
    editor.change('loadmodule "maxfwd.so"\n', "")
    editor.change('modparam("maxfwd", "max_limit", 50)\n', "")
    editor.wait()
    found = editor.diagnostics[editor.uri]
    (action,) = editor.ask(
        "textDocument/codeAction", textDocument={"uri": editor.uri}, range=found[0]["range"],
        context={"diagnostics": found},
    )  # fmt: skip
    assert action["title"] == 'Add loadmodule "maxfwd.so"'
    load(editor.apply(action["edit"]))


# Positions -------------------------------------------------------------------------------------------------


def test_columns_are_counted_in_utf16_unless_the_editor_offers_better():
    text = 'request_route { xlog("😀é"); nosuch(); }\n'
    wide = Editor().open(text)
    wide.wait()
    narrow = Editor(general={"positionEncodings": ["utf-8", "utf-32"]}).open(text)
    narrow.wait()
    columns = [
        next(d["range"]["start"]["character"] for d in each.diagnostics[each.uri] if "nosuch" in d["message"])
        for each in (wide, narrow)
    ]
    place = text.index("nosuch")
    assert columns == [place + 1, place]
    used = [each.started["capabilities"]["positionEncoding"] for each in (wide, narrow)]
    assert used == ["utf-16", "utf-32"]


@given(st.text(max_size=80), st.booleans())
def test_an_offset_survives_the_way_to_a_position_and_back(text, is_wide):
    document = Document("file:///x", text, is_wide=is_wide)
    for offset in range(len(text) + 1):
        assert document.offset(document.position(offset)) == offset


# Whatever is typed -----------------------------------------------------------------------------------------


TYPED = [*CFG.split(), "\n", '"', "'", "$(", "{", "/*", "#!", "é😀"]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(TYPED), max_size=30), st.data())
def test_any_text_can_be_edited_and_asked_about(pieces, data):
    editor = Editor().open(" ".join(pieces))
    for word in scan(editor.text):
        assert editor.text[word.start : word.end] == word.text
    position = {"line": data.draw(st.integers(0, 9)), "character": data.draw(st.integers(0, 90))}
    where = {"textDocument": {"uri": editor.uri}, "position": position}
    for method in ("hover", "completion", "definition", "references", "prepareRename", "documentSymbol"):
        editor.ask(f"textDocument/{method}", **where)
    editor.wait()
    assert editor.uri in editor.diagnostics


# The wire --------------------------------------------------------------------------------------------------


def framed(body):
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def test_messages_are_cut_by_their_length():
    stream = io.BytesIO(framed(b'{"method":"a"}') + b"content-length:2\r\nContent-Type: x\r\n\r\n{}")
    assert wire.read(stream) == {"method": "a"}
    assert wire.read(stream) == {}
    assert wire.read(stream) is None


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n", b"Content-Length: x\r\n\r\n", b"Content-Length: -1\r\n\r\n", b"\r\n\r\n",
        b"Content-Length: 99999999999\r\n\r\n", b"Content-Length: 5\r\n\r\n{}", b"Content-Le", b"x" * 5000,
        framed(b"{"), framed(b"[]"), framed(b'{"method":5}'), framed(b"\xff\xfe"), framed(b"[" * 100_000),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused(data):
    with pytest.raises(wire.WireError):
        wire.read(io.BytesIO(data))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_the_end_or_refused(data):
    stream = io.BytesIO(data)
    try:
        while wire.read(stream) is not None:
            pass
    except wire.WireError:
        pass
