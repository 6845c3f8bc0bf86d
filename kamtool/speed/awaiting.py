"""What a call waits for: the pure twin of `_awaiting.pxi`."""

from __future__ import annotations

from kamtool.speed.stages import RECV, Shot


def expected(shot: Shot, data: bytes) -> int:
    """The stage that waits for this, -1 when none does. Optional ones are up to the first that is not."""
    status = 0
    if data[:4] == b"SIP/":
        digits = data[8:11]
        if data[7:8] != b" " or len(digits) < 3 or not digits.isdigit():
            return -1
        status = int(digits)
    for index in range(shot.at, len(shot.script.stages)):
        stage = shot.script.stages[index]
        if stage.kind != RECV:
            return -1
        if stage.status == status if status else (
            stage.status < 0 and data.startswith(stage.method + b" ")
        ):  # fmt: skip
            if status and stage.methods:
                found = data.find(b"\r\nCSeq: ")
                end = data.find(b"\r", found + 2)
                if found < 0 or end < 0 or not data.endswith(stage.methods, found, end):
                    return -1
            return index
        if not stage.optional:
            return -1
    return -1
