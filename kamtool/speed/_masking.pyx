# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""What topoh does to messages written as nearly all are, in C. `kamtool.modules.topoh.masks` is the reference.

Anything unusual (folded lines, comma lists, quotes where they may mislead) is left to it: None is the answer then.
Every use of a pointer is preceded by a comparison with the end of its span; nothing is written beyond ROOM.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp, memcpy, memset

include "_masking_lines.pxi"
include "_masking_code.pxi"

cdef enum:
    KNOWN = 1024
    LONGEST = 256
    EDITS = 4 * MOST + 8
    ROOM = 16384

cdef struct Edit:
    int start
    int end
    int text
    int size


@cython.final
cdef class QuickMasks:
    """Both directions, for one key. `is_ours` is asked for Route and Record-Route values, and its answers are kept."""

    cdef bytes via, uri, uri_param, branch_prefix, call_id_prefix
    cdef bint mask_call_id
    cdef object is_ours
    cdef dict known
    cdef Code code
    cdef Lines lines
    cdef Edit edits[EDITS]
    cdef int edit_count, filled
    cdef char room[ROOM]

    def __init__(self, bytes letters not None, bytes host not None, bytes uri_param not None, bytes via_param not None,
                 bytes branch_prefix not None, bytes call_id_prefix not None, bint mask_call_id, object is_ours,
                 dict known not None):
        if not via_param.startswith(b";branch=") or len(letters) != 65:
            raise ValueError(f"{via_param!r} is not a branch, or {letters!r} not 65 letters")
        self.via = b"SIP/2.0/UDP %b%b" % (host, via_param)
        self.uri = b"sip:%b%b" % (host, uri_param)
        self.uri_param, self.branch_prefix, self.call_id_prefix = uri_param, branch_prefix, call_id_prefix
        self.mask_call_id, self.is_ours, self.known = mask_call_id, is_ours, known
        prepare(&self.code, PyBytes_AS_STRING(letters))

    # In ----------------------------------------------------------------------------------------------------

    def arrived(self, bytes data not None):
        """The message as if nobody had masked anything; None for one to look at more closely."""
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef int size
        cdef bint masked, masked_id
        if not self.begin(data):
            return None
        size = <int>PyBytes_GET_SIZE(data)
        masked = holds(p, 0, size, self.uri_param)
        masked_id = holds(p, 0, size, self.call_id_prefix)
        if self.lines.is_request:
            done = self.request_in(p, masked, masked_id)
        else:
            done = self.response_in(p, masked, masked_id)
        return self.result(data) if done else None

    cdef bint request_in(self, const char* p, bint masked, bint masked_id) except -1:
        cdef Lines* lines = &self.lines
        cdef Span top = lines.vias[0]
        cdef int at, place
        cdef bint masked_call_id = False, upstream = False
        if lines.skipped:
            return True
        if (masked or masked_id) and (lines.refers or lines.replaces):
            return False
        if masked_id:
            masked_call_id = self.call_id_in(p)
        if masked:
            self.uri_in(p, lines.uri)
            for place in range(lines.route_count):
                self.uri_in(p, inner(p, lines.routes[place]))
        if holds(p, top.start, top.end, b";TH="):
            return False
        at = sent_by_end(p, top.start, top.end)
        if at < 0:
            return False
        if lines.has_to_tag:
            upstream = masked_call_id or self.from_far_side(p)
        return self.edit(at, at, b";TH=ucv" if upstream else b";TH=dcv" if lines.has_to_tag else b";TH=div")

    cdef bint from_far_side(self, const char* p) except -1:
        """Whether our Record-Route was made for another From tag than this request has."""
        cdef Span route, tag = self.lines.from_tag
        cdef int place, at, end
        for place in range(self.lines.route_count):
            route = self.lines.routes[place]
            if self.ours(p, route):
                at = find(p, route.start, route.end, b";ftag=")
                if at < 0:
                    return False
                at += 6
                end = at
                while end < route.end and p[end] != c';' and p[end] != c'>' and p[end] != c' ':
                    end += 1
                return end - at != tag.end - tag.start or memcmp(p + at, p + tag.start, end - at) != 0
        return False

    cdef bint response_in(self, const char* p, bint masked, bint masked_id) except -1:
        cdef Lines* lines = &self.lines
        cdef int place
        if masked_id:
            self.call_id_in(p)
        for place in range(1, lines.via_count):
            if not self.via_in(p, lines.vias[place]):
                return False
        if masked:
            for place in range(lines.recorded_count):
                self.uri_in(p, inner(p, lines.recorded[place]))
        return True

    cdef bint via_in(self, const char* p, Span via) except -1:
        """False when this Via is to be looked at more closely."""
        cdef int at, end, begin = self.filled, size, cookie
        cdef int length = <int>PyBytes_GET_SIZE(self.branch_prefix)
        if not holds(p, via.start, via.end, self.branch_prefix):
            return True
        at = find(p, via.start, via.end, b";branch=")
        if at < 0:
            return False
        at += 8
        end = until(p, at, via.end, c';')
        if find(p, at, end, b" ") >= 0:
            return False
        if end - at <= length or memcmp(p + at, PyBytes_AS_STRING(self.branch_prefix), length) != 0:
            return True
        size = self.decoded(p, at + length, end)
        if size < 0:
            return True
        if sent_by_end(self.room, begin, begin + size) < 0:
            return False
        cookie = cookie_at(self.room, begin, begin + size)
        if cookie >= 0:
            self.room[cookie + 6] = c'r'
        return self.add(via.start, via.end, begin, size)

    cdef bint call_id_in(self, const char* p) except -1:
        cdef Span value = self.lines.call_id
        cdef int length = <int>PyBytes_GET_SIZE(self.call_id_prefix), begin = self.filled, size
        if value.end - value.start < length or memcmp(
            p + value.start, PyBytes_AS_STRING(self.call_id_prefix), length
        ) != 0:
            return False
        size = self.decoded(p, value.start + length, value.end)
        return size >= 0 and self.add(value.start, value.end, begin, size)

    cdef int uri_in(self, const char* p, Span uri) except -1:
        cdef int at = find(p, uri.start, uri.end, self.uri_param), begin = self.filled, end, size
        if at < 0:
            return 0
        at += <int>PyBytes_GET_SIZE(self.uri_param)
        end = at
        while end < uri.end and p[end] != c';' and p[end] != c'?' and p[end] != c'>':
            end += 1
        size = self.decoded(p, at, end)
        if size >= 0 and is_absolute(self.room, begin, begin + size):
            self.add(uri.start, uri.end, begin, size)
        return 0

    # Out ---------------------------------------------------------------------------------------------------

    def leaving(self, bytes data not None):
        """The message as the other side may see it; None for one to look at more closely."""
        cdef const char* p = PyBytes_AS_STRING(data)
        if not self.begin(data):
            return None
        if self.lines.skipped:
            return data
        done = self.request_out(p) if self.lines.is_request else self.response_out(p)
        return self.result(data) if done else None

    cdef bint request_out(self, const char* p) except -1:
        cdef Lines* lines = &self.lines
        cdef Span via
        cdef int cookie, place
        cdef bint upstream
        if lines.via_count == 1:
            return not (self.mask_call_id and lines.is_hop)
        cookie = cookie_at(p, lines.vias[1].start, lines.vias[1].end)
        if cookie < 0:
            return True  # masked already, or none of those that came in
        upstream = p[cookie + 4] == c'u'
        if self.mask_call_id and (lines.replaces or (upstream and lines.is_invite)):
            return False
        for place in range(1, lines.via_count):
            via = lines.vias[place]
            if not self.masked(p, self.via, via):
                return False
        for place in range(lines.recorded_count):
            if not self.ours(p, lines.recorded[place]) and not self.masked(p, self.uri, inner(p, lines.recorded[place])):
                return False
        if not self.contacts_out(p):
            return False
        return upstream or self.call_id_out(p)

    cdef bint response_out(self, const char* p) except -1:
        cdef Lines* lines = &self.lines
        cdef int cookie = cookie_at(p, lines.vias[0].start, lines.vias[0].end), place
        if cookie < 0:
            return True
        self.add(cookie, cookie + 7, self.filled, 0)
        if p[cookie + 4] == c'u' and not self.call_id_out(p):
            return False
        if p[cookie + 6] == c'v':
            return True  # made here: nobody behind us is in it
        # What stands above ours was written behind us; below it are those whom this side knows.
        for place in range(lines.recorded_count):
            if self.ours(p, lines.recorded[place]):
                break
            if not self.masked(p, self.uri, inner(p, lines.recorded[place])):
                return False
        return self.contacts_out(p)

    cdef bint contacts_out(self, const char* p) except -1:
        cdef int place
        for place in range(self.lines.contact_count):
            if not self.masked(p, self.uri, self.lines.contacts[place]):
                return False
        return True

    cdef bint call_id_out(self, const char* p) except -1:
        cdef Span value = self.lines.call_id
        cdef int length = <int>PyBytes_GET_SIZE(self.call_id_prefix)
        if not self.mask_call_id or (value.end - value.start >= length and memcmp(
            p + value.start, PyBytes_AS_STRING(self.call_id_prefix), length
        ) == 0):
            return True
        return self.masked(p, self.call_id_prefix, value)

    # Both --------------------------------------------------------------------------------------------------

    cdef bint begin(self, bytes data) except -1:
        self.edit_count = self.filled = 0
        if PyBytes_GET_SIZE(data) > 1 << 20:
            return False
        return scan(PyBytes_AS_STRING(data), <int>PyBytes_GET_SIZE(data), &self.lines)

    cdef bint ours(self, const char* p, Span item) except -1:
        # Our own have a From tag or a signature of each dialog behind the host: of no account here.
        cdef int end = item.end
        if starts(p, item.start, item.end, b"<sip:") and find(p, item.start, item.end, b"@") < 0 and (
            not speaks_of_transport(p, item.start, item.end)
        ):
            end = until(p, item.start, item.end, c';')
        key = PyBytes_FromStringAndSize(p + item.start, end - item.start)
        answer = self.known.get(key)
        if answer is None:
            answer = bool(self.is_ours(PyBytes_FromStringAndSize(p + item.start, item.end - item.start)))
            if end - item.start <= LONGEST:  # what anybody sends must not fill the memory
                if len(self.known) >= KNOWN:
                    self.known.clear()
                self.known[key] = answer
        return answer is True

    cdef int decoded(self, const char* p, int start, int end) except -2:
        """Octets put into the room; -1 for what is no code."""
        cdef int size
        if self.filled + (end - start) > ROOM:
            return self.refuse()
        size = decode(&self.code, p + start, end - start, self.room + self.filled)
        if size > 0:
            self.filled += size
        return size if size > 0 else -1

    cdef int refuse(self) except -2:
        self.edit_count = EDITS + 1  # `result` then says that it could not
        return -1

    cdef bint masked(self, const char* p, bytes before, Span span) except -1:
        """Put a code in the place of the span, behind what it begins with; False when there is no room."""
        cdef int length = <int>PyBytes_GET_SIZE(before), size = (span.end - span.start + 2) // 3 * 4
        cdef int begin = self.filled
        if begin + length + size > ROOM:
            return False
        memcpy(self.room + begin, PyBytes_AS_STRING(before), length)
        encode(&self.code, p + span.start, span.end - span.start, self.room + begin + length)
        self.filled += length + size
        return self.add(span.start, span.end, begin, length + size)

    cdef bint edit(self, int start, int end, bytes text) except -1:
        cdef int begin = self.filled, size = <int>PyBytes_GET_SIZE(text)
        if begin + size > ROOM:
            return False
        memcpy(self.room + begin, PyBytes_AS_STRING(text), size)
        self.filled += size
        return self.add(start, end, begin, size)

    cdef bint add(self, int start, int end, int text, int size) noexcept:
        """One more edit, kept in the order of their places."""
        cdef int at = self.edit_count
        if at >= EDITS:
            self.edit_count = EDITS + 1
            return False
        while at > 0 and self.edits[at - 1].start > start:
            self.edits[at] = self.edits[at - 1]
            at -= 1
        self.edits[at].start, self.edits[at].end, self.edits[at].text, self.edits[at].size = start, end, text, size
        self.edit_count += 1
        return True

    cdef object result(self, bytes data):
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), total = size
        cdef Py_ssize_t at = 0
        cdef int place
        cdef Edit* edit
        cdef char* to
        if not self.edit_count:
            return data
        if self.edit_count > EDITS:
            return None
        for place in range(self.edit_count):
            edit = &self.edits[place]
            total += edit.size - (edit.end - edit.start)
        made = PyBytes_FromStringAndSize(NULL, total)
        to = PyBytes_AS_STRING(made)
        for place in range(self.edit_count):
            edit = &self.edits[place]
            memcpy(to, p + at, edit.start - at)
            to += edit.start - at
            memcpy(to, self.room + edit.text, edit.size)
            to += edit.size
            at = edit.end
        memcpy(to, p + at, size - at)
        return made
