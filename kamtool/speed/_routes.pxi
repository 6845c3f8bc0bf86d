# The Route of a request, taken apart where it is. See routes.py.

# A URI that scan_name_addr has found is as `is_uri` wants it.
cdef Row* only_route(Index index, Octets p, Span* whole, SipUri* uri) except? NULL:
    """The row of the only Route, whose URI this is; NULL where more than that has to be looked at."""
    cdef Py_ssize_t place = index.next_place(0, ROUTE, None), size
    cdef NameAddress address
    cdef Row* row
    if place < 0 or index.next_place(place + 1, ROUTE, None) >= 0:
        return NULL
    row = &index._rows[place]
    size = row.value_end - row.value_start
    if memchr(p + row.value_start, c',', size) != NULL or memchr(p + row.value_start, c'\n', size) != NULL:
        return NULL
    if (not scan_name_addr(p, row.value_start, row.value_end, &address)
            or skip(p, address.end, row.value_end, SPACE) != row.value_end
            or not scan_sip_uri(p, address.uri.start, address.uri.end, uri)):
        return NULL
    whole[0] = address.uri
    return row


def lone_route(Index index not None):
    cdef Octets p = index.octets()
    cdef Span whole
    cdef SipUri uri
    cdef Row* row = only_route(index, p, &whole, &uri)
    if row == NULL:
        return () if index.next_place(0, ROUTE, None) < 0 else None
    return (
        row.start, row.end, "" if uri.user.start < 0 else text_of_span(p, uri.user), text_of_span(p, uri.host),
        None if uri.port < 0 else uri.port, text_of_span(p, uri.params),
    )


cdef bint names_transport(Octets p, Span params) noexcept nogil:
    """Whether the parameter stands there, with a value."""
    cdef Span word
    cdef Octets found = p + params.start
    while params.end - (found - p) > 10:
        word.start = found - p + 1
        word.end = word.start + 9
        if p[word.end] == c'=' and same(p, word, b"transport", 9):
            return True
        found = <Octets>memchr(p + word.start, c';', params.end - word.start)
        if found == NULL:
            return False
    return False


def own_route(Index index not None, dict ours not None):
    cdef Octets p = index.octets()
    cdef Span whole
    cdef SipUri uri
    cdef Row* row = only_route(index, p, &whole, &uri)
    if row == NULL or names_transport(p, uri.params):
        return None
    place = index.data[whole.start : uri.params.start]
    if PyDict_GetItemWithError(ours, place) == NULL:
        return place
    return row.start, row.end, text_of_span(p, uri.params)
