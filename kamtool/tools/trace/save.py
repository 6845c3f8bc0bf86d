"""Calls saved to a file, as what its name ends with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from kamtool.errors import UsageError
from kamtool.tools.ladder import html, markdown, mermaid, svg, text
from kamtool.tools.ladder.calls import Call
from kamtool.tools.ladder.facts import facts
from kamtool.tools.pcap.writer import write_all


def save(path: Path, calls: list[Call]) -> str:
    """Write them; what was written, in words. Raises UsageError."""
    messages = sorted((seen for call in calls for seen in call.messages), key=lambda seen: seen.at)
    ways: dict[str, Callable[[], str]] = {
        ".html": lambda: html.render(calls),
        ".svg": lambda: svg.render(max(calls, key=lambda call: len(call.messages))),
        ".md": lambda: "\n".join(map(markdown.render, calls)),
        ".mmd": lambda: "\n".join(map(mermaid.render, calls)),
        ".txt": lambda: "\n".join([*map(text.render, calls), *map(text.message_text, messages)]),
        ".jsonl": lambda: "".join(json.dumps(facts(seen), ensure_ascii=False) + "\n" for seen in messages),
    }
    if not calls:
        raise UsageError("there is nothing to save")
    try:
        if path.suffix in (".pcap", ".pcapng"):
            with path.open("wb") as file:
                write_all(file, messages, "pcap" if path.suffix == ".pcap" else "pcapng")
        elif path.suffix in ways:
            path.write_text(ways[path.suffix](), encoding="utf-8", errors="replace")
        else:
            raise UsageError(f"{path.name}: what should it be?", hint=".pcapng, .pcap, " + ", ".join(ways))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from error
    of = "1 call" if len(calls) == 1 else f"{len(calls)} calls"
    return f"{len(messages)} messages of {of} written to {path}"
