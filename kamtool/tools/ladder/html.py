"""Calls as one self-contained HTML file: ladders to look at, messages to open, a box to search them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape

from kamtool.tools.ladder import svg
from kamtool.tools.ladder.calls import Call
from kamtool.tools.ladder.picture import clock, ladder, printable
from kamtool.tools.ladder.text import title

MOST = 500
"""Calls that are drawn; a page with more opens in no browser."""
HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>kamtool trace</title>
<style>
:root{color-scheme:light dark}
body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:1100px;padding:0 1rem}
h1{font-size:1.3rem}input{font:inherit;padding:.35rem .6rem;width:22rem;max-width:100%}
details{border:1px solid #8884;border-radius:6px;margin:.5rem 0;padding:.3rem .7rem}
summary{cursor:pointer;font:12.5px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{font:12px/1.4 ui-monospace,Menlo,Consolas,monospace;overflow-x:auto;margin:.4rem 0}
.p{overflow-x:auto}.n{opacity:.7}[data-n]{cursor:pointer}[data-n]:hover{opacity:.6}
.on{outline:2px solid #1f6feb}
</style></head><body>
"""
SCRIPT = """<script>
const box=document.getElementById('q'),count=document.getElementById('c');
const calls=[...document.querySelectorAll('.call')];
function look(){const w=box.value.toLowerCase();let n=0;
for(const c of calls){const f=!w||c.textContent.toLowerCase().includes(w);c.hidden=!f;n+=f}
count.textContent=n+' of '+calls.length}
box.addEventListener('input',look);look();
document.addEventListener('click',e=>{const g=e.target.closest('[data-n]');if(!g)return;
const m=g.closest('.call').querySelectorAll('.m')[+g.dataset.n];
if(m){m.open=true;m.scrollIntoView({block:'center',behavior:'smooth'});
m.classList.add('on');setTimeout(()=>m.classList.remove('on'),1500)}});
</script>
"""


def render(calls: Iterable[Call]) -> str:
    """The whole page; it asks nothing of the network."""
    shown = list(calls)
    more = len(shown) - MOST
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(shown[0].began)) if shown else "nothing"
    pieces = [HEAD, f"<h1>kamtool trace: {len(shown)} calls from {day}</h1>\n"]
    if more > 0:
        pieces.append(f"<p>Only the first {MOST} are drawn; a filter chooses others.</p>\n")
    pieces.append(
        '<p><input id="q" type="search" placeholder="search in all messages"> <span id="c"></span></p>\n'
    )
    pieces += [_call(call, is_open=len(shown) == 1) for call in shown[:MOST]]
    return "".join([*pieces, SCRIPT, "</body></html>\n"])


def _call(call: Call, *, is_open: bool) -> str:
    picture = svg.render(call).replace("<style>" + svg.STYLE + "</style>\n", _scoped(svg.STYLE))
    messages = []
    for arrow in ladder(call.messages).arrows:
        seen = arrow.seen
        text = seen.data.decode("utf-8", "replace").replace("\r\n", "\n")
        raw = "\n".join(printable(line) for line in text.split("\n"))
        notes = "".join(f'<div class="n">{escape(printable(note))}</div>' for note in arrow.notes)
        again = f" ×{len(arrow.again) + 1}" if arrow.again else ""
        head = f"{clock(seen.at)} {seen.source} → {seen.target} {seen.transport}  {seen.first_line}{again}"
        messages.append(
            f'<details class="m"><summary>{escape(printable(head))}</summary>{notes}'
            f"<pre>{escape(raw)}</pre></details>\n"
        )
    opened = " open" if is_open else ""
    return (
        f'<details class="call"{opened}><summary>{escape(title(call))}</summary>\n'
        f'<div class="p">{picture}</div>\n{"".join(messages)}</details>\n'
    )


def _scoped(style: str) -> str:
    """The picture's style for the picture alone, within a page of many."""
    style = style.replace("text{", "svg text{", 1)
    return f"<style>{style}</style>\n"
