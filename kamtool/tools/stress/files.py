"""A report as CSV, JUnit XML and an HdrHistogram log."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from kamtool.tools.stress.report import Report
from kamtool.tools.stress.stats import Second

CSV_COLUMNS = (
    "at",
    "seconds",
    "due",
    "started",
    "succeeded",
    "failed",
    "in_flight",
    "repeated",
    "p50",
    "p95",
    "p99",
    "max",
    "lag",
    "busy",
)


def to_csv(report: Report) -> str:
    """A line for every second of the run; times in milliseconds."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(report["timeline"])
    return out.getvalue()


def to_junit(report: Report) -> str:
    """A test case for every limit, one for the calls and one for the validity of the run."""
    cases = [("all calls succeed", _calls(report)), ("the run is valid", "; ".join(report["invalid"]))]
    for verdict in report.get("limits", []):
        cases.append((verdict["limit"], f"it is {verdict['value']}" if verdict["crossed"] else ""))
    if report.get("limits"):
        cases = [case for case in cases if case[0] != "all calls succeed"]
    failures = sum(1 for _, reason in cases if reason)
    suite = quoteattr(f"kamtool stress {report['scenario']} {report['target']}")
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuite name={suite} tests="{len(cases)}" failures="{failures}" time="{report["seconds"]}">',
    ]
    for name, reason in cases:
        head = f'  <testcase classname="stress" name={quoteattr(name)} time="{report["seconds"]}"'
        lines.append(f"{head}><failure message={quoteattr(reason)}/></testcase>" if reason else f"{head}/>")
    return "\n".join([*lines, "</testsuite>", ""])


def _calls(report: Report) -> str:
    if report["error"]:
        return str(report["error"])
    if report["calls"]["failed"] or not report["calls"]["started"]:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in list(report["reasons"].items())[:3])
        return (
            f"{report['calls']['failed']} of {report['calls']['started']} failed:"
            f" {reasons or report['stopped']}"
        )
    return ""


def to_hdr_log(seconds: Sequence[Second], began: float) -> str:
    """HdrHistogram's log, version 1.3: a line for every second and measure, tagged with its name."""
    lines = [
        "#[Logged with kamtool stress]",
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {began:.3f} (seconds since epoch),"
        f" {time.strftime('%a %b %d %H:%M:%S UTC %Y', time.gmtime(began))}]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    for second in seconds:
        for name, measure in sorted(second.measures.items()):
            for side, histogram in (("response", measure.response), ("service", measure.service)):
                if histogram.total:
                    start, length = second.at - second.seconds, second.seconds
                    tag = f"{name}-{side}".replace(" ", "_").replace(",", "_")
                    # The unit of the maximum is the one of most tools: ms, with values in µs divided by 1000.
                    times = f"{max(start, 0):.3f},{length:.3f},{histogram.highest * 1e3:.3f}"
                    lines.append(f"Tag={tag},{times},{histogram.encode()}")
    return "\n".join(lines) + "\n"
