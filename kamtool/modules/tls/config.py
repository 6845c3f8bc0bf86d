"""tls.cfg: sections `[server:IP:PORT]`, `[client:default]` …, each with its attributes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kamtool.errors import ConfigError, ConfigErrors, Span
from kamtool.sip.flow import Address
from kamtool.transport.target import is_numeric

SERVER, CLIENT = "server", "client"
DEFAULT, ANY = "default", "any"
CODE = "KT1201"
MISSING = "KT1202"
"""Not here, but perhaps where the cfg will run: for `kamtool check` a warning."""

YES, NO = ("yes", "true", "on", "enable", "1"), ("no", "false", "off", "disable", "0")
METHODS = {
    "tlsv1.3+": ("TLSv1.3", ""), "tlsv1.3": ("TLSv1.3", "TLSv1.3"),
    "tlsv1.2+": ("TLSv1.2", ""), "tlsv1.2": ("TLSv1.2", "TLSv1.2"),
    "tlsv1.1+": ("TLSv1.1", ""), "tlsv1.1": ("TLSv1.1", "TLSv1.1"),
    "tlsv1.0+": ("TLSv1", ""), "tlsv1.0": ("TLSv1", "TLSv1"),
    "tlsv1+": ("TLSv1", ""), "tlsv1": ("TLSv1", "TLSv1"),
    "sslv23": ("TLSv1", ""), "sslv2": ("", ""), "sslv3": ("", ""),
}  # fmt: skip
"""The lowest and the highest version of each method; the highest "" is the newest there is."""

ATTRIBUTES = {
    "method": "method", "tls_method": "method",
    "verify_certificate": "bool", "verify_cert": "bool",
    "require_certificate": "bool", "require_cert": "bool",
    "verify_depth": "number", "private_key": "file", "pkey_file": "file", "certificate": "file",
    "cert_file": "file", "ca_list": "file", "ca_file": "file", "ca_path": "folder", "crl": "file",
    "crl_file": "file", "cipher_list": "text", "ciphers": "text", "server_name": "text",
    "server_name_mode": "number", "server_id": "text", "verify_client": "verify_client", "legacy": "bool",
}  # fmt: skip
SAME = {
    "tls_method": "method", "verify_cert": "verify_certificate", "require_cert": "require_certificate",
    "pkey_file": "private_key", "cert_file": "certificate", "ca_file": "ca_list", "crl_file": "crl",
    "ciphers": "cipher_list",
}  # fmt: skip
VERIFY_CLIENT = ("off", "optional", "on")

_SECTION = re.compile(r"\[\s*(?P<role>\w+)\s*:\s*(?P<where>.*?)\s*\]\s*$")


@dataclass(slots=True)
class Domain:
    """One section: whose it is, and its attributes.

    `spans` tells where each stands, "" the section itself.
    """

    role: str
    address: Address | None = None
    """None for `default` and `any`."""
    is_any: bool = False
    method: str = "TLSv1.2+"
    verify_certificate: bool = False
    require_certificate: bool = False
    verify_depth: int = 9
    private_key: str = ""
    certificate: str = ""
    ca_list: str = ""
    ca_path: str = ""
    crl: str = ""
    cipher_list: str = ""
    server_name: str = ""
    server_name_mode: int = 0
    server_id: str = ""
    legacy: bool = False
    spans: dict[str, Span] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The section's name, e.g. `server:default`."""
        where = str(self.address) if self.address else ANY if self.is_any else DEFAULT
        return f"{self.role}:{where}"

    def at(self, *attributes: str) -> Span:
        """Where the first of these attributes stands that the section has, else where the section begins."""
        return next(
            (self.spans[name] for name in (*attributes, "") if name in self.spans), Span("", 0, 0, 0, 0)
        )


def resolve(name: str, folder: Path) -> Path:
    """A file as Kamailio finds it: `./x` from the working directory, `x` from the cfg's folder."""
    return Path(name) if name.startswith((".", "/")) else folder / name


def read(path: Path, folder: Path) -> list[Domain]:
    """The sections of a tls.cfg. Raises ConfigErrors with every mistake in it."""
    try:
        text = path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"tls: cannot read {path}: {reason}",
            hint='modparam("tls", "config", …) names it; `kamtool tls init` makes one',
            code=MISSING,
        ) from error
    return parse(text, str(path), folder)


def _holds_no_key(text: str, file: str) -> None:
    """A finding shows its line: lines of a key must get none."""
    for number, line in _lines(text):
        if line.lstrip().startswith("-----BEGIN "):
            raise ConfigError(
                "a key or certificate stands here", Span(file, number, 1, number, len(line.rstrip()) + 1),
                hint="keep it in a file of its own, which `private_key` or `certificate` names", code=CODE,
            )  # fmt: skip


def parse(text: str, file: str, folder: Path) -> list[Domain]:
    """The sections of a tls.cfg's text."""
    _holds_no_key(text, file)
    errors: list[ConfigError] = []
    domains: list[Domain] = []
    current: Domain | None = None
    skipping = False
    for number, line in _lines(text):
        span = Span(file, number, len(line) - len(line.lstrip()) + 1, number, len(line.rstrip()) + 1)
        try:
            if line.lstrip().startswith("["):
                skipping = True
                current = _section(line.strip(), span)
                skipping = False
                _once(domains, current, span)
                domains.append(current)
            elif current is None or skipping:
                if not skipping:
                    raise ConfigError(
                        "an attribute before the first section", span, hint="begin with [server:default]",
                        code=CODE,
                    )  # fmt: skip
            else:
                _attribute(current, line, span, folder)
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise ConfigErrors(errors)
    return domains


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line that says something, without its comment."""
    for number, line in enumerate(text.splitlines(), 1):
        kept, quoted = "", False
        for character in line:
            if character == '"':
                quoted = not quoted
            elif character in "#;" and not quoted and (character == "#" or not kept.strip()):
                break
            kept += character
        if kept.strip():
            yield number, kept.rstrip()


def _section(line: str, span: Span) -> Domain:
    found = _SECTION.match(line)
    role = found["role"].lower() if found else ""
    if not found or role not in (SERVER, CLIENT):
        raise ConfigError(
            f"{line!r} is no section", span,
            hint="[server:default], [server:IP:PORT], [server:any], [client:default], [client:IP:PORT]",
            code=CODE,
        )  # fmt: skip
    where = found["where"].lower()
    domain = Domain(role, spans={"": span})
    if where == ANY:
        domain.is_any = True
    elif where != DEFAULT:
        host, colon, port = where.rpartition(":")
        if not colon or not is_numeric(host) or not port.isdigit() or not 0 < int(port) < 65536:
            raise ConfigError(
                f"{found['where']!r} is no address with a port", span,
                hint="an IP address and a port, e.g. [server:192.0.2.1:5061]; IPv6 in brackets", code=CODE,
            )  # fmt: skip
        domain.address = Address(host.strip("[]"), int(port))
    return domain


def _once(domains: list[Domain], domain: Domain, span: Span) -> None:
    # Sections for one address may differ in server_name (or server_id); a default is one of a kind.
    if domain.address is None and not domain.is_any:
        for earlier in domains:
            if earlier.title == domain.title:
                line = earlier.spans[""].line
                raise ConfigError(
                    f"[{domain.title}] stands a second time", span, hint=f"the first is in line {line}",
                    code=CODE,
                )  # fmt: skip


def _attribute(domain: Domain, line: str, span: Span, folder: Path) -> None:
    name, equals, value = (part.strip() for part in line.partition("="))
    name = name.lower()
    kind = ATTRIBUTES.get(name)
    if kind is None or not equals:
        near = difflib.get_close_matches(name, ATTRIBUTES, 1)
        hint = (
            f"did you mean `{near[0]}`?"
            if near
            else "attributes: " + " ".join(sorted(set(ATTRIBUTES) - set(SAME)))
        )
        raise ConfigError(f"no attribute `{name}`" if not kind else f"`{name}` needs `= value`", span,
                          hint=hint, code=CODE)  # fmt: skip
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    name = SAME.get(name, name)
    domain.spans[name] = span
    if kind == "verify_client":
        verify_client(domain, value, span)
    else:
        setattr(domain, name, _value(kind, name, value, span, folder))


def _value(kind: str, name: str, value: str, span: Span, folder: Path) -> str | int | bool:
    if kind == "bool":
        if value.lower() not in (*YES, *NO):
            raise ConfigError(f"`{name}` is yes or no, not {value!r}", span, code=CODE)
        return value.lower() in YES
    if kind == "number":
        if not value.isdigit():
            raise ConfigError(f"`{name}` is a number, not {value!r}", span, code=CODE)
        return int(value)
    if kind == "method":
        return method(value, span)
    if kind in ("file", "folder"):
        return str(resolve(value, folder)) if value else ""
    return value


def method(value: str, span: Span) -> str:
    """A `method` that TLS still has. Raises ConfigError."""
    if value.lower() not in METHODS:
        near = difflib.get_close_matches(value.lower(), METHODS, 1, 0.5)
        raise ConfigError(
            f"no method {value!r}", span, code=CODE,
            hint=f"did you mean {near[0].replace('tlsv', 'TLSv')}?" if near else "TLSv1.2+ is the usual one",
        )  # fmt: skip
    if METHODS[value.lower()] == ("", ""):
        raise ConfigError(f"{value} is broken and gone from OpenSSL", span, hint="TLSv1.2+", code=CODE)
    return value


def verify_client(domain: Domain, value: str, span: Span) -> None:
    """nginx's word for the two switches."""
    if value == "optional_no_ca":
        raise ConfigError(
            "verify_client = optional_no_ca cannot be carried out: a certificate is either verified or not "
            "asked for", span, hint="optional with a ca_list", code=CODE,
        )  # fmt: skip
    if value not in VERIFY_CLIENT:
        raise ConfigError(f"`verify_client` is {', '.join(VERIFY_CLIENT)}, not {value!r}", span, code=CODE)
    domain.verify_certificate = value != "off"
    domain.require_certificate = value == "on"
