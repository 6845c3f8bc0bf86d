"""Log lines as Kamailio writes them."""

import io
import logging
import os

import pytest

from kamtool.server import log_line
from kamtool.server.log import NOTICE, KamailioFormatter, Line, say, to_stream


def line(name, level, text, **more):
    record = logging.LogRecord(name, level, __file__, 1, text, (), None)
    record.__dict__.update(more)
    return KamailioFormatter(prefix=" 0(1) ").format(record)


@pytest.mark.parametrize(
    ("logger", "place"),
    [
        ("kamtool.server", "<core>"),
        ("kamtool.transport.tcp", "<core>"),
        ("kamtool.script", "<script>"),
        ("kamtool.xlog", "<script>"),
        ("kamtool.modules.registrar.save", "registrar"),
        ("kamtool.usrloc", "usrloc"),
    ],
)
def test_a_line_names_its_module(logger, place):
    assert line(logger, logging.ERROR, "it failed") == f" 0(1) ERROR: {place}: it failed"


def test_levels_have_kamailios_names():
    levels = (logging.DEBUG, logging.INFO, NOTICE, logging.WARNING, logging.ERROR, logging.CRITICAL)
    names = [line("kamtool.server", level, "x").split()[1] for level in levels]
    assert names == ["DEBUG:", "INFO:", "NOTICE:", "WARNING:", "ERROR:", "CRITICAL:"]


def test_the_script_may_choose_how_its_texts_begin():
    assert line("kamtool.script", logging.INFO, "call", prefix="edge: ") == " 0(1) INFO: edge: call"


def test_what_a_peer_wrote_moves_no_cursor_and_forges_no_line_start():
    assert (
        line("kamtool.script", logging.INFO, "ua \x1b[2J\r\x00\n")
        == " 0(1) INFO: <script>: ua \\x1b[2J\\x0d\\x00"
    )


def test_a_message_keeps_its_lines_and_none_of_them_looks_like_a_record():
    forged = "INVITE sip:x SIP/2.0\r\nSubject: a\r\n 0(1) CRITICAL: <core>: all is lost\r\n\r\n"
    assert line("kamtool.script", logging.INFO, forged).split("\n") == [
        " 0(1) INFO: <script>: INVITE sip:x SIP/2.0\r",
        "\tSubject: a\r",
        "\t 0(1) CRITICAL: <core>: all is lost",
    ]


@pytest.mark.parametrize(
    "text", ["\x9b2J", "\u2028 0(1) ERROR: x", "\u202egnorw", "\udc9b2J", "\x85 0(1) ERROR:"]
)
def test_what_ends_a_line_or_turns_it_for_some_readers_is_escaped(text):
    assert line("kamtool.script", logging.INFO, text).partition("<script>: ")[2].startswith("\\")


@pytest.mark.parametrize(
    "start",
    [
        " 0(1) CRITICAL: <core>: x",
        "0(1) ",
        "\t 7(19) INFO: x",
        "<2>",
        "kamtool[1]: x",
        "ERROR: x",
        "NOTICE: x",
    ],
)
def test_in_a_stream_only_lines_that_could_be_records_are_set_apart(start):
    formatter = KamailioFormatter(prefix=" 0(1) ", stream=True)
    text = f"INVITE sip:x SIP/2.0\r\nSubject: a\r\n{start}\r\n\r\n"
    record = logging.LogRecord("kamtool.script", logging.INFO, __file__, 1, text, (), None)
    assert formatter.format(record) == (
        f" 0(1) INFO: <script>: INVITE sip:x SIP/2.0\r\nSubject: a\r\n\t{start}"
    )


def test_what_an_exception_quotes_forges_no_line():
    try:
        raise ValueError("bad\n 0(1) CRITICAL: <core>: forged \x1b[2J")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    lines = line("kamtool.server", logging.ERROR, "it failed", exc_info=info).split("\n")
    assert lines[1] == "\tTraceback (most recent call last):"
    assert lines[-1] == "\t 0(1) CRITICAL: <core>: forged \\x1b[2J"
    assert all(each.startswith("\t") for each in lines[1:])


def test_other_languages_are_left_as_they_are():
    assert line("kamtool.script", logging.INFO, "Zoë\t☎ 東京\n").endswith(": Zoë\t☎ 東京")


def test_a_line_has_what_a_formatter_and_a_handler_of_others_ask_for():
    plain = Line("kamtool.x", logging.WARNING, "/a.py", 1, "%s and %s", (1, 2), None)
    named = Line("kamtool.x", logging.WARNING, "/a.py", 1, "%(a)s", ({"a": 5},), None)
    form = logging.Formatter(
        "%(asctime)s %(name)s %(levelname)s %(filename)s:%(lineno)d %(threadName)s %(message)s"
    )
    assert form.format(plain).endswith(" kamtool.x WARNING ?:0 None 1 and 2")
    assert named.getMessage() == "5"
    assert logging.LogRecord("kamtool.x", 25, "", 0, "a", (), None).__dict__.keys() <= vars(plain).keys()


@pytest.fixture
def ours():
    """The loggers of kamtool as `install` leaves them, and what they have written."""
    logger, written = logging.getLogger("kamtool"), io.StringIO()
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers[:], logger.propagate = [to_stream(written)], False
    logger.setLevel(NOTICE)
    yield written
    logger.handlers[:], logger.propagate = before[:2]
    logger.setLevel(before[2])


SAID = [
    ("kamtool.modules.acc", NOTICE, "ACC: transaction answered: call_id=a@b"),
    ("kamtool.modules.acc", logging.ERROR, "sip:alice:secret@example.com\r\n ERROR: forged"),
    ("kamtool.script", logging.WARNING, "\x1b[0;31;49mred\x1b[0;39;49m and 100%s"),
    ("kamtool.script", logging.INFO, "nobody asked for it"),
]


@pytest.mark.parametrize(("name", "level", "text"), SAID)
def test_what_is_said_shortly_reads_as_what_is_logged(ours, name, level, text):
    logger = logging.getLogger(name)
    logger.log(level, "%s", text)
    logged = ours.getvalue()
    say(logger, level, text)
    assert ours.getvalue() == logged * 2
    assert "secret" not in logged


def test_who_else_listens_hears_what_is_said_shortly(ours):
    logger, heard = logging.getLogger("kamtool.modules.acc"), []
    listener = logging.Handler()
    listener.emit = heard.append
    for place in (logger, logging.getLogger("kamtool")):
        place.addHandler(listener)
        say(logger, NOTICE, "one")
        place.removeHandler(listener)
    logger.addFilter(lambda record: False)
    say(logger, NOTICE, "filtered")
    logger.filters.clear()
    assert [record.getMessage() for record in heard] == ["one", "one"]
    assert ours.getvalue().count("one") == 2
    assert "filtered" not in ours.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_is_said_shortly_stands_in_a_file_in_its_order(ours, tmp_path, encoding):
    place = tmp_path / "log"
    logger, top = logging.getLogger("kamtool.modules.acc"), logging.getLogger("kamtool")
    with place.open("w", encoding=encoding, errors="backslashreplace") as file:
        top.handlers[:] = [to_stream(file)]
        for number in range(3):
            logger.log(NOTICE, "%s", f"{number} logged")
            say(logger, NOTICE, f"{number} said é \udc80 \ud800")
        assert place.read_text(encoding).count("\n") == 6, "it is there at once"
    lines = [line.partition("acc: ")[2] for line in place.read_text(encoding).splitlines()]
    said = [f"{number} said é \\x80 \\ud800" for number in range(3)]
    assert lines == [line for number in range(3) for line in (f"{number} logged", said[number])]


def test_nothing_is_said_into_a_file_that_has_the_number_of_a_closed_one(ours, tmp_path, capsys):
    top = logging.getLogger("kamtool")
    with (tmp_path / "log").open("w") as file:
        top.handlers[:] = [to_stream(file)]
    others = [(tmp_path / str(place)).open("w+") for place in range(3)]
    say(logging.getLogger("kamtool.modules.acc"), NOTICE, "lost")
    for other in others:
        other.seek(0)
        assert other.read() == ""
        other.close()
    assert "closed file" in capsys.readouterr().err


def test_a_pipe_that_takes_a_part_gets_the_rest(monkeypatch):
    taken = []

    def write(file, octets):
        taken.append(bytes(octets[:4]))
        return len(taken[-1])

    monkeypatch.setattr(os, "write", write)
    log_line.write(1, b"0123456789")
    assert b"".join(taken) == b"0123456789"
