"""secfilter: see `Secfilter`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator

from kamtool.errors import ParseError, RpcError, StoreError
from kamtool.module import ANY, Host, Module, Param, function, rpc
from kamtool.modules.db_sqlite import open_database
from kamtool.script.context import Context
from kamtool.sip.nameaddr import NameAddr, parse_name_addrs
from kamtool.sip.uri import SipUri, TelUri, parse_uri, unescape
from kamtool.store.database import Database
from kamtool.store.databases import require_version
from kamtool.store.select import select, text_of

logger = logging.getLogger("kamtool.modules.secfilter")

VERSION = 1
BLOCKED, ALLOWED, DESTINATION = 0, 1, 2
TYPES = ("ua", "country", "domain", "ip", "user")
"""In the order of their numbers in the table."""
TITLES = {
    "ua": "User-agent", "country": "Country", "domain": "Domain", "ip": "IP Address", "user": "User",
}  # fmt: skip
INJECTED = ("'", '"', "--", "%24", "%27", "%60")
"""What Kamailio takes for an attempt to leave a quoted SQL string."""

UNKNOWN, FAILED = 1, -1
USER, DOMAIN, NAME = 2, 3, 4
COUNTED = (
    "user-agent", "country", "from domain", "to domain", "contact domain", "IP address", "from name",
    "to name", "contact name", "from user", "to user", "contact user",
)  # fmt: skip
PARTS = {USER: "user", DOMAIN: "domain", NAME: "name"}


class Lists:
    """Prefixes that block and that allow, by type, and destinations; all in lower case for comparing."""

    def __init__(self) -> None:
        self.blocked: dict[str, list[str]] = {kind: [] for kind in TYPES}
        self.allowed: dict[str, list[str]] = {kind: [] for kind in TYPES}
        self.destinations: list[str] = []

    def add(self, action: int, kind: int, data: str) -> None:
        """Raises StoreError for a number that means nothing."""
        if action == DESTINATION:
            self.destinations.append(data)
            return
        if action not in (BLOCKED, ALLOWED):
            raise StoreError(f"{action} is no action: 0 blocks, 1 allows, 2 blocks a destination")
        if not 0 <= kind < len(TYPES):
            raise StoreError(f"{kind} is no type: 0 user agent, 1 country, 2 domain, 3 IP address, 4 user")
        (self.blocked if action == BLOCKED else self.allowed)[TYPES[kind]].append(data)

    def verdict(self, kind: str, value: str) -> int:
        """1 when allowed, -1 when blocked, 0 when neither: what allows is looked at first."""
        text = value.lower()
        if any(text.startswith(prefix.lower()) for prefix in self.allowed[kind]):
            return 1
        if any(text.startswith(prefix.lower()) for prefix in self.blocked[kind]):
            return -1
        return 0


class Secfilter(Module):
    """Lists of user agents, countries, domains, addresses, users and numbers that are blocked or allowed.

    What is listed is the beginning of what it matches, in any case of letters; what allows wins. Functions
    return 1 for what is in no list, 2 and above for what is allowed, -2 and below for what is blocked.
    """

    tables = ("secfilter",)
    per_worker = "counts by itself what it has blocked (secfilter.stats)"

    db_url = Param("", "the database, e.g. sqlite:////var/lib/kamtool/kamtool.db")
    table_name = Param("secfilter", "the table of the lists")
    action_col = Param("action", "its column: 0 is blocked, 1 allowed, 2 a blocked destination")
    type_col = Param("type", "its column: 0 user agent, 1 country, 2 domain, 3 IP address, 4 user")
    data_col = Param("data", "its column with the beginning of the value")
    dst_exact_match = Param(1, "0: a number is blocked by its beginning, 1: only as a whole")

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        self.database: Database | None = None
        self.lists = Lists()
        self.blocked: Counter[str] = Counter()
        self.allowed: Counter[str] = Counter()

    async def start(self) -> None:
        """Load the lists. Raises ConfigError or StoreError."""
        self.database = await open_database(self.server, self.db_url, "secfilter")
        await require_version(self.database, self.table_name, VERSION)
        self.lists = self._read()

    def _read(self) -> Lists:
        assert self.database is not None
        lists = Lists()
        columns = (self.action_col, self.type_col, self.data_col, "id")
        for action, kind, data, number in self.database.read(select(self.table_name, columns, (), "id")):
            text = text_of(data)
            if not text:
                logger.warning("secfilter: row %s is empty and would match everything: skipped", number)
                continue
            try:
                lists.add(int(action), int(kind), text)
            except (StoreError, TypeError, ValueError) as error:
                raise StoreError(f"{self.table_name}: row {number}: {error}") from error
        return lists

    # Checks ------------------------------------------------------------------------------------------------

    def _judge(self, kind: str, value: str, what: str, code: int = USER) -> int:
        verdict = self.lists.verdict(kind, value) if value else 0
        if not verdict:
            return UNKNOWN
        (self.allowed if verdict > 0 else self.blocked)[what] += 1
        return verdict * code

    @function("secf_check_ip", routes=ANY)
    def secf_check_ip(self, ctx: Context) -> int:
        """Judge the source address: 2 allowed, 1 not listed, -2 blocked."""
        return self._judge("ip", ctx.flow.remote.host, "IP address")

    @function("secf_check_ua", routes=ANY)
    def secf_check_ua(self, ctx: Context) -> int:
        """Judge the User-Agent: 2 allowed, 1 not listed or none there, -2 blocked."""
        return self._judge("ua", ctx.msg.header("User-Agent") or "", "user-agent")

    @function("secf_check_country", routes=ANY)
    def secf_check_country(self, ctx: Context, country: str) -> int:
        """Judge a country code, such as `$gip2(src=>cc)`: 2 allowed, 1 not listed, -2 blocked."""
        return self._judge("country", country, "country")

    @function("secf_check_from_hdr", routes=ANY)
    def secf_check_from_hdr(self, ctx: Context) -> int:
        """Judge the From: 4, 3, 2 when its name, domain or user is allowed, -4, -3, -2 when it is blocked."""
        return self._judge_header(ctx, "From")

    @function("secf_check_to_hdr", routes=ANY)
    def secf_check_to_hdr(self, ctx: Context) -> int:
        """Judge the To: 4, 3, 2 when its name, domain or user is allowed, -4, -3, -2 when it is blocked."""
        return self._judge_header(ctx, "To")

    @function("secf_check_contact_hdr", routes=ANY)
    def secf_check_contact_hdr(self, ctx: Context) -> int:
        """Judge the Contacts: 3, 2 when a domain or user is allowed, -3, -2 when one is blocked."""
        return self._judge_header(ctx, "Contact")

    def _judge_header(self, ctx: Context, header: str) -> int:
        try:
            answers = [self._judge_address(address, header) for address in _addresses(ctx, header)]
        except ParseError:
            return FAILED
        return next((answer for answer in answers if answer < 0), max(answers, default=UNKNOWN))

    def _judge_address(self, address: NameAddr, header: str) -> int:
        user, domain = _user_and_domain(address)
        name = address.display if header != "Contact" else ""
        for kind, value, code, wanted in (
            ("user", name, NAME, 1), ("user", user, USER, 1), ("user", user, USER, -1),
            ("user", name, NAME, -1), ("domain", domain, DOMAIN, 1), ("domain", domain, DOMAIN, -1),
        ):  # fmt: skip
            if value and self.lists.verdict(kind, value) == wanted:
                counted = self.allowed if wanted > 0 else self.blocked
                counted[f"{header.lower()} {PARTS[code]}"] += 1
                return code * wanted
        return UNKNOWN

    @function("secf_check_dst", routes=ANY)
    def secf_check_dst(self, ctx: Context, number: str) -> int:
        """Judge a number that is called: 1 not listed, -2 blocked."""
        for blocked in self.lists.destinations:
            if number == blocked or (not self.dst_exact_match and number.startswith(blocked)):
                self.blocked["Destinations"] += 1
                return -2
        return UNKNOWN

    # SQL ---------------------------------------------------------------------------------------------------

    def _is_injection(self, value: str) -> bool:
        if not any(sign in value for sign in INJECTED):
            return False
        self.blocked["SQL injection"] += 1
        return True

    @function("secf_check_sqli_hdr", routes=ANY)
    def secf_check_sqli_hdr(self, ctx: Context, value: str) -> int:
        """-1 when a value holds what would end an SQL string, else 1. `{sql.val}` is what makes it safe."""
        return -1 if self._is_injection(value) else 1

    @function("secf_check_sqli_all", routes=ANY)
    def secf_check_sqli_all(self, ctx: Context) -> int:
        """Look at User-Agent, From, To and Contact; the script ends here when one would end an SQL string."""
        for what, value in self._texts(ctx):
            if self._is_injection(value):
                logger.error("possible SQL injection in %s: %r", what, value)
                return 0
        return 1

    @staticmethod
    def _texts(ctx: Context) -> Iterator[tuple[str, str]]:
        yield "User-Agent", ctx.msg.header("User-Agent") or ""
        for header in ("From", "To", "Contact"):
            try:
                addresses = _addresses(ctx, header)
            except ParseError:
                yield header, ctx.msg.header(header) or ""  # what cannot be read is looked at as it is
                continue
            for address in addresses:
                user, domain = _user_and_domain(address)
                if header != "Contact":
                    yield f"{header} name", address.display
                yield f"{header} user", user
                yield f"{header} domain", domain

    # RPC ---------------------------------------------------------------------------------------------------

    @rpc("secfilter.reload", workers="all")
    def rpc_reload(self) -> str:
        """Read the lists from the database; when it cannot be, they stay as they are."""
        try:
            self.lists = self._read()
        except StoreError as error:
            raise RpcError(500, str(error)) from error
        return "Data reloaded"

    @rpc("secfilter.print")
    def rpc_print(self, kind: str = "") -> list[str]:
        """The lists: all, or those of `ua`, `country`, `domain`, `ip`, `user` or `dst`."""
        if kind and kind not in (*TYPES, "dst"):
            raise RpcError(400, f"there is no type {kind!r}: ua, country, domain, ip, user or dst")
        lines: list[str] = []
        for one in TYPES:
            if kind in ("", one):
                lines += _section(TITLES[one])
                lines += _numbered("Blacklisted", self.lists.blocked[one])
                lines += _numbered("Whitelisted", self.lists.allowed[one])
        if kind in ("", "dst"):
            lines += _section("Destinations") + _numbered("Blacklisted", self.lists.destinations)
        return lines

    @rpc("secfilter.stats")
    def rpc_stats(self) -> list[str]:
        """How many messages were blocked and allowed, by what."""
        lines: list[str] = []
        for title, counted in (
            ("Blocked messages (blacklist)", self.blocked), ("Allowed messages (whitelist)", self.allowed),
        ):  # fmt: skip
            lines += [*_section(title), *(f"[+] By {what:<14}: {counted[what]}" for what in COUNTED)]
        lines += _section("Other blocked messages")
        lines += [f"[+] {what:<15}: {self.blocked[what]}" for what in ("Destinations", "SQL injection")]
        return lines

    @rpc("secfilter.stats_reset", workers="all")
    def rpc_stats_reset(self) -> str:
        """Count from 0 again."""
        self.blocked.clear()
        self.allowed.clear()
        return "The statistics has been reset"

    def _add(self, action: int, kind: str, value: str) -> None:
        if kind not in TYPES:
            raise RpcError(400, f"there is no type {kind!r}: ua, country, domain, ip or user")
        if not value:
            raise RpcError(400, "an empty value would match everything")
        self.lists.add(action, TYPES.index(kind), value)

    @rpc("secfilter.add_bl", workers="all")
    def rpc_add_bl(self, kind: str, value: str) -> str:
        """Block what begins so, until the lists are loaded again."""
        self._add(BLOCKED, kind, str(value))
        return f"Values ({kind}, {value}) inserted into blacklist"

    @rpc("secfilter.add_wl", workers="all")
    def rpc_add_wl(self, kind: str, value: str) -> str:
        """Allow what begins so, until the lists are loaded again."""
        self._add(ALLOWED, kind, str(value))
        return f"Values ({kind}, {value}) inserted into whitelist"

    @rpc("secfilter.add_dst", workers="all")
    def rpc_add_dst(self, number: str) -> str:
        """Block a number, until the lists are loaded again."""
        if not str(number):
            raise RpcError(400, "an empty number would match everything")
        self.lists.destinations.append(str(number))
        return f"Values ({number}) inserted into blacklist destinations"


def _addresses(ctx: Context, header: str) -> list[NameAddr]:
    return [
        address
        for value in ctx.msg.headers(header)
        if value.strip() not in ("", "*")
        for address in parse_name_addrs(value)
    ]


def _user_and_domain(address: NameAddr) -> tuple[str, str]:
    try:
        uri = parse_uri(str(address.uri))
    except ParseError:
        return "", ""
    if isinstance(uri, TelUri):
        return uri.number, ""
    return (unescape(uri.user or ""), uri.host) if isinstance(uri, SipUri) else ("", "")


def _section(title: str) -> list[str]:
    return ["", title, "=" * len(title)]


def _numbered(title: str, values: list[str]) -> list[str]:
    return [f"[+] {title}", "    -----------", *(f"    {n:04} -> {v}" for n, v in enumerate(values, 1)), ""]
