"""A ladder as Mermaid, which GitHub, GitLab and many editors draw."""

from __future__ import annotations

import re

from kamtool.tools.ladder.calls import Call
from kamtool.tools.ladder.picture import delay, ladder, printable

_SPECIAL = re.compile(r"[#;:<>{}\"`%\\|]|-->|->")


def render(call: Call) -> str:
    """A sequence diagram."""
    picture = ladder(call.messages)
    lines = ["sequenceDiagram", "    autonumber"]
    lines += [f"    participant p{number} as {_safe(name)}" for number, name in enumerate(picture.columns)]
    for arrow in picture.arrows:
        head = "->>" if arrow.seen.is_request else "-->>"
        label = _safe(f"{arrow.label} ({delay(arrow.since)})")
        lines.append(f"    p{arrow.source}{head}p{arrow.target}: {label}")
        lines += [
            f"    Note over p{_own(arrow.seen.inbound, arrow.source, arrow.target)}: {_safe(note)}"
            for note in arrow.notes
        ]
    return "\n".join(lines) + "\n"


def _own(inbound: bool | None, source: int, target: int) -> int:
    return target if inbound else source


def _safe(text: str) -> str:
    """Mermaid's own signs as character references."""
    return _SPECIAL.sub(lambda found: "".join(f"#{ord(c)};" for c in found[0]), printable(text))
