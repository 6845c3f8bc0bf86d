"""Pages of the trace's screen that are mostly text: a row of the list, a message, its SDP, two compared."""

from __future__ import annotations

import difflib

from kamtool.errors import ParseError
from kamtool.sip.sdp import parse_sdp
from kamtool.tools.captured import Captured
from kamtool.tools.ladder.calls import Call
from kamtool.tools.ladder.picture import Arrow, clock, printable

Line = list[tuple[str, str]]
HELP = """
 The list                            A ladder
   ↑ ↓ j k PgUp PgDn Home End  move    ↑ ↓        choose a message
   Enter   the ladder of a call        Enter      the whole message
   /       only calls that hold text   Space      mark; on another: compare the two
   f       only calls for which an     d          what its SDP says
           expression of the cfg is    n          cfg lines on and off
           true: $rm == "INVITE"       /          the next message that holds a text
   s F2    save what is shown          s F2       save this call
   p       pause, and go on            Esc q      back
   c       forget all calls
   q Esc   leave

 Save writes what the name ends with: .pcapng .pcap .html .svg .md .mmd .txt .jsonl

 In a ladder the time is that since the message above; ×3 means that it was seen
 three times (retransmissions); lines with a dot tell what the script did.
"""


def list_row(call: Call | None, width: int, is_chosen: bool) -> Line:
    """A row of the list; without a call its heading."""
    wide = max(12, (width - 12 - 10 - 11 - 5 - 6) // 2)
    if call is None:
        text = f" {'time':<9}{'method':<10}{'from':<{wide}}{'to':<{wide}}{'state':<11}{'code':<5}{'msgs':>5}"
        return [("class:columns", text[:width].ljust(width))]
    caller, callee = (_fit(printable(each), wide - 1) for each in (call.caller, call.callee))
    began = clock(call.began)[:8]
    style = {2: "class:success", 3: "class:provisional"}.get(call.status // 100, "class:failure")
    style = style if call.status >= 200 else "class:provisional"
    cursor = " class:cursor" if is_chosen else ""
    method = _fit(printable(call.method), 9)
    return [
        (cursor, f" {began:<9}"), ("class:request" + cursor, f"{method:<10}"),
        (cursor, f"{caller:<{wide}}{callee:<{wide}}"),
        (style + cursor, f"{call.state:<11}{call.status or '':<5}"),
        (cursor, f"{len(call.messages):>5}"),
        (cursor, " " * max(0, width - 41 - 2 * wide)),
    ]  # fmt: skip


def _fit(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def message_page(seen: Captured) -> list[Line]:
    """A message, whole, under what is known of it."""
    way = {True: "in ", False: "out "}.get(bool(seen.inbound), "") if seen.inbound is not None else ""
    number = f" connection {seen.connection}" if seen.connection else ""
    head = f"{clock(seen.at)} {way}{seen.transport} {seen.source} → {seen.target}{number}"
    lines: list[Line] = [[("class:head", head)]]
    lines += [[("class:note", f"· {printable(note)}")] for note in Arrow(seen, 0, 0, 0.0).notes]
    lines.append([])
    in_body = False
    for number_, text in enumerate(seen.data.decode("utf-8", "replace").split("\r\n")):
        text = printable(text.rstrip("\n"))
        name, colon, rest = text.partition(":")
        if number_ == 0:
            lines.append([("class:first", text)])
        elif in_body or not colon:
            in_body = in_body or not text
            lines.append([("class:body" if in_body else "", text)])
        else:
            lines.append([("class:name", name + colon), ("", rest)])
    return lines


def sdp_page(seen: Captured) -> list[Line]:
    """What an SDP says, stream by stream."""
    lines: list[Line] = [[("class:head", f"SDP of {printable(seen.label)}")], []]
    body = seen.body if seen.body.startswith(b"v=") else seen.data[seen.data.find(b"\r\nv=0") + 2 :]
    text = body.decode("utf-8", "replace").replace("\r\n", "\n")
    try:
        parse_sdp(body)
    except ParseError as error:
        lines += [[("class:failure", f"not good: {error}")], []]
    where = ""
    for line in text.split("\n"):
        kind, value = line[:2], printable(line[2:])
        if kind == "c=":
            where = value.rpartition(" ")[2]
            lines.append([("class:name", "  address  "), ("class:first", where)])
        elif kind == "m=":
            words = value.split(" ")
            lines += [[], [("class:request", " ".join(words[:1])), ("", f"  port {' '.join(words[1:2])}  "),
                           ("class:dim", " ".join(words[2:]))]]  # fmt: skip
        elif line.startswith("a=rtpmap:"):
            lines.append([("class:name", "  codec    "), ("", value[7:])])
        elif line.startswith(("a=send", "a=recv", "a=inactive")):
            lines.append([("class:name", "  way      "), ("class:provisional", value)])
        elif line.startswith(("a=fingerprint", "a=crypto", "a=setup")):
            lines.append([("class:name", "  secured  "), ("", value)])
        elif line.strip():
            lines.append([("class:dim", f"  {printable(line)}")])
    return lines


def compare_page(one: Captured, other: Captured, width: int) -> list[Line]:
    """Two messages beside each other, the lines that differ marked."""
    half = max(10, (width - 3) // 2)
    left, right = (
        [printable(line) for line in each.data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")]
        for each in (one, other)
    )
    lines: list[Line] = []
    heads = [f"{clock(each.at)} {each.source} → {each.target}" for each in (one, other)]
    lines += [
        [("class:head", heads[0][:half].ljust(half)), ("class:dim", " │ "), ("class:head", heads[1][:half])]
    ]

    def put(mine: str, theirs: str, style: str) -> None:
        while mine or theirs or style == "":
            lines.append([(style, mine[:half].ljust(half)), ("class:dim", " │ "), (style, theirs[:half])])
            mine, theirs = mine[half:], theirs[half:]
            if not (mine or theirs):
                return

    for kind, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for row in range(max(b - a, d - c)):
            mine = left[a + row] if a + row < b else ""
            theirs = right[c + row] if c + row < d else ""
            put(mine, theirs, "" if kind == "equal" else "class:changed")
    return lines
