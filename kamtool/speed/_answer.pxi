# A response without a transaction, with all that it says of its sender. See answer.py.

def answer(Index index not None, int status, bytes status_line not None, str key not None, str host not None, int port,
           bint force_rport, lines, bytes extra not None):
    cdef Text source
    cdef Span sent_by = index._host
    cdef Octets p = index.octets()
    cdef bytes received = b"", tag = b"", more = extra
    cdef long rport = 0
    cdef str line
    kept = open_text(host, &source)
    if force_rport or index.via_rport >= 0:
        rport = port
        received = PyBytes_FromStringAndSize(<const char*>source.p, source.size)
    else:
        if sent_by.end > sent_by.start and p[sent_by.start] == c'[':
            sent_by.start, sent_by.end = sent_by.start + 1, sent_by.end - 1
        if (sent_by.end - sent_by.start != source.size or memcmp(p + sent_by.start, source.p, source.size)
                or index._received.end > index._received.start):
            received = PyBytes_FromStringAndSize(<const char*>source.p, source.size)
    if status > 100 and index._to_tag.start == index._to_tag.end:
        number = hash((index.branch, index.call_id, index.from_tag, index.cseq)) & 0xFFFFFFFF
        tag = b"%b.%08x" % (_encode(key), number)
    if lines and status > 100:
        more = b""
        for line in lines:
            line = line.rstrip("\r\n")
            if line:
                more += _encode(line) + b"\r\n"
        more += extra
    return respond(index, status, status_line, tag, received, rport, more)

