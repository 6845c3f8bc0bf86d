"""`kamtool stress`: put a load on a SIP server and report honestly how it took it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kamtool.cli.output import FORMATS
from kamtool.errors import UsageError

if TYPE_CHECKING:
    from kamtool.tools.stress.plan import Plan
    from kamtool.tools.stress.report import Report

NAMES = (
    "options", "register", "invite", "message", "subscribe", "mixed", "uac", "uas", "conn", "replay",
    "torture", "fuzz", "slow-loris", "fragments", "brute-force", "storm",
)  # fmt: skip
"""The loads by name. Those after `replay` are abuse packs. (Held against the tools' own lists by a test.)"""
SHOWN = ("options", "register", "invite", "message", "subscribe", "uac", "uas")

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")

OUT = click.Path(path_type=Path, dir_okay=False)
IN = click.Path(path_type=Path, dir_okay=False, exists=True)


def _options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS = (
    click.option(
        "-r", "--rate", default="10/s", show_default=True, help="Calls begun a second: 500/s, 2k/s, 30/m."
    ),
    click.option(
        "-t", "--duration", default="", help="How long: 10s, 2m. [default: 10s, an hour with --calls or uas]"
    ),
    click.option("-m", "--calls", type=click.IntRange(1), help="End after so many calls."),
    click.option("--ramp", default="", help="Rate from, to and time: 100:2000:30s."),
    click.option("--poisson", is_flag=True, help="Calls at random times, as independent callers make them."),
    click.option(
        "--users",
        default="",
        help="A CSV file (SIPp's -inf), or how many users u0000000… to be. [default: 100]",
    ),
    click.option(
        "--closed", type=click.IntRange(1), help="Closed loop: so many callers, each waits for its answer."
    ),
    click.option("--think", default="0s", help="Closed loop: the time between two calls of one caller."),
    click.option(
        "--find-max",
        is_flag=True,
        help="Look for the highest rate that keeps --p99; each probe takes --step.",
    ),
    click.option(
        "--p99", default="50ms", show_default=True, help="The response time that --find-max has to keep."
    ),
    click.option("--step", default="5s", show_default=True, help="How long a probe of --find-max takes."),
    click.option(
        "--transport",
        type=click.Choice(TRANSPORTS),
        help="By which transport. [default: as the target says, udp]",
    ),
    click.option(
        "-l", "--local", multiple=True, metavar="HOST[:PORT]", help="Own address; several are used in turn."
    ),
    click.option(
        "--sources",
        type=click.IntRange(1, 60000),
        default=1,
        show_default=True,
        help="Own ports, or connections.",
    ),
    click.option(
        "-w",
        "--workers",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Processes; their results become one.",
    ),
    click.option("--domain", default="", help="Domain of the users. [default: the target]"),
    click.option(
        "--service",
        default="service",
        show_default=True,
        help="The user that is called where there is no callee.",
    ),
    click.option(
        "--password-file", type=IN, help="Holds the users' password; {user} in it is the user's name."
    ),
    click.option(
        "--no-callee", is_flag=True, help="invite, message, mixed: do not answer the calls as well."
    ),
    click.option("--hold", default="0s", help="How long a call, or a connection of conn, is held."),
    click.option(
        "--connections",
        type=click.IntRange(1, 500000),
        default=100,
        show_default=True,
        help="conn: how many at once.",
    ),
    click.option("--timeout", default="32s", show_default=True, help="How long a call waits for an answer."),
    click.option(
        "--tick",
        default="",
        help="How often the sockets are looked at: 1ms; 0s: whenever something comes."
        " [default: 0s below 1,000 calls/s, else 1 to 4 ms]",
    ),
    click.option(
        "--segment/--no-segment",
        default=None,
        help="Hand UDP datagrams of one length to the kernel as one, for less CPU; a capture on loopback"
        " then shows one large datagram. [default: from 5,000 calls/s, and with --find-max]",
    ),
    click.option(
        "--patience",
        default="10s",
        show_default=True,
        help="Give up when nothing at all is answered for so long.",
    ),
    click.option("--capture", type=IN, help="replay: the capture file, pcap or pcapng."),
    click.option(
        "--speed", default=1.0, show_default=True, help="replay: how many times as fast as captured."
    ),
    click.option(
        "--server",
        default="",
        metavar="HOST:PORT",
        help="replay: whose place the target takes. [default: found]",
    ),
    click.option("--scenario", "-f", "-sf", type=IN, help="Run a SIPp scenario file."),
    click.option("--sn", type=click.Choice(("uac", "uas")), help="SIPp's built-in scenario of that name."),
    click.option(
        "--3pcc",
        "twin",
        default="",
        metavar="HOST:PORT",
        help="Where the twin scenario is, or comes (SIPp's -3pcc).",
    ),
    click.option("--master", default="", metavar="NAME", help="Our name in --slave-cfg, as who begins."),
    click.option("--slave", default="", metavar="NAME", help="Our name in --slave-cfg."),
    click.option("--slave-cfg", type=IN, help="Names and addresses of all twins: name;host:port a line."),
    click.option("--inf", type=IN, multiple=True, help="SIPp's CSV users for --scenario."),
    click.option(
        "--key",
        type=(str, str),
        multiple=True,
        metavar="NAME VALUE",
        help="A keyword [NAME] of the scenario.",
    ),
    click.option(
        "--allow-commands", is_flag=True, help="Let the scenario's <exec command> run; else it does nothing."
    ),
    click.option("--cert", type=IN, help="TLS: own certificate, a PEM file."),
    click.option("--cert-key", type=IN, help="TLS: its private key."),
    click.option("--ca", type=IN, help="TLS: refuse a server that these authorities did not sign."),
    click.option(
        "--fail-if",
        multiple=True,
        metavar="LIMIT",
        help="Exit with 99 when true: 'p99(invite)>50ms', 'errors>0.1%'.",
    ),
    click.option("--baseline", type=IN, help="An earlier --json: exit with 99 when this run is worse."),
    click.option(
        "--tolerance", default="10%", show_default=True, help="By how much worse than the baseline it may be."
    ),
    click.option("--json", "json_file", type=OUT, help="Write the whole report here."),
    click.option("--csv", "csv_file", type=OUT, help="Write a line for every second here."),
    click.option("--junit", type=OUT, help="Write the limits as JUnit tests here."),
    click.option("--hdr", type=OUT, help="Write an HdrHistogram log here."),
    click.option("--html", type=OUT, help="Write the report as one HTML file here."),
    click.option(
        "--target-pid",
        type=int,
        help="The target's process here, to tell its CPU and memory. [default: found by port]",
    ),
    click.option(
        "--i-own-target", multiple=True, metavar="HOST", help="Permit a target that is not this machine."
    ),
    click.option("--seed", type=int, default=1, show_default=True, help="The same chances again."),
    click.option("--show", is_flag=True, help="Print the scenario as SIPp XML instead of running it."),
    click.option("--no-panel", is_flag=True, help="No live panel."),
    click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        envvar="KAMTOOL_OUTPUT",
        show_default=True,
        help="How to print the result on stdout.",
    ),
)


@click.command(
    epilog="Exit codes: 0 all well, 1 calls failed, 2 usage, 5 nobody answers, 6 not this machine, "
    "10 the figures are not valid, 99 a limit was crossed."
)
@click.argument("words", nargs=-1, metavar="[SCENARIO] [TARGET]")
@_options
def command(words: tuple[str, ...], **given: Any) -> int:
    """Put load on a SIP server: calls begin when they are due, whether it keeps up or not.

    SCENARIO is one of options, register, invite, message, subscribe, mixed (all of them), uac and uas
    (SIPp's), conn (sockets opened and closed), replay (of a capture: `replay FILE TARGET`), or an abuse pack:
    torture, fuzz, slow-loris, fragments, brute-force, storm. TARGET is host:port, tls:host:port or
    sip:host;transport=tcp. The callees of invite, message and mixed are registered first and answer the calls
    that come through the target.

    Response times count from when a call was meant to begin. A result that the generator itself spoilt says
    so.

    Example: kamtool stress options 127.0.0.1:5060 --rate 500/s --duration 60s --fail-if 'p99(options)>50ms'
    """
    from kamtool.cli import acting, stress_acting, stress_plan, stressed

    options = acting.named()
    name, target = _who(words, given)
    if given["show"]:
        from kamtool.tools.stress import builtin

        stress_acting.check_shown(options)
        if name not in SHOWN:
            raise UsageError(f"{name!r} is no scenario that could be shown", hint=", ".join(SHOWN))
        click.echo(builtin.TEXTS[name], nl=False)
        return 0
    plan = stress_plan.plan_of(name, target, given, options)
    limits = stressed.limits_of(given)
    if given["find_max"]:
        return stressed.find_max(plan, given)
    report = stressed.run(plan, given)
    return finish(plan, report, limits, given)


def finish(plan: Plan, report: Report, limits: Any, given: dict[str, Any]) -> int:
    """Judge, write the files, print; the exit code."""
    from kamtool.cli import stressed

    code = stressed.judge(report, limits, given)
    stressed.write_files(report, given)
    if given["output"] == "table":
        stressed.print_report(report, sys.stdout)
    else:
        from kamtool.cli.output import emit_value

        emit_value({key: value for key, value in report.items() if key != "timeline"}, given["output"])
    return code


def _who(words: tuple[str, ...], given: dict[str, Any]) -> tuple[str, str]:
    """Scenario and target from the words; either may be missing."""
    rest = list(words)
    name = Path(given["scenario"]).stem if given["scenario"] else given["sn"] or ""
    if rest and rest[0] in NAMES and not name:
        name = rest.pop(0)
    if name == "replay" and rest and not given["capture"] and Path(rest[0]).is_file():
        given["capture"] = Path(rest.pop(0))
    target = rest.pop(0) if rest else ""
    if rest and name:
        raise UsageError(f"too many words: {rest[0]!r}", hint="kamtool stress SCENARIO TARGET")
    if not name:
        import difflib

        near = difflib.get_close_matches(target, NAMES, 1)
        raise UsageError(
            f"no scenario {target!r}" if target else "no scenario given",
            hint=f"did you mean `{near[0]}`?"
            if near
            else f"one of {', '.join(NAMES)}; or --scenario FILE.xml",
        )
    return name, target
