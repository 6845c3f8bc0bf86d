"""What topoh does to a message: masks on the way out, the masks away on the way in.

Nothing is remembered but in the message. On the way in each request gets a cookie in its top Via, `TH=xyz`:
x is `d` on the way from who opened the dialog and `u` towards him, y is `i` outside a dialog and `c` inside.
The masked Via carries it to the far side and back, where z becomes `r`: so a response that was relayed is
told from one that was made here. The cookie is cut out before anybody sees it.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from kamtool.modules.topoh.code import Code
from kamtool.modules.topoh.pieces import Edit, Span, branch_of, items, sent_by_end, uri_of, values
from kamtool.sip.message import Message
from kamtool.speed import splice

COOKIE = re.compile(rb";TH=([du])([ic])([vr])")
_FTAG = re.compile(rb";ftag=([^;>\s]*+)")
_CALL_ID_IN_URI = re.compile(rb"([?&]replaces=)([^;&>\s]++)", re.IGNORECASE)
_URI = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*+:[^\s<>\"]++")
UPSTREAM_BRANCHES = 65_536
SKIPPED = frozenset(("REGISTER", "PUBLISH"))


@dataclass(frozen=True, slots=True)
class Marks:
    """How the masked values look, from the module's parameters."""

    host: bytes
    uri_param: bytes
    """`;line=sr-`"""
    via_param: bytes
    """`;branch=z9hG4bKsr-`"""
    branch_prefix: bytes
    call_id_prefix: bytes
    mask_call_id: bool


class Masks:
    """Both directions, for one key."""

    def __init__(self, code: Code, marks: Marks, is_ours: Callable[[bytes], bool]) -> None:
        self.code, self.marks, self.is_ours = code, marks, is_ours
        self._via = b"SIP/2.0/UDP %b%b" % (marks.host, marks.via_param)
        self._uri = b"sip:%b%b" % (marks.host, marks.uri_param)
        self.upstream: OrderedDict[bytes, None] = OrderedDict()
        """Branches of INVITEs towards who opened the dialog: their CANCEL and ACK are made here and say
        nothing of the direction, but a Call-ID is known in clear there."""

    # In ----------------------------------------------------------------------------------------------------

    def arrived(self, msg: Message) -> bytes:
        """The message as if nobody had masked anything."""
        data = msg.data
        edits: list[Edit] = []
        masked = data.find(self.marks.uri_param) >= 0
        masked_id = data.find(self.marks.call_id_prefix) >= 0
        masked_call_id = masked_id and self._call_id_in(msg, edits)
        if msg.is_request:
            if msg.cseq_method in SKIPPED:
                return data
            if masked:
                self._uri_in(data, msg.uri_start, msg.uri_end, edits)
                self._uris_in(msg, "Route", edits)
            if masked or masked_id:
                self._refer_to_in(msg, edits)
            if masked_id:
                self._replaces(msg, edits, self._decoded_call_id)
            self._cookie(msg, masked_call_id, edits)
        else:
            self._vias_in(msg, edits)
            if masked:
                self._uris_in(msg, "Record-Route", edits)
        return splice(data, edits) if edits else data

    def _decoded_call_id(self, value: bytes) -> bytes | None:
        prefix = self.marks.call_id_prefix
        return self.code.decode(value[len(prefix) :]) if value.startswith(prefix) else None

    def _call_id_in(self, msg: Message, edits: list[Edit]) -> bool:
        for start, end in values(msg, "Call-ID"):
            plain = self._decoded_call_id(msg.data[start:end])
            if plain is not None:
                edits.append((start, end, plain))
                return True
        return False

    def _decoded_uri(self, uri: bytes) -> bytes | None:
        mark = self.marks.uri_param
        at = uri.find(mark)
        if at < 0:
            return None
        code = re.split(rb"[;?>]", uri[at + len(mark) :], maxsplit=1)[0]
        plain = self.code.decode(code)
        return plain if plain is not None and _URI.fullmatch(plain) else None

    def _uri_in(self, data: bytes, start: int, end: int, edits: list[Edit]) -> None:
        plain = self._decoded_uri(data[start:end])
        if plain is not None:
            edits.append((start, end, plain))

    def _uris_in(self, msg: Message, name: str, edits: list[Edit]) -> None:
        for start, end in items(msg, name):
            found = uri_of(msg.data, start, end)
            if found:
                self._uri_in(msg.data, found[0], found[1], edits)

    def _refer_to_in(self, msg: Message, edits: list[Edit]) -> None:
        """A Refer-To has no comma lists, and its URI may have headers: they stay."""
        for start, end in values(msg, "Refer-To"):
            found = uri_of(msg.data, start, end)
            if not found:
                continue
            uri, question, headers = msg.data[found[0] : found[1]].partition(b"?")
            plain = self._decoded_uri(uri) or uri
            text = _CALL_ID_IN_URI.sub(self._referred_in, plain + question + headers)
            if text != msg.data[found[0] : found[1]]:
                edits.append((found[0], found[1], text))

    def _referred_in(self, found: re.Match[bytes]) -> bytes:
        return found[1] + (self._decoded_call_id(found[2]) or found[2])

    @staticmethod
    def _replaces(msg: Message, edits: list[Edit], other: Callable[[bytes], bytes | None]) -> None:
        for start, end in values(msg, "Replaces"):
            call_id = msg.data[start:end].partition(b";")[0].rstrip()
            text = other(call_id)
            if text is not None:
                edits.append((start, start + len(call_id), text))

    def _cookie(self, msg: Message, masked_call_id: bool, edits: list[Edit]) -> None:
        direction = b"d"
        if msg.to_tag and (masked_call_id or self._from_far_side(msg)):
            direction = b"u"
        data = msg.data
        start, end = items(msg, "Via")[0]  # there is one: else it would be no message
        if data.find(b";TH=", start, end) >= 0:
            for found in COOKIE.finditer(data, start, end):  # nobody else may speak for us
                edits.append((found.start(), found.end(), b""))
        at = sent_by_end(data, start, end)
        if at >= 0:
            edits.append((at, at, b";TH=" + direction + (b"cv" if msg.to_tag else b"iv")))

    def _from_far_side(self, msg: Message) -> bool:
        """Whether our Record-Route was made for another From tag than this request has."""
        for start, end in items(msg, "Route"):
            if self.is_ours(msg.data[start:end]):
                found = _FTAG.search(msg.data, start, end)
                return found is not None and found[1] != _octets(msg.from_tag)
        return False

    def _vias_in(self, msg: Message, edits: list[Edit]) -> None:
        data, prefix = msg.data, self.marks.branch_prefix
        in_branch = self.marks.via_param.startswith(b";branch=")
        for start, end in items(msg, "Via")[1:]:
            if data.find(prefix, start, end) < 0:
                continue
            if in_branch:
                branch = branch_of(data, start, end)
                code = branch[len(prefix) :] if branch.startswith(prefix) else b""
            else:
                code = data[start:end].partition(self.marks.via_param)[2].split(b";")[0].strip()
            plain = self.code.decode(code) if code else None
            if plain is None or sent_by_end(plain, 0, len(plain)) < 0:
                continue
            cookie = COOKIE.search(plain)
            if cookie is not None:
                plain = plain[: cookie.start(3)] + b"r" + plain[cookie.end(3) :]
            edits.append((start, end, plain))

    # Out ---------------------------------------------------------------------------------------------------

    def leaving(self, msg: Message) -> bytes:
        """The message as the other side may see it."""
        if msg.cseq_method in SKIPPED:
            return msg.data
        edits: list[Edit] = []
        vias = items(msg, "Via")
        if msg.is_request:
            self._request_out(msg, vias, edits)
        else:
            self._response_out(msg, vias, edits)
        return splice(msg.data, edits) if edits else msg.data

    def _request_out(self, msg: Message, vias: list[Span], edits: list[Edit]) -> None:
        if len(vias) == 1:
            # Made here: a CANCEL or ACK goes by the Call-ID that its INVITE had, all else hides nothing.
            if msg.method in ("CANCEL", "ACK") and _octets(msg.branch) not in self.upstream:
                self._call_id_out(msg, edits)
            return
        cookie = COOKIE.search(msg.data, *vias[1]) if len(vias) > 1 else None
        if cookie is None:
            return  # masked already, or none of those that came in
        upstream = cookie[1] == b"u"
        for start, end in vias[1:]:
            edits.append((start, end, self._via + self.code.encode(msg.data[start:end])))
        self._routes_out(msg.data, items(msg, "Record-Route"), edits)
        self._uris_out(msg.data, items(msg, "Contact"), edits)
        if not upstream:
            self._call_id_out(msg, edits)
            if self.marks.mask_call_id:
                self._replaces(msg, edits, self._masked_call_id)
        elif self.marks.mask_call_id and msg.method == "INVITE":
            if len(self.upstream) >= UPSTREAM_BRANCHES:
                self.upstream.popitem(last=False)
            self.upstream[_octets(msg.branch)] = None

    def _response_out(self, msg: Message, vias: list[Span], edits: list[Edit]) -> None:
        cookie = COOKIE.search(msg.data, *vias[0]) if vias else None
        if cookie is None:
            return
        edits.append((cookie.start(), cookie.end(), b""))
        if cookie[1] == b"u":
            self._call_id_out(msg, edits)
        if cookie[3] == b"v":
            return  # made here: nobody behind us is in it
        # What stands above ours was written behind us; below it are those whom this side knows.
        self._routes_out(msg.data, items(msg, "Record-Route"), edits, above_ours=True)
        self._uris_out(msg.data, items(msg, "Contact"), edits)

    def _call_id_out(self, msg: Message, edits: list[Edit]) -> None:
        if not self.marks.mask_call_id:
            return
        for start, end in values(msg, "Call-ID"):
            masked = self._masked_call_id(msg.data[start:end])
            if masked is not None:
                edits.append((start, end, masked))
            return

    def _masked_call_id(self, value: bytes) -> bytes | None:
        prefix = self.marks.call_id_prefix
        return None if value.startswith(prefix) else prefix + self.code.encode(value)

    def _routes_out(
        self, data: bytes, spans: list[Span], edits: list[Edit], above_ours: bool = False
    ) -> None:
        others: list[Span] = []
        for start, end in spans:
            if not self.is_ours(data[start:end]):
                others.append((start, end))
            elif above_ours:
                break
        self._uris_out(data, others, edits)

    def _uris_out(self, data: bytes, spans: list[Span], edits: list[Edit]) -> None:
        for start, end in spans:
            found = uri_of(data, start, end)
            if found is None:
                continue
            text = data[found[0] : found[1]]
            if text != b"*":
                uri = self._uri + self.code.encode(text)
                edits.append((found[0], found[1], uri if found[2] else b"<%b>" % uri))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
