"""A part of From or To that is assigned more than once: the last assignment wins, and what stands is a URI.

Kamailio 5.6.3 queues every assignment as a text of its own and sends all of them, one behind the other. Most
of what comes of that is no URI (RFC 3261 §25.1), as the last column shows: only KAMTOOL_QUIRKS does it.
"""

import pytest

from kamtool.script.edits import applied
from kamtool.sip.message import parse

MESSAGE = """OPTIONS sip:x@127.0.0.1 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bKx1
From: {who};tag=1
To: <sip:alice@example.com>
Call-ID: c
CSeq: 1 OPTIONS
"""
USER, DOMAIN_ONLY = '"Bob" <sip:bob@biloxi.example.org>', "<sip:biloxi.example.org>"
# The assignments, what leaves, what leaves Kamailio.
TWICE = [
    (USER, '$fU = "a"; $fU = "b";', '"Bob" <sip:b@biloxi.example.org>', '"Bob" <sip:ab@biloxi.example.org>'),
    (USER, '$fU = "u"; $fu = "sip:x@y";', '"Bob" <sip:x@y>', '"Bob" <sip:x@yu>'),
    (USER, '$fu = "sip:x@y"; $fU = "u";', '"Bob" <sip:u@y>', '"Bob" <sip:x@yu>'),
    (USER, '$fu = "sip:x@y"; $fu = "sip:z@w";', '"Bob" <sip:z@w>', '"Bob" <sip:x@ysip:z@w>'),
    (USER, '$fd = "d1"; $fd = "d2";', '"Bob" <sip:bob@d2>', '"Bob" <sip:bob@d1d2>'),
    (USER, '$fU = "u"; $fU = $null;', '"Bob" <sip:biloxi.example.org>', '"Bob" <sip:ubiloxi.example.org>'),
    (USER, '$fn = "A"; $fn = "B";', "B <sip:bob@biloxi.example.org>", "AB <sip:bob@biloxi.example.org>"),
    (DOMAIN_ONLY, '$fU = "a"; $fU = "b";', "<sip:b@biloxi.example.org>", "<sip:a@b@biloxi.example.org>"),
    (DOMAIN_ONLY, '$fd = "d"; $fU = "u";', "<sip:u@d>", "<sip:du@>"),
    (DOMAIN_ONLY, '$fu = "sip:x@y"; $fU = "u";', "<sip:u@y>", "<sip:x@yu@>"),
]
# What is assigned once leaves as it leaves Kamailio, in either order.
ONCE = [
    (USER, '$fd = "d"; $fU = "u";', '"Bob" <sip:u@d>'),
    (USER, '$fU = "u"; $fd = "d";', '"Bob" <sip:u@d>'),
    (USER, '$fU = "u"; $fn = "B"; $fd = "d";', "B <sip:u@d>"),
    (USER, "$fU = $null;", '"Bob" <sip:biloxi.example.org>'),
    (DOMAIN_ONLY, '$fU = "u"; $fd = "d";', "<sip:u@d>"),
]


def from_after(script, who, assignments, before=""):
    run = script(f"{before}request_route {{ {assignments} }}")
    ctx = run.context(MESSAGE.format(who=who))
    run(ctx=ctx)
    return parse(applied(ctx)).header("From").removesuffix(";tag=1")


@pytest.mark.parametrize(("who", "assignments", "leaves", "theirs"), TWICE)
def test_the_last_assignment_wins(script, who, assignments, leaves, theirs):
    assert from_after(script, who, assignments) == leaves != theirs


@pytest.mark.parametrize(("who", "assignments", "leaves"), ONCE)
def test_parts_assigned_once_leave_as_they_leave_kamailio(script, who, assignments, leaves):
    assert from_after(script, who, assignments) == leaves


QUIRKS = "#!define KAMTOOL_QUIRKS\n"


@pytest.mark.parametrize(("who", "assignments", "ours", "leaves"), TWICE)
def test_with_the_quirks_all_assignments_leave_as_they_leave_kamailio(script, who, assignments, ours, leaves):
    assert from_after(script, who, assignments, QUIRKS) == leaves != ours


@pytest.mark.parametrize(("who", "assignments", "leaves"), ONCE)
def test_with_the_quirks_one_assignment_is_nothing_else(script, who, assignments, leaves):
    assert from_after(script, who, assignments, QUIRKS) == leaves


def test_with_the_quirks_an_applied_assignment_is_no_more_in_the_way(script):
    apply = '$fU = "u"; msg_apply_changes(); $fU = "v";'
    assert from_after(script, USER, apply, f'{QUIRKS}loadmodule "textopsx.so"\n') == (
        '"Bob" <sip:v@biloxi.example.org>'
    )


@pytest.mark.parametrize(
    ("who", "assignments", "leaves"),
    [
        ("<sip:bob:secret@[::1]:5070;lr>", '$fd = "d"; $fU = "u";', "<sip:u:secret@d:5070;lr>"),
        ("<sip:bob:secret@h>", "$fU = $null;", "<sip::secret@h>"),
        ("<sip:bob@h:5070>", '$fd = "d";', "<sip:bob@d:5070>"),
        ("<sip:bob@h>", '$fn = "A"; $fn = "B";', "A B <sip:bob@h>"),
    ],
)
def test_with_the_quirks_the_rest_stays_as_it_stays_in_kamailio(script, who, assignments, leaves):
    assert from_after(script, who, assignments, QUIRKS) == leaves
