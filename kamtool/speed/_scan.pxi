# The grammar of `grammar.py`, by hand: each function takes octets and the span it may read, and nothing reads past
# `end`. A position of -1 means no match. Where a pattern there tries alternatives, the same order is kept here.

cdef enum:
    TOKEN = 1
    HOST = 2
    IPV6 = 4
    SPACE = 8
    VALUE = 16      # what an unquoted parameter value may hold
    DIGIT = 32
    URI = 64        # anything but controls, space, <, > and "
    DISPLAY = 128   # what may stand before < without quotes
    ADDR = 256      # a URI that is not in <>: no comma, semicolon, question mark either
    SCHEME = 512
    ALPHA = 1024

cdef unsigned short KIND[256]

cdef void _fill_kinds() noexcept:
    cdef int c
    for c in range(256):
        KIND[c] = 0
        if c > 0x20 and c not in b'<>"':
            KIND[c] |= URI
            if c not in b",;?":
                KIND[c] |= ADDR
            if c not in b";,":
                KIND[c] |= VALUE
        if c not in b'"<>,;':
            KIND[c] |= DISPLAY
        if c in b" \t\r\n":
            KIND[c] |= SPACE
        if c in b"0123456789":
            KIND[c] |= DIGIT | TOKEN | HOST | IPV6 | SCHEME
        if c in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
            KIND[c] |= ALPHA | TOKEN | HOST | SCHEME
        if c in b"abcdefABCDEF:.":
            KIND[c] |= IPV6
        if c in b"-.!%*_+`'~":
            KIND[c] |= TOKEN
        if c in b"._-":
            KIND[c] |= HOST
        if c in b"+.-":
            KIND[c] |= SCHEME

_fill_kinds()

ctypedef const unsigned char* Octets

cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end

cdef struct Parameter:
    Span name
    Span value      # start is -1 when there is no `=`
    Py_ssize_t end

cdef struct NameAddress:
    Span display
    Span uri
    Py_ssize_t params
    Py_ssize_t end

cdef struct ViaEntry:
    Span name
    Span version
    Span transport
    Span host
    int port        # -1 when absent
    Py_ssize_t params
    Py_ssize_t end

cdef struct SipUri:
    Py_ssize_t scheme_end
    Span user       # start is -1 when absent, as for the password
    Span password
    Span host
    int port
    Span params
    Span headers    # with the question mark


cdef inline Py_ssize_t skip(Octets p, Py_ssize_t at, Py_ssize_t end, int kinds) noexcept nogil:
    while at < end and KIND[p[at]] & kinds:
        at += 1
    return at


cdef inline bint is_at(Octets p, Py_ssize_t at, Py_ssize_t end, int c) noexcept nogil:
    return at < end and p[at] == c


cdef Py_ssize_t skip_quoted(Octets p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Behind the closing quote of the string that opens at `at`."""
    if not is_at(p, at, end, c'"'):
        return -1
    at += 1
    while at < end:
        if p[at] == c'"':
            return at + 1
        at += 2 if p[at] == c'\\' else 1
    return -1


cdef inline Py_ssize_t skip_scheme(Octets p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """Behind the colon of a scheme."""
    if at >= end or not KIND[p[at]] & ALPHA:
        return -1
    at = skip(p, at + 1, end, SCHEME)
    return at + 1 if is_at(p, at, end, c':') else -1


cdef inline Py_ssize_t skip_host(Octets p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t stop
    if is_at(p, at, end, c'['):
        stop = skip(p, at + 1, end, IPV6)
        return stop + 1 if stop > at + 1 and is_at(p, stop, end, c']') else -1
    stop = skip(p, at, end, HOST)
    return stop if stop > at else -1


cdef inline int number(Octets p, Span span) noexcept nogil:
    """At most nine digits as an int."""
    cdef int value = 0
    cdef Py_ssize_t at
    for at in range(span.start, span.end):
        value = value * 10 + (p[at] - c'0')
    return value


cdef bint scan_param(Octets p, Py_ssize_t at, Py_ssize_t end, Parameter* found) noexcept nogil:
    cdef Py_ssize_t stop
    at = skip(p, at, end, SPACE)
    if not is_at(p, at, end, c';'):
        return False
    at = skip(p, at + 1, end, SPACE)
    stop = skip(p, at, end, TOKEN)
    if stop == at:
        return False
    found.name.start, found.name.end, found.end = at, stop, stop
    found.value.start = found.value.end = -1
    at = skip(p, stop, end, SPACE)
    if is_at(p, at, end, c'='):
        at = skip(p, at + 1, end, SPACE)
        stop = skip_quoted(p, at, end)
        if stop < 0:
            stop = skip(p, at, end, VALUE)
        found.value.start, found.value.end, found.end = at, stop, stop
    return True


cdef inline Py_ssize_t skip_params(Octets p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    cdef Parameter param
    while scan_param(p, at, end, &param):
        at = param.end
    return at


cdef bint begin_name_addr(Octets p, Py_ssize_t at, Py_ssize_t end, NameAddress* found) noexcept nogil:
    """All but the parameters, which begin at `params`."""
    cdef Py_ssize_t stop, uri
    at = skip(p, at, end, SPACE)
    stop = skip_quoted(p, at, end)
    if stop < 0:
        stop = skip(p, at, end, DISPLAY)
    found.display.start, found.display.end = at, stop
    stop = skip(p, stop, end, SPACE)
    if is_at(p, stop, end, c'<'):
        uri = skip_scheme(p, stop + 1, end)
        if uri > 0:
            found.uri.start, found.uri.end = stop + 1, skip(p, uri, end, URI)
            if found.uri.end > uri and is_at(p, found.uri.end, end, c'>'):
                found.params = found.uri.end + 1
                return True
    found.display.start = found.display.end = at
    uri = skip_scheme(p, at, end)
    if uri < 0:
        return False
    found.uri.start, found.uri.end = at, skip(p, uri, end, ADDR)
    found.params = found.uri.end
    return found.uri.end > uri


cdef bint scan_name_addr(Octets p, Py_ssize_t at, Py_ssize_t end, NameAddress* found) noexcept nogil:
    if not begin_name_addr(p, at, end, found):
        return False
    found.end = skip_params(p, found.params, end)
    return True


cdef inline bint scan_word(Octets p, Py_ssize_t* at, Py_ssize_t end, Span* word) noexcept nogil:
    """White space, then a token."""
    word.start = skip(p, at[0], end, SPACE)
    word.end = at[0] = skip(p, word.start, end, TOKEN)
    return word.end > word.start


cdef inline bint scan_slash(Octets p, Py_ssize_t* at, Py_ssize_t end) noexcept nogil:
    at[0] = skip(p, at[0], end, SPACE)
    if not is_at(p, at[0], end, c'/'):
        return False
    at[0] += 1
    return True


cdef bint begin_via(Octets p, Py_ssize_t at, Py_ssize_t end, ViaEntry* found) noexcept nogil:
    """All but the parameters, which begin at `params`."""
    cdef Py_ssize_t stop
    cdef Span digits
    if not (scan_word(p, &at, end, &found.name) and scan_slash(p, &at, end)
            and scan_word(p, &at, end, &found.version) and scan_slash(p, &at, end)
            and scan_word(p, &at, end, &found.transport)):
        return False
    stop = skip(p, at, end, SPACE)
    if stop == at:
        return False
    at = skip_host(p, stop, end)
    if at < 0:
        return False
    found.host.start, found.host.end, found.port = stop, at, -1
    stop = skip(p, at, end, SPACE)
    if is_at(p, stop, end, c':'):
        digits.start = skip(p, stop + 1, end, SPACE)
        digits.end = skip(p, digits.start, end, DIGIT)
        if 1 <= digits.end - digits.start <= 5:
            found.port = number(p, digits)
            at = digits.end
    found.params = at
    return found.port <= 65535


cdef bint scan_via(Octets p, Py_ssize_t at, Py_ssize_t end, ViaEntry* found) noexcept nogil:
    if not begin_via(p, at, end, found):
        return False
    found.end = skip_params(p, found.params, end)
    return True


cdef inline bint is_uri(Octets p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t stop = skip_scheme(p, at, end)
    return 0 < stop < end and skip(p, stop, end, URI) == end


cdef inline Py_ssize_t skip_until(Octets p, Py_ssize_t at, Py_ssize_t end, int one, int other) noexcept nogil:
    while at < end and p[at] != one and p[at] != other:
        at += 1
    return at


cdef inline bint is_sip(Octets p, Py_ssize_t at, Py_ssize_t colon) noexcept nogil:
    """Whether the scheme that ends at the colon is sip or sips."""
    if colon - at == 4 and p[at + 3] | 32 == c's':
        colon -= 1
    return colon - at == 3 and p[at] | 32 == c's' and p[at + 1] | 32 == c'i' and p[at + 2] | 32 == c'p'


cdef bint scan_sip_uri(Octets p, Py_ssize_t at, Py_ssize_t end, SipUri* found) noexcept nogil:
    """A sip or sips URI that fills the span, its characters already looked at by `is_uri`."""
    cdef Py_ssize_t stop
    cdef Span digits
    found.scheme_end = skip_until(p, at, end, c':', c':')
    if found.scheme_end == end or not is_sip(p, at, found.scheme_end):
        return False
    at = found.scheme_end + 1
    found.user.start = found.user.end = found.password.start = found.password.end = -1
    stop = skip_until(p, at, end, c'@', c':')
    if stop > at:
        found.user.start, found.user.end = at, stop
        if is_at(p, stop, end, c':'):
            found.password.start = stop + 1
            stop = found.password.end = skip_until(p, stop + 1, end, c'@', c'@')
        if is_at(p, stop, end, c'@'):
            at = stop + 1
        else:
            found.user.start = found.user.end = found.password.start = found.password.end = -1
    found.host.start, found.host.end = at, skip_host(p, at, end)
    if found.host.end < 0:
        return False
    at, found.port = found.host.end, -1
    if is_at(p, at, end, c':'):
        digits.start = at + 1
        digits.end = at = skip(p, at + 1, end, DIGIT)
        if not 1 <= digits.end - digits.start <= 5:
            return False
        found.port = number(p, digits)
    found.params.start = at
    while is_at(p, at, end, c';'):
        at = skip_until(p, at + 1, end, c';', c'?')
    found.params.end = at
    found.headers.start, found.headers.end = -1, -1
    if is_at(p, at, end, c'?'):
        found.headers.start, found.headers.end = at, end
        at = end
    return at == end and found.port <= 65535


cdef inline void trim(Octets p, Span* span) noexcept nogil:
    while span.start < span.end and KIND[p[span.start]] & SPACE:
        span.start += 1
    while span.end > span.start and KIND[p[span.end - 1]] & SPACE:
        span.end -= 1


cdef struct ListScan:
    bint no_quote   # a quoted string did not end: from there on a quote is an ordinary character
    bint no_angle


cdef Py_ssize_t skip_member(Octets p, Py_ssize_t at, Py_ssize_t end, ListScan* scan) noexcept nogil:
    """At the next top-level comma, or `end`."""
    cdef Py_ssize_t stop
    while at < end and p[at] != c',':
        stop = at + 1
        if p[at] == c'"' and not scan.no_quote:
            stop = skip_quoted(p, at, end)
            if stop < 0:
                scan.no_quote, stop = True, at + 1
        elif p[at] == c'<' and not scan.no_angle:
            stop = skip_until(p, at, end, c'>', c'>') + 1
            if stop > end:
                scan.no_angle, stop = True, at + 1
        at = stop
    return at


cdef inline bint is_ascii(Octets p, Py_ssize_t size) noexcept nogil:
    cdef uint64_t word
    cdef Py_ssize_t at = 0
    while at + 8 <= size:
        memcpy(&word, p + at, 8)
        if word & 0x8080808080808080ULL:
            return False
        at += 8
    while at < size:
        if p[at] & 0x80:
            return False
        at += 1
    return True


cdef inline str text_of(Octets p, Py_ssize_t start, Py_ssize_t end):
    cdef Py_ssize_t size = end - start
    if size < 2 or not is_ascii(p + start, size):  # Python has every text of one octet already
        return PyUnicode_DecodeUTF8(<const char*>p + start, size, "surrogateescape")
    text = PyUnicode_New(size, 127)
    memcpy(PyUnicode_DATA(text), p + start, size)
    return <str>text


cdef inline str text_of_span(Octets p, Span span):
    return text_of(p, span.start, span.end)


cdef inline bint same(Octets p, Span span, const char* lower, Py_ssize_t size) noexcept nogil:
    """Whether the token in the span is this word, given in lower case."""
    cdef Py_ssize_t at
    if span.end - span.start != size:
        return False
    for at in range(size):
        if (p[span.start + at] | 32) != <unsigned char>lower[at]:
            return False
    return True
