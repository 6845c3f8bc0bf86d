"""Every exception of kamtool, in one tree.

    KamtoolError
    ├── SipError                    what the peer or the network did
    │   ├── ParseError              bytes that RFC 3261 does not allow; `status` is what to answer
    │   └── TransportError          a message that could not be sent: refused, unreachable, queue full
    ├── ConfigError                 the user's cfg is wrong: a file, a span, a hint; code KT1xxx
    │   └── ConfigErrors            all of a file's errors at once
    ├── ScriptError                 a statement that failed while a message ran through it
    ├── StoreError                  the database: unreadable, newer than we are, disk full
    │   └── StoreAway               who writes to it is not there just now: later it will be
    ├── RpcError                    an RPC call that was refused; `code` is the JSON-RPC code
    └── UsageError                  a command given wrongly; `exit_code` is DESIGN.md §6's

Ask of an error: whose mistake is it, and what can they do? Our own mistakes are no part of this tree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


class KamtoolError(Exception):
    """The root: an error that kamtool expects and can explain."""


class SipError(KamtoolError):
    """What a peer sent, or what the network did with it."""


class ParseError(SipError):
    """The peer sent something RFC 3261 does not allow. `status` is what to answer, if we answer."""

    def __init__(self, reason: str, *, header: str = "", offset: int = 0, status: int = 400) -> None:
        super().__init__(f"{header}: {reason}" if header else reason)
        self.reason, self.header, self.offset, self.status = reason, header, offset, status


class TransportError(SipError):
    """A message that could not be handed to the network."""


@dataclass(slots=True, unsafe_hash=True)
class Span:
    """Where a piece of cfg text stands. Lines and columns count from 1; the end is exclusive.

    Nobody changes one. It is not frozen: a cfg has ten thousand, and each would take three times as long.
    """

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


NOWHERE = Span("", 0, 0, 0, 0)


class ConfigError(KamtoolError):
    """A mistake in a cfg: what, where, and when we can guess it, the remedy.

    `code` is the `KT1234` that `kamtool explain` explains. A warning is no reason to refuse the file, and a
    hint is only worth knowing.
    `place` is where Kamailio points for the same mistake, when that is elsewhere (the end of a call, say).
    """

    def __init__(
        self,
        message: str,
        span: Span = NOWHERE,
        *,
        hint: str = "",
        code: str = "KT1000",
        severity: Literal["error", "warning", "hint"] = "error",
        place: Span | None = None,
    ) -> None:
        where = f"{span.file}:{span.line}:{span.column}: " if span.file else ""
        super().__init__(f"{where}{severity}: {message}")
        self.message, self.span, self.hint, self.code, self.severity = message, span, hint, code, severity
        self.place = place or span


class ConfigErrors(ConfigError):
    """Every error of a cfg and the files it includes, in the order of their lines."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        first = errors[0]
        super().__init__(first.message, first.span, hint=first.hint, code=first.code)
        self.errors = tuple(errors)
        self.text: Any = None
        """The text of the files (kamtool.script.source.Text), for showing the lines meant."""

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self.errors)


class ScriptError(KamtoolError):
    """A statement that cannot be carried out; it is logged with its line and the expression is abandoned."""


class StoreError(KamtoolError):
    """The database cannot do what was asked; the message names the file."""


class StoreAway(StoreError):
    """The database cannot be reached just now; it is worth to try again in a few seconds."""


class RpcError(KamtoolError):
    """An RPC that was refused. `code` is JSON-RPC 2.0's where it has one, else Kamailio's (400, 404, 500)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class UsageError(KamtoolError):
    """A command line that cannot be obeyed. `exit_code`: 2 usage, 3 not found, 4 exists, 5 unreachable …"""

    def __init__(self, message: str, *, exit_code: int = 2, hint: str = "") -> None:
        super().__init__(message)
        self.exit_code, self.hint = exit_code, hint


_SECRETS = re.compile(
    r"""(?ix)
    (?: \b[a-z][a-z0-9+.-]*:/{1,3} [^\s/:@"']* : | \bsips?: [^\s:@;"']+ : ) ([^\s/@"']+) (?=@)
    | \b(?: response | rspauth ) \s*=\s*["\\]* ([0-9a-f]{16,})
    | \binline: ([A-Za-z0-9+/]{16,}={0,2})
    | \bmodparam \s*\( [^,]* , \s*"[^"]*(?: sec[rt] | pass | credential | token | _key\b | key_ )[^"]*"
      \s*,\s*" ([^"]+)
    """
)
"""The password of a URL, a digest's answer, the key of a media stream (SDES), and what a cfg gives a
parameter that is named for a secret."""


_SIGNS = ("esponse", "modparam", "rspauth")


def veiled(text: str, *, same_width: bool = False) -> str:
    """A text as it may be shown or logged: what it holds of secrets is starred."""
    if ":" not in text or not ("nline:" in text or ("@" in text and _has_address(text))):
        for sign in _SIGNS:
            if sign in text:
                break
        else:
            return text
    return _SECRETS.sub(lambda found: _starred(found, same_width), text)


def _has_address(text: str) -> bool:
    """Whether there may be a URL or a SIP URI in it: only those have passwords before an `@`."""
    if ":/" in text:
        return True
    lower = text.lower()
    return "sip:" in lower or "sips:" in lower


def _starred(found: re.Match[str], same_width: bool) -> str:
    start, end = found.span(found.lastindex or 0)
    stars = "*" * (end - start if same_width else 3)
    return f"{found.string[found.start() : start]}{stars}{found.string[end : found.end()]}"
