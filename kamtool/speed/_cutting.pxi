# Where a message on a stream ends. See cutting.py.

cdef Octets _octets_of(object data, Py_ssize_t* size) except NULL:
    if isinstance(data, bytes):
        size[0] = PyBytes_GET_SIZE(data)
        return <Octets>PyBytes_AS_STRING(data)
    if isinstance(data, bytearray):
        size[0] = PyByteArray_GET_SIZE(data)
        return <Octets>PyByteArray_AS_STRING(data)
    raise TypeError(f"bytes are needed, not {type(data).__name__}")


cdef Py_ssize_t _end_of_head(Octets octets, Py_ssize_t size, Py_ssize_t at) noexcept:
    cdef const void* found
    while at < size:
        found = memchr(octets + at, c"\n", size - at)
        if found == NULL:
            return -1
        at = <Octets>found - octets + 1
        if at < size and octets[at] == c"\n":
            return at + 1
        if at + 1 < size and octets[at] == c"\r" and octets[at + 1] == c"\n":
            return at + 2
    return -1


def end_of_head(data, Py_ssize_t start):
    cdef Py_ssize_t size
    cdef Octets octets = _octets_of(data, &size)
    return _end_of_head(octets, size, start if start > 0 else 0)


cdef Py_ssize_t _behind_name(Octets octets, Py_ssize_t at, Py_ssize_t end) noexcept:
    # Behind the colon of Content-Length or l at `at`; -1 when another line is there.
    cdef const char* name = "content-length"
    cdef int i
    if at >= end:
        return -1
    if octets[at] | 32 == c"l":
        at += 1
    elif octets[at] | 32 == c"c":
        if end - at < 14:
            return -1
        for i in range(1, 14):
            # The one letter that is no letter: 0x0d | 32 is a hyphen too.
            if (octets[at + i] | 32 if i != 7 else octets[at + i]) != <unsigned char>name[i]:
                return -1
        at += 14
    else:
        return -1
    while at < end and (octets[at] == c" " or octets[at] == c"\t"):
        at += 1
    return at + 1 if at < end and octets[at] == c":" else -1


cdef long long _body_length(Octets octets, Py_ssize_t at, Py_ssize_t end) noexcept:
    cdef Py_ssize_t value, stop, kept = -1, kept_size = 0
    cdef const void* found
    cdef long long length = 0
    cdef bint is_bad = False
    while at < end:
        found = memchr(octets + at, c"\n", end - at)
        if found == NULL:
            break
        at = <Octets>found - octets + 1
        value = _behind_name(octets, at, end)
        if value < 0:
            continue
        while value < end:
            if octets[value] == c" " or octets[value] == c"\t":
                value += 1
            elif octets[value] == c"\n" and value + 1 < end and octets[value + 1] in b" \t":
                value += 2
            elif (
                octets[value] == c"\r" and value + 2 < end and octets[value + 1] == c"\n"
                and octets[value + 2] in b" \t"
            ):
                value += 3
            else:
                break
        at = value
        while at < end and octets[at] != c"\r" and octets[at] != c"\n":
            at += 1
        stop = at
        while stop > value and (octets[stop - 1] == c" " or octets[stop - 1] == c"\t"):
            stop -= 1
        if kept < 0:
            kept, kept_size = value, stop - value
        elif stop - value != kept_size or memcmp(octets + value, octets + kept, kept_size) != 0:
            is_bad = True
    if kept < 0:
        return -1
    stop = kept + kept_size
    if is_bad or not kept_size:
        return -2
    for at in range(kept, stop):
        if not c"0" <= octets[at] <= c"9":
            return -2
    while kept < stop and octets[kept] == c"0":
        kept += 1
    if stop - kept > 10:
        return -3
    for at in range(kept, stop):
        length = length * 10 + (octets[at] - c"0")
    return length


def body_length(data, Py_ssize_t start, Py_ssize_t end):
    cdef Py_ssize_t size
    cdef Octets octets = _octets_of(data, &size)
    return _body_length(octets, start if start > 0 else 0, end if end < size else size)


def is_one_message(bytes data not None, Py_ssize_t max_head, Py_ssize_t max_body):
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), end
    cdef Octets octets = <Octets>PyBytes_AS_STRING(data)
    cdef long long length
    end = _end_of_head(octets, size, 0)
    if end <= 0 or end > max_head or octets[0] == c"\r" or octets[0] == c"\n":
        return False
    length = _body_length(octets, 0, end)
    return 0 <= length <= max_body and end + length == size
