"""Perl-compatible expressions, carried over to Python's `re`, on octets as PCRE works without its UTF mode.

What both spell alike passes untouched; what PCRE spells otherwise is rewritten; what Python cannot do
(recursion, verbs, `\\K`, branch reset, `\\p{…}`, conditions on anything but a group) is refused by name.
"""

from __future__ import annotations

import re
import signal
import threading
from types import FrameType
from typing import NoReturn

from kamtool.errors import ConfigError

PATIENCE = 0.1
"""Seconds that one search may take; PCRE gives up after a number of steps."""

_CLASSES = {
    "alpha": "a-zA-Z", "digit": "0-9", "alnum": "a-zA-Z0-9", "upper": "A-Z", "lower": "a-z",
    "word": "a-zA-Z0-9_",
    "space": r" \t\n\r\f\v", "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "print": " -~", "graph": "!-~",
    "cntrl": r"\x00-\x1f\x7f", "xdigit": "0-9A-Fa-f", "ascii": r"\x00-\x7f",
}  # fmt: skip
_ESCAPES = {
    "z": r"\Z", "Z": r"(?=\n?\Z)", "e": r"\x1b", "h": r"[ \t\xa0]", "H": r"[^ \t\xa0]", "N": r"[^\n]",
    "v": r"[\n-\r\x85]", "V": r"[^\n-\r\x85]", "R": r"(?>\r\n|[\n-\r\x85])",
}  # fmt: skip
_ESCAPES_IN_CLASS = {"e": r"\x1b", "h": r" \t\xa0", "v": r"\n-\r\x85", "b": r"\x08"}
_SAME = frozenset("dDwWsSbBAnrtfa")
_INLINE = re.compile(r"\?([imsxJU]*)(?:-([imsx]+))?([:)])")
_NAMED = re.compile(r"\?(?:P?<([A-Za-z_]\w*)>|'([A-Za-z_]\w*)')")
_REFERENCE = re.compile(r"g(?:\{?(-?\d+)\}?|\{([A-Za-z_]\w*)\})|k(?:[{<']([A-Za-z_]\w*)[}>'])")
_PLAIN_HEADS = ("?:", "?=", "?!", "?<=", "?<!", "?>")


class Pcre:
    """A compiled expression. Raises ConfigError when it is wrong, or more than Python's `re` can do."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern = pattern
        try:
            text = Translation(pattern, bool(flags & re.VERBOSE)).text
            self._compiled = re.compile(text.encode("utf-8", "surrogateescape"), flags)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigError(f"bad regular expression {pattern!r}: {error}", code="KT1400") from error
        self._guarded = _may_run_away(pattern)

    def matches(self, octets: bytes) -> bool:
        """Whether it matches anywhere. Raises TimeoutError when that cannot be said in reasonable time."""
        if self._guarded and threading.current_thread() is threading.main_thread():
            return _search_within(PATIENCE, self._compiled, octets)
        return self._compiled.search(octets) is not None


class Translation:
    """The text of an expression on its way from PCRE to Python."""

    def __init__(self, pattern: str, extended: bool = False) -> None:
        self.pattern, self.at, self.groups, self.extended = pattern, 0, 0, extended
        self.text = self._alternatives(0)
        if self.at < len(pattern):
            self._fail("unmatched parentheses")

    def _fail(self, reason: str) -> NoReturn:
        raise ConfigError(f"bad regular expression {self.pattern!r}: {reason}", code="KT1400")

    def _alternatives(self, depth: int) -> str:
        """Up to the parenthesis that ends this group. `(?i)` holds from where it stands to that end."""
        if depth > 200:
            self._fail("parentheses nest too deep")
        out: list[str] = []
        scopes: list[str] = []
        while self.at < len(self.pattern):
            char = self.pattern[self.at]
            if char == ")":
                break
            self.at += 1
            if char == "|":
                out.append(")" * len(scopes) + "|" + "".join(scopes))
            elif char == "(":
                inline = _INLINE.match(self.pattern, self.at)
                if inline and inline[3] == ")":
                    self.at = inline.end()
                    scopes.append(self._flags(inline) + ":")
                    out.append(scopes[-1])
                else:
                    out.append(self._group(depth, inline))
            elif char == "[":
                out.append(self._class())
            elif char == "\\":
                out.append(self._escape())
            elif char == "#" and self.extended:
                line, _, _ = self.pattern[self.at :].partition("\n")
                self.at += len(line)
            else:
                out.append(char)
        return "".join(out) + ")" * len(scopes)

    def _flags(self, inline: re.Match[str]) -> str:
        on, off = inline[1], inline[2] or ""
        if set(on) & {"J", "U"}:
            self._fail(f"the option (?{on}) is not supported")
        if set(on) & set(off):
            self._fail("an option is switched on and off at once")
        if "x" in on + off:
            self.extended = "x" in on
        return f"(?{on}-{off}" if off else f"(?{on}" if on else "(?"

    def _group(self, depth: int, inline: re.Match[str] | None) -> str:
        rest = self.pattern[self.at : self.at + 40]
        if rest.startswith("?#"):
            end = self.pattern.find(")", self.at)
            if end < 0:
                self._fail("missing ) after a comment")
            self.at = end + 1
            return ""
        head = next((h for h in _PLAIN_HEADS if rest.startswith(h)), "")
        named = _NAMED.match(self.pattern, self.at)
        if head:
            self.at += len(head)
        elif inline:
            self.at = inline.end()
            head = self._flags(inline)[1:] + ":"
        elif named:
            self.at, head = named.end(), f"?P<{named[1] or named[2]}>"
            self.groups += 1
        elif condition := re.match(r"\?\((\d+|<\w+>|'\w+'|[A-Za-z_]\w*)\)", rest):
            self.at, head = self.at + condition.end(), "?(" + condition[1].strip("<>'") + ")"
        elif rest.startswith(("?", "*")):
            self._fail(f"`({rest[:3]}` is not supported")
        else:
            self.groups += 1
        extended = self.extended
        body = self._alternatives(depth + 1)
        self.extended = extended
        if self.at >= len(self.pattern):
            self._fail("missing )")
        self.at += 1
        return f"({head}{body})"

    def _class(self) -> str:
        out = ["["]
        if self.pattern.startswith("^", self.at):
            out.append("^")
            self.at += 1
        first = True
        while True:
            char = self.pattern[self.at : self.at + 1]
            if not char:
                self._fail("missing terminating ] for character class")
            self.at += 1
            if char == "]" and not first:
                return "".join((*out, "]"))
            named = re.compile(r":(\^?)(\w+):\]").match(self.pattern, self.at) if char == "[" else None
            if named:
                if named[1] or named[2] not in _CLASSES:
                    self._fail(f"the class [:{named[1]}{named[2]}:] is not supported")
                self.at = named.end()
                out.append(_CLASSES[named[2]])
            elif char == "\\":
                out.append(self._escape_in_class())
            else:
                # Python keeps `[`, `&&`, `||`, `~~` and `--` in a class for meanings to come.
                out.append("\\" + char if char in "[]&|~" else char)
            first = False

    def _escape_in_class(self) -> str:
        char = self.pattern[self.at : self.at + 1]
        if char in _ESCAPES_IN_CLASS:
            self.at += 1
            return _ESCAPES_IN_CLASS[char]
        if char.isdigit():
            return self._octal()
        return self._escape(in_class=True)

    def _octal(self) -> str:
        found = re.compile(r"[0-7]{1,3}").match(self.pattern, self.at)
        if found is None:
            self.at += 1
            return self.pattern[self.at - 1]
        self.at = found.end()
        return f"\\x{int(found[0], 8) & 0xFF:02x}"

    def _escape(self, *, in_class: bool = False) -> str:
        char = self.pattern[self.at : self.at + 1]
        if not char:
            self._fail("\\ at end of pattern")
        self.at += 1
        if char == "Q":
            quoted, _, _ = self.pattern[self.at :].partition("\\E")
            self.at += len(quoted) + 2
            return re.escape(quoted)
        if char == "E":
            return ""
        if char == "x":
            found = re.compile(r"\{([0-9A-Fa-f]{1,2})\}|([0-9A-Fa-f]{0,2})").match(self.pattern, self.at)
            assert found is not None
            self.at = found.end()
            return f"\\x{int(found[1] or found[2] or '0', 16):02x}"
        if char == "c":
            self.at += 1
            return f"\\x{ord(self.pattern[self.at - 1 : self.at].upper() or '@') ^ 64 & 0xFF:02x}"
        if char in "gk":
            return self._reference()
        if not in_class and char in _ESCAPES:
            return _ESCAPES[char]
        if char == "0":
            self.at -= 1
            return self._octal()
        if char.isdigit():
            digits = re.compile(r"\d*").match(self.pattern, self.at)
            assert digits is not None
            self.at = digits.end()
            return f"(?:\\{char}{digits[0]})"
        if char.isascii() and char.isalpha() and char not in _SAME:
            self._fail(f"\\{char} is not supported")
        return "\\" + char

    def _reference(self) -> str:
        found = _REFERENCE.match(self.pattern, self.at - 1)
        if found is None:
            self._fail("a reference to a group is not understood")
        self.at = found.end()
        if found[1]:
            number = int(found[1])
            return f"(?:\\{number if number > 0 else self.groups + 1 + number})"
        return f"(?P={found[2] or found[3]})"


def _may_run_away(pattern: str) -> bool:
    """Whether backtracking could be expensive: anything beyond one unlimited repetition."""
    return len(re.findall(r"[*+{]", pattern)) > 1


def _search_within(seconds: float, compiled: re.Pattern[bytes], octets: bytes) -> bool:
    """A search that the clock interrupts: Python's `re` looks for signals as it goes."""

    def give_up(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"no result within {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            return compiled.search(octets) is not None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
