"""Coverage as rows, as an lcov tracefile, and as pages."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kamtool.debug.coverage.record import Coverage, File, digest

_STYLE = """
body{font:14px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}
pre{font:13px/1.45 ui-monospace,monospace;margin:0}table{border-collapse:collapse}
td,th{padding:.2rem .8rem;text-align:left}td.n{text-align:right;color:#888}
.hit{background:#e6f6e6}.miss{background:#fbe3e3}.half{background:#fff3cd}
.bar{display:inline-block;width:8rem;height:.7rem;background:#fbe3e3}
.bar i{display:block;height:100%;background:#7bc47f}
"""


def rows(coverage: Coverage) -> list[dict[str, Any]]:
    """A row a file, and one for all."""
    found = [_row(name, file) for name, file in sorted(coverage.files.items())]
    if len(found) > 1:
        lines, run = sum(row["lines"] for row in found), sum(row["run"] for row in found)
        taken, ways = (
            sum(f.ways[0] for f in coverage.files.values()),
            sum(f.ways[1] for f in coverage.files.values()),
        )
        found.append({
            "file": "all", "lines": lines, "run": run, "percent": _percent(run, lines),
            "branches": f"{taken}/{ways}", "never": "",
        })  # fmt: skip
    return found


def _row(name: str, file: File) -> dict[str, Any]:
    taken, ways = file.ways
    return {
        "file": name, "lines": len(file.lines), "run": file.covered,
        "percent": _percent(file.covered, len(file.lines)), "branches": f"{taken}/{ways}",
        "never": ranges(line for line, count in sorted(file.lines.items()) if not count),
    }  # fmt: skip


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 100.0


def ranges(lines: Iterable[int]) -> str:
    """`3-5, 9`."""
    found: list[list[int]] = []
    for line in lines:
        if found and line == found[-1][1] + 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in found)


def lcov(coverage: Coverage) -> Iterator[str]:
    """The lines of a tracefile, as geninfo(1) describes it; `genhtml` makes pages of it."""
    for name, file in sorted(coverage.files.items()):
        yield "TN:"
        yield f"SF:{Path(name).absolute()}"
        for route, (line, _) in file.routes.items():
            yield f"FN:{line},{route}"
        for route, (_, count) in file.routes.items():
            yield f"FNDA:{count},{route}"
        yield f"FNF:{len(file.routes)}"
        yield f"FNH:{sum(count > 0 for _, count in file.routes.values())}"
        for line, pairs in sorted(file.branches.items()):
            for block, (held, not_held) in enumerate(pairs):
                asked = held or not_held
                yield f"BRDA:{line},{block},0,{held if asked else '-'}"
                yield f"BRDA:{line},{block},1,{not_held if asked else '-'}"
        taken, ways = file.ways
        yield f"BRF:{ways}"
        yield f"BRH:{taken}"
        for line, count in sorted(file.lines.items()):
            yield f"DA:{line},{count}"
        yield f"LF:{len(file.lines)}"
        yield f"LH:{file.covered}"
        yield "end_of_record"


def pages(coverage: Coverage, folder: Path) -> list[Path]:
    """A page with every file, and one for each. Returns what was written, the first page first."""
    folder.mkdir(parents=True, exist_ok=True)
    made, table = [], []
    for number, (name, file) in enumerate(sorted(coverage.files.items())):
        page = folder / f"{number}.html"
        page.write_text(_page(name, _source(name, file)), encoding="utf-8")
        row = _row(name, file)
        table.append(
            f'<tr><td><a href="{page.name}">{html.escape(name)}</a></td><td class=n>{row["percent"]} %</td>'
            f'<td><span class=bar><i style="width:{row["percent"]}%"></i></span></td>'
            f"<td class=n>{row['run']}/{row['lines']} lines</td><td class=n>{row['branches']} ways</td></tr>"
        )
        made.append(page)
    first = folder / "index.html"
    first.write_text(_page("Coverage of the cfg", f"<table>{''.join(table)}</table>"), encoding="utf-8")
    return [first, *made]


def _page(title: str, body: str) -> str:
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1>{body}\n"
    )


def _source(name: str, file: File) -> str:
    try:
        text = Path(name).read_bytes().decode("utf-8", "replace")
    except OSError as error:
        return f"<p>{html.escape(str(error))}</p>"
    note = "" if digest(text) == file.digest else "<p>This file has changed since it was run.</p>"
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        count = file.lines.get(number)
        missed = [w for pair in file.branches.get(number, ()) for w in _missed(pair)] if count else []
        kind = "" if count is None else "miss" if not count else "half" if missed else "hit"
        why = f' title="{", ".join(missed)}"' if missed else ""
        shown = "" if count is None else str(count)
        lines.append(f'<span class="{kind}"{why}>{number:5} {shown:>7}  {html.escape(line)}</span>')
    return f"{note}<pre>{chr(10).join(lines)}</pre>"


def _missed(pair: tuple[int, int]) -> list[str]:
    return [word for word, count in zip(("never held", "always held"), pair, strict=True) if not count]
