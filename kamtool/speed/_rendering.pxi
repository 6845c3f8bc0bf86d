# The octets of a message of a call.

cdef bytes made(Shot shot, Stage stage, list rows, object prove, dict answers):
    global filled
    cdef Operation one
    cdef Py_ssize_t length
    filled = 0
    for one in stage.body:
        if one.code < 0:
            put_bytes(one.text)
        else:
            put_value(shot, one, 0, rows, prove, answers)
    length = filled
    if stage.body and length:
        body = PyBytes_FromStringAndSize(room, length)
    else:
        body = None
    filled = 0
    for one in stage.head:
        if one.code < 0:
            put_bytes(one.text)
        else:
            put_value(shot, one, length, rows, prove, answers)
    if body is not None:
        put_bytes(<bytes>body)
    return PyBytes_FromStringAndSize(room, filled)

cdef int put_value(Shot shot, Operation one, Py_ssize_t length, list rows, object prove, dict answers) except -1:
    global filled
    cdef Py_ssize_t begun = filled
    cdef tuple row
    if one.code == NUMBER:
        put_number(shot.number + one.amount)
    elif one.code == CALL_ID:
        put_bytes(shot.call_id)
    elif one.code == LENGTH:
        put_number(length + one.amount)
    elif one.code == CSEQ:
        put_number(shot.cseq + one.amount)
    elif one.code == TO_TAG:
        put_tag(shot.last)
    elif one.code == LAST:
        put_line(shot.last, one.text)
    elif one.code == FIELD:
        if rows:
            row = <tuple>rows[shot.row % len(rows)]
            if one.amount < len(row):
                put_bytes(row[one.amount])
    elif one.code == ROUTES:
        if shot.routes:
            put(b"Route: ", 7)
            put_bytes(shot.routes)
    elif one.code == NEXT_URL:
        put_bytes(shot.next_url)
    elif one.code == PROOF:
        if prove is not None and shot.challenge:
            put_proof(shot, one, rows, prove, answers)
    if one.vanishes and filled > begun:
        put(b"\r\n", 2)
    return 0

cdef int put_proof(Shot shot, Operation one, list rows, object prove, dict answers) except -1:
    global filled
    cdef Py_ssize_t length = find(room, filled, b"\r\n", 2, 0)
    if length < 0:
        length = filled
    known = answers.get(shot.row % len(rows) if rows else 0)
    if known is not None:
        for answer in <list?>known:
            if put_answer(<Answer?>answer, shot.challenge, room, length, shot.number):
                return 0
    kept, first = PyBytes_FromStringAndSize(room, filled), PyBytes_FromStringAndSize(room, length)
    value = prove(one.argument, shot.challenge, first, shot.row, shot.number)
    filled = 0
    put_bytes(kept)  # whatever the caller's function did with our room
    return put_bytes(value)
