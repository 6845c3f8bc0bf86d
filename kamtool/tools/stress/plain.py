"""Scenarios that the kernel steps by itself: sends, awaited answers, fixed pauses, jumps without a test."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kamtool.speed.stages import CALL, END, MEASURES, NOP, PAUSE, PROOF, RECV, RINGING, SEND, Operation
from kamtool.tools.sippxml import model
from kamtool.tools.stress import program as steps
from kamtool.tools.stress.endpoint import Endpoint
from kamtool.tools.stress.kernel import Stage
from kamtool.tools.stress.pieces import Piece, Setting, Value, constant
from kamtool.tools.stress.program import Program, Step
from kamtool.tools.stress.proof import Prover

NAMES = ("call", "ringing")
assert (CALL, RINGING) == (0, 1)
_FIELD = re.compile(r"\[field(\d+)\]")


def measures_of(programs: Sequence[Program]) -> dict[str, int] | None:
    """The number of each measure; None when there are too many."""
    names = list(NAMES)
    names += sorted({step.measure for one in programs for step in one.steps if step.measure} - set(names))
    return {name: number for number, name in enumerate(names)} if len(names) <= MEASURES else None


def is_plain(program: Program) -> bool:
    """Whether nothing in it needs more than the kernel has."""
    rows = program.setting.rows()
    fields = rows.rows if rows else []
    if any("[" in value for row in fields for value in row) or program.scenario.start:
        return False
    return all(_is_plain_step(step) for step in program.steps) and len(set(_proofs(program))) < 2


def _is_plain_step(step: Step) -> bool:
    written = step.written
    if step.kind in (steps.SEND_CMD, steps.RECV_CMD) or step.lost or step.pattern or step.timeout:
        return False
    timed = written.start_rtd or written.rtd
    if timed or written.actions or written.test or written.condition or written.chance < 1.0:
        return False
    if isinstance(written, model.Recv):
        return written.optional != "global" and bool(step.measure or step.status < 200 or written.auth)
    if isinstance(written, model.Pause):
        return not written.variable and written.distribution in ("", "fixed")
    if step.message is not None:
        pieces = [*step.message.pieces, *step.message.body]
        values = [one for one in pieces if isinstance(one, Value)]
        return all(one.code >= 0 and (one.code != PROOF or _is_plain_proof(one.argument)) for one in values)
    return True


def _is_plain_proof(argument: object) -> bool:
    return all("[" not in _FIELD.sub("", text) for text in argument)  # type: ignore[attr-defined]


def stages_of(program: Program, endpoint: Endpoint, measures: dict[str, int], hold: float) -> list[Stage]:
    """A plain program at an endpoint, for the kernel."""
    return [_stage(step, endpoint, measures, hold) for step in program.steps]


def _stage(step: Step, endpoint: Endpoint, measures: dict[str, int], hold: float) -> Stage:
    written, measure = step.written, measures.get(step.measure, -1)
    if step.kind == steps.SEND and step.message is not None:
        return Stage(
            SEND, step.next_index, head=_operations(step.message.pieces, endpoint),
            body=_operations(step.message.body, endpoint), starts=step.starts, is_ack=step.is_ack,
            retrans=0.0 if endpoint.reliable else step.retrans, measure=measure,
        )  # fmt: skip
    if isinstance(written, model.Recv):
        return Stage(
            RECV, step.next_index, status=step.status, method=b"" if step.status > 0 else step.what.encode(),
            methods=step.methods, optional=bool(written.optional), final=step.final,
            provisional=step.provisional, auth=written.auth, rrs=written.rrs,
            measure=measures.get("invite", -1) if step.provisional else measure,
        )  # fmt: skip
    if isinstance(written, model.Pause):
        seconds = written.parameters.get("value" if written.distribution else "milliseconds", hold)
        return Stage(PAUSE, step.next_index, seconds=seconds)
    return Stage(END if step.kind == steps.END else NOP, step.next_index)


def _operations(pieces: Sequence[Piece], endpoint: Endpoint) -> list[Operation]:
    """Octets that stand beside each other become one."""
    made: list[Operation] = []
    for piece in pieces:
        if isinstance(piece, Value):
            made.append((piece.code, piece.argument, piece.vanishes))
            continue
        data = piece if isinstance(piece, bytes) else constant(piece, endpoint)
        if made and isinstance(made[-1], bytes):
            made[-1] += data
        else:
            made.append(data)
    return made


def _proofs(program: Program) -> list[tuple[str, str]]:
    """The user and the password of each `[authentication]` in it."""
    return [
        piece.argument  # type: ignore[misc]
        for step in program.steps
        if step.message is not None
        for piece in step.message.pieces
        if isinstance(piece, Value) and piece.code == PROOF
    ]


def prover(program: Program, setting: Setting) -> Prover | None:
    """Who answers the challenges of a plain program; None when it answers none."""
    facts = _proofs(program)
    if not facts:
        return None
    user, password = facts[0]
    users = setting.rows()
    rows = users.rows if users else [[]]
    names = [_filled(user, row) if user else setting.user or setting.service for row in rows]
    secrets = [_filled(password, row) if password else setting.password for row in rows]
    return Prover(names, [s.replace("{user}", name) for s, name in zip(secrets, names, strict=True)])


def _filled(text: str, row: list[str]) -> str:
    return _FIELD.sub(lambda found: row[int(found[1])] if int(found[1]) < len(row) else "", text)
