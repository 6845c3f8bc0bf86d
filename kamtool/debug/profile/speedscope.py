"""A profile for https://www.speedscope.app, in its file format."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from kamtool import __version__
from kamtool.debug.profile.record import Profile


def speedscope(profile: Profile, name: str) -> dict[str, Any]:
    """One `sampled` profile: a sample for each stack, as heavy as its time."""
    frames: dict[tuple[str, str, int], int] = {}
    samples, weights = [], []
    for (routes, file, line, statement), (spent, _) in sorted(profile.stacks.items()):
        leaf = (f"{statement} {PurePath(file).name}:{line}", file, line)
        path = [*((route, file, 0) for route in routes), leaf]
        samples.append([frames.setdefault(each, len(frames)) for each in path])
        weights.append(spent)
    return {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": f"kamtool {__version__}", "name": name, "activeProfileIndex": 0,
        "shared": {"frames": [
            {"name": text, "file": file} | ({"line": line} if line else {}) for text, file, line in frames
        ]},
        "profiles": [{
            "type": "sampled", "name": name, "unit": "nanoseconds", "startValue": 0, "endValue": sum(weights),
            "samples": samples, "weights": weights,
        }],
    }  # fmt: skip
