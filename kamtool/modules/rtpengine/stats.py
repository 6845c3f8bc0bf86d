"""What rtpengine counted of a call: totals for `$rtpestat`, and the quality for the `mos_…_pv` variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kamtool.module import Variable
    from kamtool.script.context import Context

Reply = dict[str, Any]


def totals(reply: Reply) -> str | None:
    """The bytes, packets and errors of RTP and RTCP in one line; None when the reply has none."""
    total = reply.get("totals")
    if not isinstance(total, dict):
        return None
    lines = []
    for kind in ("RTP", "RTCP"):
        counted = total.get(kind)
        numbers = [
            counted.get(name, 0) if isinstance(counted, dict) else 0
            for name in ("bytes", "packets", "errors")
        ]
        lines.append("{}: {} bytes, {} packets, {} errors".format(kind, *numbers))
    return "; ".join(lines)


@dataclass(slots=True)
class Quality:
    """One report: MOS in tenths, loss in percent, the rest in milliseconds; `at` in seconds of the call."""

    mos: float
    at: int
    packetloss: int
    jitter: int
    roundtrip: int
    roundtrip_leg: int
    samples: int


def _quality(report: Any, created: int) -> Quality | None:
    if not isinstance(report, dict) or not isinstance(report.get("MOS"), int):
        return None

    def number(name: str) -> int:
        found: Any = report.get(name)
        return found if isinstance(found, int) else 0

    at = max(0, number("reported at") - created)
    return Quality(
        float(report["MOS"]), at, number("packet loss"), number("jitter"), number("round-trip time"),
        number("round-trip time leg"), max(1, number("samples")),
    )  # fmt: skip


def _of_label(reply: Reply, label: str) -> set[str] | None:
    """The SSRCs that come from the parties with this label; None means all."""
    if not label:
        return None
    found = set()
    tags = reply.get("tags")
    for tag in tags.values() if isinstance(tags, dict) else ():
        if isinstance(tag, dict) and tag.get("label") == label:
            for medium in tag.get("medias") or ():
                for stream in medium.get("streams", ()) if isinstance(medium, dict) else ():
                    if isinstance(stream, dict) and "SSRC" in stream:
                        found.add(str(stream["SSRC"]))
    return found


def _reports(reply: Reply, label: str, kind: str) -> list[Quality]:
    sources, wanted = reply.get("SSRC"), _of_label(reply, label)
    created = reply.get("created") if isinstance(reply.get("created"), int) else 0
    found = []
    for ssrc, source in sources.items() if isinstance(sources, dict) else ():
        if isinstance(source, dict) and (wanted is None or ssrc in wanted):
            quality = _quality(source.get(f"{kind} MOS"), int(created or 0))
            if quality is not None:
                found.append(quality)
    return found


def average(reports: list[Quality]) -> Quality:
    """The mean of several reports."""
    count = len(reports)

    def mean(name: str) -> int:
        numbers: list[int] = [getattr(report, name) for report in reports]
        return round(sum(numbers) / count)

    return Quality(
        sum(report.mos for report in reports) / count, 0, mean("packetloss"), mean("jitter"),
        mean("roundtrip"), mean("roundtrip_leg"), sum(report.samples for report in reports),
    )  # fmt: skip


KINDS = {"min": "lowest", "max": "highest", "average": "average"}
FIELDS = ("", "at", "packetloss", "jitter", "roundtrip", "roundtrip_leg", "samples")


def store(ctx: Context, reply: Reply, label: str, variables: dict[tuple[str, str], Variable]) -> None:
    """Set the variables, by kind (min, max, average) and field ("" is the MOS), from what `delete` said."""
    for kind, name in KINDS.items():
        if not any(variable_kind == kind for variable_kind, _ in variables):
            continue
        reports = _reports(reply, label, name)
        if not reports:
            continue
        pick = {"min": min, "max": max}.get(kind)
        best = average(reports) if pick is None else pick(reports, key=lambda report: report.mos)
        for field in FIELDS:
            variable = variables.get((kind, field))
            if variable is not None:
                variable.set(ctx, _shown(best, field))


def _shown(quality: Quality, field: str) -> str:
    if field == "":
        tenths = round(quality.mos)
        return f"{tenths // 10}.{tenths % 10}"
    if field == "at":
        return f"{quality.at // 60}:{quality.at % 60:02}"
    return str(getattr(quality, field))
