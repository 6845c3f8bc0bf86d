"""Log lines as Kamailio writes them."""

import logging

import pytest

from kamtool.server.log import NOTICE, KamailioFormatter


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
