# Octets that grow: where messages are put together.

cdef char* room = NULL
cdef Py_ssize_t room_size = 0
cdef Py_ssize_t filled = 0

cdef int more(Py_ssize_t count) except -1:
    """Room for so many octets behind what is filled."""
    global room, room_size
    cdef Py_ssize_t wanted
    cdef char* bigger
    if filled + count > room_size:
        wanted = 2 * (filled + count) + 4096
        bigger = <char*>realloc(room, wanted)
        if bigger == NULL:
            raise MemoryError
        room, room_size = bigger, wanted
    return 0

cdef int put(const char* data, Py_ssize_t count) except -1:
    global filled
    more(count)
    memcpy(room + filled, data, count)
    filled += count
    return 0

cdef inline int put_bytes(bytes data) except -1:
    return put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

cdef int put_number(long long number) except -1:
    cdef char digits[24]
    cdef int at = 24
    cdef bint negative = number < 0
    cdef unsigned long long left = <unsigned long long>(-number) if negative else <unsigned long long>number
    while True:
        at -= 1
        digits[at] = <char>(48 + left % 10)
        left //= 10
        if not left:
            break
    if negative:
        at -= 1
        digits[at] = 45
    return put(digits + at, 24 - at)
