# What is read of a message, the twin of `lines.py`.

cdef inline Py_ssize_t find(const char* text, Py_ssize_t size, const char* mark, Py_ssize_t length, Py_ssize_t begin) noexcept:
    cdef const char* found
    if begin < 0 or begin > size:
        return -1
    found = <const char*>memmem(text + begin, size - begin, mark, length)
    return -1 if found == NULL else found - text

cdef bytes call_id_in(bytes data):
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = find(text, size, b"\r\nCall-ID: ", 11, 0), begin
    cdef const char* end
    if at < 0:
        return b""
    begin = at + 11
    end = <const char*>memchr(text + begin, 13, size - begin)
    if end == NULL or end - text <= begin:
        return b""
    return PyBytes_FromStringAndSize(text + begin, (end - text) - begin)

cdef inline bint loosely(const char* text, Py_ssize_t size, bytes name, char short) noexcept:
    """Whether a line may be one of this header: its name in any case, or the compact one."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(name), place
    cdef const char* wanted = PyBytes_AS_STRING(name)
    if short and size > 1 and (text[0] | 32) == short and (text[1] == 58 or text[1] == 32 or text[1] == 9):
        return True
    if size <= length:
        return False
    for place in range(length):
        if (text[place] | 32) != (wanted[place] | 32):
            return False
    return True

cdef Py_ssize_t line_begin, line_end

cdef int seek(bytes data, bytes name) except -1:
    """0: no such header; 1: one, written as usual, from line_begin to line_end; 2: what a regular expression has to
    look at; 3: as 1, and others that may be of this name written otherwise."""
    global line_begin, line_end
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef const char* end_of
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), length = PyBytes_GET_SIZE(name), at, end, exact = 0, loose = 0
    cdef const char* wanted = PyBytes_AS_STRING(name)
    cdef bytes letter = _COMPACT.get(name.lower(), b"") if length < 16 else b""
    cdef char short = PyBytes_AS_STRING(letter)[0] if letter else 0
    at = find(text, size, b"\r\n\r\n", 4, 0)
    if at >= 0:
        size = at + 2
    at = 0
    while at < size:
        end_of = <const char*>memchr(text + at, 10, size - at)
        end = (end_of - text) if end_of != NULL else size
        if end - at > length + 1 and at > 1 and text[at - 2] == 13 and text[at + length] == 58 and (
            text[at + length + 1] == 32 and memcmp(text + at, wanted, length) == 0
        ):
            exact += 1
            line_begin, line_end = at, end
        elif (end - at > length or short) and ((text[at] | 32) == (wanted[0] | 32) or (text[at] | 32) == short) and (
            loosely(text + at, end - at, name, short)
        ):
            loose += 1
        at = end + 1
    if not exact and not loose:
        return 0
    if exact != 1:
        return 2
    end = line_end
    if end >= size or text[end - 1] != 13:
        return 2
    if end + 1 < size and (text[end + 1] == 32 or text[end + 1] == 9):
        return 2
    line_end = end - 1
    if memchr(text + line_begin, 13, line_end - line_begin) != NULL:
        return 2
    return 3 if loose else 1

def header_line(bytes data not None, bytes name not None):
    """As in `volley.py`."""
    cdef int found = seek(data, name)
    if found == 0:
        return b""
    if found != 2:
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + line_begin, line_end - line_begin)
    return _any_header_line(data, name)

cdef int put_line(bytes data, bytes name) except -1:
    cdef int found = seek(data, name)
    if found == 2:
        put_bytes(_any_header_line(data, name))
    elif found:
        put(PyBytes_AS_STRING(data) + line_begin, line_end - line_begin)
    return 0

cdef int put_tag(bytes data) except -1:
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef bint answer = PyBytes_GET_SIZE(data) > 6 and memcmp(text, b"SIP/2.0", 7) == 0
    cdef int found = seek(data, b"To" if answer else b"From")
    cdef Py_ssize_t at, begin = -1, end
    cdef const char* mark
    if found == 2:
        return put_bytes(_any_to_tag(data))
    if not found:
        return 0
    at = line_begin
    while True:
        at = find(text, line_end, b";tag=", 5, at)
        if at < 0:
            break
        begin = at
        at += 1
    if begin < 0:
        return 0
    mark = <const char*>memchr(text + begin + 1, 59, line_end - begin - 1)
    end = (mark - text) if mark != NULL else line_end
    return put(text + begin, end - begin)

def to_tag(bytes data not None):
    """As in `volley.py`."""
    global filled
    filled = 0
    put_tag(data)
    return PyBytes_FromStringAndSize(room, filled)

def call_id_of(bytes data not None):
    """As in `volley.py`."""
    return call_id_in(data)
