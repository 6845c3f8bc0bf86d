"""The report as one HTML file: figures, charts and every reason, readable without a network, printable,
dark or light.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from kamtool.tools.stress import charts
from kamtool.tools.stress.histogram import Histogram, highest_of
from kamtool.tools.stress.report import WHOLE, Report
from kamtool.tools.stress.stats import Second

_STYLE = """

:root{--ink:#1c2330;--soft:#5b6677;--line:#dfe4ea;--paper:#fff;--card:#f6f8fa;--good:#177245;
--bad:#b3261e;--c0:#2563eb;--c1:#d97706;--c2:#b3261e;--c3:#177245;--c4:#7c3aed}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--soft:#9aa5b4;--line:#2c3440;--paper:#12161c;
--card:#1a2028;--good:#4cc38a;--bad:#ff7a70;--c0:#6ea8fe;--c1:#f0b050;--c2:#ff7a70;--c3:#4cc38a;
--c4:#b79cff}
}*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:840px;margin:0 auto;padding:28px 20px 60px}h1{font-size:24px;margin:0 0 2px}
h2{font-size:17px;margin:34px 0 10px}.sub{color:var(--soft);margin:0 0 18px}
.verdict{border-left:4px solid;padding:8px 14px;margin:0 0 18px;background:var(--card)}
.good{border-color:var(--good)}.bad{border-color:var(--bad)}.verdict b{display:block}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(118px,1fr));gap:10px}
.card{background:var(--card);padding:10px 14px;border-radius:6px}
.card b{display:block;font-size:21px;font-weight:600}.card span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:500;font-size:13px}th:first-child,td:first-child{text-align:left}
td.no{color:var(--bad);font-weight:600}td.yes{color:var(--good)}figure{margin:0 0 22px}
figcaption{display:flex;flex-wrap:wrap;justify-content:space-between;font-weight:500;margin-bottom:4px}
.legend span{font-weight:400;color:var(--soft);font-size:13px;margin-left:14px}
.legend i{display:inline-block;width:14px;height:3px;margin-right:5px;vertical-align:middle}
svg{width:100%;height:auto;display:block}.grid{stroke:var(--line)}
.tick,.title{fill:var(--soft);font-size:11px;font-family:inherit}
polyline{fill:none;stroke-width:2;stroke-linejoin:round}.none{color:var(--soft)}
pre{overflow:auto;background:var(--card);padding:10px;border-radius:6px}
""" + "".join(
    f".s{n}{{stroke:var(--c{n})}}.d{n}{{fill:var(--c{n})}}.b{n}{{background:var(--c{n})}}" for n in range(5)
)


def to_html(report: Report, total: Second) -> str:
    """The whole file."""
    title = f"{report['scenario']} → {report['target'] or 'nobody'}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="sub">{escape(_setting(report))}</p>',
        _verdict(report),
        _cards(report),
        _latencies(report),
        _charts(report, total),
        _limits(report),
        _table("Failures", ("reason", "calls"), report["reasons"].items()),
        _table("Answers", ("code", "count"), report["codes"].items()),
        _steps(report),
        _cost(report),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport"'
        ' content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _setting(report: Report) -> str:
    return f"{report['loop']} · {report['seconds']:.1f} s · {report['at']} · kamtool {report['kamtool']}"


def _verdict(report: Report) -> str:
    bad: list[str] = []
    if report["error"]:
        bad.append(report["error"])
    if report["stopped"]:
        bad.append(f"stopped early: {report['stopped']}")
    bad += [f"not valid: {reason}" for reason in report["invalid"]]
    bad += [
        f"limit crossed: {one['limit']}, it is {one['value']}"
        for one in report.get("limits", [])
        if one["crossed"]
    ]
    if not bad and report["calls"]["failed"] and not report.get("limits"):
        bad.append(f"{report['calls']['failed']} calls failed")
    kept = "every limit was kept and " if report.get("limits") else ""
    text = (
        "<b>What is wrong</b>" + "<br>".join(escape(one) for one in bad)
        if bad
        else f"<b>All is well</b>{kept}the run is valid"
    )
    return f'<div class="verdict {"bad" if bad else "good"}">{text}</div>'


def _cards(report: Report) -> str:
    calls = report["calls"]
    failed = calls["failed"] / max(1, calls["started"]) * 100
    cards = [
        (f"{report['rate']:,.0f}/s", "connections begun" if report["scenario"] == "conn" else "calls begun"),
        (f"{calls['succeeded']:,}", "succeeded"),
        (f"{calls['failed']:,} ({failed:.2g} %)" if calls["failed"] else "0", "failed"),
        (f"{report['messages']['repeated']:,}", "sent or come again"),
        (f"{report['lag']['p99']:.2f} ms", "generator late, p99"),
        (f"{report['generator']['busy']:.0%}", "generator busy"),
    ]
    return (
        '<div class="cards">'
        + "".join(f'<div class="card"><b>{escape(a)}</b><span>{b}</span></div>' for a, b in cards)
        + "</div>"
    )


def _latencies(report: Report) -> str:
    figures = ("p50", "p90", "p99", "p99.9", "max")
    rows = []
    for name, one in report["measures"].items():
        for side in ("response", "service"):
            cells = "".join(f"<td>{one[side][figure]:,.2f}</td>" for figure in figures)
            rows.append(
                f"<tr><td>{escape(name) if side == 'response' else ''}</td><td>{side}</td>"
                f"<td>{one[side]['count']:,}</td>{cells}</tr>"
            )
    heads = "".join(f"<th>{figure}</th>" for figure in figures)
    note = (
        '<p class="sub">Milliseconds. Response: from when the request was meant to leave; service:'
        " from when it did.</p>"
    )
    return (
        f"<h2>Latency</h2>{note}<table><tr><th></th><th></th><th>count</th>{heads}"
        f"</tr>{''.join(rows)}</table>"
    )


def _charts(report: Report, total: Second) -> str:
    moments = report["timeline"]
    rate = [
        ("due", [(m["at"], m["due"] / m["seconds"]) for m in moments]),
        ("succeeded", [(m["at"], m["succeeded"] / m["seconds"]) for m in moments]),
        ("failed", [(m["at"], m["failed"] / m["seconds"]) for m in moments]),
    ]
    late = [(name, [(m["at"], m[name]) for m in moments]) for name in ("p50", "p99", "max")]
    of = next((f" of {name}" for name in WHOLE if name in report["measures"]), "")
    spread = [(name, _spread(measure.response)) for name, measure in sorted(total.measures.items())][:5]
    return (
        "<h2>Course</h2>"
        + charts.lines(rate, "seconds", "calls a second")
        + charts.lines(late, "seconds", f"response time{of}, ms")
        + charts.lines(spread, "share of requests", "response time by percentile, ms", charts.NINES)
    )


def _spread(histogram: Histogram) -> list[tuple[float, float | None]]:
    if not histogram.total:
        return []
    points: dict[float, float] = {}
    for bucket, seen in histogram.cumulative():
        points[round(charts.nines((seen - 0.5) / histogram.total), 2)] = min(
            highest_of(bucket) / 1e3, histogram.highest * 1e3
        )
    return sorted(points.items())


def _limits(report: Report) -> str:
    if not report.get("limits"):
        return ""
    rows = "".join(
        f"<tr><td>{escape(one['limit'])}</td><td>{one['value']}</td><td"
        f' class="{"no" if one["crossed"] else "yes"}">'
        f"{'crossed' if one['crossed'] else 'kept'}</td></tr>"
        for one in report["limits"]
    )
    return f"<h2>Limits</h2><table><tr><th>limit</th><th>value</th><th></th></tr>{rows}</table>"


def _table(title: str, heads: Sequence[str], rows: Iterable[tuple[Any, Any]]) -> str:
    lines = "".join(f"<tr><td>{escape(str(a))}</td><td>{b:,}</td></tr>" for a, b in rows)
    return (
        f"<h2>{title}</h2><table><tr><th>{heads[0]}</th><th>{heads[1]}</th></tr>{lines}</table>"
        if lines
        else ""
    )


def _steps(report: Report) -> str:
    rows = "".join(
        f"<tr><td>{escape(step['what'])}</td><td>{step['direction']}</td><td>{step['count']:,}"
        f"</td><td>{step['timed_out'] or ''}</td></tr>"
        for step in report["steps"]
    )
    heads = "<tr><th>step</th><th></th><th>messages</th><th>timed out</th></tr>"
    return f"<h2>Scenario</h2><table>{heads}{rows}</table>" if rows else ""


def _cost(report: Report) -> str:
    rows = []
    generator = report["generator"]
    rows.append(("generator: CPU a call", f"{generator['cpu_us_per_call']:g} µs"))
    rows.append(("generator: memory", f"{generator['resident_bytes'] / 1e6:.0f} MB"))
    target = report.get("cost", {}).get("target")
    if target:
        rows += [
            (f"target, process {target['pid']}: CPU a call", f"{target['cpu_us_per_call']:g} µs"),
            ("target: CPU a message", f"{target['cpu_us_per_message']:g} µs"),
            ("target: busy", f"{target['busy']:.0%}"),
            ("target: memory", f"{target['resident_bytes'] / 1e6:.0f} MB"),
            ("target: open files before, after", " → ".join(str(count) for count in target["open_files"])),
        ]
    energy = report.get("cost", {}).get("energy")
    if energy:
        rows.append(
            (
                "machine: messages per joule",
                f"{energy['messages_per_joule']:g} ({energy['joules']:g} J in all)",
            )
        )
    lines = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in rows)
    return f"<h2>Cost</h2><table>{lines}</table>"
