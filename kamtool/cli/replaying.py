"""`kamtool debug replay`: recorded messages once more, offline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kamtool.cli.recording import same_hashes
from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.debug.record.file import Recording
    from kamtool.debug.replay.run import Came, Replayed
    from kamtool.script.program import Script

FILE = click.Path(path_type=Path, dir_okay=False)
CAPTURES = (
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\xc3\xd4",
    b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x0a\x0d\x0d\x0a",
)
CHANGED = 10


@click.command("replay")
@click.argument("file", type=FILE)
@click.option("-f", "--cfg", type=FILE, metavar="FILE", help="The cfg; without one, that of the recording.")
@click.option(
    "--diff", nargs=2, type=FILE, metavar="OLD NEW", help="Show what would go another way with NEW."
)
@click.option("--call-id", default="", metavar="ID", help="Show the messages of this call and their way.")
@click.option(
    "-A", "--define", multiple=True, metavar="NAME[=VALUE]", help="Define NAME for the preprocessor."
)
@click.option("-l", "--listen", default="", metavar="ADDRESS", help="Of a capture: the server's address.")
def replay(
    file: Path,
    cfg: Path | None,
    diff: tuple[Path, Path] | None,
    call_id: str,
    define: tuple[str, ...],
    listen: str,
) -> int:
    """Do again what `kamtool serve --record FILE` kept, offline: no socket, no database, no name server.

    On the same cfg the server sends what it sent then, byte for byte; what differs is shown, and the exit
    code is 1. With --diff OLD NEW the messages are named that take another way, each with the first line
    that differs, and the exit code is 10 when there are any. FILE may be a pcap or pcapng: what that
    lacks is made up, and said.

    Example: kamtool debug replay run.rec --diff old.cfg new.cfg
    """
    from kamtool.debug.replay.run import Replay

    recording = _read(file, listen)
    same_hashes(str(recording.about.get("hashseed", "")) or "0")
    defines = {name: value if equals else None for name, equals, value in (w.partition("=") for w in define)}
    if recording.cut:
        click.echo(f"{file}: {recording.cut}; what is before that is replayed", err=True)
    if diff is not None:
        return _show_parted(
            recording, _script(recording, diff[0], defines), _script(recording, diff[1], defines)
        )
    result = Replay(recording, _script(recording, cfg, defines), watch=bool(call_id)).run()
    if call_id:
        _show_call([came for came in result.came if came.call_id == call_id], call_id)
    return _show(result, recording)


def _read(file: Path, listen: str) -> Recording:
    from kamtool.debug.record.file import read

    try:
        with file.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}", exit_code=3) from error
    if start not in CAPTURES:
        return read(file)
    from kamtool.debug.replay.capture import LACKS, Seen, recording_of
    from kamtool.debug.trial.message import place_of
    from kamtool.tools.pcap.reader import Reader

    with file.open("rb") as stream:
        seen = [Seen(c.at, c.transport, c.source, c.target, c.data) for c in Reader(stream)]
    click.echo(f"{file} is a capture and lacks {'; '.join(LACKS)}", err=True)
    return recording_of(seen, place_of(listen)[1] if listen else None)


def _script(recording: Recording, cfg: Path | None, defines: dict[str, str | None]) -> Script:
    from kamtool import script

    about = recording.about
    if cfg is None and "cfg" not in about:
        raise UsageError("a capture has no cfg", hint="--cfg FILE")
    known = {**about.get("defines", {}), **defines}
    path = cfg or Path(about["cfg"])
    if not path.is_file():
        raise UsageError(f"no cfg {path}", exit_code=3, hint="--cfg FILE")
    return script.load(path, defines=known)


def _show(result: Replayed, recording: Recording) -> int:
    for asked, count in sorted(result.missing.items()):
        click.echo(f"not in the recording, and left empty: {asked} ({count} times)", err=True)
    click.echo(f"{len(result.came)} messages came, {len(result.sent)} left")
    if recording.about.get("from_capture"):
        return 0
    if result.difference and not result.cut:
        click.echo(f"not as recorded: {result.difference}")
        return 1
    click.echo("byte for byte as recorded" if not result.difference else "as recorded, up to the cut")
    return 0


def _show_call(came: list[Came], call_id: str) -> None:
    if not came:
        raise UsageError(f"no message of the call {call_id!r} was recorded", exit_code=3)
    for each in came:
        click.echo(f"{each.number}: {each.first_line}")
        for step in each.way:
            click.echo(f"     {Path(step.span.file).name}:{step.span.line:<5} {step.block}  {step.text}")
        for line in each.left:
            click.echo(f"   ⇒ {line}")


def _show_parted(recording: Recording, old: Script, new: Script) -> int:
    from kamtool.debug.replay.compare import parted
    from kamtool.debug.replay.run import Replay

    before, after = Replay(recording, old, watch=True).run(), Replay(recording, new, watch=True).run()
    count = 0
    for each in parted(before, after):
        count += 1
        click.echo(f"{each.old.number}: {each.old.first_line}  Call-ID {each.old.call_id}")
        click.echo(f"     parts at {each.place}: {each.becomes.text if each.becomes else 'nothing more'}")
        click.echo(f"     instead of {each.was.text if each.was else 'nothing more'}")
        if each.old.left != each.new.left:
            was, becomes = (", ".join(come.left) or "nothing" for come in (each.old, each.new))
            click.echo(f"     sent {was}; now {becomes}")
    for asked, times in sorted(after.missing.items()):
        click.echo(f"not in the recording, and left empty: {asked} ({times} times)", err=True)
    click.echo(f"{count} of {len(before.came)} messages take another way")
    return CHANGED if count else 0
