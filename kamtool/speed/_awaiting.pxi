# What a call waits for, and what it learns of the answer.

cdef inline bint is_answer(bytes data) noexcept:
    return PyBytes_GET_SIZE(data) >= 4 and memcmp(PyBytes_AS_STRING(data), b"SIP/", 4) == 0

cdef inline bint starts_with(bytes data, bytes begins) noexcept:
    cdef Py_ssize_t length = PyBytes_GET_SIZE(begins)
    return PyBytes_GET_SIZE(data) >= length and memcmp(PyBytes_AS_STRING(data), PyBytes_AS_STRING(begins), length) == 0

cdef bint any_ends(const char* text, Py_ssize_t size, tuple ends) except -1:
    cdef Py_ssize_t length
    cdef bytes one
    for one in ends:
        length = PyBytes_GET_SIZE(one)
        if size >= length and memcmp(text + size - length, PyBytes_AS_STRING(one), length) == 0:
            return True
    return False

cdef int expected(Shot shot, bytes data) except -2:
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), found, end
    cdef int status = 0, index, place
    cdef const char* mark
    cdef Stage stage
    cdef bint fits
    if is_answer(data):
        if size < 11 or text[7] != 32:
            return -1
        for place in range(8, 11):
            if not 48 <= text[place] <= 57:
                return -1
            status = status * 10 + text[place] - 48
    for index in range(shot.at, len(shot.script.stages)):
        stage = <Stage>shot.script.stages[index]
        if stage.kind != RECV:
            return -1
        if status:
            fits = stage.status == status
        else:
            fits = stage.status < 0 and starts_with(data, stage.begins)
        if fits:
            if status and stage.methods:
                found = find(text, size, b"\r\nCSeq: ", 8, 0)
                if found < 0:
                    return -1
                mark = <const char*>memchr(text + found + 2, 13, size - found - 2)
                if mark == NULL:
                    return -1
                end = mark - text
                if not any_ends(text + found, end - found, stage.methods):
                    return -1
            return index
        if not stage.optional:
            return -1
    return -1

cdef int route(Shot shot, bytes data, object routing) except -1:
    """The route set and the remote target; both are plain in nearly every answer."""
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef const char* first
    cdef const char* last
    cdef Py_ssize_t begin
    if seek(data, b"Contact") == 1:
        first = <const char*>memchr(text + line_begin, 60, line_end - line_begin)
        last = <const char*>memchr(first, 62, line_end - (first - text)) if first != NULL else NULL
        if last != NULL and memchr(text + line_begin, 34, line_end - line_begin) == NULL:
            begin = first - text + 1
            if seek(data, b"Record-Route") == 0:
                shot.routes = b""
                shot.next_url = PyBytes_FromStringAndSize(text + begin, last - text - begin)
                return 0
    shot.routes, shot.next_url = routing(data)
    return 0
