"""The aliases by which a dialog is known outside, and the Contacts that carry them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex

from kamtool.modules.topoh.pieces import parts, uri_of
from kamtool.modules.topos.reading import octets_of, text_of, user_of
from kamtool.modules.topos.records import Dialog
from kamtool.sip.message import Message
from kamtool.speed import split_uri

MARK = "tpsh-"
BY_USER, BY_PARAM, BY_XAVU = 0, 1, 2


@dataclass(slots=True)
class Choices:
    """The module's parameters, as far as they change messages."""

    contact_mode: int = BY_USER
    contact_host: str = ""
    cparam_name: str = "tps"
    rr_update: bool = False
    context: str = ""


Users = Callable[[str], tuple[str, str, str]]
"""By the branch of our Via: the users of the Contacts that `a` and `b` see, and their host; "" is unset."""


class Naming:
    """Makes the Contacts that the sides see."""

    def __init__(self, choices: Choices, given: Users | None = None) -> None:
        self.choices, self.given = choices, given

    def name(self, msg: Message, dialog: Dialog) -> None:
        """The Contacts that stand for the sides: the hosts are those of our Record-Route, each side's own."""
        given = self.given(msg.branch) if self.given is not None else ("", "", "")
        host = given[2] or self.choices.contact_host
        a_user, b_user = given[0], given[1]
        if self.choices.contact_mode == BY_PARAM:
            a_user, b_user = msg.uri_user or "", user_of(dialog.a_contact)
        port = f":{msg.via_port}" if msg.via_port else ""
        own = [text_of(item) for item in parts(octets_of(dialog.s_rr))] or [f"<sip:{msg.via_host}{port}>"]
        dialog.as_contact = self._alias(own[-1], host, dialog.a_uuid, a_user)
        dialog.bs_contact = self._alias(own[0], host, dialog.b_uuid, b_user)

    def _alias(self, route: str, host: str, uuid: str, user: str) -> str:
        octets = octets_of(route)
        found = uri_of(octets, 0, len(octets))
        assert found is not None  # it was found to be ours
        scheme, _, _, own, port, params, _ = split_uri(text_of(octets[found[0] : found[1]]))
        transport = re.search(r";transport=[a-z]+", f";{params or ''}", re.IGNORECASE)
        place = f"{host or own}{f':{port}' if port else ''}{transport[0] if transport else ''}"
        if self.choices.contact_mode == BY_USER:
            return f"<{scheme}:{uuid}@{place}>"
        return f"<{scheme}:{f'{user}@' if user else ''}{place};{self.choices.cparam_name}={uuid}>"


def new_key(context: str) -> str:
    """What an alias has behind its first letter; two are never the same."""
    random = token_hex(8)
    return f"{MARK}{random[:8]}-{random[8:]}-1{f'-{context}' if context else ''}"
