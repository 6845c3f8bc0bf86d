"""The actions of a scenario: which are known, and what each needs."""

from __future__ import annotations

from collections.abc import Callable

from kamtool.errors import ConfigError
from kamtool.script.regex import compile_ere
from kamtool.tools.sippxml.model import Action
from kamtool.tools.sippxml.tree import Element

REQUIRED: dict[str, tuple[str, ...]] = {
    "ereg": ("regexp",), "log": ("message",), "warning": ("message",), "error": ("message",),
    "assign": ("assign_to",), "assignstr": ("assign_to", "value"), "add": ("assign_to",),
    "subtract": ("assign_to",), "multiply": ("assign_to",), "divide": ("assign_to",),
    "todouble": ("assign_to", "variable"), "strcmp": ("assign_to", "variable"),
    "test": ("assign_to", "variable", "compare"), "trim": ("assign_to",), "urlencode": ("variable",),
    "urldecode": ("variable",), "lookup": ("assign_to", "file", "key"), "jump": (), "pauserestore": (),
    "gettimeofday": ("assign_to",), "index": ("file",), "sample": ("assign_to", "distribution"),
    "verifyauth": ("assign_to", "username", "password"),
}  # fmt: skip
"""The attributes without which an action means nothing."""

MEDIA = ("play_pcap_audio", "play_pcap_video", "play_pcap_image", "play_dtmf", "rtp_stream", "rtp_echo")
INT_COMMANDS = ("stop_now", "stop_gracefully", "stop_call", "set_logfile")
COMPARISONS = ("equal", "not_equal", "greater_than", "less_than", "greater_than_equal", "less_than_equal")
SEARCH_IN = ("msg", "hdr", "body", "var")

Complain = Callable[..., None]


def read_action(element: Element, complain: Complain, warn: Callable[[str], None]) -> Action | None:
    """The action of an element, None for one that was complained of or that does nothing here."""
    name, attributes = element.name, element.attributes
    if name == "exec":
        return _exec(element, complain, warn)
    if name not in REQUIRED:
        complain(f"the action <{name}> is not supported", element.line)
        return None
    missing = [key for key in REQUIRED[name] if key not in attributes]
    if missing:
        complain(f"<{name}> without {missing[0]!r}", element.line)
        return None
    if name == "ereg":
        _check_ereg(element, complain)
    elif name == "test" and attributes["compare"] not in COMPARISONS:
        complain(f"no comparison {attributes['compare']!r}", element.line, hint=", ".join(COMPARISONS))
    return Action(name, attributes, element.line)


def _check_ereg(element: Element, complain: Complain) -> None:
    attributes = element.attributes
    place = attributes.get("search_in", "msg")
    if place not in SEARCH_IN:
        complain(f"no place {place!r} to search in", element.line, hint=", ".join(SEARCH_IN))
    if place == "hdr" and not attributes.get("header"):
        complain("search_in='hdr' needs 'header'", element.line)
    if place == "var" and not attributes.get("variable"):
        complain("search_in='var' needs 'variable'", element.line)
    try:
        compile_ere(attributes["regexp"])
    except ConfigError as error:
        complain(f"regexp {attributes['regexp']!r}: {error.message}", element.line)


def _exec(element: Element, complain: Complain, warn: Callable[[str], None]) -> Action | None:
    attributes = element.attributes
    if "int_cmd" in attributes:
        command = attributes["int_cmd"]
        if command not in INT_COMMANDS:
            complain(f"no internal command {command!r}", element.line, hint=", ".join(INT_COMMANDS))
            return None
        return Action("exec int_cmd", attributes, element.line)
    media = next((name for name in attributes if name in MEDIA or name.startswith(("rtp_", "play_"))), "")
    if media:
        warn(f"line {element.line}: {media} is not played: kamtool stress sends no media")
        return None
    if "command" in attributes:
        return Action("exec command", attributes, element.line)
    complain("<exec> with nothing to do", element.line)
    return None
