"""What the later steps of a select name: a part of a URI, of an address, one of several values."""

from __future__ import annotations

from kamtool.errors import ScriptError
from kamtool.script import address_text, uri_text
from kamtool.script.selects_path import Step, wrong


def params(text: str | None, steps: tuple[Step, ...]) -> str | None:
    """`params` whole, or one of them: `params.lr`, `params["lr"]`."""
    if not steps:
        return text
    return uri_text.param(text, steps[0][0])


def uri(text: str | None, steps: tuple[Step, ...]) -> str | None:
    """A URI whole, or what the first step names in it."""
    if text is None or not steps:
        return text
    parts = uri_text.parts(text)
    if parts is None:
        return None
    name = steps[0][0]
    if name == "type":
        return parts.scheme
    if name == "user" and steps[1:2] and steps[1][0] == "rn":
        return uri_text.param(parts.user, "rn")
    if name == "user":
        return parts.user
    if name == "pwd":
        return parts.password
    if name == "host":
        return parts.host
    if name == "port":
        return parts.port
    if name == "hostport":
        return f"{parts.host}:{parts.port_or_default}"
    if name == "transport":
        return parts.transport or None
    if name == "params":
        key = steps[0][1]
        return uri_text.param(parts.params, key) if key else params(parts.params, steps[1:])
    raise wrong(steps)


def address(value: str | None, steps: tuple[Step, ...]) -> str | None:
    """An address as in From, whole, or what the first step names in it."""
    if value is None or not steps:
        return value
    found = address_text.address(value)
    if found is None:
        return None
    name, key = steps[0]
    if name == "uri":
        return uri(found.uri, steps[1:])
    if name == "name":
        return found.name.strip('"') or None
    if name == "tag" or name in ("q", "expires", "method", "received", "instance"):
        value = uri_text.param(found.params, "+sip.instance" if name == "instance" else name)
        return value.strip('"') if value else None
    if name == "params":
        return uri_text.param(found.params, key) if key else params(found.params, steps[1:])
    raise wrong(steps)


def _number(key: str | None) -> int:
    try:
        return int(key) if key else 1
    except ValueError:
        raise ScriptError(f"bad select index {key!r}") from None


def nth(items: list[str], key: str | None) -> str | None:
    """One of several values by the key of its step: they count from 1, and -1 is the last."""
    number = _number(key)
    place = number - 1 if number > 0 else number
    return items[place] if number and -len(items) <= place < len(items) else None
