# Where the values stand that topoh looks at: one walk over the lines of a message written as nearly all are.

cdef extern from "string.h":
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length) nogil

cdef extern from "strings.h":
    int strncasecmp(const char* one, const char* other, size_t count) nogil

cdef enum:
    MOST = 24
    OTHER = 0
    VIA
    ROUTE
    RECORD_ROUTE
    CONTACT
    CALL_ID
    CSEQ
    FROM
    TO
    REFER_TO
    REPLACES

cdef struct Span:
    int start
    int end

cdef struct Lines:
    bint is_request, skipped, is_invite, is_hop, has_to_tag, refers, replaces
    Span method, uri, from_tag, call_id
    Span vias[MOST]
    Span routes[MOST]
    Span recorded[MOST]
    Span contacts[MOST]
    int via_count, route_count, recorded_count, contact_count
    int from_count, to_count, call_id_count, cseq_count

cdef inline int find(const char* p, int start, int end, bytes wanted) noexcept:
    cdef const char* found
    if end <= start:
        return -1
    found = <const char*>memmem(p + start, end - start, PyBytes_AS_STRING(wanted), PyBytes_GET_SIZE(wanted))
    return -1 if found == NULL else <int>(found - p)

cdef inline bint holds(const char* p, int start, int end, bytes wanted) noexcept:
    return find(p, start, end, wanted) >= 0

cdef inline int until(const char* p, int start, int end, char octet) noexcept:
    """Where the octet stands first, or the end."""
    cdef const char* found = <const char*>memchr(p + start, octet, end - start) if end > start else NULL
    return end if found == NULL else <int>(found - p)

cdef inline bint starts(const char* p, int start, int end, bytes wanted) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(wanted)
    return end - start >= size and memcmp(p + start, PyBytes_AS_STRING(wanted), size) == 0

cdef inline bint named(const char* p, Span name, const char* wanted) noexcept:
    return strncasecmp(p + name.start, wanted, name.end - name.start) == 0

cdef inline bint blank(char octet) noexcept:
    return octet == c' ' or octet == c'\t'

cdef inline bint alphanumeric(char octet) noexcept:
    return c'a' <= (octet | 32) <= c'z' or c'0' <= octet <= c'9'

cdef bint speaks_of_transport(const char* p, int start, int end) noexcept:
    cdef int at
    for at in range(start, end - 7):
        if p[at] | 32 == c'r' and strncasecmp(p + at, b"ransport", 8) == 0:
            return True
    return False

cdef bint plain(const char* p, Span value, char separator) noexcept:
    """Neither a list nor a control character."""
    cdef int at
    for at in range(value.start, value.end):
        if <unsigned char>p[at] < 32 or p[at] == separator or p[at] == 127:
            return False
    return True

cdef Span inner(const char* p, Span item) noexcept:
    """What stands between the brackets of a value that begins with one, as `scan` made sure."""
    cdef Span uri
    uri.start, uri.end = item.start + 1, until(p, item.start, item.end, c'>')
    return uri

cdef int sent_by_end(const char* p, int start, int end) noexcept:
    """Where the sent-by of a Via ends; -1 where that takes a closer look."""
    cdef int at = start + 8, begin
    if not starts(p, start, end, b"SIP/2.0/"):
        return -1
    begin = at
    while at < end and alphanumeric(p[at]):
        at += 1
    if at == begin or at >= end or p[at] != c' ':
        return -1
    at += 1
    begin = at
    while at < end and (alphanumeric(p[at]) or p[at] == c'.' or p[at] == c'-' or p[at] == c'_'):
        at += 1
    if at == begin:
        return -1
    if at < end and p[at] == c':':
        begin = at + 1
        at = begin
        while at < end and c'0' <= p[at] <= c'9':
            at += 1
        if at == begin:
            return -1
    return at if at == end or p[at] == c';' else -1

cdef int cookie_at(const char* p, int start, int end) noexcept:
    """Where `;TH=` and its three letters stand, -1 when they do not."""
    cdef int at = start
    while True:
        at = find(p, at, end, b";TH=")
        if at < 0 or end - at < 7:
            return -1
        if (p[at + 4] == c'd' or p[at + 4] == c'u') and (p[at + 5] == c'i' or p[at + 5] == c'c') and (
            p[at + 6] == c'v' or p[at + 6] == c'r'
        ):
            return at
        at += 4

cdef bint is_absolute(const char* p, int start, int end) noexcept:
    """A scheme, a colon, and then nothing that a URI may not have."""
    cdef int at = start
    if at >= end or not c'a' <= (p[at] | 32) <= c'z':
        return False
    while at < end and (alphanumeric(p[at]) or p[at] == c'+' or p[at] == c'.' or p[at] == c'-'):
        at += 1
    if at + 1 >= end or p[at] != c':':
        return False
    for at in range(at + 1, end):
        if p[at] == c' ' or p[at] == c'<' or p[at] == c'>' or p[at] == c'"':
            return False
    return True

cdef bint bracketed(const char* p, Span value, Span* uri) noexcept:
    """The URI of a Contact with brackets, whose name is without quotes or the quotes without backslashes."""
    cdef int at = value.start
    if p[at] == c'"':
        at = until(p, at + 1, value.end, c'"')
        if until(p, value.start, at, c'\\') < at:
            return False
        at += 1
        while at < value.end and p[at] == c' ':
            at += 1
        if at >= value.end or p[at] != c'<':
            return False
    else:
        at = until(p, at, value.end, c'<')
        if until(p, value.start, at, c'"') < at:
            return False
    uri.start, uri.end = at + 1, until(p, at, value.end, c'>')
    return uri.end < value.end

cdef bint tag_of(const char* p, Span value, Span* tag) noexcept:
    """The tag of From or To, of no length when there is none; False where that takes a closer look."""
    cdef int at = value.end, end
    tag.start = tag.end = value.end
    while at > value.start and p[at - 1] != c'>':
        at -= 1
        if p[at] == c'"' or <unsigned char>p[at] <= 32:
            return False
    if at == value.start:
        return False
    if at < value.end and p[at] != c';':
        return False
    while at < value.end:
        at += 1
        end = until(p, at, value.end, c';')
        if end - at >= 4 and strncasecmp(p + at, b"tag=", 4) == 0:
            tag.start, tag.end = at + 4, end
            return True
        if end - at == 3 and strncasecmp(p + at, b"tag", 3) == 0:
            return False
        at = end
    return True

cdef bint first_line(const char* p, int end, Lines* lines) noexcept:
    cdef int at = 0
    if end > 11 and memcmp(p, b"SIP/2.0 ", 8) == 0:
        lines.is_request = False
        return True
    lines.is_request = True
    while at < end and c'A' <= p[at] <= c'Z':
        at += 1
    if at < 3 or at >= end or p[at] != c' ':
        return False
    lines.method.start, lines.method.end = 0, at
    lines.uri.start, lines.uri.end = at + 1, until(p, at + 1, end, c' ')
    at = lines.uri.end
    return at > lines.uri.start and end - at == 8 and memcmp(p + at, b" SIP/2.0", 8) == 0

cdef bint keep(Span* held, int* count, Span value) noexcept:
    if count[0] >= MOST:
        return False
    held[count[0]] = value
    count[0] += 1
    return True

cdef int kind_of(const char* p, Span name) noexcept:
    """Which of the headers it is that matter here; OTHER for all else."""
    cdef int size = name.end - name.start
    cdef char letter = p[name.start] | 32
    if size == 1:
        return VIA if letter == c'v' else CONTACT if letter == c'm' else CALL_ID if letter == c'i' else (
            FROM if letter == c'f' else TO if letter == c't' else REFER_TO if letter == c'r' else OTHER)
    if size == 2:
        return TO if named(p, name, b"To") else OTHER
    if size == 3:
        return VIA if named(p, name, b"Via") else OTHER
    if size == 4:
        return FROM if named(p, name, b"From") else CSEQ if named(p, name, b"CSeq") else OTHER
    if size == 5:
        return ROUTE if named(p, name, b"Route") else OTHER
    if size == 7:
        return CONTACT if named(p, name, b"Contact") else CALL_ID if named(p, name, b"Call-ID") else OTHER
    if size == 8:
        return REFER_TO if named(p, name, b"Refer-To") else REPLACES if named(p, name, b"Replaces") else OTHER
    return RECORD_ROUTE if size == 12 and named(p, name, b"Record-Route") else OTHER

cdef bint header(const char* p, Span name, Span value, Lines* lines) noexcept:
    """Take what a line says; False when the message takes a closer look."""
    cdef int kind = kind_of(p, name)
    if kind == OTHER:
        return True
    if kind == REFER_TO:
        lines.refers = True
        return True
    if kind == REPLACES:
        lines.replaces = True
        return True
    if value.end == value.start:
        return False
    if kind == CALL_ID:
        lines.call_id = value
        lines.call_id_count += 1
        return plain(p, value, c' ')
    if kind == FROM or kind == TO:
        return address(p, value, lines, kind == FROM)
    if not plain(p, value, c','):
        return False
    if kind == VIA:
        return not quoted(p, value) and keep(lines.vias, &lines.via_count, value)
    if kind == CONTACT:
        return contact(p, value, lines)
    if kind == CSEQ:
        return cseq(p, value, lines)
    if not is_route(p, value):
        return False
    if kind == ROUTE:
        return keep(lines.routes, &lines.route_count, value)
    return keep(lines.recorded, &lines.recorded_count, value)

cdef inline bint quoted(const char* p, Span value) noexcept:
    return until(p, value.start, value.end, c'"') < value.end

cdef bint is_route(const char* p, Span value) noexcept:
    cdef Span uri = inner(p, value)
    return p[value.start] == c'<' and uri.end < value.end and not quoted(p, value) and not is_star(p, uri)

cdef inline bint is_star(const char* p, Span value) noexcept:
    return value.end - value.start == 1 and p[value.start] == c'*'

cdef bint contact(const char* p, Span value, Lines* lines) noexcept:
    cdef Span uri
    if is_star(p, value):
        return True
    return bracketed(p, value, &uri) and not is_star(p, uri) and keep(lines.contacts, &lines.contact_count, uri)

cdef bint address(const char* p, Span value, Lines* lines, bint is_from) noexcept:
    cdef Span tag
    if not tag_of(p, value, &tag):
        return False
    if is_from:
        lines.from_tag = tag
        lines.from_count += 1
    else:
        lines.has_to_tag = tag.end > tag.start
        lines.to_count += 1
    return True

cdef bint cseq(const char* p, Span value, Lines* lines) noexcept:
    """What the method is; of a request it is that of its first line."""
    cdef int at = value.start, size
    while at < value.end and c'0' <= p[at] <= c'9':
        at += 1
    if at == value.start or at + 1 >= value.end or p[at] != c' ':
        return False
    lines.cseq_count += 1
    at += 1
    size = value.end - at
    if lines.is_request and (size != lines.method.end or memcmp(p + at, p, size) != 0):
        return False
    lines.skipped = (size == 8 and memcmp(p + at, b"REGISTER", 8) == 0) or (
        size == 7 and memcmp(p + at, b"PUBLISH", 7) == 0)
    lines.is_invite = size == 6 and memcmp(p + at, b"INVITE", 6) == 0
    lines.is_hop = (size == 6 and memcmp(p + at, b"CANCEL", 6) == 0) or (size == 3 and memcmp(p + at, b"ACK", 3) == 0)
    return True

cdef bint scan(const char* p, int size, Lines* lines) noexcept:
    """Fill `lines`; False when the message takes a closer look."""
    cdef int at, stop
    cdef Span name, value
    memset(lines, 0, sizeof(Lines))
    stop = until(p, 0, size, c'\n')
    if stop >= size or stop < 12 or p[stop - 1] != c'\r' or not first_line(p, stop - 1, lines):
        return False
    at = stop + 1
    while True:
        stop = until(p, at, size, c'\n')
        if stop >= size or stop == at or p[stop - 1] != c'\r':
            return False
        if stop - 1 == at:
            break
        name.start, name.end = at, until(p, at, stop, c':')
        if name.end == stop or name.end == at or blank(p[at]) or <unsigned char>p[name.end - 1] <= 32:
            return False
        value.start, value.end = name.end + 1, stop - 1
        while value.start < value.end and blank(p[value.start]):
            value.start += 1
        while value.end > value.start and blank(p[value.end - 1]):
            value.end -= 1
        if not header(p, name, value, lines):
            return False
        at = stop + 1
    return lines.via_count > 0 and lines.from_count == 1 and lines.to_count == 1 and (
        lines.call_id_count == 1 and lines.cseq_count == 1)
