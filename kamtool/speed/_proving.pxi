# The answer to a challenge that is like one before, the twin of `proving.py`.

@cython.final
cdef class Answer:
    cdef readonly bytes asked, before, after, first, ha1, ha2
    cdef readonly tuple pieces
    cdef readonly bint proxy, counted
    cdef object hashed

    def __init__(
        self, bytes asked not None, bytes before not None, bytes after not None, bytes first not None, pieces,
        bytes ha1 not None, bytes ha2 not None, hashed=None,
    ):
        self.asked, self.before, self.after, self.first = b"\r\n" + asked, before, after, first
        self.pieces, self.ha1, self.ha2, self.hashed = tuple(pieces), ha1, ha2, hashed
        self.proxy, self.counted = asked[:1] == b"P", len(self.pieces) == 4
        if not 3 <= len(self.pieces) <= 4:
            raise ValueError("three pieces around nonce and response, four with a cnonce")

    def meets(self, bytes challenge not None, bytes first not None, long long number):
        global filled
        filled = 0
        if not put_answer(self, challenge, PyBytes_AS_STRING(first), PyBytes_GET_SIZE(first), number):
            return b""
        return PyBytes_FromStringAndSize(room, filled)

cdef bint ends_there(const char* text, Py_ssize_t size, Py_ssize_t end) noexcept:
    """Whether a line ends there and is not folded."""
    return end + 1 < size and text[end] == 13 and text[end + 1] == 10 and (
        end + 2 >= size or (text[end + 2] != 32 and text[end + 2] != 9)
    )

cdef int put_hexadecimal(unsigned long long number) except -1:
    """With eight digits or more."""
    cdef char digits[16]
    cdef int at = 16
    while at > 8 or number:
        at -= 1
        digits[at] = b"0123456789abcdef"[number & 15]
        number >>= 4
    return put(digits + at, 16 - at)

cdef int put_answer(Answer one, bytes challenge, const char* first, Py_ssize_t length, long long number) except -1:
    """Put the line if this challenge differs from the known one in nothing but its nonce; whether it was."""
    global filled
    cdef const char* text = PyBytes_AS_STRING(challenge)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(challenge), at, begin, end, before, after, asked = PyBytes_GET_SIZE(one.asked)
    cdef const char* mark
    cdef bint proxy = size > 11 and memcmp(text + 8, b"407", 3) == 0
    if length != PyBytes_GET_SIZE(one.first) or memcmp(first, PyBytes_AS_STRING(one.first), length) or proxy != one.proxy:
        return 0
    at = find(text, size, PyBytes_AS_STRING(one.asked), asked, 0)
    if at < 0:
        return 0
    at += asked
    if at + 2 > size or text[at] != 58 or text[at + 1] != 32:
        return 0
    at += 2
    mark = <const char*>memchr(text + at, 13, size - at)
    before, after = PyBytes_GET_SIZE(one.before), PyBytes_GET_SIZE(one.after)
    if mark == NULL or not ends_there(text, size, mark - text) or (mark - text) - at < before + after:
        return 0
    begin, end = at + before, (mark - text) - after
    if memcmp(text + at, PyBytes_AS_STRING(one.before), before) or memcmp(text + end, PyBytes_AS_STRING(one.after), after):
        return 0
    if memchr(text + begin, 34, end - begin) != NULL or memchr(text + begin, 92, end - begin) != NULL:
        return 0
    put_bytes(<bytes>one.pieces[0])
    put(text + begin, end - begin)
    put_bytes(<bytes>one.pieces[1])
    put_response(one, text + begin, end - begin, number)
    put_bytes(<bytes>one.pieces[2])
    if one.counted:
        put_hexadecimal(<unsigned long long>number)
        put_bytes(<bytes>one.pieces[3])
    return 1

cdef int put_response(Answer one, const char* nonce, Py_ssize_t size, long long number) except -1:
    """The hash of `HA1:nonce:00000001:cnonce:auth:HA2`, or of `HA1:nonce:HA2`: put behind what is filled, and
    replaced by its sum."""
    global filled
    cdef Md5 md5
    cdef char digits[32]
    cdef Py_ssize_t begin = filled
    put_bytes(one.ha1)
    put(b":", 1)
    put(nonce, size)
    put(b":", 1)
    if one.counted:
        put(b"00000001:", 9)
        put_hexadecimal(<unsigned long long>number)
        put(b":auth:", 6)
    put_bytes(one.ha2)
    if one.hashed is not None:
        kept = PyBytes_FromStringAndSize(room, begin)
        made = one.hashed(PyBytes_FromStringAndSize(room + begin, filled - begin)).encode()
        filled = 0
        put_bytes(kept)  # whatever the caller's function did with our room
        return put_bytes(made)
    md5_begin(&md5)
    md5_add(&md5, <const unsigned char*>room + begin, filled - begin)
    md5_end(&md5, digits)
    filled = begin
    return put(digits, 32)
