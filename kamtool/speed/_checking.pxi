# The many requests that pass the checks of a script. See checking.py.

cdef inline bint is_plain_uri(Octets p, Span span) noexcept nogil:
    cdef SipUri uri
    return (span.end > span.start and is_uri(p, span.start, span.end)
            and scan_sip_uri(p, span.start, span.end, &uri))


cdef inline bint is_common(Octets p, Span word) noexcept nogil:
    """Whether it is the name of a transport that most messages come by."""
    cdef Py_ssize_t size = word.end - word.start
    if size == 3:
        return (same(p, word, b"udp", 3) or same(p, word, b"tcp", 3)
                or same(p, word, b"tls", 3) or same(p, word, b"wss", 3))
    return size == 2 and same(p, word, b"ws", 2)


def plain_request(Index index not None, unsigned long long rare, bint with_from, bint with_to):
    cdef Octets p = index.octets()
    cdef Py_ssize_t at = index.uri_start
    cdef int place, number
    if len(index.uri) < 4 or memcmp(p + at, b"sip:", 4) != 0 or not is_common(p, index._transport):
        return False
    for place in range(index._row_count):
        number = index._rows[place].id
        if number < 64 and rare >> number & 1:
            return False
    return (not with_from or is_plain_uri(p, index._from_address)) and (
        not with_to or is_plain_uri(p, index._to_address)
    )
