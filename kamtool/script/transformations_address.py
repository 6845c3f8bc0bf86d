"""Transformations of addresses: `{nameaddr.…}` on a name-addr, `{tobody.…}` on the value of a From or To."""

from __future__ import annotations

from kamtool.module import Value, transformation
from kamtool.script import uri_text
from kamtool.script.address_text import AddressText, address
from kamtool.script.uri_text import UriText, param
from kamtool.script.values import length, to_str


def _address(value: Value) -> AddressText | None:
    return address(to_str(value)) if value else None


def _uri(value: Value) -> UriText | None:
    found = _address(value)
    return None if found is None else uri_text.parts(found.uri)


class AddressTransformations:
    """`{nameaddr.…}` and `{tobody.…}`."""

    @transformation("nameaddr.name")
    def nameaddr_name(self, value: Value) -> Value:
        """The display name with its quotes and the blank after it; empty when there is none."""
        if value is None:
            return None
        found = _address(value)
        return "" if found is None else found.display

    @transformation("nameaddr.uri")
    def nameaddr_uri(self, value: Value) -> Value:
        """The URI between the angle brackets; a text without any is taken to be the URI."""
        if value is None:
            return None
        text = to_str(value)
        found = _address(value)
        return text.strip() if found is None or "<" not in text else found.uri

    @transformation("nameaddr.len")
    def nameaddr_len(self, value: Value) -> Value:
        """The length of the name-addr in octets, without the parameters that follow it."""
        if value is None:
            return None
        text = to_str(value)
        found = _address(value)
        if found is None or "<" not in text:
            return length(text)
        return length(text[: found.uri_end + 1])

    @transformation("tobody.uri")
    def tobody_uri(self, value: Value) -> Value:
        """The URI."""
        found = _address(value)
        return None if value is None else "" if found is None else found.uri

    @transformation("tobody.user")
    def tobody_user(self, value: Value) -> Value:
        """The user of the URI."""
        found = _uri(value)
        return None if value is None else "" if found is None else found.user or ""

    @transformation("tobody.host")
    def tobody_host(self, value: Value) -> Value:
        """The host of the URI."""
        found = _uri(value)
        return None if value is None else "" if found is None else found.host

    @transformation("tobody.display")
    def tobody_display(self, value: Value) -> Value:
        """The display name with its quotes."""
        found = _address(value)
        return None if value is None else "" if found is None else found.name

    @transformation("tobody.tag")
    def tobody_tag(self, value: Value) -> Value:
        """The tag parameter."""
        found = _address(value)
        return None if value is None else "" if found is None else param(found.params, "tag") or ""

    @transformation("tobody.params")
    def tobody_params(self, value: Value) -> Value:
        """The parameters after the address, without the first `;`."""
        found = _address(value)
        return None if value is None else "" if found is None else found.params
