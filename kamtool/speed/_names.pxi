# Header names to ids. A name is sought among those of its length and first letter, which are one or two.

cdef enum:
    VIA = 1
    FROM = 2
    TO = 3
    CALL_ID = 4
    CSEQ = 5
    MAX_FORWARDS = 6
    CONTENT_LENGTH = 7
    ROUTE = 8
    RECORD_ROUTE = 9
    TIMESTAMP = 10
    KNOWN = 11      # below this the first row is remembered

assert _NAMES[1:11] == (
    "Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Route", "Record-Route", "Timestamp",
)  # fmt: skip

cdef struct Name:
    const char* lower
    const char* cases   # 32 where the octet is a letter, which may be written large
    Py_ssize_t size
    int id
    int next

# These own the octets that NAME_TABLE points to.
cdef list _kept = [name.lower().encode() for name, _ in _HEADERS]
cdef list _cases = [bytes(32 if 97 <= octet <= 122 else 0 for octet in lower) for lower in _kept]
cdef Name* NAME_TABLE = <Name*>PyMem_Malloc((len(_HEADERS) + 1) * sizeof(Name))
cdef int BUCKETS[1024]
cdef int COMPACT[256]

cdef void _fill_names():
    cdef int number, bucket
    cdef bytes lower
    for number in range(1024):
        BUCKETS[number] = 0
    for number in range(256):
        COMPACT[number] = 0
    for number in range(1, len(_HEADERS) + 1):
        lower = _kept[number - 1]
        bucket = ((len(lower) & 31) << 5) | (lower[0] & 31)
        NAME_TABLE[number].lower = PyBytes_AS_STRING(lower)
        NAME_TABLE[number].cases = PyBytes_AS_STRING(<bytes>_cases[number - 1])
        NAME_TABLE[number].size = len(lower)
        NAME_TABLE[number].id = number
        NAME_TABLE[number].next = BUCKETS[bucket]
        BUCKETS[bucket] = number
        compact = _HEADERS[number - 1][1]
        if compact:
            COMPACT[ord(compact)] = COMPACT[ord(compact.upper())] = number

_fill_names()

cdef inline uint64_t eight(const void* at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word


cdef inline uint32_t four(const void* at) noexcept nogil:
    cdef uint32_t word
    memcpy(&word, at, 4)
    return word


cdef inline bint named(Octets text, Name* name) noexcept nogil:
    """Whether these octets, as many as the name has, are the name; nothing but the case of letters may differ."""
    cdef const char* lower = name.lower
    cdef const char* cases = name.cases
    cdef Py_ssize_t size = name.size, at = 0
    if size < 4:
        while at < size and (text[at] == <unsigned char>lower[at] or text[at] ^ <unsigned char>lower[at] == cases[at]):
            at += 1
        return at == size
    if size < 8:
        return not ((four(text) ^ four(lower)) & ~four(cases)
                    | (four(text + size - 4) ^ four(lower + size - 4)) & ~four(cases + size - 4))
    while at + 8 < size:
        if (eight(text + at) ^ eight(lower + at)) & ~eight(cases + at):
            return False
        at += 8
    at = size - 8
    return not (eight(text + at) ^ eight(lower + at)) & ~eight(cases + at)


cdef inline int name_id(Octets p, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    """The id of a header's name, 0 for one that is not known: whatever octets there are."""
    cdef int number
    if end - start == 1:
        return COMPACT[p[start]]
    number = BUCKETS[(((end - start) & 31) << 5) | (p[start] & 31)]
    while number:
        if NAME_TABLE[number].size == end - start and named(p + start, &NAME_TABLE[number]):
            return number
        number = NAME_TABLE[number].next
    return 0


cdef enum:
    METHOD_COUNT = 16

cdef tuple _method_names = _METHODS
cdef frozenset _known_methods = frozenset(_METHODS)
cdef list _method_octets = [name.encode() for name in _METHODS]
cdef const char* METHOD_TEXT[METHOD_COUNT]
cdef Py_ssize_t METHOD_SIZE[METHOD_COUNT]
cdef int method_count = <int>len(_METHODS)

assert method_count <= METHOD_COUNT

cdef void _fill_methods():
    cdef int number
    for number in range(method_count):
        METHOD_TEXT[number] = PyBytes_AS_STRING(<bytes>_method_octets[number])
        METHOD_SIZE[number] = PyBytes_GET_SIZE(<bytes>_method_octets[number])

_fill_methods()

cdef str method_of(Octets p, Span span):
    """The method's name; of those that are known, always the same object."""
    cdef Py_ssize_t size = span.end - span.start
    cdef int number
    for number in range(method_count):
        if (METHOD_SIZE[number] == size and METHOD_TEXT[number][0] == <char>p[span.start]
                and not memcmp(METHOD_TEXT[number], p + span.start, size)):
            return <str>_method_names[number]
    return text_of_span(p, span)
