"""The functions that ask the allow and deny files."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from kamtool.errors import ConfigError, ParseError
from kamtool.module import ANY, FAILURE_ROUTE, REQUEST_ROUTE, Host, Plain, function
from kamtool.modules.permissions.rules import Rule, has_rule, read_rules
from kamtool.script.fold import fold
from kamtool.script.nodes import Call, String
from kamtool.script.walk import walk
from kamtool.sip.message import STAR
from kamtool.sip.uri import SipUri, parse_uri

if TYPE_CHECKING:
    from kamtool.script.context import Context

logger = logging.getLogger("kamtool.modules.permissions")

ROUTES = REQUEST_ROUTE | FAILURE_ROUTE
NAMES = ("allow_routing", "allow_register", "allow_uri")
ALLOW, DENY = 4, 8


def plain(uri: str) -> str:
    """`sip:user@host` of a URI, without port and parameters. Raises ParseError."""
    parsed = parse_uri(uri)
    if not isinstance(parsed, SipUri):
        raise ParseError(f"{uri!r} is no SIP URI")
    return f"sip:{parsed.user}@{parsed.host}" if parsed.user else f"sip:{parsed.host}"


class Pair:
    """An allow file and a deny file."""

    def __init__(self, allow: tuple[Rule, ...], deny: tuple[Rule, ...]) -> None:
        self.allow, self.deny = allow, deny

    def allows(self, who: str, what: str) -> bool:
        return has_rule(self.allow, who, what) or not has_rule(self.deny, who, what)


class ByRule:
    """allow_routing, allow_register, allow_uri."""

    server: Host
    default_allow_file: str
    default_deny_file: str
    allow_suffix: str
    deny_suffix: str
    check_all_branches: int
    load_backends: int

    def beside_cfg(self, name: str) -> Path:
        raise NotImplementedError

    def start_rules(self) -> None:
        """Read every file that a route names. Raises ConfigError."""
        self._pairs: dict[tuple[str, str], Pair] = {}
        self._pair(self.default_allow_file, self.default_deny_file)
        for names in self._named():
            self._pair(*names)

    def _named(self) -> list[tuple[str, str]]:
        script = getattr(self.server, "script", None)
        found: list[tuple[str, str]] = []
        for route in getattr(script, "routes", ()):
            for node in walk(route.body):
                if not isinstance(node, Call) or node.name not in NAMES:
                    continue
                folded = [fold(argument) for argument in node.arguments]
                texts = [part.value for part in folded if isinstance(part, String)]
                if node.name == "allow_uri":
                    texts = texts[:1]
                if texts:
                    found.append(self._names(*texts))
        return found

    def _names(self, first: str = "", second: str | None = None) -> tuple[str, str]:
        if second is not None:
            return first, second
        return f"{first}{self.allow_suffix}", f"{first}{self.deny_suffix}"

    def _pair(self, allow: str, deny: str) -> Pair:
        found = self._pairs.get((allow, deny))
        if found is None:
            found = self._pairs[allow, deny] = Pair(self._read(allow, ALLOW), self._read(deny, DENY))
        return found

    def _read(self, name: str, backend: int) -> tuple[Rule, ...]:
        if not self.load_backends & backend:
            return ()
        path = self.beside_cfg(name)
        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            logger.info("%s is not there: it counts as empty", path)
            return ()
        except OSError as error:
            raise ConfigError(f"permissions: {path}: {error.strerror}", code="KT1201") from error
        return read_rules(text, str(path))

    def pair_named(self, basename: str) -> Pair | None:
        """The files of a basename that some route names, None when none does."""
        return self._pairs.get(self._names(basename))

    @function("allow_routing", routes=ANY)
    def allow_routing(
        self, ctx: Context, allow_file: Plain | None = None, deny_file: Plain | None = None
    ) -> bool:
        """Whether From may ask for the R-URI, and for every other branch.

        Without arguments by the default files, with one by `basename.allow` and `basename.deny`.
        """
        if allow_file is None:
            pair = self._pair(self.default_allow_file, self.default_deny_file)
        else:
            pair = self._pair(*self._names(allow_file, deny_file))
        try:
            if not ctx.msg.is_request:
                return False
            who = ctx.msg.from_address or ctx.msg.from_.uri
            if not pair.allows(who, plain(ctx.ruri)):
                return False
            if not self.check_all_branches:
                return True
            return all(pair.allows(who, plain(branch.uri)) for branch in ctx.branches)
        except ParseError as error:
            logger.error("allow_routing: %s", error)
            return False

    @function("allow_register", routes=ROUTES)
    def allow_register(self, ctx: Context, allow_file: Plain, deny_file: Plain | None = None) -> bool:
        """Whether To may register each Contact; named as for allow_routing()."""
        pair = self._pair(*self._names(allow_file, deny_file))
        try:
            contacts = ctx.msg.contacts
            if contacts is STAR:
                return True
            who = ctx.msg.to_address or ctx.msg.to.uri
            return all(pair.allows(who, plain(contact.uri)) for contact in contacts)
        except ParseError as error:
            logger.error("allow_register: %s", error)
            return False

    @function("allow_uri", routes=ROUTES)
    def allow_uri(self, ctx: Context, basename: Plain, uri: str) -> bool:
        """Whether From may ask for this URI, by `basename.allow` and `basename.deny`."""
        try:
            who = ctx.msg.from_address or ctx.msg.from_.uri
        except ParseError as error:
            logger.error("allow_uri: %s", error)
            return False
        return self._pair(*self._names(basename)).allows(who, uri)
