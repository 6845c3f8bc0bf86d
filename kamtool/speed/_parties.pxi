# Via, From and To as every message is asked for them: each octet is looked at once, and only what is well-formed
# leaves anything in the index.

cdef int read_via(Index index, Octets p, int place) except -1:
    cdef ViaEntry via
    cdef Parameter param
    cdef Span branch, value, received, received_at, rport_at
    cdef Row* row
    cdef Py_ssize_t at
    cdef int rport = -1
    if place < 0:
        fail("missing", "Via")
    row = &index._rows[place]
    if not begin_via(p, row.value_start, row.value_end, &via):
        fail("malformed", "Via", row.value_start)
    branch.start = received_at.start = rport_at.start = -1
    at = via.params
    while scan_param(p, at, row.value_end, &param):
        value = param.value
        if value.start < 0:
            value.start = value.end = 0
        if same(p, param.name, "branch", 6):
            if branch.start < 0:
                branch = value
        elif same(p, param.name, "rport", 5):
            if rport_at.start < 0:
                rport_at.start, rport_at.end, rport = at, param.end, 0
                if value.end - value.start <= 5 and skip(p, value.start, value.end, DIGIT) == value.end:
                    rport = number(p, value)
        elif same(p, param.name, "received", 8):
            if received_at.start < 0:
                received, received_at.start, received_at.end = value, at, param.end
        at = param.end
    via.end, at = at, skip(p, at, row.value_end, SPACE)
    if at != row.value_end and p[at] != c',':
        fail("malformed", "Via", row.value_start)
    index._transport, index._host = via.transport, via.host
    index._port = via.port if via.port > 0 else 0
    index.via_line, index.via_insert = row.start, <int>via.end
    if at != row.value_end:
        index.via_start, index.via_end = row.value_start, <int>skip(p, at + 1, row.value_end, SPACE)
    else:
        index.via_start, index.via_end = row.start, row.end
    if branch.start >= 0:
        index.branch = text_of_span(p, branch)
    if rport >= 0:
        index.rport_start, index.rport_end, index.via_rport = <int>rport_at.start, <int>rport_at.end, rport
    if received_at.start >= 0:
        index._received = received
        index.received_start, index.received_end = <int>received_at.start, <int>received_at.end
    return 0


cdef int read_address(Index index, Octets p, int* first, int* second, int number) except -1:
    cdef Row* row = index.one(first, second, number)
    cdef NameAddress address
    cdef Parameter param
    cdef Span tag
    cdef bint found = False
    if not begin_name_addr(p, row.value_start, row.value_end, &address):
        fail("malformed", _NAMES[number], row.value_start)
    tag.start = tag.end = 0
    address.end = address.params
    while scan_param(p, address.end, row.value_end, &param):
        if not found and same(p, param.name, "tag", 3):
            found = True
            if param.value.start >= 0:
                tag = param.value
        address.end = param.end
    if skip(p, address.end, row.value_end, SPACE) != row.value_end:
        fail("malformed", _NAMES[number], row.value_start)
    if number == FROM:
        index._from_tag, index._from_address = tag, address.uri
    else:
        index._to_tag, index._to_address, index.to_end = tag, address.uri, <int>address.end
    return 0


cdef str transport_of(Octets p, Span span):
    """In upper case; those that most messages come by are always the same object."""
    cdef Py_ssize_t size = span.end - span.start
    if size == 3:
        if same(p, span, "udp", 3):
            return "UDP"
        if same(p, span, "tcp", 3):
            return "TCP"
        if same(p, span, "tls", 3):
            return "TLS"
    return text_of_span(p, span).upper()


cdef str from_address_of(Index index):
    if index._from_text is None:
        index._from_text = text_of_span(index.octets(), index._from_address)
    return index._from_text


cdef str to_address_of(Index index):
    if index._to_text is None:
        index._to_text = text_of_span(index.octets(), index._to_address)
    return index._to_text


cdef str to_tag_of(Index index):
    if index._to_tag_text is None:
        index._to_tag_text = text_of_span(index.octets(), index._to_tag)
    return index._to_tag_text
