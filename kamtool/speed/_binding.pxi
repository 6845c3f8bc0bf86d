# What a REGISTER says and what is kept of it. See binding.py.

cdef int CONTACT_ID = _IDS["Contact"], EXPIRES_ID = _IDS["Expires"], USER_AGENT_ID = _IDS["User-Agent"]
cdef int ALLOW_ID = _IDS["Allow"], REQUIRE_ID = _IDS["Require"]


cdef inline int few_digits(Octets p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """A number of one to nine digits that fills the span, else -1."""
    cdef Span span
    if not 1 <= end - at <= 9 or skip(p, at, end, DIGIT) != end:
        return -1
    span.start, span.end = at, end
    return number(p, span)


cdef int thousandths(Octets p, Py_ssize_t at, Py_ssize_t end) noexcept nogil:
    """`0.5` as 500, `1` and `1.0` as 1000; -1 for what is written in another way."""
    cdef int value, place
    if at == end or not (p[at] == c'0' or p[at] == c'1'):
        return -1
    value = 1000 if p[at] == c'1' else 0
    at += 1
    if at == end:
        return value
    if p[at] != c'.':
        return -1
    place = 100
    for at in range(at + 1, end):
        if not KIND[p[at]] & DIGIT or (value == 1000 and p[at] != c'0'):
            return -1
        if value != 1000:
            value += (p[at] - 48) * place
            place //= 10
    return value


def register_fields(Index index not None):
    cdef Octets p = index.octets()
    cdef Row* contact = NULL
    cdef Row* expires_row = NULL
    cdef Row* agent = NULL
    cdef Row* allow = NULL
    cdef Row* row
    cdef NameAddress address
    cdef Parameter param
    cdef SipUri uri
    cdef int place, expires = -1, q = -1
    cdef bint seen_expires = False, seen_q = False, required = False
    cdef Py_ssize_t at
    for place in range(index._row_count):
        row = &index._rows[place]
        if row.id == CONTACT_ID:
            if contact != NULL:
                return None
            contact = row
        elif row.id == EXPIRES_ID:
            if expires_row == NULL:
                expires_row = row
        elif row.id == USER_AGENT_ID:
            if agent == NULL:
                agent = row
        elif row.id == ALLOW_ID:
            if allow != NULL:
                return None
            allow = row
        elif row.id == REQUIRE_ID:
            required = True
    if contact == NULL:
        return None
    if (not scan_name_addr(p, contact.value_start, contact.value_end, &address)
            or skip(p, address.end, contact.value_end, SPACE) != contact.value_end):
        return None
    if (not is_uri(p, address.uri.start, address.uri.end)
            or not scan_sip_uri(p, address.uri.start, address.uri.end, &uri)):
        return None
    at = address.params
    while scan_param(p, at, address.end, &param):
        at = param.end
        if same(p, param.name, "expires", 7):
            if not seen_expires:
                seen_expires, expires = True, few_digits(p, param.value.start, param.value.end)
                if expires < 0:
                    return None
        elif same(p, param.name, "q", 1):
            if not seen_q:
                seen_q, q = True, thousandths(p, param.value.start, param.value.end)
                if q < 0:
                    return None
        elif (same(p, param.name, "+sip.instance", 13) or same(p, param.name, "reg-id", 6)
                or same(p, param.name, "methods", 7)):
            return None
    if not seen_expires and expires_row != NULL:
        expires = few_digits(p, expires_row.value_start, expires_row.value_end)
        if expires < 0:
            return None
    return (
        text_of_span(p, address.uri), expires, q, None if agent == NULL else index.text(agent),
        None if allow == NULL else index.text(allow), required,
    )


def aor_of(str uri not None, bint use_domain, bint case_sensitive):
    cdef Text source
    cdef SipUri found
    cdef Py_ssize_t at, size
    cdef char* target
    cdef const char* text
    if not uri.isascii():
        return None
    kept = open_text(uri, &source)
    if not is_uri(source.p, 0, source.size) or not scan_sip_uri(source.p, 0, source.size, &found):
        return None
    if found.user.start < 0 or memchr(source.p + found.user.start, c'%', found.user.end - found.user.start) != NULL:
        return None
    size = found.user.end - found.user.start
    octets = PyBytes_FromStringAndSize(NULL, size + (found.host.end - found.host.start + 1 if use_domain else 0))
    target = PyBytes_AS_STRING(octets)
    text = <const char*>source.p
    for at in range(found.user.start, found.user.end):
        target[0] = text[at]
        if not case_sensitive and c'A' <= text[at] <= c'Z':
            target[0] = text[at] + 32
        target += 1
    if use_domain:
        target[0] = c'@'
        target += 1
        for at in range(found.host.start, found.host.end):
            target[0] = text[at] + 32 if c'A' <= text[at] <= c'Z' else text[at]
            target += 1
    return PyUnicode_DecodeASCII(PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets), NULL)


def address_part(Index index not None, bint of_to, bint host):
    cdef Span span = index._to_address if of_to else index._from_address
    cdef SipUri found
    cdef Octets p = index.octets()
    if (span.end <= span.start or not is_uri(p, span.start, span.end)
            or not scan_sip_uri(p, span.start, span.end, &found)):
        return None
    if host:
        return text_of_span(p, found.host)
    return None if found.user.end <= found.user.start else text_of_span(p, found.user)


@cython.no_gc  # what it holds knows nothing of contacts, so there are no cycles
cdef class Contact:
    cdef public str aor, uri, ruid, call_id, received, user_agent, socket
    cdef public double expires_at, modified_at
    cdef public long long cseq, connection, methods, cflags, bucket
    cdef public int q
    cdef public object details

    def __init__(self, str aor not None, str uri not None, str ruid not None, double expires_at=0.0,
                 double modified_at=0.0, int q=-1, str call_id not None="", long long cseq=0,
                 str received not None="", str user_agent not None="", str socket not None="",
                 long long connection=0, long long methods=-1, long long cflags=0, object details=_PLAIN):
        self.aor, self.uri, self.ruid = aor, uri, ruid
        self.expires_at, self.modified_at, self.q = expires_at, modified_at, q
        self.call_id, self.cseq, self.received, self.user_agent = call_id, cseq, received, user_agent
        self.socket, self.connection, self.methods, self.cflags = socket, connection, methods, cflags
        self.details = details

    def refresh(self, str uri not None, double expires_at, double modified_at, int q, str call_id not None,
                long long cseq, str received not None, str user_agent not None, str socket not None,
                long long connection, long long methods, long long cflags, object details):
        self.uri = uri
        self.expires_at, self.modified_at, self.q = expires_at, modified_at, q
        self.call_id, self.cseq, self.received, self.user_agent = call_id, cseq, received, user_agent
        self.socket, self.connection, self.methods, self.cflags = socket, connection, methods, cflags
        self.details = details

    def is_valid(self, double now):
        return self.expires_at > now or self.expires_at == 0

    def remaining(self, double now):
        cdef double left = self.expires_at - now - 1e-6
        return <long long>left + 1 if left > 0 else 0

    def plain_entry(self, double now):
        cdef double left = self.expires_at - now - 1e-6
        cdef char number[SMALL]
        cdef Py_ssize_t size
        if self.q >= 0 or self.received or self.details is not _PLAIN:
            return None
        size = write_number(number, ">;expires=", <long>left + 1 if left > 0 else 0, "")
        return "<" + self.uri + PyUnicode_DecodeASCII(number, size, NULL)

    def __repr__(self):
        return f"Contact({self.aor!r}, {self.uri!r}, {self.ruid!r})"


def destinations(tuple contacts not None, double now):
    cdef Contact contact
    found = []
    for one in contacts:
        contact = <Contact?>one
        if contact.details is not _PLAIN:
            return None
        if contact.expires_at > now or contact.expires_at == 0:
            found.append((
                contact.uri, contact.received, contact.q, contact.cflags, contact.socket, contact.ruid,
                contact.user_agent, contact.connection,
            ))
    return found
