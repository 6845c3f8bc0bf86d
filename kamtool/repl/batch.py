"""The prompt without a terminal: lines from a file or a pipe, answers as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

from kamtool.debug.client import Client, Gone
from kamtool.debug.words import Mistake
from kamtool.repl.paint import Paint
from kamtool.repl.sitting import GONE, failure
from kamtool.repl.words import Leave, Words


async def batch(
    client: Client, socket: Path, lines: Sequence[str] | TextIO, *, as_json: bool, out: TextIO
) -> int:
    """Lines one after the other; 1 when one of them failed."""
    await client.attach(socket)
    words = Words(client, Paint(False), _no_editor)
    code = 0

    def say(kind: str, value: Any, **more: Any) -> None:
        if as_json:
            out.write(json.dumps({kind: value, **more}, ensure_ascii=False) + "\n")
        else:
            out.write("".join(f"{line}\n" for line in value))
        out.flush()

    def heard(event: str, facts: dict[str, Any]) -> None:
        if event:
            shown = words.heard(event, facts)
            say("event", event if as_json else shown, **({"facts": facts} if as_json else {}))

    client.on_event = heard
    begun = await words.begin()
    say("hello", client.hello if as_json else begun)
    try:
        for line in lines:
            text = line.strip()
            if not as_json and text:
                out.write(f"> {text}\n")
            words.raw = None
            try:
                found = await words.do(text)
            except Leave:
                break
            except Gone:
                say("error", GONE if as_json else [GONE])
                return 5
            except Mistake as mistake:
                code = 1
                shown = failure(words.paint, mistake)
                say("error", mistake.message if as_json else shown, **(
                    {"hint": mistake.hint, "command": text} if as_json else {}
                ))  # fmt: skip
            else:
                await words.settle()
                if text:
                    say("result", words.raw if as_json else found, **({"command": text} if as_json else {}))
    finally:
        await client.close()
    return code


async def _no_editor(text: str) -> str | None:
    raise Mistake("there is no editor in a batch")
