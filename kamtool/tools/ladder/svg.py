"""A ladder as SVG: one picture of a call, readable on a light and a dark page."""

from __future__ import annotations

from html import escape

from kamtool.tools.ladder.calls import Call
from kamtool.tools.ladder.picture import Arrow, delay, ladder, printable

LEFT, STEP, ROW, NOTE, TOP = 90, 240, 30, 15, 56
LONGEST, LETTER = 110, 8
COLOURS = {0: "#1f6feb", 1: "#57606a", 2: "#1a7f37", 3: "#9a6700", 4: "#cf222e", 5: "#cf222e", 6: "#cf222e"}
STYLE = (
    "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#24292f}"
    ".n{font-size:10px;fill:#6e7781}.t{fill:#6e7781;text-anchor:end}.m{text-anchor:middle}"
    "line.r{stroke:#d0d7de}.b{fill:#fff}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.n,.t{fill:#8b949e}line.r{stroke:#30363d}.b{fill:#0d1117}}"
)


def render(call: Call) -> str:
    """The picture, a whole SVG document."""
    picture = ladder(call.messages)
    spots = [LEFT + STEP // 2 + STEP * number for number in range(max(1, len(picture.columns)))]
    pieces: list[str] = []
    y = TOP
    for number, arrow in enumerate(picture.arrows):
        y += ROW
        pieces.append(_arrow(number, arrow, spots, y))
        for note in arrow.notes:
            y += NOTE
            text = note if len(note) <= LONGEST else note[: LONGEST - 1] + "…"
            pieces.append(f'<text class="n" x="{LEFT + 8}" y="{y}">{_text(text)}</text>')
    width, height = spots[-1] + STEP // 2 + 10, y + 24
    longest = max((len(note[:LONGEST]) for arrow in picture.arrows for note in arrow.notes), default=0)
    width = max(width, LEFT + 20 + longest * 6)
    rungs = [f'<line class="r" x1="{x}" y1="{TOP}" x2="{x}" y2="{height - 10}"/>' for x in spots]
    heads = [
        f'<text class="m" x="{x}" y="{TOP - 12}">{_text(name)}</text>'
        for x, name in zip(spots, picture.columns, strict=False)
    ]
    title = f"{call.method} {call.caller} to {call.callee}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n<title>{_text(title)}</title>\n<style>{STYLE}</style>\n'
        f'<rect class="b" width="{width}" height="{height}"/>\n'
        f'<text x="10" y="20">{_text(title)}</text>\n' + "\n".join([*rungs, *heads, *pieces]) + "\n</svg>\n"
    )


def _arrow(number: int, arrow: Arrow, spots: list[int], y: int) -> str:
    colour = COLOURS.get(arrow.seen.status // 100, "#57606a")
    start, end = spots[arrow.source], spots[arrow.target]
    time = f'<text class="t" x="{LEFT - 8}" y="{y + 4}">{delay(arrow.since)}</text>'
    dash = "" if arrow.seen.is_request else ' stroke-dasharray="5 3"'
    if start == end:
        path = f'<path d="M{start} {y - 4}h26v8h-26" fill="none" stroke="{colour}"{dash}/>'
        label = f'<text x="{start + 32}" y="{y + 4}">{_text(arrow.label)}</text>'
        return f'<g data-n="{number}">{time}{path}{label}</g>'
    back = -7 if end > start else 7
    path = (
        f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="{colour}"{dash}/>'
        f'<path d="M{end} {y}l{back} -4v8z" fill="{colour}"/>'
    )
    middle, room = (start + end) // 2, abs(end - start) // LETTER - 2
    # What has no room between its ends is whole in the tip.
    tip, text = "", arrow.label
    if len(text) > room:
        tip, text = f"<title>{_text(text)}</title>", text[: room - 1] + "…"
    label = f'<text class="m" x="{middle}" y="{y - 5}" style="fill:{colour}">{_text(text)}</text>'
    return f'<g data-n="{number}">{tip}{time}{path}{label}</g>'


def _text(text: str) -> str:
    return escape(printable(text))
