"""Where lines begin, and how far they are indented.

The author's line breaks stay, but for braces (`{` ends its line, `}` begins one, `} else {` is one line) and
statements (each on its own line). A block of one statement that was written on one line stays on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kamtool.script.format_pieces import P, Piece
from kamtool.script.format_spacing import HEADS, gap, is_word
from kamtool.script.tokens import OPERATOR_WORDS


@dataclass(slots=True)
class Brace:
    """One open `{`. In a switch, what stands below a label is indented once more."""

    is_switch: bool
    one_line: bool
    parens: int
    """How many parentheses were open before it: those of a `{ block }` used as a value."""
    in_case: bool = False


@dataclass(slots=True)
class Layout:
    """One pass over the pieces."""

    pieces: list[Piece]
    unit: str = "\t"
    out: list[str] = field(default_factory=list)
    braces: list[Brace] = field(default_factory=list)
    parens: int = 0
    statement: list[str] = field(default_factory=list)
    """The tokens of the statement so far; empty where one begins."""
    header: bool = False
    """Whether the condition of an `if`, `while` or `switch` is being read."""
    pending: int = 0
    """How many heads without braces wait for their statement."""
    before: str = ""
    previous: str = ""

    def run(self) -> str:
        """The formatted text."""
        for place, piece in enumerate(self.pieces):
            if piece.kind is P.TOKEN:
                self._token(place, piece)
            else:
                self._other(place, piece)
        text = "".join(self.out)
        last = self.pieces[-1] if self.pieces else None
        if last is None or (last.kind in (P.DIRECTIVE, P.SKIPPED) and text.endswith("\\")):
            return text
        return text if text.endswith("\n") else text + "\n"

    # What is no token ---------------------------------------------------------------------------------

    def _other(self, place: int, piece: Piece) -> None:
        if piece.kind in (P.SKIPPED, P.GLUED):
            self.out.append(piece.blanks + piece.text)
            return
        if place and not piece.newlines:
            apart = self.pieces[place - 1].kind is P.TOKEN
            self.out.append((piece.blanks or (" " if apart else "")) + piece.text)
            return
        self._newlines(place, piece.newlines)
        if piece.kind is P.DIRECTIVE or not piece.margin:
            self.out.append(piece.margin + piece.text)
        else:
            self.out.append(self._margin(None) + piece.text)

    def _newlines(self, place: int, count: int) -> None:
        if place:
            self.out.append("\n" * max(count, 1))

    # Tokens -------------------------------------------------------------------------------------------

    def _token(self, place: int, piece: Piece) -> None:
        text = piece.text
        self._close_header(text)
        if piece.ended and piece.newlines and self.parens == self._floor():
            self.statement, self.header = [], False
        earlier = self.pieces[place - 1] if place else None
        breaks = self._breaks(earlier, piece)
        if breaks and earlier is not None and earlier.kind is P.SKIPPED and not piece.newlines:
            breaks = 0
        if not place or breaks:
            self._newlines(place, breaks)
            self.out.append(self._margin(piece))
        elif earlier is not None and earlier.kind is not P.TOKEN:
            self.out.append("" if piece.touches and earlier.kind is P.REMARK else " ")
        else:
            label = bool(self.statement) and self.statement[0] in ("case", "default")
            inside = bool(self.braces)
            tokens = (self.before, self.previous, text, self._beyond(place))
            self.out.append(gap(tokens, touches=piece.touches, inside=inside, label=label))
        self.out.append(text)
        self._after(place, text)

    def _beyond(self, place: int) -> str:
        following = self.pieces[place + 1 : place + 2]
        return following[0].text if following and following[0].kind is P.TOKEN else ""

    def _breaks(self, earlier: Piece | None, piece: Piece) -> int:
        """How many line ends stand before this token."""
        text, newlines = piece.text, piece.newlines
        follows_token = earlier is not None and earlier.kind is P.TOKEN
        if not follows_token:
            return newlines
        if self.braces and self.braces[-1].one_line:
            return 0
        if self.parens > (self.braces[-1].parens if self.braces else 0):
            return newlines
        if text == "{":
            return 0
        if self.previous == "{" or text == "}":
            return max(newlines, 1)
        if self.previous == "}":
            if text in (";", ")", ",", "else") or text in OPERATOR_WORDS:
                return 0
            return max(newlines, 1) if is_word(text) or text[:1] == "$" else newlines
        if self.previous == ";" and self.braces and text != ";":
            return max(newlines, 1)
        if self.previous == "else" and text == "if":
            return 0
        return newlines

    def _margin(self, piece: Piece | None) -> str:
        """The indentation of a line; `piece` is its first token, None for a comment."""
        text = piece.text if piece else ""
        depth = len(self.braces) + sum(brace.in_case for brace in self.braces)
        if text == "}":
            return self.unit * (depth - 1 - self.braces[-1].in_case if self.braces else 0)
        if self.braces and self.braces[-1].in_case and text in ("case", "default"):
            return self.unit * (depth - 1)
        if self.statement:
            depth += 2 if self.header else 1
        elif text != "else":
            depth += self.pending
        if not self.braces and not self.statement and piece is not None and not self.parens:
            return self.unit if piece.margin and self._continues(text) else ""
        if not self.braces and self.parens:
            return self.unit * self.parens
        return self.unit * max(depth, 0)

    def _continues(self, text: str) -> bool:
        """Outside of routes nothing ends an item: a line that was indented and is no word goes on."""
        return self.previous in (",", "=") or not is_word(text)

    # State --------------------------------------------------------------------------------------------

    def _close_header(self, text: str) -> None:
        """At the first token behind `if (…)`: another statement begins, unless the condition goes on."""
        closed = self.header and self.previous == ")" and self.parens == self._floor()
        if not closed or text == "{":
            return
        if (is_word(text) and text not in OPERATOR_WORDS) or text[:1] == "$" or text == ";":
            self.header, self.statement = False, []
            self.pending += 1

    def _floor(self) -> int:
        return self.braces[-1].parens if self.braces else 0

    def _after(self, place: int, text: str) -> None:
        self.before, self.previous = self.previous, text
        if text in ("(", "["):
            self.parens += 1
        elif text in (")", "]"):
            self.parens = max(self.parens - 1, self._floor())
        if text == "{":
            self._open(place)
        elif text == "}":
            self._close()
        elif self.parens == self._floor():
            self._grow(text)
        elif self.braces:
            self.statement.append(text)

    def _open(self, place: int) -> None:
        is_switch = self.header and bool(self.statement) and self.statement[0] == "switch"
        self.braces.append(Brace(is_switch, self._stands_on_one_line(place), self.parens))
        self.statement, self.header, self.pending = [], False, 0

    def _close(self) -> None:
        if self.braces:
            self.parens = self.braces.pop().parens
        self.statement, self.header, self.pending = [], False, 0
        if self.parens > self._floor():
            self.statement = ["}"]

    def _grow(self, text: str) -> None:
        """One more token of a statement, at its own level of parentheses."""
        if not self.braces:
            self.statement = []
            return
        if text == ";":
            self.statement, self.header, self.pending = [], False, 0
            return
        if text == "else" and not self.statement:
            self.pending += 1
            return
        if not self.statement and text in HEADS:
            self.header = True
            if text == "if" and self.before == "else":
                self.pending -= 1
        self.statement.append(text)
        if text == ":" and self.statement[0] in ("case", "default"):
            self.statement = []
            self.braces[-1].in_case = True

    def _stands_on_one_line(self, place: int) -> bool:
        """Whether the block opened here has one statement and was written on one line."""
        ends = 0
        for piece in self.pieces[place + 1 :]:
            if piece.kind is not P.TOKEN or piece.newlines or "\n" in piece.text or piece.text == "{":
                return False
            if piece.text == "}":
                return ends <= 1
            ends += piece.text == ";"
        return False
