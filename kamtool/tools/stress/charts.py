"""Line charts as inline SVG: no script, no font, no file from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 760, 240
LEFT, RIGHT, TOP, BOTTOM = 62, 30, 12, 40

Points = Sequence[tuple[float, float | None]]
Series = tuple[str, Points]


def lines(
    series: Sequence[Series], x_title: str, y_title: str, x_labels: Sequence[tuple[float, str]] = ()
) -> str:
    """Curves over a common axis, each with the CSS class `s0`, `s1` … and an entry in the legend."""
    xs = [x for _, points in series for x, _ in points]
    ys = [y for _, points in series for _, y in points if y is not None]
    if not xs or not ys:
        return '<p class="none">nothing was measured</p>'
    low, high = (x_labels[0][0], x_labels[-1][0]) if x_labels else (min(0.0, *xs), max(xs))
    top, step = nice_top(max(ys))

    def across(x: float) -> float:
        return LEFT + (x - low) / ((high - low) or 1.0) * (WIDTH - LEFT - RIGHT)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - min(y, top) / top * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(y_title)}">']
    value = 0.0
    while value <= top * 1.0001:
        y = up(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label(value)}</text>'
        )
        value += step
    for x, text in x_labels or _time_ticks(high):
        parts.append(
            f'<text class="tick" x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}"'
            f' text-anchor="middle">{text}</text>'
        )
    for number, (name, points) in enumerate(series):
        parts += _curve(number, name, [(across(x), up(y), y) for x, y in points if y is not None])
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text class="title" x="{middle}" y="{HEIGHT - 4}" text-anchor="middle">{escape(x_title)}</text>'
    )
    legend = "".join(
        f'<span><i class="b{number}"></i>{escape(name)}</span>' for number, (name, _) in enumerate(series)
    )
    return (
        f'<figure><figcaption>{escape(y_title)}<div class="legend">{legend}</div>'
        f"</figcaption>{''.join(parts)}</svg></figure>"
    )


def _curve(number: int, name: str, points: list[tuple[float, float, float]]) -> list[str]:
    if not points:
        return []
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    made = [f'<polyline class="s{number}" points="{path}"/>']
    if len(points) <= 60:
        made += [
            f'<circle class="d{number}" cx="{x:.1f}" cy="{y:.1f}" r="2.4">'
            f"<title>{escape(name)}: {label(value)}</title></circle>"
            for x, y, value in points
        ]
    return made


def nice_top(highest: float) -> tuple[float, float]:
    """The top of an axis and the distance of its lines: 1, 2 or 5 times a power of ten."""
    if highest <= 0:
        return 1.0, 0.25
    power = 10.0 ** floor(log10(highest))
    for factor in (1, 2, 2.5, 5, 10):
        if factor * power >= highest * 1.02:
            return factor * power, factor * power / 5
    return 20 * power, 4 * power


def label(value: float) -> str:
    """A number for an axis, short."""
    if value >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _time_ticks(last: float) -> list[tuple[float, str]]:
    _, step = nice_top(max(last, 1.0))
    return [(step * i, f"{step * i:g}") for i in range(int(last / step) + 1)]


NINES = ((0.0, "0 %"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"))
"""The axis of a percentile curve: how many nines."""


def nines(share: float) -> float:
    """Where a share stands on that axis, 0.9 at 1, 0.99 at 2."""
    return min(4.0, -log10(max(1.0 - share, 1e-4)))
