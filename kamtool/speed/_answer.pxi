# A response without a transaction, with all that it says of its sender. See answering.py.

def answer(Index index not None, int status, bytes status_line not None, str key not None, str host not None, int port,
           bint force_rport, lines, bytes extra not None):
    cdef Text source
    cdef Span sent_by = index._host
    cdef Octets p = index.octets()
    cdef bytes received = b"", tag = b"", more = extra
    cdef long rport = 0
    cdef str line
    cdef Py_ssize_t room, used
    cdef char* target
    cdef unsigned int number
    kept = open_text(host, &source)
    if force_rport or index.via_rport >= 0:
        rport = port
        received = PyBytes_FromStringAndSize(<const char*>source.p, source.size)
    else:
        if sent_by.end > sent_by.start and p[sent_by.start] == c'[':
            sent_by.start, sent_by.end = sent_by.start + 1, sent_by.end - 1
        if (sent_by.end - sent_by.start != source.size or memcmp(p + sent_by.start, source.p, source.size)
                or index._received.end > index._received.start):
            received = PyBytes_FromStringAndSize(<const char*>source.p, source.size)
    if status > 100 and index._to_tag.start == index._to_tag.end:
        number = hash((index.branch, index.call_id, text_of_span(p, index._from_tag), index.cseq)) & 0xFFFFFFFF
        tag = tagged(key, number)
    if lines and status > 100:
        room = PyBytes_GET_SIZE(extra)
        for line in lines:
            kept = open_text(line, &source)
            room += source.size + 2
        more = PyBytes_FromStringAndSize(NULL, room)
        target = PyBytes_AS_STRING(more)
        for line in lines:
            kept = open_text(line, &source)
            while source.size and (source.p[source.size - 1] == c'\n' or source.p[source.size - 1] == c'\r'):
                source.size -= 1
            if source.size:
                target = append(target, <const char*>source.p, source.size)
                target = append(target, "\r\n", 2)
        target = append(target, PyBytes_AS_STRING(extra), PyBytes_GET_SIZE(extra))
        used = target - PyBytes_AS_STRING(more)
        if used != room:
            more = more[:used]
    return responded(index, status, status_line, tag, received, rport, more, b"")


cdef bytes tagged(str key, unsigned int number):
    """`key.0123abcd`, the number as eight hexadecimal digits."""
    cdef Text source
    cdef char* target
    cdef int place
    kept = open_text(key, &source)
    octets = PyBytes_FromStringAndSize(NULL, source.size + 9)
    target = append(PyBytes_AS_STRING(octets), <const char*>source.p, source.size)
    target[0] = c'.'
    for place in range(8):
        target[8 - place] = b"0123456789abcdef"[number >> (4 * place) & 15]
    return octets
