"""What the trace's screen holds: the calls, which of them are shown, which page is open. No terminal here."""

from __future__ import annotations

from collections.abc import Callable

from kamtool.tools.captured import Captured
from kamtool.tools.ladder.calls import Call, Calls
from kamtool.tools.ladder.picture import Ladder, ladder

LIST, LADDER, MESSAGE, COMPARE, SDP, HELP_PAGE = "list", "ladder", "message", "compare", "sdp", "help"


class State:
    """`take` gives it messages, `narrow` chooses among them, `enter` and `leave` turn the pages."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = Calls()
        self.mode = LIST
        self.paused = False
        self.show_notes = True
        self.ended = ""
        """Why no more messages come, "" while they may."""
        self.said = ""
        """A word to the user, until the next key."""
        self.search = self.filter_text = ""
        self.test: Callable[[Captured], bool] | None = None
        self.asking = ""
        """What the line at the bottom asks for: search, filter, save, or nothing."""
        self.at: dict[str, int] = {}
        self.top: dict[str, int] = {}
        self.marked: Captured | None = None
        self._verdicts: dict[str, tuple[int, bool]] = {}
        self._held: list[Captured] = []
        self._back: list[str] = []
        self._drawn: tuple[Call, int, Ladder] | None = None
        self.call: Call | None = None
        self.follows = True
        """Whether the cursor of the list stays on the newest call."""

    # Messages

    def take(self, messages: list[Captured]) -> None:
        """Messages that came; a paused view keeps them for later."""
        if self.paused:
            self._held += messages
        else:
            self.calls.add_all(messages)

    def pause(self) -> None:
        """Stand still, or go on with what came meanwhile."""
        self.paused = not self.paused
        if not self.paused:
            held, self._held = self._held, []
            self.calls.add_all(held)

    @property
    def shown(self) -> list[Call]:
        """The calls that filter and search let through."""
        if self.test is None and not self.search:
            return list(self.calls)
        return [call for call in self.calls if self._fits(call)]

    def _fits(self, call: Call) -> bool:
        count, verdict = self._verdicts.get(call.call_id, (0, False))
        if not verdict and count < len(call.messages):
            fresh = call.messages[count:]
            wanted = self.search.lower().encode()
            verdict = any(
                (self.test is None or self.test(seen)) and wanted in seen.data.lower() for seen in fresh
            )
            self._verdicts[call.call_id] = len(call.messages), verdict
        return verdict

    def narrow(self, search: str | None = None, expression: str | None = None) -> None:
        """Show only calls that hold this text, or a message for which this is true. Raises UsageError."""
        if expression is not None:
            from kamtool.tools.trace.filter import expression as compiled

            self.test = compiled(expression) if expression.strip() else None
            self.filter_text = expression.strip()
        if search is not None:
            self.search = search.strip()
        self._verdicts.clear()
        self.at[LIST] = 0
        self.follows = False

    # Where we are

    @property
    def picture(self) -> Ladder:
        """The ladder of the open call."""
        if self.call is None:
            return Ladder()
        count = len(self.call.messages)
        if self._drawn is None or self._drawn[0] is not self.call or self._drawn[1] != count:
            self._drawn = self.call, count, ladder(self.call.messages)
        return self._drawn[2]

    @property
    def message(self) -> Captured | None:
        """The message under the cursor of the ladder."""
        arrows = self.picture.arrows
        at = self.at.get(LADDER, 0)
        return arrows[min(at, len(arrows) - 1)].seen if arrows else None

    def enter(self, mode: str) -> None:
        """Show another page; `leave` comes back."""
        self._back.append(self.mode)
        self.mode = mode
        self.top[mode] = 0

    def leave(self) -> bool:
        """One page back; false when there is none."""
        if not self._back:
            return False
        self.mode = self._back.pop()
        return True
