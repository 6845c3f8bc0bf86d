"""Which options of `kamtool stress` act in which run: a table, read by `acting`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kamtool.cli.acting import Rule, refuse_idle
from kamtool.errors import UsageError
from kamtool.tools.sippxml.model import Scenario
from kamtool.tools.stress import builtin
from kamtool.tools.stress.packs import PACKS
from kamtool.tools.stress.target import Target, host_and_port

STREAM_PACKS = ("slow-loris", "fragments")
CHANCE = ("fuzz", "fragments")
"""The packs that draw lots."""
PAIRED = ("invite", "message", "mixed")
OWN_USERS = ("options", "register", "invite", "message", "subscribe", "mixed")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a run will be, as far as it decides which options act."""

    name: str
    target: Target
    scenario: Scenario | None
    text: str
    """The scenario as it is written, "" for what has none."""
    given: Mapping[str, Any]

    @property
    def answers(self) -> bool:
        """Whether the calls come to us."""
        return self.scenario.is_server if self.scenario is not None else self.name == "uas"

    @property
    def is_pack(self) -> bool:
        return self.scenario is None and self.name in PACKS

    @property
    def is_conn(self) -> bool:
        return self.scenario is None and self.name == "conn"

    @property
    def is_replay(self) -> bool:
        return self.scenario is None and self.name == "replay"

    @property
    def begins_calls(self) -> bool:
        return not (self.answers or self.is_pack or self.is_conn or self.is_replay)

    @property
    def is_built_in(self) -> bool:
        """Whether its calls are of our own users, who have names and passwords."""
        return self.scenario is None and self.name in OWN_USERS

    @property
    def pairs(self) -> bool:
        return self.scenario is None and self.name in PAIRED and not self.given["no_callee"]

    @property
    def names_a_service(self) -> bool:
        return self.has_key("(service|authentication)" if self.scenario is not None else "(service|callee)")

    @property
    def encrypted(self) -> bool:
        return self.target.transport in ("tls", "wss")

    def has_key(self, name: str) -> bool:
        """Whether the scenario has that keyword; `name` is a regular expression."""
        return bool(re.search(rf"\[{name}\b", self.text))


def _has(option: str) -> Any:
    return lambda asked: asked.given[option]


def _lacks(option: str) -> Any:
    return lambda asked: not asked.given[option]


_NO_RATE = (
    (_has("closed"), "in a closed loop (--closed) a call begins when one has ended"),
    (lambda one: one.is_conn, "conn opens as fast as it can, over and over"),
    (lambda one: one.is_replay, "a replay keeps the capture's own pace, times --speed"),
    (lambda one: one.answers, "the calls come to us"),
)
_PROBED = "--find-max chooses the load, and each probe takes --step"
_FOUND = "--find-max ends with a rate, not with the report of a run"
_NOT_CALLS = "it is of calls that we begin"

RULES: tuple[Rule, ...] = (
    ("sn", _has("scenario"), "--scenario says what is run"),
    ("find_max", lambda one: one.answers or one.is_conn or one.is_replay, "the run has no rate of ours"),
    ("find_max", _has("closed"), "a closed loop (--closed) has no rate"),
    ("p99", _lacks("find_max"), "it is the limit of --find-max; a run's own is --fail-if 'p99(call)>50ms'"),
    ("step", _lacks("find_max"), "it is the length of a probe of --find-max"),
    *(("rate", is_idle, why) for is_idle, why in _NO_RATE),
    ("rate", _has("ramp"), "--ramp says from which rate to which"),
    ("duration", _has("find_max"), _PROBED),
    ("calls", _has("find_max"), _PROBED),
    ("calls", lambda one: one.is_conn or one.is_replay, "--duration ends this run"),
    ("ramp", _has("find_max"), _PROBED),
    *((option, lambda one: one.is_pack, "an abuse pack has one rate") for option in ("ramp", "poisson")),
    *((option, is_idle, why) for option in ("ramp", "poisson") for is_idle, why in _NO_RATE),
    ("closed", lambda one: not one.begins_calls, _NOT_CALLS),
    ("think", _lacks("closed"), "it is the time between two calls of --closed"),
    ("users", lambda one: one.scenario, "a scenario of yours has its users from --inf"),
    ("users", lambda one: not one.is_built_in, "nobody is named in this run"),
    ("local", lambda one: one.is_pack and len(one.given["local"]) > 1, "an abuse pack has one address"),
    ("sources", lambda one: one.is_conn, "how many it opens is --connections"),
    ("sources", lambda one: one.is_replay, "a replay has a socket for every captured peer"),
    ("sources", lambda one: one.is_pack and one.name != "slow-loris", "this pack sends from one socket"),
    ("sources", lambda one: one.answers and one.target.transport != "udp", "one socket takes all"),
    ("domain", lambda one: not (one.is_built_in or one.is_replay), "nothing in this run names a domain"),
    ("service", lambda one: one.pairs or not one.names_a_service, "nobody here is called by that name"),
    ("password_file", lambda one: not (one.is_built_in or one.is_replay or one.has_key("authentication")),
     "nothing in this run has a password"),
    ("no_callee", lambda one: one.scenario or one.name not in PAIRED, "there is no callee in this run"),
    ("hold", lambda one: one.scenario is None and one.name not in ("invite", "mixed", "uac", "conn"),
     "nothing in this run is held"),
    ("connections", lambda one: not one.is_conn, "it is of conn; for calls --sources says how many sockets"),
    ("timeout", lambda one: one.is_conn or one.is_pack, "this run has limits of its own"),
    ("patience", lambda one: one.answers or one.is_conn or one.is_pack, "nobody waits for a first answer"),
    ("tick", lambda one: not one.begins_calls or one.given["closed"], "it is of calls that begin at a rate"),
    ("tick", lambda one: one.target.transport != "udp", "it is of calls over UDP"),
    ("tick", lambda one: one.pairs, "the callees answer at once; --no-callee has a tick"),
    ("segment", lambda one: one.given["segment"] and one.target.transport != "udp", "it is of UDP"),
    ("segment", lambda one: one.given["segment"] and (one.is_pack or one.is_conn), "it is of calls"),
    ("capture", lambda one: not one.is_replay, "it is of replay"),
    ("speed", lambda one: not one.is_replay, "it is of replay"),
    ("server", lambda one: not one.is_replay, "it is of replay"),
    ("twin", lambda one: one.given["master"] or one.given["slave"], "--slave-cfg says where the twins are"),
    ("slave", _has("master"), "we are the --master"),
    ("slave_cfg", lambda one: not (one.given["master"] or one.given["slave"]), "of --master or --slave"),
    ("inf", lambda one: not one.scenario, "it is of --scenario; --users names a CSV file for the rest"),
    ("allow_commands", lambda one: not re.search(r"<exec\s[^>]*command", one.text),
     "there is no <exec command> in this run"),
    *((option, lambda one: not one.encrypted, "it is of TLS; the target is not (tls:host:port)")
      for option in ("cert", "cert_key", "ca")),
    ("cert_key", _lacks("cert"), "it belongs to a --cert"),
    ("ca", lambda one: one.answers, "who calls us is not asked for a certificate"),
    *((option, _has("find_max"), _FOUND) for option in (
        "fail_if", "baseline", "tolerance", "csv_file", "junit", "hdr", "html", "target_pid")),
    ("tolerance", _lacks("baseline"), "it is how much worse than --baseline a run may be"),
    ("seed", lambda one: one.is_conn or one.is_replay or (one.is_pack and one.name not in CHANCE),
     "nothing in this run is left to chance"),
)  # fmt: skip

TRANSPORTS = {
    "conn": ("tcp", "tls"),
    **dict.fromkeys(PACKS, ("udp",)),
    **dict.fromkeys(STREAM_PACKS, ("tcp",)),
}
"""By which transports a load goes that is no calls."""


def check(asked: Asked, options: dict[str, str]) -> None:
    """Raise UsageError when something that was asked for would be ignored."""
    given = asked.given
    if asked.scenario is None and asked.target.transport not in TRANSPORTS.get(
        asked.name, (asked.target.transport,)
    ):
        possible = " or ".join(TRANSPORTS[asked.name])
        raise UsageError(f"{asked.name} goes by {possible}, not by {asked.target.transport}")
    refuse_idle(options, RULES, asked)
    for name, _ in given["key"]:
        if not asked.has_key(re.escape(name)):
            raise UsageError(f"--key {name} would do nothing: there is no [{name}] in the scenario")
    most = given["closed"] or given["calls"] or given["workers"]
    if given["workers"] > most:
        raise UsageError(
            f"{given['workers']} processes are too many for "
            + (f"{most} callers" if given["closed"] else f"{most} calls")
        )
    _check_ports(asked)


def check_shown(options: dict[str, str]) -> None:
    """`--show` runs nothing."""
    for option, written in options.items():
        if option not in ("show", "sn"):
            raise UsageError(f"{written} would do nothing: --show prints the scenario and runs nothing")


def _check_ports(asked: Asked) -> None:
    """Only the first own address may have a port, and only where there is one to choose."""
    ports = [text for text in asked.given["local"] if (host_and_port(text) or ("", None))[1]]
    if ports and (asked.is_pack or asked.is_conn):
        raise UsageError(f"--local {ports[0]} would do nothing with its port: {asked.name} has any")
    for text in ports:
        if text != asked.given["local"][0]:
            raise UsageError(
                f"--local {text} would do nothing with its port: they count on from the first one's"
            )


def written(scenario: Scenario | None, name: str, given: Mapping[str, Any]) -> str:
    """The text of what is run."""
    if scenario is not None:
        return (
            str(given["scenario"].read_text(errors="replace")) if given["scenario"] else builtin.TEXTS[name]
        )
    if name == "mixed":
        return "".join(builtin.TEXTS[one] for one in builtin.MIXED)
    return builtin.TEXTS.get(name, "")
