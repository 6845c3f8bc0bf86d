"""A story as lines for people."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

Facts = Mapping[str, Any]
_WAYS = {
    "then": "held", "else": "did not hold", "past": "did not lead out", "while": "went round",
    "case": "met this case", "default": "met no case",
}  # fmt: skip


def told(story: Facts) -> list[str]:
    """One request's story."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(story["began"]))
    lines = [f"{story['request']}", f"  from {story['source']} at {at}, Call-ID {story['call_id']}"]
    lines += [f"  {_answer(story)}", *_decided(story)]
    if story.get("before"):
        lines.append(f"  {story['before']}")
    for error in story["errors"]:
        lines.append(f"  error at {place(error)}: {error['error']}")
    routes = [
        " → ".join([each["route"], *(b for b in each["through"] if b != each["route"])])
        for each in story["routes"]
    ]
    lines += ["  it went through", *(f"    {route}" for route in routes)]
    return lines


def place(facts: Facts) -> str:
    """`default.cfg:57`."""
    return f"{PurePath(facts['file']).name}:{facts['line']}"


def _answer(story: Facts) -> str:
    by, status = story["by"], f"{story['status']} {story['reason']}".strip()
    where = f"{by['name']} at {place(by)} in {by['route']}" if by else "no statement of the cfg"
    match story["how"]:
        case "made":
            return f"answered {status} by {where}"
        case "peer":
            return f"a peer answered {status}; {where} had sent it there"
        case "here":
            return f"answered {status} by the server itself, after {where}"
        case "silence":
            return f"not answered: the script ended with {where}"
    return f"no final answer yet; {where} sent it on"


def _decided(story: Facts) -> list[str]:
    decision = story["decision"]
    if decision is None:
        return []
    lines = [f"  decided at {place(decision)} in {decision['route']}:", f"    {decision['text']}"]
    if decision["way"] in _WAYS:
        lines[-1] += f"    ({_WAYS[decision['way']]})"
    for value in decision["values"]:
        shown = f'"{value["value"]}"' if isinstance(value["value"], str) else value["value"]
        lines.append(f"    {value['text']} was {'$null' if shown is None else shown}" + (
            f": {value['means']}" if value["means"] else ""
        ))  # fmt: skip
    others = [each for each in story["way"] if each["line"] != decision["line"]]
    if others:
        lines.append("  and before that")
        lines += [f"    {place(each)}: {each['text']} {_WAYS.get(each['way'], '')}" for each in others]
    return lines
