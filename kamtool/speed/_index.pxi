# One pass over a message. The steps and their order are those of index.py, so that both fail alike.

cdef struct Row:
    int id
    int start
    int name_end
    int value_start
    int value_end
    int end

cdef int fail(str reason, str header="", Py_ssize_t offset=0, int status=400) except -1:
    raise ParseError(reason, header=header, offset=offset, status=status)


cdef enum:
    ON_STACK = 64


@cython.no_gc  # the memos hold values that know nothing of their message, so there are no cycles
cdef class Index:
    cdef readonly bytes data
    cdef readonly str method, uri, call_id, branch, cseq_method
    cdef str _from_text, _to_text, _from_user, _from_host, _to_tag_text
    cdef public object from_memo, to_memo, via_memo, uri_memo
    cdef readonly bint is_request
    cdef readonly int status, first_line_end, head_end, body_start
    cdef readonly int uri_start, uri_end, to_end, max_forwards_start, max_forwards_end
    cdef readonly int via_line, via_start, via_end, via_insert, via_rport
    cdef readonly int received_start, received_end, rport_start, rport_end
    cdef readonly unsigned int cseq
    cdef int _max_forwards, _content_length, _row_count
    cdef SipUri _uri
    cdef bint _is_sip
    cdef Span _from_address, _to_address, _from_tag, _to_tag, _transport, _host, _received, _reason
    cdef int _port
    cdef Row* _rows

    def __cinit__(self, bytes data not None, bint stream=False, bint salvage=False):
        cdef Octets p = <Octets>PyBytes_AS_STRING(data)
        cdef int first[KNOWN]
        cdef int second[KNOWN]
        cdef Octets line
        cdef int end, number
        if PyBytes_GET_SIZE(data) > INT_MAX - 64:
            fail("too long", "", 0, 513)
        if PyBytes_GET_SIZE(data) and (p[0] == c'\r' or p[0] == c'\n'):
            data = data.lstrip(b"\r\n")
            p = <Octets>PyBytes_AS_STRING(data)
        self.data = data
        self.method = self.uri = self.call_id = self.branch = self.cseq_method = ""
        self.uri_start = self.uri_end = self.to_end = self.max_forwards_start = self.max_forwards_end = -1
        self.via_line = self.via_start = self.via_end = self.via_insert = self.via_rport = -1
        self.received_start = self.received_end = self.rport_start = self.rport_end = -1
        self._max_forwards = self._content_length = -1
        line = <Octets>memchr(p, c'\n', PyBytes_GET_SIZE(data))
        if line == NULL:
            fail("no complete first line")
        end = <int>(line - p)
        self.first_line_end = end + 1
        if end and p[end - 1] == c'\r':
            end -= 1
        self.is_request = not (PyBytes_GET_SIZE(data) >= 4 and p[0] | 32 == c's' and p[1] | 32 == c'i'
                               and p[2] | 32 == c'p' and p[3] == c'/')
        for number in range(KNOWN):
            first[number] = second[number] = -1
        if salvage:
            self.salvage(p, end, stream, first, second)
            return
        if self.is_request:
            self.request_line(p, end)
        else:
            self.status_line(p, end)
        self.index_headers(p, False, first, second)
        read_via(self, p, first[VIA])
        read_address(self, p, first, second, FROM)
        read_address(self, p, first, second, TO)
        self.scan_call_id(p, first, second)
        self.scan_cseq(p, first, second)
        self.scan_max_forwards(p, first, second)
        self.scan_content_length(p, first, second, stream)

    cdef int salvage(self, Octets p, int end, bint stream, int* first, int* second) except -1:
        cdef int step
        try:
            if self.is_request:
                self.request_line(p, end)
            else:
                self.status_line(p, end)
        except ParseError:
            pass
        self.index_headers(p, True, first, second)
        for step in range(7):
            try:
                if step == 0:
                    read_via(self, p, first[VIA])
                elif step == 1:
                    read_address(self, p, first, second, FROM)
                elif step == 2:
                    read_address(self, p, first, second, TO)
                elif step == 3:
                    self.scan_call_id(p, first, second)
                elif step == 4:
                    self.scan_cseq(p, first, second)
                elif step == 5:
                    self.scan_max_forwards(p, first, second)
                else:
                    self.scan_content_length(p, first, second, stream)
            except ParseError:
                pass
        return 0

    def __getattribute__(self, name):
        cdef int which = place_of(<PyObject*>name)
        return PyObject_GenericGetAttr(self, name) if which < 0 else at_place(self, which)

    def __dealloc__(self):
        PyMem_Free(self._rows)

    cdef int request_line(self, Octets p, int end) except -1:
        cdef Span method, version
        cdef int space
        method.start, method.end = 0, skip(p, 0, end, TOKEN)
        if method.end == 0 or not is_at(p, method.end, end, c' '):
            fail("malformed request line")
        space = end - 1
        while p[space] != c' ':  # there is one, at method.end
            space -= 1
        if space <= method.end:
            fail("malformed request line")
        self.method = method_of(p, method)
        if not (end - space > 4 and p[space + 1] | 32 == c's' and p[space + 2] | 32 == c'i'
                and p[space + 3] | 32 == c'p' and p[space + 4] == c'/'):
            fail("malformed request line")
        version.start, version.end = space + 5, end
        self.check_version(p, version, "malformed request line")
        self.uri_start, self.uri_end = <int>method.end + 1, space
        if not is_uri(p, self.uri_start, space):
            fail("malformed Request-URI", "", self.uri_start)
        self.uri = text_of(p, self.uri_start, space)
        self._uri.scheme_end = skip_until(p, self.uri_start, space, c':', c':')
        if is_sip(p, self.uri_start, self._uri.scheme_end):
            # §19.1.1: a Request-URI carries no headers; passing them on would be worse than refusing them.
            if not scan_sip_uri(p, self.uri_start, space, &self._uri) or self._uri.headers.start >= 0:
                fail("malformed Request-URI", "", self.uri_start)
            self._is_sip = True
        return 0

    cdef int check_version(self, Octets p, Span version, str reason) except -1:
        cdef Py_ssize_t dot = skip(p, version.start, version.end, DIGIT)
        cdef Py_ssize_t stop
        if version.end - version.start == 3 and p[version.start] == c'2' and p[dot] == c'.' and p[dot + 1] == c'0':
            return 0
        stop = skip(p, dot + 1, version.end, DIGIT) if is_at(p, dot, version.end, c'.') else -1
        if dot == version.start or stop != version.end or stop == dot + 1:
            fail(reason)
        return fail("SIP version not supported", "", 0, 505)

    cdef int status_line(self, Octets p, int end) except -1:
        cdef Span version
        cdef int at
        version.start, version.end = 4, skip_until(p, 4, end, c' ', c' ')
        at = <int>version.end
        # Three digits of a status, then the end or a space: all of it before the version is judged.
        if not (end - at >= 4 and c'1' <= p[at + 1] <= c'6' and KIND[p[at + 2]] & DIGIT and KIND[p[at + 3]] & DIGIT
                and (end - at == 4 or p[at + 4] == c' ')):
            fail("malformed status line")
        self.check_version(p, version, "malformed status line")
        self.status = (p[at + 1] - 48) * 100 + (p[at + 2] - 48) * 10 + (p[at + 3] - 48)
        if end - at > 4:
            self._reason.start, self._reason.end = at + 5, end
        return 0

    cdef int index_headers(self, Octets p, bint salvage, int* first, int* second) except -1:
        cdef Row on_stack[ON_STACK]
        cdef Row* rows = on_stack
        cdef Row* more
        cdef int count = 0, room = ON_STACK
        cdef Py_ssize_t at = self.first_line_end, size = PyBytes_GET_SIZE(self.data)
        cdef Py_ssize_t stop, colon
        cdef Span value
        cdef Octets line
        cdef int number
        try:
            while True:
                if at == size or p[at] <= c'\r':
                    if is_at(p, at, size, c'\n'):
                        self.head_end, self.body_start = <int>at, <int>at + 1
                        break
                    if is_at(p, at, size, c'\r') and is_at(p, at + 1, size, c'\n'):
                        self.head_end, self.body_start = <int>at, <int>at + 2
                        break
                stop = at
                while True:
                    line = <Octets>memchr(p + stop, c'\n', size - stop)
                    if line == NULL:
                        break
                    stop = line - p + 1
                    if not (stop < size and (p[stop] == c' ' or p[stop] == c'\t')):
                        break
                if line == NULL:
                    if not salvage:
                        fail("the headers do not end", "", at)
                    self.head_end = self.body_start = <int>size
                    break
                line = <Octets>memchr(p + at, c':', stop - at)
                colon = line - p if line != NULL else at
                number = name_id(p, at, colon) if colon > at else 0
                if not number:
                    colon = skip(p, at, stop, TOKEN)
                    number = name_id(p, at, colon) if colon > at else -1
                value.end = colon
                while p[colon] == c' ' or p[colon] == c'\t':  # a line end stands at stop - 1
                    colon += 1
                if number < 0 or p[colon] != c':':
                    if not salvage:
                        fail("malformed header line", "", at)
                    at = stop
                    continue
                if count == room:
                    more = <Row*>PyMem_Realloc(NULL if rows == on_stack else rows, 4 * room * sizeof(Row))
                    if more == NULL:
                        raise MemoryError
                    if rows == on_stack:
                        memcpy(more, rows, count * sizeof(Row))
                    rows, room = more, 4 * room
                rows[count].id = number
                rows[count].start, rows[count].name_end = <int>at, <int>value.end
                value.start, value.end = colon + 1, stop - 1
                if value.end - value.start > 2:  # nearly all values stand between one space and CR
                    if p[value.start] == c' ':
                        value.start += 1
                    if p[value.end - 1] == c'\r' and p[value.end - 2] > c' ':
                        value.end -= 1
                if p[value.start] <= c' ' or p[value.end - 1] <= c' ':
                    trim(p, &value)
                rows[count].value_start, rows[count].value_end = <int>value.start, <int>value.end
                rows[count].end = <int>stop
                if number and number < KNOWN:
                    if first[number] < 0:
                        first[number] = count
                    elif second[number] < 0:
                        second[number] = count
                count += 1
                at = stop
            if count:
                self._rows = <Row*>PyMem_Malloc(count * sizeof(Row))
                if self._rows == NULL:
                    raise MemoryError
                memcpy(self._rows, rows, count * sizeof(Row))
            self._row_count = count
        finally:
            if rows != on_stack:
                PyMem_Free(rows)
        return 0

    cdef Row* one(self, int* first, int* second, int number, bint required=True) except? NULL:
        """The only row of this header, NULL without an error when it is absent and need not be there."""
        if second[number] >= 0:
            fail("more than one", _NAMES[number], self._rows[second[number]].start)
        if first[number] < 0:
            if required:
                fail("missing", _NAMES[number])
            return NULL
        return &self._rows[first[number]]

    cdef int scan_call_id(self, Octets p, int* first, int* second) except -1:
        cdef Row* row = self.one(first, second, CALL_ID)
        cdef Py_ssize_t at = row.value_start
        while at < row.value_end and p[at] > 32:
            at += 1
        if at != row.value_end or at == row.value_start:
            fail("malformed", "Call-ID", row.value_start)
        self.call_id = text_of(p, row.value_start, row.value_end)
        return 0

    cdef int scan_cseq(self, Octets p, int* first, int* second) except -1:
        cdef Row* row = self.one(first, second, CSEQ)
        cdef Span method
        cdef Py_ssize_t at = row.value_start, stop
        cdef unsigned long long value = 0
        stop = skip(p, at, row.value_end, DIGIT)
        method.start = skip(p, stop, row.value_end, SPACE)
        method.end = skip(p, method.start, row.value_end, TOKEN)
        if stop == at or method.start == stop or method.end != row.value_end or method.end == method.start:
            fail("malformed", "CSeq", row.value_start)
        while at < stop and value <= 0xFFFFFFFFULL:
            value = value * 10 + (p[at] - 48)
            at += 1
        if value > 0xFFFFFFFFULL:
            fail("malformed", "CSeq", row.value_start)
        self.cseq = <unsigned int>value
        self.cseq_method = method_of(p, method)
        if not self.is_request:
            self.method = self.cseq_method
        elif self.method is not self.cseq_method and self.method != self.cseq_method:
            # RFC 4475 §3.1.2.18: of a method nobody knows, the more useful answer is that nobody knows it.
            fail("not the method of the request", "CSeq", row.value_start,
                 400 if self.method in _known_methods else 501)
        return 0

    cdef int number_in(self, Octets p, Row* row, int number) except -1:
        """The digits that fill a row's value; 999,999,999 stands for all that is larger."""
        cdef Py_ssize_t at = row.value_start
        cdef long long value = 0
        if at == row.value_end or skip(p, at, row.value_end, DIGIT) != row.value_end:
            fail("malformed", _NAMES[number], row.value_start)
        while at < row.value_end and value <= 999_999_999:
            value = value * 10 + (p[at] - 48)
            at += 1
        return <int>value if value < 999_999_999 else 999_999_999

    cdef int scan_max_forwards(self, Octets p, int* first, int* second) except -1:
        cdef Row* row = self.one(first, second, MAX_FORWARDS, False)
        cdef int value
        if row != NULL:
            # §20.22 ends at 255. A larger one is read as that, so that it still becomes less at every hop.
            value = self.number_in(p, row, MAX_FORWARDS)
            self._max_forwards = value if value < 255 else 255
            self.max_forwards_start, self.max_forwards_end = row.value_start, row.value_end
        return 0

    cdef int scan_content_length(self, Octets p, int* first, int* second, bint stream) except -1:
        cdef Row* row = self.one(first, second, CONTENT_LENGTH, False)
        cdef int there = <int>PyBytes_GET_SIZE(self.data) - self.body_start
        cdef int value
        if row == NULL:
            if stream:
                fail("missing", "Content-Length")
            return 0
        value = self.number_in(p, row, CONTENT_LENGTH)
        if value > there:
            fail(f"says {value} octets where {there} are", "Content-Length", row.value_start)
        self._content_length = value
        if value < there:
            self.data = self.data[: self.body_start + value]
        return 0

    cdef inline Octets octets(self) noexcept:
        return <Octets>PyBytes_AS_STRING(self.data)

    @property
    def max_forwards(self):
        return None if self._max_forwards < 0 else self._max_forwards

    @property
    def content_length(self):
        return None if self._content_length < 0 else self._content_length

    @property
    def from_address(self):
        return from_address_of(self)

    @property
    def to_address(self):
        return to_address_of(self)

    @property
    def from_user(self):
        if self._from_user is None:
            self.split_from()
        return self._from_user

    @property
    def from_host(self):
        if self._from_host is None:
            self.split_from()
        return self._from_host

    cdef int split_from(self) except -1:
        cdef SipUri found
        cdef Octets p = self.octets()
        cdef Span span = self._from_address
        if span.end > span.start and is_uri(p, span.start, span.end) and scan_sip_uri(p, span.start, span.end, &found):
            self._from_user = text_of_span(p, found.user) if found.user.end > found.user.start else ""
            self._from_host = text_of_span(p, found.host)
        else:
            self._from_user = self._from_host = ""
        return 0

    @property
    def from_tag(self):
        return text_of_span(self.octets(), self._from_tag)

    @property
    def to_tag(self):
        return to_tag_of(self)

    @property
    def via_transport(self):
        return transport_of(self.octets(), self._transport)

    @property
    def via_host(self):
        return text_of_span(self.octets(), self._host)

    @property
    def via_port(self):
        return self._port

    @property
    def via_received(self):
        return text_of_span(self.octets(), self._received)

    @property
    def uri_scheme(self):
        if not self.uri:
            return ""
        return text_of(self.octets(), self.uri_start, self._uri.scheme_end).lower()

    @property
    def uri_user(self):
        if not self._is_sip or self._uri.user.start < 0:
            return ""
        return text_of_span(self.octets(), self._uri.user)

    @property
    def uri_host(self):
        return text_of_span(self.octets(), self._uri.host) if self._is_sip else ""

    @property
    def uri_port(self):
        return self._uri.port if self._is_sip and self._uri.port > 0 else 0

    @property
    def body(self):
        return self.data[self.body_start :]

    @property
    def reason(self):
        return text_of_span(self.octets(), self._reason)

    @property
    def row_count(self):
        return self._row_count

    def row(self, Py_ssize_t number):
        cdef Row* row = self.row_at(number)
        return _Row(row.id, row.start, row.name_end, row.value_start, row.value_end, row.end)

    cdef Row* row_at(self, Py_ssize_t number) except NULL:
        if not 0 <= number < self._row_count:
            raise IndexError(number)
        return &self._rows[number]

    cdef Py_ssize_t next_place(self, Py_ssize_t place, int number, bytes lower) except -2:
        """The first row from `place` on that has this id, or with id 0 this name in lower case; -1 when none has."""
        cdef Row* row
        cdef Span name
        while place < self._row_count:
            row = &self._rows[place]
            if row.id == number:
                if number:
                    return place
                name.start, name.end = row.start, row.name_end
                if (name.end - name.start == PyBytes_GET_SIZE(lower)
                        and self.data[name.start : name.end].lower() == lower):
                    return place
            place += 1
        return -1

    def find(self, str name not None):
        cdef int number = known_id(name)
        cdef bytes lower = None if number else lowered(name)
        cdef Py_ssize_t place = self.next_place(0, number, lower)
        cdef list places = []
        while place >= 0:
            places.append(place)
            place = self.next_place(place + 1, number, lower)
        return places

    cdef str text(self, Row* row):
        cdef Octets p = self.octets()
        if memchr(p + row.value_start, c'\n', row.value_end - row.value_start) != NULL:
            return _unfold(self.data[row.value_start : row.value_end]).decode("utf-8", "surrogateescape")
        return text_of(p, row.value_start, row.value_end)

    def value(self, Py_ssize_t number):
        return self.text(self.row_at(number))

    def header(self, str name not None):
        cdef int number = known_id(name)
        cdef Py_ssize_t place = self.next_place(0, number, None if number else lowered(name))
        return None if place < 0 else self.text(&self._rows[place])

    def headers(self, str name not None):
        cdef int number = known_id(name)
        cdef bytes lower = None if number else lowered(name)
        cdef Py_ssize_t place = self.next_place(0, number, lower)
        cdef list values = []
        while place >= 0:
            values.append(self.text(&self._rows[place]))
            place = self.next_place(place + 1, number, lower)
        return values

    def entries(self, str name not None):
        cdef Octets p = self.octets()
        cdef Row* row
        cdef ListScan scan
        cdef Span span
        cdef Py_ssize_t at
        cdef list result = [], spans
        cdef int which, count
        for place in self.find(name):
            row = &self._rows[<Py_ssize_t>place]
            spans = []
            scan.no_quote = scan.no_angle = False
            at = row.value_start
            while at <= row.value_end:
                span.start, span.end = at, skip_member(p, at, row.value_end, &scan)
                at = span.end + 1
                trim(p, &span)
                if span.start < span.end:
                    spans.append((span.start, span.end))
            count = len(spans)
            for which in range(count):
                start, end = spans[which]
                if count == 1:
                    result.append((row.start, row.end, start, end))
                elif which + 1 < count:
                    result.append((start, spans[which + 1][0], start, end))
                else:
                    result.append((spans[which - 1][1], end, start, end))
        return result


cdef dict ID_OF = dict(_IDS)


cdef int known_id(str name) except -1:
    cdef PyObject* number = PyDict_GetItemWithError(ID_OF, name)
    if number == NULL:
        number = PyDict_GetItemWithError(ID_OF, name.lower())
    return 0 if number == NULL else <object>number


cdef inline bytes lowered(str name):
    return _encode(name.lower())
