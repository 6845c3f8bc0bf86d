"""Calls as Markdown for an issue: a heading, a Mermaid ladder, the messages folded away."""

from __future__ import annotations

from kamtool.tools.ladder import mermaid
from kamtool.tools.ladder.calls import Call
from kamtool.tools.ladder.picture import clock, ladder, printable


def render(call: Call) -> str:
    """One call."""
    lines = [
        f"### {_plain(f'{call.method} {call.caller} to {call.callee}: {call.state} {call.status or str()}')}",
        "",
    ]
    lines += [f"Call-ID `{_code(call.call_id)}`, {len(call.messages)} messages in {call.lasted:.3f} s", ""]
    lines += ["```mermaid", mermaid.render(call).rstrip(), "```", ""]
    for arrow in ladder(call.messages).arrows:
        seen = arrow.seen
        head = f"{clock(seen.at)} {seen.source} → {seen.target} {seen.transport}: {seen.first_line}"
        text = seen.data.decode("utf-8", "replace").replace("\r\n", "\n").rstrip()
        body = "\n".join("    " + printable(line) for line in text.split("\n"))
        lines += [f"<details><summary>{_plain(head)}</summary>", "", body, "", "</details>"]
    return "\n".join(lines) + "\n\n"


def _plain(text: str) -> str:
    text = printable(text.replace("\0", "")).strip()
    for sign, safe in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("`", "\\`"),
        ("*", "\\*"),
        ("_", "\\_"),
    ):
        text = text.replace(sign, safe)
    return text


def _code(text: str) -> str:
    return printable(text).replace("`", "'")
