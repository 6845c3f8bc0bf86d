"""The live panel: how far the run is, what the target answers, how late, and why calls fail."""

from __future__ import annotations

from collections import deque
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kamtool.tools.stress.plan import Plan
from kamtool.tools.stress.report import shown
from kamtool.tools.stress.stats import Second

BARS = "▁▂▃▄▅▆▇█"


class LivePanel:
    """Shows a run while it goes on; give it every second."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan, self.total = plan, Second()
        self.last = Second()
        self.p99: deque[float] = deque(maxlen=60)
        self.rates: deque[float] = deque(maxlen=60)
        self.live = Live(self.shown(), console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> LivePanel:
        self.live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.live.__exit__(*error)

    def add(self, second: Second) -> None:
        """One more second of the run."""
        self.last = second
        in_flight, self.total.in_flight = second.in_flight, 0
        self.total.merge(second)
        self.total.in_flight, self.total.at = in_flight, second.at
        call = second.measures.get("call")
        self.p99.append(call.response.percentile(99) * 1e3 if call else 0.0)
        self.rates.append(second.started / max(second.seconds, 1e-9))
        self.live.update(self.shown())

    def shown(self) -> RenderableType:
        """The whole panel."""
        plan, total = self.plan, self.total
        title = f"kamtool stress [b]{plan.name}[/b] → {plan.target}"
        rows: list[RenderableType] = [
            self._progress(),
            self._calls(),
            Text(""),
            self._latencies(),
            Text(""),
            self._course(),
        ]
        if total.reasons:
            rows += [Text(""), self._reasons()]
        return Panel(
            Group(*rows),
            title=title,
            title_align="left",
            border_style="dim",
            padding=(0, 1),
            width=min(96, self._width()),
        )

    def _width(self) -> int:
        return Console().width if not hasattr(self, "live") else self.live.console.width

    def _progress(self) -> RenderableType:
        plan, at = self.plan, self.total.at
        done = at / plan.load.duration if not plan.load.calls else self.total.started / plan.load.calls
        left = max(0.0, plan.load.duration - at)
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(width=10)
        grid.add_column(ratio=1)
        grid.add_column(justify="right")
        bar = ProgressBar(total=1.0, completed=min(1.0, done), complete_style="cyan", finished_style="cyan")
        grid.add_row(f"{at:.0f} s", bar, f"{left:.0f} s left, Ctrl-C ends it")
        return grid

    def _calls(self) -> RenderableType:
        total, last = self.total, self.last
        wanted = f"of {last.due / max(last.seconds, 1e-9):,.0f}/s due"
        failed = Text(f"{total.failed:,} failed", style="bold red" if total.failed else "dim")
        cells: list[RenderableType] = [
            Text.assemble((f"{last.started / max(last.seconds, 1e-9):,.0f}/s", "bold"), f" begun {wanted}"),
            Text(f"{total.succeeded:,} ok", style="green" if total.succeeded else "dim"),
            failed,
            Text(f"{total.in_flight:,} in flight"),
            Text(f"{total.repeated:,} repeated", style="yellow" if total.repeated else "dim"),
        ]
        return Columns(cells, padding=(0, 3))

    def _latencies(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("ms", "p50", "p90", "p99", "max", "service p99"):
            table.add_column(name, justify="left" if name == "ms" else "right", min_width=9)
        for name, measure in sorted(
            self.total.measures.items(), key=lambda entry: (entry[0] == "call", entry[0])
        ):
            response = measure.response
            figures = [shown(response.percentile(percent) * 1e3) for percent in (50, 90, 99)]
            table.add_row(
                name,
                *figures,
                shown(response.highest * 1e3),
                shown(measure.service.percentile(99) * 1e3),
            )
        if not self.total.measures:
            table.add_row(Text("no answer yet", style="yellow"))
        return table

    def _course(self) -> RenderableType:
        lag = self.total.lag.percentile(99) * 1e3
        busy = self.last.cpu / max(self.last.seconds, 1e-9) / self.plan.workers
        grid = Table.grid(padding=(0, 2))
        grid.add_row(Text("rate", style="dim"), Text(spark(self.rates), style="cyan"))
        grid.add_row(Text("p99", style="dim"), Text(spark(self.p99), style="magenta"))
        style = "bold red" if lag > 10 or busy > 0.9 else ""
        grid.add_row(
            Text("self", style="dim"), Text(f"{busy:.0%} busy, late by {lag:.2f} ms (p99)", style=style)
        )
        return grid

    def _reasons(self) -> RenderableType:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for reason, count in self.total.reasons.most_common(5):
            table.add_row(
                Text(f"{count:,}", style="red", justify="right"),
                Text(reason, overflow="ellipsis", no_wrap=True),
            )
        return table


def spark(values: deque[float]) -> str:
    """A row of bars, one a second, as high as the largest allows."""
    top = max(values, default=0.0) or 1.0
    return "".join(BARS[min(7, int(value / top * 7.999))] for value in values)
