"""`kamtool trace`: see every message of a running server, of capture files, or of others' HEP."""

from __future__ import annotations

import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamtool.cli.output import coloured
from kamtool.cli.rpc import socket_option
from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.tools.trace.filter import Filter
    from kamtool.tools.trace.sinks import Sink

FORMATS = ("text", "jsonl", "ladder", "mermaid", "svg", "html", "markdown")
PATH = click.Path(path_type=Path)
_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def seconds_of(text: str) -> float:
    """`30s`, `500ms`, `5m`, `1h`, `30`. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text.strip())
    if not found:
        raise UsageError(f"{text!r} is no time", hint="30s, 500ms, 5m, 1h")
    return float(found[1]) * _UNITS[found[2]]


def size_of(text: str) -> int:
    """`10M`, `512k`, `1G`, octets. Raises UsageError."""
    found = re.fullmatch(r"(\d+)([kmg]?)i?b?", text.strip().lower())
    if not found:
        raise UsageError(f"{text!r} is no size", hint="10M, 512k, 1G")
    return int(found[1]) * _SIZES[found[2]]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("expression", required=False, default="", metavar="[FILTER]")
@click.option(
    "-r", "--read", "files", type=PATH, multiple=True, metavar="FILE",
    help="Read a pcap or pcapng file instead of asking a server; - is stdin. May be given often.",
)  # fmt: skip
@click.option(
    "--listen-hep", "listen_hep", default="", metavar="[HOST:]PORT",
    help="Be a capture server: take HEP (1, 2, 3) over UDP from others.",
)  # fmt: skip
@click.option("-w", "--write", type=PATH, metavar="FILE", help="Write a capture file; - streams to stdout.")
@click.option(
    "--encap", type=click.Choice(["raw", "pdu", "tls+keys"]), default="raw", show_default=True,
    help="Messages in the file: in IP and UDP made for them; as Wireshark's exported PDUs; those of TLS "
    "connections that begin from now on as their real records, with the keys that open them.",
)  # fmt: skip
@click.option("--rotate-size", default="", metavar="SIZE", help="With -w: a new file after SIZE (10M).")
@click.option("--rotate-time", default="", metavar="TIME", help="With -w: a new file after TIME (10m).")
@click.option("--files", "keep", type=int, default=0, metavar="N", help="With -w: keep the last N files.")
@click.option("--hep", "hep_place", default="", metavar="udp:HOST:PORT", help="Send each message on as HEP.")
@click.option(
    "--hep-version", type=click.IntRange(1, 3), default=3, show_default=True, help="The HEP version."
)
@click.option("--hep-id", type=int, default=1, show_default=True, help="Our number as a capture agent.")
@click.option("--hep-key-file", type=PATH, metavar="FILE", help="The HEP key, to send or to ask for.")
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="What to print; else a ladder to browse."
)
@click.option("--call-id", multiple=True, metavar="ID", help="Only this Call-ID; * at its end fits any rest.")
@click.option("--user", multiple=True, metavar="USER", help="Only with this user in From, To or R-URI.")
@click.option("--ip", multiple=True, metavar="ADDRESS", help="Only from or to this address or network.")
@click.option("--whole-calls", is_flag=True, help="Of a call that fits once, take all that follows.")
@click.option("-c", "--count", type=int, default=0, metavar="N", help="End after N messages.")
@click.option("--for", "duration", default="", metavar="TIME", help="End after TIME; 0s: only what is past.")
@click.option("--before", default="", metavar="TIME", help="Begin so long ago: what the flight recorder has.")
@click.option("--cfg/--no-cfg", default=None, help="Which cfg lines ran for each message.")
@click.option("--redact", is_flag=True, help="Hide secrets, users and numbers, the same way everywhere.")
@socket_option
def command(expression: str, files: tuple[Path, ...], socket: Path, **given: Any) -> int:
    """Show every SIP message of the running server, decrypted, whatever its transport.

    In a terminal it is a list of calls and their ladders to browse; into a pipe it is text. FILTER is an
    expression of the cfg's language, e.g. '$rm == "INVITE" && $fU == "alice"': $si sent a message, $Ri
    got it. Without a server, -r reads files and --listen-hep takes HEP.

    A file of -w holds each message as UDP, with its real transport in the packet's comment; nothing
    encrypted is in it unless --encap tls+keys asks for it: then whoever has the file has the keys. With
    several workers it is one trace of all, in order of time; with .1 behind the control socket's name it is
    worker 1 alone. --cfg lets the server run its traced script for as long as the trace lasts.

    Example: kamtool trace -w calls.pcapng
    """
    from kamtool.cli import acting, trace_acting
    from kamtool.tools.trace.filter import Filter

    if given["encap"] == "tls+keys":
        _check_records(expression, files, given)
    silent = not (given["format_"] or given["write"] or given["hep_place"])
    browses = silent and sys.stdin.isatty() and sys.stdout.isatty()
    trace_acting.check(
        acting.named(), {**given, "expression": expression, "files": files, "browses": browses}
    )
    filter_ = Filter(_tests(expression, given), whole_calls=given["whole_calls"])
    if browses:
        return _browse(files, socket, filter_, given)
    return _run(files, socket, filter_, given)


def _check_records(expression: str, files: tuple[Path, ...], given: dict[str, Any]) -> None:
    """Records cannot be cut by message, nor be read in the middle. Raises UsageError."""
    for option, why in (
        ("write", ""), ("redact", "what is encrypted cannot be hidden in"), ("before", "it begins now"),
        ("call_id", "it has whole connections"), ("user", "it has whole connections"),
        ("ip", "it has whole connections"), ("whole_calls", "it has whole connections"),
        ("count", "it has whole connections"), ("listen_hep", "it is of a running server"),
        ("rotate_size", "a connection can be read from its beginning only"),
        ("rotate_time", "a connection can be read from its beginning only"),
    ):  # fmt: skip
        if bool(given[option]) is bool(why):
            name = "--" + option.replace("_", "-")
            raise UsageError(f"--encap tls+keys goes not with {name}: {why}" if why else
                             f"--encap tls+keys needs {name}")  # fmt: skip
    if files or expression:
        wrong = "-r: it is of a running server" if files else "a filter: it has whole connections"
        raise UsageError(f"--encap tls+keys goes not with {wrong}")
    if given["write"].suffix in (".pcap", ".cap"):
        raise UsageError("only pcapng has a place for keys", hint=f"-w {given['write'].stem}.pcapng")
    click.echo(
        f"{given['write']} will hold the keys of its TLS connections: whoever has it reads them", err=True
    )


def _tests(expression: str, given: dict[str, Any]) -> list[Any]:
    from kamtool.tools.trace import filter as filters

    tests: list[Any] = []
    for option, make in (("call_id", filters.by_call_id), ("user", filters.by_user), ("ip", filters.by_ip)):
        any_of = [make(text) for text in given[option]]
        if any_of:
            tests.append(lambda seen, any_of=any_of: any(test(seen) for test in any_of))
    if expression:
        tests.append(filters.expression(expression))
    return tests


def _sinks(given: dict[str, Any]) -> list[Sink]:
    from kamtool.tools.trace.sinks import Drawn, Printed, Sent

    sinks: list[Sink] = []
    if given["write"]:
        sinks.append(_filed(given))
    if given["hep_place"]:
        sinks.append(
            Sent(given["hep_place"], version=given["hep_version"], node=given["hep_id"], key=_key(given))
        )
    format_ = given["format_"] or ("" if sinks else "text")
    if format_ and str(given["write"]) == "-":
        raise UsageError("-w - and --format would both go to stdout")
    if format_ in ("text", "jsonl"):
        sinks.append(Printed(sys.stdout, format_))
    elif format_:
        sinks.append(Drawn(sys.stdout, format_, shutil.get_terminal_size((100, 24)).columns))
    return sinks


def _filed(given: dict[str, Any]) -> Sink:
    from kamtool.tools.pcap.writer import Format, Ring, Writer
    from kamtool.tools.trace.sinks import Filed

    path: Path = given["write"]
    format_: Format = "pcap" if path.suffix in (".pcap", ".cap") else "pcapng"
    if str(path) == "-":
        if sys.stdout.isatty():
            raise UsageError(
                "-w - writes octets: not to a terminal", hint="kamtool trace -w - | wireshark -k -i -"
            )
        return Filed(Writer(sys.stdout.buffer, format_, given["encap"]), "stdout")
    size = size_of(given["rotate_size"]) if given["rotate_size"] else 0
    seconds = seconds_of(given["rotate_time"]) if given["rotate_time"] else 0.0
    try:
        ring = Ring(path, format_, given["encap"], size=size, seconds=seconds, files=given["keep"])
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}", exit_code=1) from error
    return Filed(ring, str(path))


def _key(given: dict[str, Any]) -> str:
    if not given["hep_key_file"]:
        return ""
    try:
        return str(given["hep_key_file"].read_text(encoding="utf-8").strip())
    except UnicodeDecodeError as error:
        raise UsageError(f"{given['hep_key_file']} cannot be read: {error}") from error
    except OSError as error:
        raise UsageError(f"{given['hep_key_file']}: {error.strerror}", exit_code=3) from error


def _run(files: tuple[Path, ...], socket: Path, filter_: Filter, given: dict[str, Any]) -> int:
    from kamtool.tools.trace.attached import Attached
    from kamtool.tools.trace.redact import Redactor
    from kamtool.tools.trace.run import Run
    from kamtool.tools.trace.sources import Files, HepListener

    seconds = seconds_of(given["duration"]) if given["duration"] else None
    run = Run(filter_, [], Redactor() if given["redact"] else None, given["count"], seconds)
    problems: Counter[str] = Counter()
    if files:
        source = Files(list(files))
        run.sinks = _sinks(given)
        said = run.run(source.batches())
        problems = source.problems
    elif given["listen_hep"]:
        listener = HepListener(_place(given["listen_hep"]), _key(given))
        click.echo("listening for HEP on udp:{}:{}".format(*listener.address), err=True)
        run.sinks = _sinks(given)
        said = run.run(listener.batches())
        problems = listener.problems
    else:
        before = seconds_of(given["before"]) if given["before"] else 0.0
        wants_records = given["encap"] == "tls+keys"
        attached = Attached(
            socket, cfg=bool(given["cfg"]), before=before, on_record=run.record if wants_records else None
        )
        run.sinks = _sinks(given)
        said = run.run(attached.batches(), live=lambda: attached.is_live, leave=attached.leave)
        problems["dropped by the server: we read too slowly"] = attached.dropped
        problems["came late from their worker: younger ones stand before them"] = attached.late
        attached.close()
    report(said, problems)
    return 0


def report(said: list[str], problems: Counter[str]) -> None:
    """What became of it, and what could not be read, on stderr."""
    for line in said:
        click.echo(line, err=True)
    for problem, count in (+problems).most_common():
        click.echo(f"{count:>6}  {problem}", err=True)


def _place(text: str) -> str:
    return f"127.0.0.1:{text}" if text.isdecimal() else text


def _browse(files: tuple[Path, ...], socket: Path, filter_: Filter, given: dict[str, Any]) -> int:
    from kamtool.repl.ladder.app import browse
    from kamtool.tools.trace.attached import Attached
    from kamtool.tools.trace.redact import Redactor
    from kamtool.tools.trace.sources import Files, HepListener

    redactor = Redactor() if given["redact"] else None
    colours = coloured(sys.stdout)
    if files:
        source = Files(list(files))
        loaded = [seen for batch in source.batches() for seen in batch]
        return browse(
            iter([loaded]), filter_, redactor, source.problems, name=str(files[0]), coloured=colours
        )
    if given["listen_hep"]:
        listener = HepListener(_place(given["listen_hep"]), _key(given))
        name = "HEP on {}:{}".format(*listener.address)
        return browse(listener.batches(), filter_, redactor, listener.problems, name=name, coloured=colours)
    before = seconds_of(given["before"]) if given["before"] else 0.0
    with_cfg = given["cfg"] is not False
    attached = Attached(socket, cfg=with_cfg, before=before)
    name = ", ".join(attached.hello["sockets"])
    return browse(
        attached.batches(), filter_, redactor, Counter(), name=name, coloured=colours,
        dropped=lambda: attached.dropped,
    )  # fmt: skip
