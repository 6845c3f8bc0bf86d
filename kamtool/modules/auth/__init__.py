"""auth: digest authentication (RFC 3261 §22, RFC 7616, RFC 8760)."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kamtool.errors import ConfigError, ParseError
from kamtool.module import (
    FAILURE_ROUTE,
    ONREPLY_ROUTE,
    REQUEST_ROUTE,
    Host,
    Module,
    Param,
    Variable,
    function,
)
from kamtool.modules.auth import challenge, passwords
from kamtool.modules.auth.checking import (
    UNCHALLENGEABLE,
    Claim,
    Secret,
    authenticate,
    find,
)
from kamtool.modules.auth.codes import Code
from kamtool.modules.auth.identity import matches
from kamtool.modules.auth.nonce import Nonces
from kamtool.modules.auth.passwords import qop_of
from kamtool.modules.auth.replay import SharedUses, Uses
from kamtool.script.context import Context
from kamtool.sip.digest import ALGORITHMS, ha1, parse_credentials

if TYPE_CHECKING:
    from kamtool.server.workers import Team

logger = logging.getLogger("kamtool.auth")

CHALLENGING = REQUEST_ROUTE | FAILURE_ROUTE | ONREPLY_ROUTE

WWW, PROXY = "Authorization", "Proxy-Authorization"


class Auth(Module):
    """Challenge requests and check the digest credentials that come back.

    `auth` knows nonces and hashes; where passwords come from is told by auth_db, or by the cfg itself with
    `pv_www_authenticate()` and its like.
    """

    name = "auth"

    lacking = False
    """Whether an account has no hash but that by MD5: auth_db knows."""

    live = (
        "add_authinfo_hdr",
        "force_stateless_reply",
        "proxy_challenge_header",
        "www_challenge_header",
        "use_domain",
    )

    secret = Param("", "what nonces are signed with; made at random when it is not set")
    nonce_expire = Param(300, "seconds that a nonce is good for")
    nonce_auth_max_drift = Param(3, "seconds that the clocks of two servers with one secret may differ")
    auth_checks_register = Param(
        0, "what a nonce of REGISTER is bound to: 1 R-URI, 2 Call-ID, 4 From tag, 8 source"
    )
    auth_checks_no_dlg = Param(0, "the same outside dialogs")
    auth_checks_in_dlg = Param(0, "the same inside dialogs")
    protect_contacts = Param(0, "1: a nonce of REGISTER is also bound to its Contacts")
    qop = Param("", "the qop of challenges whose flags name none: `auth` or `auth-int`")
    nonce_count = Param(0, "1: `nc` must grow with each use of a nonce")
    one_time_nonce = Param(0, "1: each nonce is good for one request")
    nc_array_size = Param(1048576, "how many used nonces are remembered for `nonce_count`")
    nc_array_order = Param(0, "the same as a power of two")
    otn_in_flight_no = Param(1048576, "how many used nonces are remembered for `one_time_nonce`")
    otn_in_flight_order = Param(0, "the same as a power of two")
    nid_pool_no = Param(1, "accepted: one pool serves all")
    force_stateless_reply = Param(0, "1: challenges are sent without a transaction even where there is one")
    realm_prefix = Param("", "a prefix that is taken off realms: with `sip.`, sip.example.com is example.com")
    use_domain = Param(0, "1: pv_auth_check() compares domains too")
    algorithm = Param(
        "",
        "MD5, SHA-256 or SHA-512-256; a list `SHA-256,MD5` offers several, the first preferred; "
        "MD5 alone as long as an account of auth_db has no other hash",
    )
    md5_only = Param(
        "", "a regular expression of User-Agents that are offered MD5 alone; `^$` is one that gives no name"
    )
    add_authinfo_hdr = Param(0, "1: answers carry Authentication-Info")
    proxy_challenge_header = Param("Proxy-Authenticate", "the header of a challenge with 407")
    www_challenge_header = Param("WWW-Authenticate", "the header of a challenge with 401")
    challenge_attr = Param(
        "$avp(digest_challenge)", "the AVP for challenges that pv_www_authenticate() makes"
    )

    def __init__(self, server: Host) -> None:
        super().__init__(server)
        # What every REGISTER calls, without this module's methods around it.
        vars(self)["pv_www_authenticate"] = passwords.Passwords(self).www
        vars(self)["www_challenge"] = challenge.Challenges(self).www

    def verify(self, script: Any) -> Iterable[ConfigError]:
        """Algorithms and qop are known."""
        self._check()
        return ()

    def _check(self) -> None:
        self.algorithms = [name.strip().upper() for name in self.algorithm.split(",") if name.strip()]
        for name in self.algorithms:
            if name not in ALGORITHMS:
                raise ConfigError(
                    f"auth: no algorithm {name!r}", hint=f"there is {', '.join(ALGORITHMS)}", code="KT1201"
                )
        try:
            self.md5_agents = re.compile(self.md5_only) if self.md5_only else None
        except re.error as error:
            raise ConfigError(f"auth: md5_only: {self.md5_only!r}: {error}", code="KT1201") from None
        if self.qop not in ("", "auth", "auth-int"):
            raise ConfigError(f"auth: qop is auth or auth-int, not {self.qop!r}", code="KT1201")

    async def start(self) -> None:
        """Check the parameters. Raises ConfigError."""
        self._check()
        if self.secret and len(self.secret) < 16:
            logger.warning("auth: a secret of %d characters can be guessed; use 32", len(self.secret))
        secret = self.secret.encode("utf-8", "surrogateescape") if self.secret else secrets.token_bytes(32)
        team: Team | None = getattr(self.server, "team", None)
        if team is not None and not self.secret:
            secret = team.derive("nonces", 32)
        started = int(time.time()) if team is None else team.started_epoch
        self.nonces = Nonces(secret, self.nonce_expire, self.nonce_auth_max_drift, started)
        self.uses: Uses | SharedUses | None = None
        if self.nonce_count or self.one_time_nonce:
            size, order = (
                (self.nc_array_size, self.nc_array_order)
                if self.nonce_count
                else (self.otn_in_flight_no, self.otn_in_flight_order)
            )
            size = 1 << order if order > 0 else size
            self.uses = Uses(size) if team is None else SharedUses(team.memory, team.lock, size)
        self.checks = any(
            (
                self.auth_checks_register,
                self.auth_checks_no_dlg,
                self.auth_checks_in_dlg,
                self.protect_contacts,
            )
        )
        # Who is not there is hashed against this, so that the answer takes as long as for a wrong password.
        self.nobody = {name: ha1("", "", secrets.token_hex(16), name) for name in ALGORITHMS}
        self._challenge_avp: Variable | None = None

    # ----- for auth_db and others

    def find(self, ctx: Context, realm: str, header: str) -> tuple[int, Claim | None]:
        """The credentials for `realm`: (1, them), or -5 when there are none, -1 when they are malformed."""
        return find(self, ctx, realm, header)

    def stripped(self, realm: str) -> str:
        return realm.removeprefix(self.realm_prefix) if self.realm_prefix else realm

    def authenticate(
        self, ctx: Context, realm: str, header: str, secret: Secret, method: str = ""
    ) -> tuple[int, Claim | None]:
        """Check the credentials for `realm`; the code, and the credentials when there are any.

        An unknown user and a wrong password take the same way and the same time; only the code differs.
        """
        return authenticate(self, ctx, realm, header, secret, method)

    def challenge_headers(self, ctx: Context, name: str, realm: str, qop: str, stale: bool) -> list[str]:
        """The header lines of a challenge."""
        return challenge.headers(self, ctx, name, realm, qop, stale)

    def challenge_avp(self) -> Variable:
        """What `challenge_attr` names."""
        if self._challenge_avp is None:
            self._challenge_avp = self.server.variable(self.challenge_attr)
        return self._challenge_avp

    # ----- functions

    @function("www_challenge", routes=CHALLENGING)
    def www_challenge(self, ctx: Context, realm: str, flags: int) -> int:
        """Answer 401 with a challenge for `realm`: what a registrar or another server asks.

        `flags`: 1 with qop=auth, 2 with qop=auth-int, 4 no 500 when it fails, 16 with stale=true.
        """
        return challenge.send(self, ctx, realm, flags, 401)

    @function("proxy_challenge", routes=CHALLENGING)
    def proxy_challenge(self, ctx: Context, realm: str, flags: int) -> int:
        """Answer 407 with a challenge for `realm`: what a proxy asks. `flags` as for `www_challenge()`."""
        return challenge.send(self, ctx, realm, flags, 407)

    @function("auth_challenge", routes=CHALLENGING)
    def auth_challenge(self, ctx: Context, realm: str, flags: int) -> int:
        """`www_challenge()` for REGISTER, `proxy_challenge()` for everything else."""
        return challenge.send(self, ctx, realm, flags, 401 if ctx.msg.method == "REGISTER" else 407)

    @function("pv_www_authenticate", routes=REQUEST_ROUTE)
    def pv_www_authenticate(
        self, ctx: Context, realm: str, password: str, flags: int, method: str = ""
    ) -> int:
        """Check Authorization against a password that the cfg gives.

        1 right; -1 malformed or forged; -2 wrong password; -4 the nonce has expired; -5 no credentials for
        `realm`; -6 the nonce was used. `flags`: 1 the password is HA1; 2, 4, 8 put a challenge (no qop, auth,
        auth-int) into `challenge_attr`; 16 with stale=true. `method` stands in for the request's.
        """
        return passwords.check(self, ctx, WWW, realm, password, flags, method)

    @function("pv_www_authorize", routes=REQUEST_ROUTE)
    def pv_www_authorize(self, ctx: Context, realm: str, password: str, flags: int) -> int:
        """The old name of `pv_www_authenticate()`."""
        return passwords.check(self, ctx, WWW, realm, password, flags)

    @function("pv_proxy_authenticate", "pv_proxy_authorize", routes=REQUEST_ROUTE)
    def pv_proxy_authenticate(self, ctx: Context, realm: str, password: str, flags: int) -> int:
        """Check Proxy-Authorization as `pv_www_authenticate()` does."""
        return passwords.check(self, ctx, PROXY, realm, password, flags)

    @function("pv_auth_check", routes=REQUEST_ROUTE)
    def pv_auth_check(self, ctx: Context, realm: str, password: str, flags: int, checks: int) -> int:
        """`pv_www_authenticate()` for REGISTER, `pv_proxy_authenticate()` for everything else.

        `checks` 1 also compares the user with From and To, as `auth_check()` does: -8 when they differ.
        """
        header = WWW if ctx.msg.method == "REGISTER" else PROXY
        code = passwords.check(self, ctx, header, realm, password, flags)
        if code == Code.OK and checks and ctx.msg.method not in UNCHALLENGEABLE:
            _, credentials = self.find(ctx, realm, header)
            if credentials is None or not matches(ctx, credentials, realm, checks, bool(self.use_domain)):
                return Code.USER_MISMATCH
        return code

    @function("auth_get_www_authenticate", routes=REQUEST_ROUTE)
    def auth_get_www_authenticate(self, ctx: Context, realm: str, flags: int, destination: Variable) -> int:
        """Put the value of a WWW-Authenticate into a variable; `flags` as for `pv_www_authenticate()`."""
        qop = qop_of(flags)
        (line, *_) = self.challenge_headers(ctx, "", realm, qop, bool(flags & challenge.WITH_STALE))
        destination.set(ctx, line.removeprefix(": "))
        return Code.OK

    @function("has_credentials", routes=REQUEST_ROUTE)
    def has_credentials(self, ctx: Context, realm: str) -> bool:
        """Whether the request brings credentials for `realm`, right or wrong."""
        return any(self.find(ctx, realm, header)[1] is not None for header in (WWW, PROXY))

    @function("consume_credentials", routes=REQUEST_ROUTE)
    def consume_credentials(self, ctx: Context) -> int:
        """Take the credentials that were checked off the request, so that the next hop does not see them."""
        authorized, ctx.authorized = ctx.authorized, ()
        for header, checked in authorized:
            for field in ctx.msg.fields(header):
                try:
                    found = parse_credentials(field.value)
                except ParseError:
                    continue
                if found is not None and (found.nonce, found.response) == (checked.nonce, checked.response):
                    ctx.edit(field.start, field.end, b"")
        return Code.OK if authorized or ctx.msg.method in UNCHALLENGEABLE else Code.ERROR
