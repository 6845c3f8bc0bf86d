"""What can be typed at the debugger's prompt: names, short names, arguments, meaning, an example."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    names: tuple[str, ...]
    arguments: str
    meaning: str
    example: str = ""
    topic: str = ""

    @property
    def choices(self) -> list[str]:
        """What the first argument can be, where that is a choice."""
        return self.arguments.partition(" ")[0].split("|")


def _of(topic: str, *rows: tuple[str, str, str, str]) -> list[Command]:
    return [
        Command(tuple(names.split()), arguments, meaning, example, topic)
        for names, arguments, meaning, example in rows
    ]


COMMANDS = [
    *_of(
        "stop",
        ("break b", "PLACE [if CONDITION]", "stop at a place: LINE, FILE:LINE, route[NAME], fn:NAME, "
         "assign $VAR, header NAME, reply 4xx, error, watch EXPR",
         'break request_route if $rm == "INVITE" && $fU == "alice"'),
        ("tbreak tb", "PLACE [if CONDITION]", "the same, once", "tbreak fn:t_relay"),
        ("log", 'PLACE "TEXT" [if CONDITION]', "do not stop, print a text with variables",
         'log fn:t_relay "to $du by $fU"'),
        ("breakpoints bl", "", "list them with their hits", ""),
        ("delete d", "[NUMBER]", "remove one, or all", "delete 2"),
        ("enable", "NUMBER", "let it stop again", ""),
        ("disable", "NUMBER", "let it pass until `enable`", ""),
        ("ignore", "NUMBER COUNT", "let so many hits pass first", "ignore 1 10"),
        ("commands", "NUMBER CMD; CMD", "type these when it stops", "commands 1 print $du; continue"),
    ),
    *_of(
        "go on",
        ("step s", "", "to the next statement, into routes; at the end to the call's next route", ""),
        ("next n", "", "to the next statement, over routes", ""),
        ("finish fin", "", "out of this route", ""),
        ("until u", "LINE", "until a line of this route", "until 88"),
        ("continue c", "", "let the message go", ""),
        ("drop", "", "end its script here, send nothing", ""),
        ("reply", "STATUS [REASON]", "answer it and end its script", "reply 503 Come back later"),
        ("release", "", "let all parked messages go", ""),
        ("wait", "[SECONDS]", "until a message stops; for -x files", "wait 30"),
    ),
    *_of(
        "look",
        ("list l", "[LINE]", "the cfg around the statement, or around a line", "list 120"),
        ("where w", "", "the open routes", ""),
        ("bt", "", "the whole call until now, route by route", ""),
        ("print p", "EXPRESSION", "the value of any expression of the cfg", "print $(ru{uri.host})"),
        ("display", "[EXPRESSION]", "print it at every stop; alone, list them", "display $du"),
        ("undisplay", "[NUMBER]", "no longer", ""),
        ("info i", "message|routing|branches|transaction|avps|flags|htable [NAME]", "what is known of it",
         "info branches"),
        ("msg m", "[received]", "the message as it would leave now", ""),
        ("diff", "[step]", "what the script changed in it; with `step` the last statement", ""),
        ("parked", "", "the messages that wait", ""),
        ("select", "NUMBER", "speak of another of them", "select 2"),
    ),
    *_of(
        "change",
        ("set", "$VARIABLE = EXPRESSION", "assign", 'set $du = "sip:10.0.0.9"'),
        ("call", "FUNCTION(ARGUMENTS)", "call a function, or a route", 'call append_hf("X-Test: 1\\r\\n")'),
        ("hdr", "add|set|rm NAME [VALUE]", "change a header", "hdr rm User-Agent"),
        ("edit", "", "the whole message in $EDITOR", ""),
    ),
    *_of(
        "backwards",
        ("back", "[COUNT]", "look at it as it was so many statements ago", "back 3"),
        ("forward fwd", "[COUNT]", "the other way", ""),
        ("goto", "NUMBER", "before statement NUMBER of this route", "goto 17"),
        ("now", "", "back to the present", ""),
        ("who", "EXPRESSION", "which statement gave it this value", "who $du"),
        ("history hist", "[COUNT | keep N | off]", "what each statement did", "history 20"),
        ("visits", "", "the routes that are kept, of all messages", ""),
    ),
    *_of(
        "session",
        ("options", "[budget SECONDS] [most N] [trying on|off]", "how long and how many may be parked",
         "options budget 60 trying on"),
        ("rpc", "METHOD [ARGUMENTS]", "call the control plane", "rpc core.uptime"),
        ("help h ?", "[COMMAND]", "this", "help break"),
        ("quit q detach", "", "leave; what is parked goes on", ""),
    ),
]  # fmt: skip

BY_NAME = {name: command for command in COMMANDS for name in command.names}


def overview() -> list[str]:
    """All commands, a line a topic."""
    topics: dict[str, list[str]] = {}
    for command in COMMANDS:
        topics.setdefault(command.topic, []).append(command.names[0])
    return [
        *(f"{topic:<10} {' '.join(names)}" for topic, names in topics.items()),
        "", "`help break` tells more. An empty line repeats step, next, back.",
        "First: break request_route, send a message, step, print $ru, who $du, continue.",
    ]  # fmt: skip


def about(command: Command) -> list[str]:
    """One command."""
    others = f"  (also {', '.join(command.names[1:])})" if command.names[1:] else ""
    lines = [f"{command.names[0]} {command.arguments}".rstrip() + others, f"  {command.meaning}"]
    return [*lines, f"  e.g. {command.example}"] if command.example else lines
