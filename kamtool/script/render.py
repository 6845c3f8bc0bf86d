"""Findings as people read them: place, message, the line meant with a caret under it, and a hint.

cfg/edge.cfg:41:9: error: no function `sht_remove`
    41 |     sht_remove("ipban", $si);
       |     ^^^^^^^^^^
   hint: module htable has `sht_rm(table, key)`
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from kamtool.errors import ConfigError, ConfigErrors, Span, veiled
from kamtool.script.source import Text

WIDEST = 160
"""Characters of a line that are shown; a longer one is cut around the caret."""


def render(finding: ConfigError, text: Text | None = None) -> str:
    """One finding, or all of a ConfigErrors. Without `text` the line is read from the file again."""
    if isinstance(finding, ConfigErrors):
        return "\n".join(render(one, finding.text or text) for one in finding.errors)
    span = finding.span
    place = f"{span.file}:{span.line}:{span.column}: " if span.file and span.line else ""
    lines = [f"{place}{finding.severity}: {veiled(finding.message)} [{finding.code}]"]
    source = _line(span, text)
    if source is not None:
        lines += _excerpt(span, source)
    if finding.hint:
        lines.append(f"   hint: {finding.hint}")
    return "\n".join(lines)


def kamailio(finding: ConfigError) -> str:
    """The same in the form of `kamailio -c`, for programs that read its output."""
    place = finding.place
    last = max(place.end_column - 1, 1)
    if place.line != place.end_line:
        where = f"from line {place.line}, column {place.column} to line {place.end_line}, column {last}"
    elif last > place.column:
        where = f"line {place.line}, column {place.column}-{last}"
    else:
        where = f"line {place.line}, column {place.column}"
    level, kind = ("CRITICAL", "parse error") if finding.severity == "error" else ("WARNING", "warning")
    if finding.severity == "hint":
        level, kind = "NOTICE", "hint"
    return f"{level}: {kind} in config file {place.file}, {where}: {finding.message} [{finding.code}]"


def kamailio_verdict(errors: int) -> str:
    """The last line of `kamailio -c`."""
    if not errors:
        return "config file ok, exiting..."
    return f"ERROR: bad config file ({errors} error{'s' if errors != 1 else ''})"


def summary(errors: int, warnings: int, hints: int = 0) -> str:
    """How many there are, in words."""
    counts = (("error", errors), ("warning", warnings), ("hint", hints))
    parts = [f"{count} {what}{'s' if count != 1 else ''}" for what, count in counts if count]
    return ", ".join(parts) or "nothing to complain about"


def _line(span: Span, text: Text | None) -> str | None:
    if not span.line:
        return None
    if text is not None:
        known = text.line(span.file, span.line)
        if known is not None:
            return known
    lines = _lines_of(span.file)
    return lines[span.line - 1] if span.line <= len(lines) else None


@lru_cache(maxsize=8)
def _lines_of(file: str) -> tuple[str, ...]:
    try:
        content = Path(file).read_bytes()
    except (OSError, ValueError):
        return ()
    return tuple(line.rstrip("\r") for line in content.decode("utf-8", "surrogateescape").split("\n"))


def _excerpt(span: Span, source: str) -> list[str]:
    start = span.column - 1
    length = span.end_column - span.column if span.end_line == span.line else len(source) - start
    length = max(1, min(length, max(len(source) - start, 1)))
    cut = max(0, start - WIDEST // 3) if len(source) > WIDEST else 0
    shown = veiled(source, same_width=True)[cut : cut + WIDEST]
    start -= cut
    length = max(1, min(length, WIDEST - start))
    number = str(span.line)
    # The caret line repeats the tabs of the source, so that it lines up whatever a tab is wide.
    lead = "".join("\t" if letter == "\t" else " " for letter in shown[:start]).ljust(start)
    shown = shown.encode("utf-8", "replace").decode()
    return [f"    {number} | {shown}", f"    {' ' * len(number)} | {lead}{'^' * length}"]
