# The attributes that messages are asked for all the time. Python finds an attribute by the dicts of the type and its
# bases; this finds it by the address of its name, since names in code are interned. All else goes Python's way.

from sys import intern

cdef enum:
    PLACES = 256

cdef extern from "Python.h":
    object PyObject_GenericGetAttr(object held, object name)

cdef PyObject* PLACE_NAMES[PLACES]
cdef int PLACE_OF[PLACES]

# In the order of `at_place`. The list keeps the names alive, and so their addresses from becoming others'.
cdef list _placed = [intern(name) for name in (
    "method", "uri", "is_request", "status", "to_tag", "from_tag", "to_address", "from_address", "via_host",
    "via_port", "via_rport", "via_transport", "branch", "call_id", "cseq", "cseq_method", "data", "uri_host",
    "uri_port", "via_start", "via_end", "first_line_end", "from_memo", "to_memo", "uri_memo",
)]


cdef inline int hashed(PyObject* name) noexcept nogil:
    return <int>((<size_t>name >> 4) ^ (<size_t>name >> 12)) & (PLACES - 1)


cdef int _fill_places() except -1:
    cdef int number, at
    for number in range(PLACES):
        PLACE_NAMES[number] = NULL
    for number in range(<int>len(_placed)):
        at = hashed(<PyObject*>_placed[number])
        while PLACE_NAMES[at] != NULL:
            at = (at + 1) & (PLACES - 1)
        PLACE_NAMES[at], PLACE_OF[at] = <PyObject*>_placed[number], number
    return 0

_fill_places()


cdef inline int place_of(PyObject* name) noexcept nogil:
    """The number of the attribute, -1 for one that is not here. The table is never full."""
    cdef int at = hashed(name)
    while PLACE_NAMES[at] != NULL:
        if PLACE_NAMES[at] == name:
            return PLACE_OF[at]
        at = (at + 1) & (PLACES - 1)
    return -1


cdef object at_place(Index index, int which):
    if which == 0:
        return index.method
    elif which == 1:
        return index.uri
    elif which == 2:
        return index.is_request
    elif which == 3:
        return index.status
    elif which == 4:
        return to_tag_of(index)
    elif which == 5:
        return text_of_span(index.octets(), index._from_tag)
    elif which == 6:
        return to_address_of(index)
    elif which == 7:
        return from_address_of(index)
    elif which == 8:
        return text_of_span(index.octets(), index._host)
    elif which == 9:
        return index._port
    elif which == 10:
        return index.via_rport
    elif which == 11:
        return transport_of(index.octets(), index._transport)
    elif which == 12:
        return index.branch
    elif which == 13:
        return index.call_id
    elif which == 14:
        return index.cseq
    elif which == 15:
        return index.cseq_method
    elif which == 16:
        return index.data
    elif which == 17:
        return text_of_span(index.octets(), index._uri.host) if index._is_sip else ""
    elif which == 18:
        return index._uri.port if index._is_sip and index._uri.port > 0 else 0
    elif which == 19:
        return index.via_start
    elif which == 20:
        return index.via_end
    elif which == 21:
        return index.first_line_end
    elif which == 22:
        return index.from_memo
    elif which == 23:
        return index.to_memo
    elif which == 24:
        return index.uri_memo
