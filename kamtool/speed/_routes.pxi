# The Route of a request, taken apart where it is. See routes.py.

def lone_route(Index index not None):
    cdef Octets p = index.octets()
    cdef Py_ssize_t place = index.next_place(0, ROUTE, None), size
    cdef NameAddress address
    cdef SipUri uri
    cdef Row* row
    if place < 0:
        return ()
    if index.next_place(place + 1, ROUTE, None) >= 0:
        return None
    row = &index._rows[place]
    size = row.value_end - row.value_start
    if memchr(p + row.value_start, c',', size) != NULL or memchr(p + row.value_start, c'\n', size) != NULL:
        return None
    if (not scan_name_addr(p, row.value_start, row.value_end, &address)
            or skip(p, address.end, row.value_end, SPACE) != row.value_end
            or not is_uri(p, address.uri.start, address.uri.end)
            or not scan_sip_uri(p, address.uri.start, address.uri.end, &uri)):
        return None
    return (
        row.start, row.end, "" if uri.user.start < 0 else text_of_span(p, uri.user), text_of_span(p, uri.host),
        None if uri.port < 0 else uri.port, text_of_span(p, uri.params),
    )
