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
from kamtool.modules.topoh.pieces import Edit, branch_of, items, sent_by_end, uri_of, values
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
        self.upstream: OrderedDict[bytes, None] = OrderedDict()
        """Branches of INVITEs towards who opened the dialog: their CANCEL and ACK are made here and say
        nothing of the direction, but a Call-ID is known in clear there."""

    # In ----------------------------------------------------------------------------------------------------

    def arrived(self, msg: Message) -> bytes:
        """The message as if nobody had masked anything."""
        edits: list[Edit] = []
        masked_call_id = self._call_id_in(msg, edits)
        if msg.is_request:
            if msg.cseq_method in SKIPPED:
                return msg.data
            self._uri_in(msg.data, msg.uri_start, msg.uri_end, edits)
            self._uris_in(msg, "Route", edits)
            self._refer_to_in(msg, edits)
            self._replaces(msg, edits, self._decoded_call_id)
            self._cookie(msg, masked_call_id, edits)
        else:
            self._vias_in(msg, edits)
            self._uris_in(msg, "Record-Route", edits)
        return splice(msg.data, edits) if edits else msg.data

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
        for start, end in items(msg, "Via"):
            for found in COOKIE.finditer(msg.data, start, end):  # nobody else may speak for us
                edits.append((found.start(), found.end(), b""))
            at = sent_by_end(msg.data, start, end)
            if at >= 0:
                kind = b"c" if msg.to_tag else b"i"
                edits.append((at, at, b";TH=%b%bv" % (direction, kind)))
            return

    def _from_far_side(self, msg: Message) -> bool:
        """Whether our Record-Route was made for another From tag than this request has."""
        for start, end in items(msg, "Route"):
            if self.is_ours(msg.data[start:end]):
                found = _FTAG.search(msg.data, start, end)
                return found is not None and found[1] != msg.from_tag.encode("utf-8", "surrogateescape")
        return False

    def _vias_in(self, msg: Message, edits: list[Edit]) -> None:
        prefix = self.marks.branch_prefix
        for start, end in list(items(msg, "Via"))[1:]:
            branch = branch_of(msg.data, start, end) if prefix in msg.data[start:end] else b""
            if self.marks.via_param.startswith(b";branch="):
                code = branch[len(prefix) :] if branch.startswith(prefix) else b""
            else:
                code = msg.data[start:end].partition(self.marks.via_param)[2].split(b";")[0].strip()
            plain = self.code.decode(code) if code else None
            if plain is not None and sent_by_end(plain, 0, len(plain)) > 0:
                edits.append((start, end, COOKIE.sub(rb";TH=\1\2r", plain, count=1)))

    # Out ---------------------------------------------------------------------------------------------------

    def leaving(self, msg: Message) -> bytes:
        """The message as the other side may see it."""
        if msg.cseq_method in SKIPPED:
            return msg.data
        edits: list[Edit] = []
        vias = list(items(msg, "Via"))
        if msg.is_request:
            self._request_out(msg, vias, edits)
        else:
            self._response_out(msg, vias, edits)
        return splice(msg.data, edits) if edits else msg.data

    def _request_out(self, msg: Message, vias: list[tuple[int, int]], edits: list[Edit]) -> None:
        if len(vias) == 1:
            # Made here: a CANCEL or ACK goes by the Call-ID that its INVITE had, all else hides nothing.
            if msg.method in ("CANCEL", "ACK") and msg.branch.encode() not in self.upstream:
                self._call_id_out(msg, edits)
            return
        cookie = COOKIE.search(msg.data, *vias[1]) if len(vias) > 1 else None
        if cookie is None:
            return  # masked already, or none of those that came in
        upstream = cookie[1] == b"u"
        for start, end in vias[1:]:
            code = self.code.encode(msg.data[start:end])
            edits.append((start, end, b"SIP/2.0/UDP %b%b%b" % (self.marks.host, self.marks.via_param, code)))
        self._uris_out(msg, "Record-Route", list(items(msg, "Record-Route")), edits)
        self._uris_out(msg, "Contact", list(items(msg, "Contact")), edits)
        if not upstream:
            self._call_id_out(msg, edits)
            if self.marks.mask_call_id:
                self._replaces(msg, edits, self._masked_call_id)
        elif self.marks.mask_call_id and msg.method == "INVITE":
            if len(self.upstream) >= UPSTREAM_BRANCHES:
                self.upstream.popitem(last=False)
            self.upstream[msg.branch.encode()] = None

    def _response_out(self, msg: Message, vias: list[tuple[int, int]], edits: list[Edit]) -> None:
        cookie = COOKIE.search(msg.data, *vias[0]) if vias else None
        if cookie is None:
            return
        edits.append((cookie.start(), cookie.end(), b""))
        if cookie[1] == b"u":
            self._call_id_out(msg, edits)
        if cookie[3] == b"v":
            return  # made here: nobody behind us is in it
        routes = list(items(msg, "Record-Route"))
        # What stands above ours was written behind us; below it are those whom this side knows.
        ours = [place for place, span in enumerate(routes) if self.is_ours(msg.data[slice(*span)])]
        self._uris_out(msg, "Record-Route", routes[: ours[0]] if ours else routes, edits)
        self._uris_out(msg, "Contact", list(items(msg, "Contact")), edits)

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

    def _uris_out(self, msg: Message, name: str, spans: list[tuple[int, int]], edits: list[Edit]) -> None:
        data, marks = msg.data, self.marks
        for start, end in spans:
            found = uri_of(data, start, end)
            if not found or data[found[0] : found[1]] == b"*":
                continue
            if name == "Record-Route" and self.is_ours(data[start:end]):
                continue
            code = self.code.encode(data[found[0] : found[1]])
            uri = b"sip:%b%b%b" % (marks.host, marks.uri_param, code)
            edits.append((found[0], found[1], uri if found[2] else b"<%b>" % uri))
