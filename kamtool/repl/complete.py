"""What can follow what is typed: commands, places, variables, functions, RPC; each with its manual."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from kamtool.repl import help as manual
from kamtool.repl.words import Words

_WORD = re.compile(r"[$\w.(\[:=>]*$")
_PLACES = {
    "fn:": "a function", "route[": "a route", "assign ": "an assignment", "header ": "a header",
    "reply ": "a response, 4xx", "error": "a failure", "watch ": "an expression that changes",
}  # fmt: skip


class Names(Completer):
    """Completes from what the server knows. `names` is its answer to the command of that name."""

    def __init__(self, names: Mapping[str, Mapping[str, str]], words: Words) -> None:
        self.names, self.words = names, words

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Everything that begins as the last word does."""
        text = document.text_before_cursor
        first, space, rest = text.partition(" ")
        if not text and not complete_event.completion_requested:
            return
        if not space:
            yield from self._of(first, {each.names[0]: each.meaning for each in manual.COMMANDS})
            return
        command = manual.BY_NAME.get(first)
        name = command.names[0] if command else ""
        word = _WORD.search(text)
        yield from self._of(word[0] if word else "", self._fitting(name, rest, word[0] if word else ""))

    def _fitting(self, name: str, rest: str, word: str) -> Mapping[str, str]:
        names = self.names
        if word.startswith("$"):
            return {**names["variables"], **names["targets"]}
        if name == "help":
            return {each.names[0]: each.meaning for each in manual.COMMANDS}
        if name in ("info", "hdr"):
            return dict.fromkeys(manual.BY_NAME[name].choices, "") if " " not in rest else {}
        if name == "rpc":
            return names["rpcs"] if " " not in rest else {}
        if name in ("break", "tbreak", "log") and " if " not in f" {rest}":
            if rest.startswith(("fn:", "function ", "fn ")):
                return {f"fn:{each}": doc for each, doc in names["called"].items()}
            return {**names["routes"], **_PLACES}
        if name in ("set", "display", "who", "print", "watch") and not word:
            return names["targets"]
        return names["functions"]

    @staticmethod
    def _of(word: str, candidates: Mapping[str, str]) -> Iterable[Completion]:
        low = word.lower()
        for name in sorted(candidates, key=lambda each: (not each.startswith(word), each)):
            if name.lower().startswith(low):
                yield Completion(name, -len(word), display_meta=candidates[name][:70])


def toolbar(words: Words, options: Mapping[str, Any]) -> str:
    """What is parked, in one line."""
    if not words.parked:
        state = "nothing is parked"
    else:
        shown = []
        for number, facts in list(words.parked.items())[-4:]:
            mark = "*" if number == words.focus else ""
            method = facts["message"].partition(" ")[0]
            shown.append(f"{mark}{number} {method} {facts['route']}:{facts['line']}")
        state = f"parked: {'  '.join(shown)}"
    kept = f"history {words.history}" if words.history else "no history"
    return f" {state}  │  {kept}  │  help  Tab  Ctrl-D "
