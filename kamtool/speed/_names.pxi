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
    Py_ssize_t size
    int id
    int next

cdef list _kept = [name.lower().encode() for name, _ in _HEADERS]  # owns the octets that NAME_TABLE points to
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
        NAME_TABLE[number].size = len(lower)
        NAME_TABLE[number].id = number
        NAME_TABLE[number].next = BUCKETS[bucket]
        BUCKETS[bucket] = number
        compact = _HEADERS[number - 1][1]
        if compact:
            COMPACT[ord(compact)] = COMPACT[ord(compact.upper())] = number

_fill_names()

cdef inline int name_id(Octets p, Py_ssize_t start, Py_ssize_t end) noexcept nogil:
    cdef Span span
    cdef int number
    if end - start == 1:
        return COMPACT[p[start]]
    span.start, span.end = start, end
    number = BUCKETS[(((end - start) & 31) << 5) | (p[start] & 31)]
    while number:
        if same(p, span, NAME_TABLE[number].lower, NAME_TABLE[number].size):
            return number
        number = NAME_TABLE[number].next
    return 0


cdef tuple _method_names = _METHODS
cdef frozenset _known_methods = frozenset(_METHODS)

cdef str method_of(Octets p, Span span):
    """The method's name; of those that are known, always the same object."""
    cdef str name
    cdef Py_ssize_t size = span.end - span.start, at
    cdef Py_ssize_t length
    cdef const char* octets
    if p[span.start] >= c'A' and p[span.start] <= c'Z':
        for name in _method_names:
            octets = PyUnicode_AsUTF8AndSize(name, &length)
            if length == size and octets[0] == p[span.start]:
                at = 1
                while at < size and <unsigned char>octets[at] == p[span.start + at]:
                    at += 1
                if at == size:
                    return name
    return text_of_span(p, span)
