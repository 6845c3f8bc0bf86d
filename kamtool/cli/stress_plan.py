"""The plan of a load test that the options of `kamtool stress` describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from kamtool.cli import stress_acting
from kamtool.errors import UsageError
from kamtool.sip.flow import Address
from kamtool.tools.sippxml.model import Scenario, SendCmd
from kamtool.tools.sippxml.scenario import read_scenario
from kamtool.tools.sippxml.users import Users, read_users
from kamtool.tools.stress.plain import is_plain
from kamtool.tools.stress.plan import Plan, Tls, default_users
from kamtool.tools.stress.schedule import Load, parse_ramp, parse_rate, parse_time
from kamtool.tools.stress.target import PORTS, Target, host_and_port, parse_target, permit
from kamtool.tools.stress.twin import read_peers

HOUR = 3600.0
SEGMENTED_FROM = 5000.0
"""Calls a second from which datagrams leave in segments: few look at single ones in a capture then."""


def plan_of(name: str, target_text: str, given: Mapping[str, Any], options: dict[str, str]) -> Plan:
    """The plan that the options describe; `options` are those of the command line, as they are written.

    Raises UsageError and ConfigError before anything is sent.
    """
    keys = dict(given["key"])
    scenario = read_scenario(given["scenario"], keys) if given["scenario"] else None
    for warning in scenario.warnings if scenario else ():
        click.echo(f"warning: {warning}", err=True)
    is_server = scenario.is_server if scenario else name == "uas"
    is_replay = scenario is None and name == "replay"
    local, hosts = _local(given["local"])
    if not target_text and not is_server:
        raise UsageError("no target given", hint=f"kamtool stress {name} 127.0.0.1:5060")
    target = parse_target(
        target_text or f"{local.host or '127.0.0.1'}:{local.port or 5060}",
        given["transport"] or "",
        "udp" if scenario else stress_acting.TRANSPORTS.get(name, ("udp",))[0],
    )
    text = stress_acting.written(scenario, name, given)
    stress_acting.check(stress_acting.Asked(name, target, scenario, text, given), options)
    if is_replay:
        _check_replay(given)
    load = _load(given, is_server or is_replay)
    permit(target, given["i_own_target"], load)
    twins, own_twin = _twins(scenario, given)
    password = _password(given["password_file"])
    plan = Plan(
        name,
        target,
        load,
        scenario=scenario,
        local=local,
        more_hosts=hosts,
        sources=given["sources"],
        transport=target.transport,
        users=_users(given["users"], password),
        files=[read_users(p) for p in given["inf"]],
        keys=keys,
        domain=given["domain"] or _domain(target),
        service=given["service"],
        password=password,
        callee=not given["no_callee"],
        hold=parse_time(given["hold"]),
        timeout=parse_time(given["timeout"]),
        patience=parse_time(given["patience"]),
        seed=given["seed"],
        workers=given["workers"],
        tls=Tls(str(given["cert"] or ""), str(given["cert_key"] or ""), str(given["ca"] or "")),
        commands=given["allow_commands"],
        connections=given["connections"],
        capture=str(given["capture"] or ""),
        speed=given["speed"],
        twins=twins,
        own_twin=own_twin,
        server=given["server"],
        tick=parse_time(given["tick"]) if given["tick"] else None,
        segment=(load.highest >= SEGMENTED_FROM or given["find_max"])
        if given["segment"] is None
        else given["segment"],
    )
    if "tick" in options and not is_plain(plan.program(plan.settings(0))):
        raise UsageError("--tick would do nothing: this scenario is stepped message by message")
    return plan


def _twins(scenario: Scenario | None, given: Mapping[str, Any]) -> tuple[dict[str, Address], Address | None]:
    """The twins of a scenario with commands, and where we listen for them. Raises UsageError."""
    first = scenario.first_command if scenario is not None else None
    name = given["master"] or given["slave"]
    if first is None:
        if name or given["twin"]:
            raise UsageError("the scenario has no command for a twin", hint="<sendCmd> or <recvCmd>")
        return {}, None
    if given["workers"] > 1:
        raise UsageError("a scenario with twins is one process")
    if given["twin"]:
        host, port = host_and_port(given["twin"]) or ("", None)
        if not port:
            raise UsageError(f"no address: {given['twin']!r}", hint="--3pcc HOST:PORT")
        place = Address(host, port)
        return ({"": place}, None) if first is SendCmd else ({}, place)
    if not name or not given["slave_cfg"]:
        raise UsageError(
            "who is the twin?", hint="--3pcc HOST:PORT, or --master/--slave NAME with --slave-cfg FILE"
        )
    peers = read_peers(given["slave_cfg"])
    if name not in peers:
        raise UsageError(f"{given['slave_cfg']} has no {name!r}", hint=", ".join(peers))
    return peers, peers[name]


def _check_replay(given: Mapping[str, Any]) -> None:
    if not given["capture"]:
        raise UsageError("no capture given", hint="kamtool stress replay FILE.pcapng 127.0.0.1:5060")
    if not 0 < given["speed"] <= 1000:
        raise UsageError(f"no speed: {given['speed']:g}", hint="more than 0, at most 1000")
    if given["workers"] > 1:
        raise UsageError("a replay is one process", hint="its calls meet at each other's sockets")


def _domain(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.address.port == PORTS[target.transport] else f"{host}:{target.address.port}"


def _local(given: tuple[str, ...]) -> tuple[Address, list[str]]:
    """The first own address with its port, and all hosts."""
    found = []
    for text in given:
        place = host_and_port(text)
        if place is None:
            raise UsageError(f"no address: {text!r}", hint="HOST, HOST:PORT or [IPv6]:PORT")
        found.append(Address(place[0], place[1] or 0))
    return (found[0] if found else Address("", 0)), [one.host for one in found]


def _load(given: Mapping[str, Any], is_server: bool) -> Load:
    open_ended = given["calls"] or is_server
    duration = parse_time(given["duration"]) if given["duration"] else HOUR if open_ended else 10.0
    rate, to_rate, ramp = parse_rate(given["rate"]), 0.0, 0.0
    if given["ramp"]:
        rate, to_rate, ramp = parse_ramp(given["ramp"])
    return Load(
        rate, duration, given["calls"] or 0, to_rate, ramp, given["poisson"], given["closed"] or 0,
        parse_time(given["think"]),
    )  # fmt: skip


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _users(text: str, password: str) -> Users:
    if not text or text.isdigit():
        return default_users(int(text or 100), password)
    users = read_users(Path(text))
    for row in users.rows:
        row[1:2] = [(row[1] if len(row) > 1 else "") or password.replace("{user}", row[0])]
    return users
