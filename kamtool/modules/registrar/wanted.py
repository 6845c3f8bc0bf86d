"""What a REGISTER asks for: its contacts with their expiry, q and instance (RFC 3261 §10.3)."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Protocol

from kamtool.errors import ParseError
from kamtool.modules.registrar.refusal import Refused
from kamtool.modules.usrloc.table import Contacts
from kamtool.sip.message import STAR, Message, parse_expires
from kamtool.sip.nameaddr import unquote
from kamtool.sip.uri import Params, parse_uri
from kamtool.speed import split_name_addr, split_uri

Q = re.compile(r"\s*(?:0(?:\.(\d*))?|\.(\d+)|1(?:\.0*)?)\s*")


CHANGED = "registrar.contacts"
"""Where a Context's scratch has what the script has made of the URIs of Contact, old to new."""


class Limits(Protocol):
    """The parameters of registrar that shape a contact."""

    default_expires: int
    default_expires_range: int
    expires_range: int
    min_expires: int
    min_expires_mode: int
    max_expires: int
    default_q: int
    contact_max_size: int
    gruu_enabled: int


@dataclass(slots=True)
class Wanted:
    """One contact of a REGISTER. `expires` 0 removes it; `q` is in thousandths, -1 without one."""

    uri: str
    expires: int
    q: int
    instance: str
    reg_id: int
    methods: str | None = None
    """The contact's own `methods`, which go before Allow."""


def read(msg: Message, limits: Limits, known: Contacts = (), *, spread: bool = True) -> list[Wanted] | None:
    """The contacts of a REGISTER in order, None for `*`. Raises Refused.

    `known` are the user's contacts: the URI of one of them is not looked at again. With `spread` an expiry is
    shortened at random as `expires_range` says.
    """
    values = msg.headers("Contact")
    try:
        if len(values) == 1 and len(values[0]) > 1 and "," not in values[0]:
            _, uri, params = split_name_addr(values[0])
            return [_read_one(uri, params, _header_expires(msg), limits, known, spread)]
        contacts = msg.contacts
    except ParseError as error:
        raise Refused(400, f"Contact cannot be read: {error.reason}") from error
    if contacts is STAR:
        if _header_expires(msg) != 0:
            raise Refused(400, "Contact * needs Expires 0")
        return None
    if not contacts:
        return []
    default = _header_expires(msg)
    wanted = [_read_one(contact.uri, contact.params, default, limits, known, spread) for contact in contacts]
    if len(wanted) > 1:
        wanted = list({entry.uri: entry for entry in reversed(wanted)}.values())[::-1]
    return wanted


def _header_expires(msg: Message) -> int | None:
    value = msg.header("Expires")
    return None if value is None else _seconds(value)


def _read_one(
    uri: str, params: Params, default: int | None, limits: Limits, known: Contacts, spread: bool
) -> Wanted:
    if not known or uri not in [other.uri for other in known]:
        _check(uri, limits)
    q, instance, reg_id = limits.default_q or -1, "", 0
    expires: int | None = default
    methods: str | None = None
    if params:
        if "methods" in params:
            methods = unquote(params["methods"] or "")
        if "expires" in params:
            expires = _seconds(params["expires"] or "")
        if "q" in params:
            q = parse_q(params["q"] or "")
        if limits.gruu_enabled and params.get("+sip.instance"):
            instance = unquote(params["+sip.instance"] or "")
            number = params.get("reg-id") or ""
            if number.isascii() and number.isdigit() and len(number) < 11:
                reg_id = int(number)
    return Wanted(uri, bounded(expires, limits, spread), q, instance, reg_id, methods)


def _seconds(text: str) -> int | None:
    if len(text) < 10 and text.isdecimal() and text.isascii():
        return int(text)
    try:
        seconds = parse_expires(text)
    except ParseError:
        return None  # §20.10: what is malformed is as good as absent
    # §20.19 ends at 2**32 - 1; what is more is no expiry, and Kamailio takes it for none too.
    digits = text.partition(";")[0].strip()
    return seconds if len(digits) < 11 and int(digits) == seconds else None


def _check(uri: str, limits: Limits) -> None:
    if len(uri) > limits.contact_max_size > 0:
        raise Refused(400, f"a Contact URI has more than {limits.contact_max_size} characters")
    try:
        if uri[:3].lower() == "sip":
            split_uri(uri)
        else:
            parse_uri(uri)
    except ParseError as error:
        raise Refused(400, f"a Contact has no valid URI: {error.reason}") from error


def bounded(expires: int | None, limits: Limits, spread: bool = True) -> int:
    """The expiry that is granted for what was asked; None asks for nothing. Raises Refused (423)."""
    if expires == 0:
        return 0
    share = limits.expires_range
    if expires is None:
        expires, share = limits.default_expires, limits.default_expires_range
    if share and spread:
        expires -= random.randint(0, expires * min(share, 100) // 100)
    if expires < limits.min_expires:
        if limits.min_expires_mode:
            raise Refused(423, "expires is too small", f"Min-Expires: {limits.min_expires}")
        expires = limits.min_expires
    return limits.max_expires if 0 < limits.max_expires < expires else expires


def parse_q(text: str) -> int:
    """A q value in thousandths. Raises Refused."""
    found = Q.fullmatch(text)
    if not found:
        raise Refused(400, f"q is a number from 0 to 1, not {text!r}")
    if text.lstrip().startswith("1"):
        return 1000
    return int(((found[1] or found[2] or "") + "000")[:3])
