"""Regular expressions in linear time: Thompson's construction, a lazy DFA to find out, threads to say where.

Python's `re` backtracks, and a hostile text or pattern can make it do so for years. What might, runs here:
slower for a friendly text, never worse than in proportion to it. The match is the leftmost-longest one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from kamtool.errors import ConfigError
from kamtool.script.ere import Anchor, Chars, Choice, Group, Node, Repeat, Sequence

CHAR, SPLIT, SAVE, ASSERT, MATCH = range(5)
Step = tuple[int, int, int]
"""An operation and two numbers: targets of SPLIT, a character test or assertion and the next step, a slot."""

SIZE_LIMIT: Final = 20_000
STATES_LIMIT: Final = 2_000

Test = Callable[[str], bool]


def _character_test(text: str, flags: int) -> Test:
    compiled = re.compile(text, flags | re.ASCII | re.DOTALL).match
    known: dict[str, bool] = {}

    def test(char: str) -> bool:
        answer = known.get(char)
        if answer is None:
            if len(known) > 4096:
                known.clear()
            answer = known[char] = compiled(char) is not None
        return answer

    return test


class Automaton:
    """The steps of one expression. `line_mode` is REG_NEWLINE: `^` and `$` know lines, `.` ends at them."""

    def __init__(self, node: Node, groups: int, flags: int, line_mode: bool) -> None:
        self.flags, self.line_mode, self.groups = flags, line_mode, groups
        self.steps: list[Step] = []
        self.tests: list[Test] = []
        self.assertions: list[re.Pattern[str]] = []
        self._test_places: dict[str, int] = {}
        self._emit(node)
        self._add(MATCH)
        self._transitions: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    # Building ----------------------------------------------------------------------------------------------

    def _add(self, operation: int, first: int = 0, second: int = 0) -> int:
        if len(self.steps) >= SIZE_LIMIT:
            raise ConfigError("the regular expression is too large", code="KT1400")
        self.steps.append((operation, first, second))
        return len(self.steps) - 1

    def _emit(self, node: Node) -> None:
        if isinstance(node, Chars):
            self._add(CHAR, self._test(node.text))
        elif isinstance(node, Anchor):
            self._add(ASSERT, self._assertion(node.text))
        elif isinstance(node, Sequence):
            for part in node.parts:
                self._emit(part)
        elif isinstance(node, Group):
            self._add(SAVE, 2 * node.number)
            self._emit(node.body)
            self._add(SAVE, 2 * node.number + 1)
        elif isinstance(node, Choice):
            self._emit_choice(node)
        elif isinstance(node, Repeat):
            self._emit_repeat(node)
        else:
            raise ConfigError("a back-reference cannot be matched in linear time", code="KT1400")

    def _test(self, text: str) -> int:
        if self.line_mode:
            text = "[^\\n]" if text == "." else text.replace("[^", "[^\\n", 1) if text[:2] == "[^" else text
        if text not in self._test_places:
            self._test_places[text] = len(self.tests)
            self.tests.append(_character_test(text, self.flags))
        return self._test_places[text]

    def _assertion(self, text: str) -> int:
        if text == "^" and not self.line_mode:
            text = "\\A"
        elif text == "$" and not self.line_mode:
            text = "\\Z"
        self.assertions.append(re.compile(text, re.MULTILINE | re.ASCII))
        return len(self.assertions) - 1

    def _emit_choice(self, node: Choice) -> None:
        ends = []
        for option in node.options[:-1]:
            split = self._add(SPLIT)
            self._emit(option)
            ends.append(self._add(SPLIT))
            self.steps[split] = (SPLIT, split + 1, len(self.steps))
        self._emit(node.options[-1])
        for end in ends:
            self.steps[end] = (SPLIT, len(self.steps), len(self.steps))

    def _emit_repeat(self, node: Repeat) -> None:
        for _ in range(node.least):
            self._emit(node.body)
        if node.most is None:
            split = self._add(SPLIT)
            self._emit(node.body)
            self._add(SPLIT, split, split)
            self.steps[split] = (SPLIT, split + 1, len(self.steps))
            return
        splits = []
        for _ in range(node.most - node.least):
            splits.append(self._add(SPLIT))
            self._emit(node.body)
        for split in splits:
            self.steps[split] = (SPLIT, split + 1, len(self.steps))

    # Running -----------------------------------------------------------------------------------------------

    def _closure(self, places: Iterator[int] | list[int], text: str, at: int) -> frozenset[int]:
        """The CHAR and MATCH steps that can be reached without a character, standing before `text[at]`."""
        found, seen, waiting = set(), set(), list(places)
        while waiting:
            place = waiting.pop()
            if place in seen:
                continue
            seen.add(place)
            operation, first, second = self.steps[place]
            if operation == SPLIT:
                waiting += (first, second)
            elif operation == SAVE:
                waiting.append(place + 1)
            elif operation == ASSERT:
                if self.assertions[first].match(text, at):
                    waiting.append(place + 1)
            else:
                found.add(place)
        return frozenset(found)

    def found_in(self, text: str) -> bool:
        """Whether it matches anywhere in `text`."""
        final = len(self.steps) - 1
        cachable = not self.assertions
        start = state = self._closure([0], text, 0)
        for at, char in enumerate(text):
            if final in state:
                return True
            following = self._transitions.get((state, char)) if cachable else None
            if following is None:
                following = self._advance(state, char, text, at + 1, start if cachable else None)
                if cachable:
                    if len(self._transitions) >= STATES_LIMIT:
                        self._transitions.clear()
                    self._transitions[state, char] = following
            state = following
        return final in state

    def _advance(
        self, state: frozenset[int], char: str, text: str, at: int, start: frozenset[int] | None
    ) -> frozenset[int]:
        steps, tests = self.steps, self.tests
        places = [p + 1 for p in state if steps[p][0] == CHAR and tests[steps[p][1]](char)]
        if start is None:
            return self._closure([*places, 0], text, at)
        return self._closure(places, text, at) | start

    def spans(self, text: str, at: int) -> list[int] | None:
        """The leftmost-longest match from `at` on: its span and each group's, -1 where unmatched."""
        slots = 2 * (self.groups + 1)
        threads: list[tuple[int, list[int]]] = []
        best: list[int] | None = None
        for place in range(at, len(text) + 1):
            if best is None:
                threads.append((0, [place, *([-1] * (slots - 1))]))
            elif not threads:
                break
            following: list[tuple[int, list[int]]] = []
            seen: set[int] = set()
            for step, captured in self._threads(threads, text, place):
                if step in seen:
                    continue
                seen.add(step)
                operation, first, _ = self.steps[step]
                if operation == MATCH:
                    if best is None or captured[0] < best[0] or (captured[0] == best[0] and place > best[1]):
                        best = [captured[0], place, *captured[2:]]
                elif place < len(text) and self.tests[first](text[place]):
                    following.append((step + 1, captured))
            threads = [thread for thread in following if best is None or thread[1][0] <= best[0]]
        return best

    def _threads(
        self, threads: list[tuple[int, list[int]]], text: str, at: int
    ) -> Iterator[tuple[int, list[int]]]:
        """The threads' CHAR and MATCH steps, the preferred first; each step once."""
        seen: set[int] = set()
        waiting = list(reversed(threads))
        while waiting:
            step, captured = waiting.pop()
            if step in seen:
                continue
            seen.add(step)
            operation, first, second = self.steps[step]
            if operation == SPLIT:
                waiting += ((second, captured), (first, captured))
            elif operation == SAVE:
                waiting.append((step + 1, [*captured[:first], at, *captured[first + 1 :]]))
            elif operation == ASSERT:
                if self.assertions[first].match(text, at):
                    waiting.append((step + 1, captured))
            else:
                yield step, captured
