# Messages made from messages. Edits are gathered in an array, sorted by start and order of arrival, and copied once.

cdef struct Edit:
    Py_ssize_t start
    Py_ssize_t end
    const char* text
    Py_ssize_t size
    Py_ssize_t order

cdef enum:
    EDITS_ON_STACK = 24


cdef int _by_start(const void* one, const void* other) noexcept nogil:
    cdef const Edit* a = <const Edit*>one
    cdef const Edit* b = <const Edit*>other
    if a.start != b.start:
        return -1 if a.start < b.start else 1
    return -1 if a.order < b.order else 1


cdef void sort_edits(Edit* edits, Py_ssize_t count) noexcept nogil:
    cdef Py_ssize_t at, place
    cdef Edit edit
    if count > EDITS_ON_STACK:
        qsort(edits, count, sizeof(Edit), &_by_start)
        return
    for at in range(1, count):
        edit, place = edits[at], at
        while place and edits[place - 1].start > edit.start:
            edits[place] = edits[place - 1]
            place -= 1
        edits[place] = edit


cdef inline void put(Edit* edits, Py_ssize_t* count, Py_ssize_t start, Py_ssize_t end,
                     const char* text, Py_ssize_t size) noexcept nogil:
    edits[count[0]].start, edits[count[0]].end = start, end
    edits[count[0]].text, edits[count[0]].size, edits[count[0]].order = text, size, count[0]
    count[0] += 1


cdef Py_ssize_t gather(object given, Py_ssize_t size, Edit* edits, Py_ssize_t* count) except -1:
    """Add edits that came from Python; `given` must live as long as the array is used."""
    cdef Py_ssize_t start, end
    cdef bytes text
    for item in given:
        start, end, text = item
        if text is None:
            raise TypeError("an edit's text is bytes")
        if not 0 <= start <= end <= size:
            raise ValueError(f"no such span: {start}:{end} in {size} octets")
        put(edits, count, start, end, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    return 0


cdef bytes apply(bytes data, Edit* edits, Py_ssize_t count):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), total = 0, at = 0, number
    cdef const char* source = PyBytes_AS_STRING(data)
    cdef char* target
    cdef bytes result
    sort_edits(edits, count)
    for number in range(count):
        if edits[number].start > at:
            total += edits[number].start - at
        total += edits[number].size
        if edits[number].end > at:
            at = edits[number].end
    result = PyBytes_FromStringAndSize(NULL, total + size - at)
    target, at = PyBytes_AS_STRING(result), 0
    for number in range(count):
        if edits[number].start > at:
            memcpy(target, source + at, edits[number].start - at)
            target += edits[number].start - at
        memcpy(target, edits[number].text, edits[number].size)
        target += edits[number].size
        if edits[number].end > at:
            at = edits[number].end
    memcpy(target, source + at, size - at)
    return result


cdef bytes apply_with(bytes data, Edit* own, Py_ssize_t count, object edits):
    """Apply our own edits and then, at the same places, the given ones. `own` has room for EDITS_ON_STACK."""
    cdef Py_ssize_t room
    cdef Edit* more
    cdef list given
    if (type(edits) is tuple or type(edits) is list) and not edits:
        return apply(data, own, count)
    given = list(edits)  # so that nobody shortens it while its texts are pointed to
    room = count + len(given)
    if room <= EDITS_ON_STACK:
        gather(given, PyBytes_GET_SIZE(data), own, &count)
        return apply(data, own, count)
    more = <Edit*>PyMem_Malloc(room * sizeof(Edit))
    if more == NULL:
        raise MemoryError
    try:
        memcpy(more, own, count * sizeof(Edit))
        gather(given, PyBytes_GET_SIZE(data), more, &count)
        return apply(data, more, count)
    finally:
        PyMem_Free(more)


def splice(bytes data not None, edits):
    cdef Edit own[EDITS_ON_STACK]
    return apply_with(data, own, 0, edits)


cdef enum:
    SMALL = 40
    SOURCE = 120


cdef inline Py_ssize_t write_number(char* target, const char* before, long value, const char* after) noexcept nogil:
    """`before`, the number, `after`, into SMALL octets."""
    cdef char digits[24]
    cdef Py_ssize_t size = strlen(before), count = 0
    cdef unsigned long rest = <unsigned long>value
    memcpy(target, before, size)
    if value < 0:
        target[size] = c'-'
        size += 1
        rest = 0 - rest
    while True:
        digits[count] = <char>(48 + rest % 10)
        count += 1
        rest //= 10
        if not rest:
            break
    while count:
        count -= 1
        target[size] = digits[count]
        size += 1
    memcpy(target + size, after, strlen(after))
    return size + strlen(after)


cdef inline char* append(char* target, const char* text, Py_ssize_t size) noexcept nogil:
    memcpy(target, text, size)
    return target + size


cdef bytes add_source(Index index, bytes received, long rport, char* small, Edit* own, Py_ssize_t* count):
    """What RFC 3261 §18.2.1 and RFC 3581 §4 write on the top Via, into SOURCE octets; the result keeps alive what
    does not fit there."""
    cdef bytes text = None
    cdef char* said = small + SMALL
    cdef Py_ssize_t size
    if index.via_insert < 0:
        return None
    if PyBytes_GET_SIZE(received):
        size = 10 + PyBytes_GET_SIZE(received)
        if size <= SOURCE - SMALL:
            append(append(said, ";received=", 10), PyBytes_AS_STRING(received), size - 10)
        else:
            text = b";received=" + received
            said = PyBytes_AS_STRING(text)
        if index.received_start >= 0:
            put(own, count, index.received_start, index.received_end, said, size)
        else:
            put(own, count, index.via_insert, index.via_insert, said, size)
    if rport:
        size = write_number(small, ";rport=", rport, "")
        if index.rport_start >= 0:
            put(own, count, index.rport_start, index.rport_end, small, size)
        else:
            put(own, count, index.via_insert, index.via_insert, small, size)
    return text


def forward(Index index not None, bytes prefix not None, bytes uri=None, long max_forwards=-1,
            bytes received not None=b"", long rport=0, edits=()):
    cdef Edit own[EDITS_ON_STACK]
    cdef char hops[SMALL]
    cdef char small[SOURCE]
    cdef Py_ssize_t count = 0, line = index.via_line if index.via_line > 0 else 0, size
    cdef bytes kept
    put(own, &count, line, line, PyBytes_AS_STRING(prefix), PyBytes_GET_SIZE(prefix))
    if uri is not None and index.uri_start >= 0:
        put(own, &count, index.uri_start, index.uri_end, PyBytes_AS_STRING(uri), PyBytes_GET_SIZE(uri))
    if max_forwards >= 0:
        if index.max_forwards_start >= 0:
            size = write_number(hops, "", max_forwards, "")
            put(own, &count, index.max_forwards_start, index.max_forwards_end, hops, size)
        else:
            size = write_number(hops, "Max-Forwards: ", max_forwards, "\r\n")
            put(own, &count, line, line, hops, size)
    kept = add_source(index, received, rport, small, own, &count)
    return apply_with(index.data, own, count, edits)


def relay(Index index not None, edits=()):
    cdef Edit own[EDITS_ON_STACK]
    cdef Py_ssize_t count = 0
    if index.via_start >= 0:
        put(own, &count, index.via_start, index.via_end, "", 0)
    return apply_with(index.data, own, count, edits)


def respond(Index index not None, int status, bytes status_line not None, bytes to_tag not None=b"",
            bytes received not None=b"", long rport=0, bytes extra not None=b"", bytes body not None=b""):
    return responded(index, status, status_line, to_tag, received, rport, extra, body)


cdef bytes responded(Index index, int status, bytes status_line, bytes to_tag, bytes received, long rport, bytes extra,
                     bytes body):
    cdef Edit own[EDITS_ON_STACK]
    cdef char small[SOURCE]
    cdef char length[SMALL]
    cdef const char* data = PyBytes_AS_STRING(index.data)
    cdef Py_ssize_t count = 0, length_size, number, which, at, room
    cdef bytes kept = add_source(index, received, rport, small, own, &count)
    cdef Row* row
    cdef char* target
    cdef PyObject* result
    cdef int number_id
    sort_edits(own, count)
    length_size = write_number(length, "Content-Length: ", PyBytes_GET_SIZE(body), "\r\n\r\n")
    room = (PyBytes_GET_SIZE(status_line) + 2 + PyBytes_GET_SIZE(to_tag) + 5 + PyBytes_GET_SIZE(extra) + length_size
            + PyBytes_GET_SIZE(body))
    for which in range(count):
        room += own[which].size
    for number in range(index._row_count):
        if is_copied(index._rows[number].id, status):
            room += index._rows[number].end - index._rows[number].start
    octets = PyBytes_FromStringAndSize(NULL, room)
    target = PyBytes_AS_STRING(octets)
    target = append(target, PyBytes_AS_STRING(status_line), PyBytes_GET_SIZE(status_line))
    target = append(target, "\r\n", 2)
    for number in range(index._row_count):
        row = &index._rows[number]
        if not is_copied(row.id, status):
            continue
        at = row.start
        if row.id == VIA and row.start == index.via_line:
            for which in range(count):
                if own[which].start > at:
                    target = append(target, data + at, own[which].start - at)
                target = append(target, own[which].text, own[which].size)
                if own[which].end > at:
                    at = own[which].end
        elif row.id == TO and PyBytes_GET_SIZE(to_tag) and index.to_end >= 0 and index._to_tag.start == index._to_tag.end:
            target = append(target, data + at, index.to_end - at)
            target = append(target, ";tag=", 5)
            target = append(target, PyBytes_AS_STRING(to_tag), PyBytes_GET_SIZE(to_tag))
            at = index.to_end
        target = append(target, data + at, row.end - at)
    target = append(target, PyBytes_AS_STRING(extra), PyBytes_GET_SIZE(extra))
    target = append(target, length, length_size)
    target = append(target, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
    at = target - PyBytes_AS_STRING(octets)
    return octets if at == room else octets[:at]


cdef inline bint is_copied(int number, int status) noexcept nogil:
    if number == VIA or number == FROM or number == TO or number == CALL_ID or number == CSEQ:
        return True
    return (number == RECORD_ROUTE and 101 <= status <= 299) or (number == TIMESTAMP and status == 100)
