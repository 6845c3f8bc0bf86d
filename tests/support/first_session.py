"""The first debugging session that the README shows: played on a real server, kept as text and as a picture.

python -m tests.support.first_session      plays it and writes README.md and docs/first-session.svg
"""

import os
import re
import socket
import sys
import tempfile
from html import escape
from pathlib import Path

from tests.support.debugged import Phone
from tests.support.process import Served
from tests.support.terminal import Terminal

ROOT = Path(__file__).parents[2]
PICTURE = ROOT / "docs" / "first-session.svg"
CFG = """#!KAMAILIO
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"

request_route {
    route(GREET);
    if (is_method("OPTIONS")) {
        sl_send_reply("200", "OK");
    }
}

route[GREET] {
    $avp(who) = $fU;
    append_hf("X-Who: $avp(who)\\r\\n");
    append_to_reply("Hello: $avp(who)\\r\\n");
}
"""
TYPED = (
    ('break route[GREET] if $fU == "alice"', "breakpoint 1"),
    ("next", "→   16"),
    ("next", "→   17"),
    ("diff", "+X-Who: alice"),
    ("step", "→    9"),
    ("who $avp(who)", "it was $null"),
    ("back 2", "as it was"),
    ("now", "the present"),
    ('set $du = "sip:10.0.0.9"', '$du = "sip:10.0.0.9"'),
    ("continue", "(1) continue"),
)
"""What is typed, and what is seen then. After the first the phone calls."""
COLOURS = {
    "30": "#3b4252", "31": "#e06c75", "32": "#98c379", "33": "#e5c07b", "34": "#61afef", "35": "#c678dd",
    "36": "#56b6c2", "37": "#d0d0d0",
}  # fmt: skip


def played(folder, port):
    """Play it on this port; the rows of the screen as cells, the toolbar and what is below it left out."""
    server = Served(folder, port)
    (folder / "edge.cfg").write_text(CFG)
    server.start("-f", folder / "edge.cfg")
    environment = {name: value for name, value in server.environment.items() if name != "NO_COLOR"}
    environment |= {"XDG_STATE_HOME": str(folder), "PROMPT_TOOLKIT_COLOR_DEPTH": "DEPTH_4_BIT"}
    terminal = Terminal(["debug"], environment, columns=90, rows=90)
    try:
        with Phone(port) as phone:
            terminal.shows("kamtool>")
            for number, (line, seen) in enumerate(TYPED):
                before = counted(terminal, seen)
                terminal.type(line)
                terminal.when(lambda: counted(terminal, seen) > before)  # noqa: B023  # it is asked at once
                if not number:
                    phone.asks()
                    seen = "append_to_reply("
                prompt = "kamtool>" if line == "continue" else "(1)"
                terminal.when(lambda: is_below(terminal, prompt, seen))  # noqa: B023
            assert "Hello: alice" in phone.hears()
        terminal.type("quit")
        terminal.ends()
    finally:
        terminal.close()
        server.end()
    rows = [row for row in terminal.glass.cells if "".join(c for c, _ in row).strip()]
    first = next(place for place, row in enumerate(rows) if "kamtool> break" in text_of(row))
    last = next(place for place, row in enumerate(rows) if "(1) continue" in text_of(row))
    return rows[first : last + 1]


def counted(terminal, text):
    """How many rows of the screen hold it."""
    return sum(text in line for line in terminal.glass.lines)


def is_below(terminal, prompt, text):
    """Whether the prompt waits, and this stands above it."""
    lines = terminal.glass.lines
    return prompt in lines and any(text in line for line in lines[: lines.index(prompt)])


def text_of(row):
    """The text of a row; ports differ from time to time."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:5062", "".join(c for c, _ in row)).rstrip()


def transcript(rows):
    """As the README shows it."""
    return "\n".join(["$ kamtool debug", *map(text_of, rows)]) + "\n"


def picture(rows):
    """As an SVG."""
    lines = []
    for number, row in enumerate(rows):
        pieces, runs = [], []
        for (_, style), c in zip(row, text_of(row).ljust(len(row)), strict=False):
            if runs and runs[-1][0] == style:
                runs[-1][1] += c
            else:
                runs.append([style, c])
        for style, text in runs:
            codes = style.split(";")
            colour = next((COLOURS[code] for code in codes if code in COLOURS), "")
            marks = f' fill="{colour}"' if colour else ' fill="#808080"' if "2" in codes else ""
            marks += ' font-weight="bold"' if "1" in codes else ""
            pieces.append(f"<tspan{marks}>{escape(text)}</tspan>")
        y = 24 + 18 * number
        lines.append(f'<text x="12" y="{y}" xml:space="preserve">{"".join(pieces).rstrip()}</text>')
    height = 18 * len(rows) + 20
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" viewBox="0 0 760 {height}">',
        f'<rect width="760" height="{height}" rx="6" fill="#1e2127"/>',
        '<g font-family="monospace" font-size="14" fill="#d0d0d0">', *lines, "</g>", "</svg>", "",
    ])  # fmt: skip


def in_readme(text):
    """What the README shows of it, to be replaced."""
    found = re.search(r"```text\n(\$ kamtool debug\n.*?)```", text, re.DOTALL)
    assert found, "the README shows no debugging session"
    return found[1]


def main():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        rows = played(Path(folder), port)
    readme = ROOT / "README.md"
    text = readme.read_text()
    readme.write_text(text.replace(in_readme(text), transcript(rows)))
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture(rows))
    sys.stdout.write(transcript(rows))


if __name__ == "__main__":
    os.environ.pop("KAMTOOL_SOCKET", None)
    main()
