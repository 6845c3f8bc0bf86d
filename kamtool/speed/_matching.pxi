# What a request is matched to its transaction by. See matching.py.

def match_key(Index index not None, str method not None):
    cdef Text branch
    kept = open_text(index.branch, &branch)
    if branch.size > 7 and memcmp(branch.p, "z9hG4bK", 7) == 0:
        return index.branch, text_of_span(index.octets(), index._host), index._port, method
    via = index.data[index.via_start : index.via_end]
    return index.uri, index.from_tag, index.call_id, index.cseq, via, method
