"""What keys do to the trace's screen, and where its cursor is; no terminal here."""

from __future__ import annotations

from pathlib import Path

from kamtool.errors import UsageError
from kamtool.repl.ladder.drawing import Drawing
from kamtool.repl.ladder.state import COMPARE, HELP_PAGE, LADDER, LIST, MESSAGE, SDP
from kamtool.tools.ladder.calls import Calls
from kamtool.tools.trace.save import save

KEYS = {
    LIST: "Enter ladder  / search  f filter  s save  p pause  c clear  ? help  q quit",
    LADDER: "Enter message  Space compare  d SDP  n cfg lines  / search  s save  Esc back  ? help",
    MESSAGE: "←→ other messages  d SDP  s save  Esc back",
    COMPARE: "↑↓ scroll  Esc back",
    SDP: "←→ other messages  Esc back",
    HELP_PAGE: "Esc back",
}


class View(Drawing):
    """The screen and its keys. `take` gives it messages, `key` a key, `page` asks what to show."""

    # Keys

    def key(self, key: str, height: int) -> bool:
        """What a key does; false when it means to quit. Keys are prompt-toolkit's names."""
        self.said = ""
        if key in ("q", "escape", "c-c", "f10"):
            if key == "c-c" or not self.leave():
                return key == "escape" and self._widen()
        elif key in ("?", "f1") and self.mode != HELP_PAGE:
            self.enter(HELP_PAGE)
        elif key in _STEPS:
            self._move(_STEPS[key], height)
        elif key in ("/", "f", "s", "f2"):
            self.asking = {"/": "search", "f": "filter"}.get(key, "save")
        elif key == "p":
            self.pause()
        elif self.mode == LIST:
            self._list_key(key)
        else:
            self._message_key(key)
        return True

    def _widen(self) -> bool:
        """Escape in the list takes back the filter and the search; who wants to leave has q."""
        if self.filter_text or self.search:
            self.narrow(expression="", search="")
        else:
            self.said = "q quits"
        return True

    def _list_key(self, key: str) -> None:
        shown = self.shown
        if key == "enter" and shown:
            self.call = shown[min(self.at.get(LIST, 0), len(shown) - 1)]
            self.at[LADDER], self.marked = 0, None
            self.enter(LADDER)
        elif key == "c":
            self.calls = Calls()
            self._verdicts.clear()
            self.at[LIST] = 0

    def _message_key(self, key: str) -> None:
        if key in ("left", "right"):
            last = len(self.picture.arrows) - 1
            self.at[LADDER] = max(0, min(last, self.at.get(LADDER, 0) + (1 if key == "right" else -1)))
            self.top[self.mode] = 0
        elif key == "d" and self.mode in (LADDER, MESSAGE):
            if self.message is not None and self.message.has_sdp:
                self.enter(SDP)
            else:
                self.said = "this message has no SDP"
        elif self.mode == LADDER:
            if key == "enter" and self.message is not None:
                self.enter(MESSAGE)
            elif key == " ":
                self._mark()
            elif key == "n":
                self.show_notes = not self.show_notes

    def _mark(self) -> None:
        here = self.message
        if self.marked is None or self.marked is here:
            self.marked = None if self.marked is here else here
            self.said = "marked: Space on another message compares the two" if self.marked else ""
        else:
            self.enter(COMPARE)

    def _move(self, step: tuple[int, int, int], height: int) -> None:
        by = step[0] + step[1] * max(1, height - 2)
        if self.mode in (LIST, LADDER):
            count = len(self.shown) if self.mode == LIST else len(self.picture.arrows)
            at = {1: 10**9, -1: 0}.get(step[2], self.at.get(self.mode, 0) + by)
            self.at[self.mode] = max(0, min(count - 1, at))
            if self.mode == LIST:
                self.follows = self.at[LIST] >= count - 1
        else:
            self.top[self.mode] = max(0, {1: 10**9, -1: 0}.get(step[2], self.top.get(self.mode, 0) + by))

    def answer(self, text: str) -> None:
        """What was typed at the bottom line."""
        asked, self.asking = self.asking, ""
        try:
            if asked == "filter":
                self.narrow(expression=text)
            elif asked == "search" and self.mode == LIST:
                self.narrow(search=text)
            elif asked == "search":
                self._find(text)
            elif asked == "save" and text.strip():
                calls = [self.call] if self.call is not None and self.mode != LIST else self.shown
                self.said = save(Path(text.strip()).expanduser(), calls)
        except UsageError as error:
            self.said = f"{error}" + (f" ({error.hint})" if error.hint else "")

    def _find(self, text: str) -> None:
        arrows, wanted = self.picture.arrows, text.lower().encode()
        start = self.at.get(LADDER, 0)
        for step in range(1, len(arrows) + 1):
            at = (start + step) % len(arrows)
            if wanted in arrows[at].seen.data.lower():
                self.at[LADDER] = at
                return
        self.said = f"no message of this call holds {text!r}"


_STEPS: dict[str, tuple[int, int, int]] = {
    "up": (-1, 0, 0), "down": (1, 0, 0), "k": (-1, 0, 0), "j": (1, 0, 0), "pageup": (0, -1, 0),
    "pagedown": (0, 1, 0), "home": (0, 0, -1), "end": (0, 0, 1), "g": (0, 0, -1), "G": (0, 0, 1),
}  # fmt: skip
