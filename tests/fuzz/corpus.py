"""The inputs that are kept: one file a target, one input a line."""

from base64 import b64decode, b64encode
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"


def path_of(target):
    return FOLDER / f"{target}.txt"


def read(target):
    """All kept inputs of a target."""
    path = path_of(target)
    return [b64decode(line) for line in path.read_text().split()] if path.exists() else []


def write(target, inputs, limit_bytes):
    """Keep what was kept before, then the shortest of the others, each once, as long as they fit."""
    lines, size, before = [], 0, set(read(target))
    for data in sorted(before.union(inputs), key=lambda data: (data not in before, len(data), data)):
        line = b64encode(data).decode() + "\n"
        if (size := size + len(line)) > limit_bytes:
            break
        lines.append(line)
    FOLDER.mkdir(exist_ok=True)
    path_of(target).write_text("".join(lines))
    return len(lines)
