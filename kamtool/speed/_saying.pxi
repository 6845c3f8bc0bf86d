# What may be logged as it is, the twin of `saying.py`.

cdef inline bint says(const char* text, Py_ssize_t size, Py_ssize_t at, const char* word, Py_ssize_t length) noexcept:
    """Whether this word, which is in lower case, begins at `at`; its letters may be of any case."""
    cdef Py_ssize_t place
    if at < 0 or at + length > size:
        return False
    for place in range(length):
        if (text[at + place] | 32) != word[place]:
            return False
    return True


cdef unsigned char saying_kinds[256]

cdef void prepare_saying() noexcept:
    """Of each octet what it may be a sign of: 0 of nothing, 1 of what is never said as it is."""
    cdef int letter
    for letter in range(256):
        saying_kinds[letter] = 0 if 32 < letter < 127 else 1
    saying_kinds[32] = 2
    saying_kinds[58] = 3  # :
    saying_kinds[64] = 4  # @
    saying_kinds[80] = saying_kinds[112] = 5  # p, the third or fourth letter of what is looked for

prepare_saying()


def unremarkable(str text not None) -> bool:
    cdef Py_ssize_t size, at = 0
    cdef const unsigned char* p
    cdef const char* letters
    cdef unsigned char kind
    cdef bint after_colon = False
    if not PyUnicode_IS_ASCII(text):
        return False
    letters = PyUnicode_AsUTF8AndSize(text, &size)
    p = <const unsigned char*>letters
    while at < size:
        kind = saying_kinds[p[at]]
        if kind == 0:
            pass
        elif kind == 1:
            return False
        elif kind == 2:
            after_colon = False
        elif kind == 3:
            if says(letters, size, at - 5, b"nline", 5):
                return False
            after_colon = True
        elif kind == 4:
            if after_colon:
                return False
        elif (
            says(letters, size, at - 2, b"esponse", 7) or says(letters, size, at - 2, b"rspauth", 7)
            or says(letters, size, at - 3, b"modparam", 8)
        ):
            return False
        at += 1
    return True
