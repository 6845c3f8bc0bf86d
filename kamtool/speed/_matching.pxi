# What a request is matched to its transaction by. See matching.py.

def match_key(Index index not None, str method not None):
    cdef Text branch, name
    cdef char port[SMALL]
    cdef Py_ssize_t host_size = index._host.end - index._host.start, port_size
    cdef char* target
    kept = open_text(index.branch, &branch)
    if branch.size > 7 and memcmp(branch.p, "z9hG4bK", 7) == 0:
        if not index.branch.isascii() or not method.isascii():
            return f"{index.branch} {text_of_span(index.octets(), index._host)} {index._port} {method}"
        open_text(method, &name)
        port_size = write_number(port, " ", index._port, " ")
        key = PyUnicode_New(branch.size + 1 + host_size + port_size + name.size, 127)
        target = append(<char*>PyUnicode_DATA(key), <const char*>branch.p, branch.size)
        target = append(target, " ", 1)
        target = append(target, <const char*>index.octets() + index._host.start, host_size)
        target = append(target, port, port_size)
        append(target, <const char*>name.p, name.size)
        return key
    via = index.data[index.via_start : index.via_end]
    return index.uri, index.from_tag, index.call_id, index.cseq, via, method
