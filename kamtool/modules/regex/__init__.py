"""Match with Perl-compatible regular expressions."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, RpcError
from kamtool.module import ANY, ONSEND_ROUTE, Host, Module, Param, function, rpc
from kamtool.modules.regex.pcre import Pcre
from kamtool.script.values import to_octets

if TYPE_CHECKING:
    from kamtool.script.context import Context
    from kamtool.script.program import Script

logger = logging.getLogger("kamtool.modules.regex")

FAILED = -4
"""The return code for an expression that does not compile and a group that is not there."""


@lru_cache(1024)
def _compile(pattern: str, flags: int) -> Pcre:
    return Pcre(pattern, flags)


class Regex(Module):
    """Match texts with Perl-compatible regular expressions, written in the script or gathered in a file.

    The file holds groups: a line `[0]` begins one, each line after it is an expression, and a text matches
    the group when it matches one of them. Lines that begin with white space or `#` are skipped. Groups count
    from 0 in the order of the file, whatever number their lines say.
    """

    file = Param("", "the file with the groups")
    max_groups = Param(20, "the most groups of the file")
    group_max_size = Param(8192, "the most octets of one group")
    pcre_caseless = Param(0, "ignore case in all expressions, as `(?i)`")
    pcre_multiline = Param(0, "let ^ and $ match at each line, as `(?m)`")
    pcre_dotall = Param(0, "let . match line ends too, as `(?s)`")
    pcre_extended = Param(0, "ignore white space and comments in expressions, as `(?x)`")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.groups: list[Pcre] = []
        self._flags = 0

    def verify(self, script: Script) -> Iterable[ConfigError]:
        """The file can be read, and its expressions are ones."""
        self._set_flags()
        if self.file:
            self._read()
        return ()

    async def start(self) -> None:
        """Read the file."""
        self._set_flags()
        if self.file:
            self.groups = await asyncio.to_thread(self._read)

    def _set_flags(self) -> None:
        self._flags = (
            (re.IGNORECASE if self.pcre_caseless else 0)
            | (re.MULTILINE if self.pcre_multiline else 0)
            | (re.DOTALL if self.pcre_dotall else 0)
            | (re.VERBOSE if self.pcre_extended else 0)
        )

    def _read(self) -> list[Pcre]:
        """The groups of the file. Raises ConfigError."""
        try:
            text = Path(self.file).read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise ConfigError(f"regex: {self.file}: {error.strerror}", code="KT1202") from error
        groups: list[list[str]] = []
        for number, line in enumerate(text.split("\n"), 1):
            if line.startswith("["):
                groups.append([])
            elif line and line[0] not in " \t\r#":
                if not groups:
                    raise ConfigError(f"regex: {self.file}:{number}: a group begins with [0]", code="KT1201")
                groups[-1].append(f"({line.rstrip()})")
        if len(groups) > self.max_groups:
            raise ConfigError(f"regex: {self.file}: more than max_groups={self.max_groups}", code="KT1201")
        return [self._group(number, lines) for number, lines in enumerate(groups)]

    def _group(self, number: int, lines: list[str]) -> Pcre:
        pattern = f"({'|'.join(lines)})"
        if not lines:
            raise ConfigError(f"regex: {self.file}: group {number} is empty", code="KT1201")
        if len(to_octets(pattern)) > self.group_max_size:
            raise ConfigError(
                f"regex: {self.file}: group {number} is larger than group_max_size", code="KT1201"
            )
        return Pcre(pattern, self._flags)

    @function("pcre_match", routes=ANY & ~ONSEND_ROUTE)
    def pcre_match(self, ctx: Context, text: str, pattern: str) -> int:
        """Whether `text` matches an expression; write `$$` for its `$`.

        False is -1; -4 says that the expression is wrong, and the log says how.
        """
        try:
            expression = _compile(pattern, self._flags)
        except ConfigError as error:
            logger.error("pcre_match: %s", error.message)
            return FAILED
        return self._match(expression, text)

    @function("pcre_match_group", routes=ANY & ~ONSEND_ROUTE)
    def pcre_match_group(self, ctx: Context, text: str, group: int = 0) -> int:
        """Whether `text` matches a group of the file, by default the first; -4 when there is no such one."""
        if not 0 <= group < len(self.groups):
            logger.error("pcre_match_group: no group %d, there are %d", group, len(self.groups))
            return FAILED if group >= 0 else -1
        return self._match(self.groups[group], text)

    def _match(self, expression: Pcre, text: str) -> int:
        try:
            return 1 if expression.matches(to_octets(text)) else -1
        except TimeoutError as error:
            logger.error("%r: %s, on %r", expression.pattern[:200], error, text[:80])
            return -1

    @rpc("regex.reload", workers="all")
    async def rpc_reload(self) -> None:
        """Read the file again; when it is wrong, the groups stay what they were."""
        if not self.file:
            raise RpcError(500, "no group file is set")
        try:
            self.groups = await asyncio.to_thread(self._read)
        except ConfigError as error:
            raise RpcError(500, error.message) from error
