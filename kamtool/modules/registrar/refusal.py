"""A REGISTER that is answered with an error."""

from __future__ import annotations

from kamtool.modules.usrloc.contact import Contact
from kamtool.sip.reasons import REASONS


class Refused(Exception):
    """What to answer: a status, the text of P-Registrar-Error, and further header lines."""

    def __init__(
        self, status: int, why: str, *headers: str, code: int = -1, listed: tuple[Contact, ...] = ()
    ) -> None:
        super().__init__(why)
        self.status, self.why, self.headers = status, why, headers
        self.listed = listed
        """The contacts that stay, which the answer names."""
        self.code = code
        """What save() returns to the script."""

    @property
    def reason(self) -> str:
        return REASONS.get(self.status, "Error")
