# Values inside headers, given as text. See scanners.py.

cdef struct Text:
    Octets p
    Py_ssize_t size


cdef object open_text(str text, Text* found):
    """Point at the text's octets; the result must be kept as long as they are used."""
    cdef bytes octets
    if text is None:
        raise TypeError("not a str: None")
    if text.isascii():
        found.p = <Octets>PyUnicode_AsUTF8AndSize(text, &found.size)
        return text
    octets = _encode(text)
    found.p, found.size = <Octets>PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets)
    return octets


cdef dict params_of(Octets p, Py_ssize_t at, Py_ssize_t end):
    cdef dict params = {}
    cdef Parameter param
    cdef str name
    while scan_param(p, at, end, &param):
        name = text_of_span(p, param.name).lower()
        if name not in params:
            params[name] = None if param.value.start < 0 else text_of_span(p, param.value)
        at = param.end
    return params


def split_list(str text):
    cdef Text source
    cdef ListScan scan
    cdef Span span
    cdef Py_ssize_t at = 0
    cdef list members = []
    kept = open_text(text, &source)
    scan.no_quote = scan.no_angle = False
    while at <= source.size:
        span.start, span.end = at, skip_member(source.p, at, source.size, &scan)
        at = span.end + 1
        trim(source.p, &span)
        if span.start < span.end:
            members.append(text_of_span(source.p, span))
    return members


def split_params(str text):
    cdef Text source
    cdef Py_ssize_t at
    kept = open_text(text, &source)
    at = skip_params(source.p, 0, source.size)
    if skip(source.p, at, source.size, SPACE) != source.size:
        fail("malformed parameters", "", at)
    return params_of(source.p, 0, source.size)


def split_name_addr(str text):
    cdef Text source
    cdef NameAddress found
    kept = open_text(text, &source)
    if (not scan_name_addr(source.p, 0, source.size, &found)
            or skip(source.p, found.end, source.size, SPACE) != source.size):
        fail(f"malformed address {text!r}")
    while found.display.end > found.display.start and KIND[source.p[found.display.end - 1]] & SPACE:
        found.display.end -= 1
    return (
        text_of_span(source.p, found.display), text_of_span(source.p, found.uri),
        params_of(source.p, found.params, found.end),
    )


def split_via(str text):
    cdef Text source
    cdef ViaEntry found
    kept = open_text(text, &source)
    if not scan_via(source.p, 0, source.size, &found) or skip(source.p, found.end, source.size, SPACE) != source.size:
        fail(f"malformed Via {text!r}")
    return (
        f"{text_of_span(source.p, found.name)}/{text_of_span(source.p, found.version)}",
        text_of_span(source.p, found.transport), text_of_span(source.p, found.host),
        None if found.port < 0 else found.port, params_of(source.p, found.params, found.end),
    )


def split_uri(str text):
    cdef Text source
    cdef SipUri found
    kept = open_text(text, &source)
    if not is_uri(source.p, 0, source.size) or not scan_sip_uri(source.p, 0, source.size, &found):
        fail(f"malformed URI {text!r}")
    return (
        text_of(source.p, 0, found.scheme_end).lower(),
        None if found.user.start < 0 else text_of_span(source.p, found.user),
        None if found.password.start < 0 else text_of_span(source.p, found.password),
        text_of_span(source.p, found.host),
        None if found.port < 0 else found.port,
        text_of_span(source.p, found.params),
        "" if found.headers.start < 0 else text_of_span(source.p, found.headers),
    )


def split_credentials(str text):
    cdef Octets p
    cdef Py_ssize_t at, end, stop
    cdef Span name, value
    cdef dict params = {}
    cdef Py_ssize_t count = 0
    if text is None:
        raise TypeError("not a str: None")
    if not text.isascii():
        return None
    p = <Octets>PyUnicode_AsUTF8AndSize(text, &end)
    at = 0
    while True:
        while is_at(p, at, end, c' '):
            at += 1
        name.start = at
        while at < end and KIND[p[at]] & (ALPHA | DIGIT):
            at += 1
        name.end = at
        if name.start == at or not is_at(p, at, end, c'='):
            return None
        at += 1
        if is_at(p, at, end, c'"'):
            value.start = at + 1
            stop = value.start
            while stop < end and 32 <= p[stop] < 127 and p[stop] != c'"' and p[stop] != c'\\':
                stop += 1
            if not is_at(p, stop, end, c'"'):
                return None
            value.end, at = stop, stop + 1
        else:
            value.start = at
            while at < end and KIND[p[at]] & TOKEN:
                at += 1
            value.end = at
            if value.start == at:
                return None
        params[text_of_span(p, name).lower()] = text_of_span(p, value)
        count += 1
        while is_at(p, at, end, c' '):
            at += 1
        if at == end:
            return params if len(params) == count else None
        if p[at] != c',':
            return None
        at += 1
