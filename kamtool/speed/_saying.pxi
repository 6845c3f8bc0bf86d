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


def unremarkable(str text not None) -> bool:
    cdef Py_ssize_t size, at, length = len(text)
    cdef const char* p
    cdef unsigned char letter
    cdef bint after_colon = False
    if not PyUnicode_IS_ASCII(text):
        return False
    p = PyUnicode_AsUTF8AndSize(text, &size)
    for at in range(size):
        letter = <unsigned char>p[at]
        if letter < 32 or letter > 126:
            return False
        if letter == 58:  # :
            if says(p, size, at - 5, b"nline", 5):
                return False
            after_colon = True
        elif letter == 32:
            after_colon = False
        elif letter == 64:  # @
            if after_colon:
                return False
        elif letter | 32 == 112:  # p, the third or fourth letter of what is looked for
            if says(p, size, at - 2, b"esponse", 7) or says(p, size, at - 2, b"rspauth", 7) or says(p, size, at - 3, b"modparam", 8):
                return False
    return True
