"""A program at a pseudo-terminal, and what its screen shows."""

import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from contextlib import suppress

from prompt_toolkit.utils import get_cwidth

from tests.support.process import KAMTOOL
from tests.support.until import SOON

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r")
_PIECE = re.compile(r"\x1b\[(?P<args>[0-9;?]*)(?P<end>[a-zA-Z])|\x1b\].*?\x07|\x1b[=>78]|(?P<c>.)", re.DOTALL)
_HALF = re.compile(r"\x1b(?:\[[0-9;?]*|\][^\x07]*)?\Z")


class Glass:
    """The screen of a terminal: cells of (character, style). Knows what prompt-toolkit writes."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.cells = [[(" ", "")] * columns for _ in range(rows)]
        self.x = self.y = 0
        self.style = self.begun = ""

    def feed(self, text):
        """What the program wrote; an escape of which the end has not come yet waits for it."""
        text, self.begun = self.begun + text, ""
        if half := _HALF.search(text):
            text, self.begun = text[: half.start()], half.group()
        for found in _PIECE.finditer(text):
            if found["end"]:
                self._control(found["args"], found["end"])
            elif found["c"]:
                self._character(found["c"])

    def _character(self, c):
        if c == "\r":
            self.x = 0
        elif c == "\n":
            self._down()
        elif c == "\b":
            self.x = max(0, self.x - 1)
        elif c >= " ":
            wide = get_cwidth(c)
            if self.x + wide > self.columns:
                self.x = 0
                self._down()
            self.cells[self.y][self.x] = (c, self.style)
            for more in range(1, wide):
                self.cells[self.y][self.x + more] = ("", self.style)
            self.x += wide

    def _down(self):
        if self.y + 1 < self.rows:
            self.y += 1
        else:
            self.cells = [*self.cells[1:], [(" ", "")] * self.columns]

    def _control(self, args, end):
        numbers = [int(each or 0) for each in args.lstrip("?").split(";")]
        count = numbers[0] or 1
        x, y = self.x, self.y
        if end == "m":
            self.style = "" if args in ("", "0") else args.removeprefix("0;")
        elif end in "ABCD":
            self.y += {"A": -count, "B": count}.get(end, 0)
            self.x += {"C": count, "D": -count}.get(end, 0)
        elif end == "H":
            self.y, self.x = numbers[0] - 1, (numbers[1] if len(numbers) > 1 else 1) - 1
        elif end == "K":
            self.cells[y][x:] = [(" ", "")] * (self.columns - x)
        elif end == "J":
            self.cells[y][x:] = [(" ", "")] * (self.columns - x)
            self.cells[y + 1 :] = [[(" ", "")] * self.columns for _ in range(self.rows - y - 1)]
            if numbers[0] == 2:
                self.cells = [[(" ", "")] * self.columns for _ in range(self.rows)]
        self.x, self.y = max(0, min(self.columns, self.x)), max(0, min(self.rows - 1, self.y))

    @property
    def lines(self):
        """The text of every row, without blanks at its end."""
        return ["".join(c for c, _ in row).rstrip() for row in self.cells]


def _raw_place(text, count):
    """Where so many characters of the text are over, its escapes not counted."""
    shown = at = 0
    for found in ESCAPES.finditer(text):
        if shown + found.start() - at >= count:
            break
        shown, at = shown + found.start() - at, found.end()
    return at + count - shown


class Terminal:
    """A program at a pseudo-terminal, of 80x24 unless another size is given."""

    def __init__(self, arguments, environment, columns=80, rows=24):
        self.fd, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = subprocess.Popen(
            [*KAMTOOL, *arguments], stdin=child, stdout=child, stderr=child, start_new_session=True,
            env={**environment, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(child)
        self.text, self.decoder = "", codecs.getincrementaldecoder("utf-8")("replace")
        self.glass = Glass(columns, rows)

    def type(self, line):
        os.write(self.fd, line.encode() + b"\r")

    def press(self, keys):
        os.write(self.fd, keys)

    def _read(self, end, wish):
        ready, _, _ = select.select([self.fd], [], [], max(end - time.monotonic(), 0))
        assert ready, f"{wish!r} was not shown:\n{ESCAPES.sub('', self.text)[-3000:]}"
        try:
            text = self.decoder.decode(os.read(self.fd, 65536))
        except OSError:
            raise AssertionError(f"it ended before {wish!r}:\n{self.text[-3000:]}") from None
        self.text += text
        self.glass.feed(text)

    def until(self, wish, limit=SOON):
        """Read until `wish` has been written; all up to there, without escapes. What comes after it stays."""
        end = time.monotonic() + limit
        while (place := (shown := ESCAPES.sub("", self.text)).find(wish)) < 0:
            self._read(end, wish)
        place += len(wish)
        self.text = self.text[_raw_place(self.text, place) :]  # the escapes too: the last may be here in part
        return shown[:place]

    def shows(self, *wishes, limit=SOON):
        """Read until every one of `wishes` stands on the screen; its rows."""
        self.when(
            lambda: all(any(wish in line for line in self.glass.lines) for wish in wishes), wishes, limit
        )
        return self.glass.lines

    def when(self, holds, wish="what is waited for", limit=SOON):
        """Read until this holds."""
        end = time.monotonic() + limit
        while not holds():
            try:
                self._read(end, wish)
            except AssertionError as error:
                raise AssertionError("\n".join([str(error)[:200], *self.glass.lines])) from None

    def ends(self, keys=b"", limit=SOON):
        """Its exit code; what it still writes is read away. `keys` are pressed until it heeds them."""
        end = time.monotonic() + limit
        while self.process.poll() is None and time.monotonic() < end:
            if keys:
                with suppress(OSError):
                    os.write(self.fd, keys)
            if select.select([self.fd], [], [], 0.5)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    break
        return self.process.wait(limit)

    def close(self):
        """End it, however it stands."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
