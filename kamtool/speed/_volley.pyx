# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""What `volley.py` does, in C; its docstrings there are the reference. And `recv_stamped` (Linux): a batch of
datagrams with the kernel's time of each one's arrival.

What is rare (a folded header, several Vias, a challenge) goes through Python's functions. Every use of a pointer is
preceded by a comparison with the end of its span.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from cpython.list cimport PyList_Append
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memset
from libc.time cimport time_t

import heapq as _heapq
import socket as _socket
from collections import deque as _deque

from kamtool.speed.volley import COMPACT as _COMPACT, header_line as _any_header_line, to_tag as _any_to_tag

cdef enum:
    SEND = 0
    RECV = 1
    PAUSE = 2
    NOP = 3
    END = 4
    CALL = 0
    RINGING = 1
    MEASURES = 16
    BUCKETS = 23 * 1024 + 2048

cdef enum:
    NUMBER = 0
    CALL_ID
    LENGTH
    CSEQ
    TO_TAG
    LAST
    FIELD
    ROUTES
    NEXT_URL
    PROOF

cdef double T2 = 4.0
cdef double NEVER = float("inf")
cdef uint64_t HIGHEST = 3_600_000_000

cdef extern from "string.h":
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length) nogil

cdef object push = _heapq.heappush, pop = _heapq.heappop

# -- octets that grow -----------------------------------------------------------------------------------------

cdef char* room = NULL
cdef Py_ssize_t room_size = 0
cdef Py_ssize_t filled = 0

cdef int more(Py_ssize_t count) except -1:
    """Room for so many octets behind what is filled."""
    global room, room_size
    cdef Py_ssize_t wanted
    cdef char* bigger
    if filled + count > room_size:
        wanted = 2 * (filled + count) + 4096
        bigger = <char*>realloc(room, wanted)
        if bigger == NULL:
            raise MemoryError
        room, room_size = bigger, wanted
    return 0

cdef int put(const char* data, Py_ssize_t count) except -1:
    global filled
    more(count)
    memcpy(room + filled, data, count)
    filled += count
    return 0

cdef inline int put_bytes(bytes data) except -1:
    return put(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))

cdef int put_number(long long number) except -1:
    cdef char digits[24]
    cdef int at = 24
    cdef bint negative = number < 0
    cdef unsigned long long left = <unsigned long long>(-number) if negative else <unsigned long long>number
    while True:
        at -= 1
        digits[at] = <char>(48 + left % 10)
        left //= 10
        if not left:
            break
    if negative:
        at -= 1
        digits[at] = 45
    return put(digits + at, 24 - at)

# -- what is read of a message ----------------------------------------------------------------------------------

cdef inline Py_ssize_t find(const char* text, Py_ssize_t size, const char* mark, Py_ssize_t length, Py_ssize_t begin) noexcept:
    cdef const char* found
    if begin < 0 or begin > size:
        return -1
    found = <const char*>memmem(text + begin, size - begin, mark, length)
    return -1 if found == NULL else found - text

cdef bytes call_id_in(bytes data):
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = find(text, size, b"\r\nCall-ID: ", 11, 0), begin
    cdef const char* end
    if at < 0:
        return b""
    begin = at + 11
    end = <const char*>memchr(text + begin, 13, size - begin)
    if end == NULL or end - text <= begin:
        return b""
    return PyBytes_FromStringAndSize(text + begin, (end - text) - begin)

cdef inline bint loosely(const char* text, Py_ssize_t size, bytes name, char short) noexcept:
    """Whether a line may be one of this header: its name in any case, or the compact one."""
    cdef Py_ssize_t length = PyBytes_GET_SIZE(name), place
    cdef const char* wanted = PyBytes_AS_STRING(name)
    if short and size > 1 and (text[0] | 32) == short and (text[1] == 58 or text[1] == 32 or text[1] == 9):
        return True
    if size <= length:
        return False
    for place in range(length):
        if (text[place] | 32) != (wanted[place] | 32):
            return False
    return True

cdef Py_ssize_t line_begin, line_end

cdef int seek(bytes data, bytes name) except -1:
    """0: no such header; 1: one, written as usual, from line_begin to line_end; 2: what a regular expression has to
    look at; 3: as 1, and others that may be of this name written otherwise."""
    global line_begin, line_end
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef const char* end_of
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), length = PyBytes_GET_SIZE(name), at, end, exact = 0, loose = 0
    cdef const char* wanted = PyBytes_AS_STRING(name)
    cdef bytes letter = _COMPACT.get(name.lower(), b"") if length < 16 else b""
    cdef char short = PyBytes_AS_STRING(letter)[0] if letter else 0
    at = find(text, size, b"\r\n\r\n", 4, 0)
    if at >= 0:
        size = at + 2
    at = 0
    while at < size:
        end_of = <const char*>memchr(text + at, 10, size - at)
        end = (end_of - text) if end_of != NULL else size
        if end - at > length + 1 and at > 1 and text[at - 2] == 13 and text[at + length] == 58 and (
            text[at + length + 1] == 32 and memcmp(text + at, wanted, length) == 0
        ):
            exact += 1
            line_begin, line_end = at, end
        elif (end - at > length or short) and ((text[at] | 32) == (wanted[0] | 32) or (text[at] | 32) == short) and (
            loosely(text + at, end - at, name, short)
        ):
            loose += 1
        at = end + 1
    if not exact and not loose:
        return 0
    if exact != 1:
        return 2
    end = line_end
    if end >= size or text[end - 1] != 13:
        return 2
    if end + 1 < size and (text[end + 1] == 32 or text[end + 1] == 9):
        return 2
    line_end = end - 1
    if memchr(text + line_begin, 13, line_end - line_begin) != NULL:
        return 2
    return 3 if loose else 1

def header_line(bytes data not None, bytes name not None):
    """As in `volley.py`."""
    cdef int found = seek(data, name)
    if found == 0:
        return b""
    if found != 2:
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + line_begin, line_end - line_begin)
    return _any_header_line(data, name)

cdef int put_line(bytes data, bytes name) except -1:
    cdef int found = seek(data, name)
    if found == 2:
        put_bytes(_any_header_line(data, name))
    elif found:
        put(PyBytes_AS_STRING(data) + line_begin, line_end - line_begin)
    return 0

cdef int put_tag(bytes data) except -1:
    cdef const char* text = PyBytes_AS_STRING(data)
    cdef bint answer = PyBytes_GET_SIZE(data) > 6 and memcmp(text, b"SIP/2.0", 7) == 0
    cdef int found = seek(data, b"To" if answer else b"From")
    cdef Py_ssize_t at, begin = -1, end
    cdef const char* mark
    if found == 2:
        return put_bytes(_any_to_tag(data))
    if not found:
        return 0
    at = line_begin
    while True:
        at = find(text, line_end, b";tag=", 5, at)
        if at < 0:
            break
        begin = at
        at += 1
    if begin < 0:
        return 0
    mark = <const char*>memchr(text + begin + 1, 59, line_end - begin - 1)
    end = (mark - text) if mark != NULL else line_end
    return put(text + begin, end - begin)

def to_tag(bytes data not None):
    """As in `volley.py`."""
    global filled
    filled = 0
    put_tag(data)
    return PyBytes_FromStringAndSize(room, filled)

def call_id_of(bytes data not None):
    """As in `volley.py`."""
    return call_id_in(data)

cdef inline int bucket(double seconds) noexcept:
    cdef uint64_t value, left
    cdef int octave = 0
    if not seconds > 0:
        return 0
    if seconds > 3600:
        seconds = 3600
    value = <uint64_t>(seconds * 1e6 + 0.5)
    if value < 2048:
        return <int>value
    if value > HIGHEST:
        value = HIGHEST
    left = value
    while left >= 2048:
        left >>= 1
        octave += 1
    return (octave << 10) + <int>(value >> octave)

def bucket_of(double seconds):
    """As in `volley.py`."""
    return bucket(seconds)

# -- scenarios ---------------------------------------------------------------------------------------------------

@cython.final
cdef class Operation:
    cdef int code
    cdef long long amount
    cdef bytes text
    cdef object argument
    cdef bint vanishes

    def __init__(self, one):
        if isinstance(one, bytes):
            self.code, self.text, self.argument = -1, one, None
            return
        self.code, self.argument, self.vanishes = one
        self.text = self.argument if isinstance(self.argument, bytes) else b""
        self.amount = self.argument if isinstance(self.argument, int) else 0

@cython.final
cdef class Stage:
    cdef readonly int kind, after, measure, status
    cdef readonly bint starts, is_ack, optional, final, provisional, auth, rrs
    cdef readonly double retrans, seconds
    cdef readonly bytes method
    cdef bytes begins
    cdef readonly tuple methods
    cdef list head, body

    def __init__(
        self, int kind, int after=-1, *, head=(), body=(), bint starts=False, bint is_ack=False, double retrans=0.0,
        int measure=-1, int status=-1, bytes method=b"", methods=(), bint optional=False, bint final=False,
        bint provisional=False, bint auth=False, bint rrs=False, double seconds=0.0,
    ):
        if not -1 <= measure < MEASURES:
            raise ValueError(f"no measure {measure}")
        self.kind, self.after = kind, after
        self.head, self.body = [Operation(one) for one in head], [Operation(one) for one in body]
        self.starts, self.is_ack, self.retrans, self.measure = starts, is_ack, retrans, measure
        self.status, self.method, self.methods, self.optional = status, method, tuple(methods), optional
        self.final, self.provisional, self.auth, self.rrs, self.seconds = final, provisional, auth, rrs, seconds
        self.begins = method + b" "

@cython.final
cdef class Script:
    cdef readonly list stages, out
    cdef readonly object target
    cdef long long* _counts

    def __cinit__(self, stages, list out not None, target):
        self.stages, self.out, self.target = list(stages), out, target
        cdef Stage one
        for one in self.stages:
            if one is None or not -1 <= one.after < len(self.stages):
                raise ValueError("a script ends with an END, and leads nowhere else")
        if not self.stages or (<Stage>self.stages[len(self.stages) - 1]).kind != END:
            raise ValueError("a script ends with an END, and leads nowhere else")
        self._counts = <long long*>calloc(len(self.stages), sizeof(long long))
        if self._counts == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._counts)

    @property
    def counts(self):
        return [self._counts[number] for number in range(len(self.stages))]

@cython.final
@cython.freelist(256)
cdef class Shot:
    cdef readonly Script script
    cdef readonly long long number
    cdef readonly bytes call_id
    cdef readonly object address
    cdef readonly long long row
    cdef readonly int at
    cdef readonly long long cseq
    cdef readonly double began, since, again_at, interval, wakes_at
    cdef readonly bint done, armed, paused, own, ringing, taken
    cdef readonly bytes last, sent, resend, ack, challenge, routes, next_url
    cdef double due[MEASURES]
    cdef double left[MEASURES]
    cdef uint32_t timed

    def __cinit__(self, Script script not None, long long number, bytes call_id, address, long long row):
        self.script, self.number, self.call_id, self.address, self.row = script, number, call_id, address, row
        self.last = self.sent = self.resend = self.ack = self.challenge = self.routes = self.next_url = b""

    @property
    def clocks(self):
        return {n: (self.due[n], self.left[n]) for n in range(MEASURES) if self.timed >> n & 1}

cdef struct Times:
    uint32_t* counts
    double highest
    long long total

@cython.final
cdef class Volley:
    cdef readonly list rows
    cdef object prove, routing
    cdef double timeout, tick
    cdef bint keep, own
    cdef readonly dict calls
    cdef dict young, old
    cdef readonly list odd
    cdef readonly long long number, under_way, sent, repeated, succeeded, answered
    cdef long long order
    cdef object ticks
    cdef list heap
    cdef Times times[2 * MEASURES]

    def __init__(
        self, *, rows=(), prove=None, routing=None, double timeout=32.0, double tick=0.5, bint keep=False,
        bint own=False,
    ):
        self.rows, self.prove, self.routing = [tuple(row) for row in rows], prove, routing
        self.timeout, self.tick, self.keep, self.own = timeout, tick, keep, own
        self.calls, self.young, self.old, self.odd, self.heap, self.ticks = {}, {}, {}, [], [], _deque()

    def __dealloc__(self):
        cdef int number
        for number in range(2 * MEASURES):
            free(self.times[number].counts)

    def begin(self, Script script not None, long long number, bytes call_id not None, long long row, double due, double now):
        cdef Shot shot = Shot(script, number, call_id, script.target, row)
        shot.began, shot.own = due, True
        self.calls[call_id] = shot
        self.under_way += 1
        self.advance(shot, 0, now, due, now)

    def begin_many(self, Script script not None, long long number, bytes tail not None, list rows, list dues, double now):
        global filled
        cdef Shot shot
        cdef bytes call_id
        cdef Py_ssize_t place, count = len(dues)
        cdef long long row
        cdef double due
        if rows is not None and len(rows) < count:
            raise IndexError("fewer rows than calls")
        for place in range(count):
            filled = 0
            put_number(number)
            put(b"-", 1)
            put_bytes(tail)
            call_id = PyBytes_FromStringAndSize(room, filled)
            row = number - 1 if rows is None else rows[place]
            due = dues[place]
            shot = Shot(script, number, call_id, script.target, row)
            shot.began, shot.own = due, True
            self.calls[call_id] = shot
            self.under_way += 1
            self.advance(shot, 0, now, due, now)
            number += 1

    def receive(self, batch, Script script, double now):
        cdef list rest = []
        cdef bytes data, key
        cdef Shot shot
        cdef double at
        for one in batch:
            data, source, at = one
            key = call_id_in(data)
            found = self.calls.get(key)
            if found is not None:
                self.take_in(<Shot>found, data, source, at, now)
            elif not self.answer(data, key, source, at, script, now):
                rest.append(one)
        return rest

    cdef int take_in(self, Shot shot, bytes data, source, double at, double now) except -1:
        cdef int index
        if data == shot.last:
            self.repeated += 1
            if shot.sent and (not is_answer(data) or shot.sent.startswith(b"ACK ")):
                PyList_Append(shot.script.out, (shot.sent, shot.address))
            return 0
        index = self.expected(shot, data)
        if index < 0:
            self.hand_over(shot, data, source, at)
        else:
            self.accept(shot, index, data, source, at, now)
        return 0

    cdef bint answer(self, bytes data, bytes call_id, source, double at, Script script, double now) except -1:
        cdef Stage first
        cdef Shot shot
        cdef object kept = None
        if not call_id or is_answer(data):
            return False
        if self.keep:
            kept = self.young.get(call_id) or self.old.get(call_id)
        if kept is not None:
            if script is not None and not data.startswith(b"ACK "):
                self.repeated += 1
                PyList_Append(script.out, (kept, source))
            return script is not None
        if script is None:
            return False
        first = <Stage>script.stages[0]
        if first.kind != RECV or first.status > 0 or not starts_with(data, first.begins):
            return False
        self.number += 1
        shot = Shot(script, self.number, call_id, source, self.number - 1)
        shot.began, shot.own, shot.taken = at, self.own, True
        self.calls[call_id] = shot
        self.answered += 1
        self.under_way += self.own
        self.accept(shot, 0, data, source, at, now)
        return True

    cdef int expected(self, Shot shot, bytes data) except -2:
        cdef const char* text = PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), found, end
        cdef int status = 0, index, place
        cdef const char* mark
        cdef Stage stage
        cdef bint fits
        if is_answer(data):
            if size < 11 or text[7] != 32:
                return -1
            for place in range(8, 11):
                if not 48 <= text[place] <= 57:
                    return -1
                status = status * 10 + text[place] - 48
        for index in range(shot.at, len(shot.script.stages)):
            stage = <Stage>shot.script.stages[index]
            if stage.kind != RECV:
                return -1
            if status:
                fits = stage.status == status
            else:
                fits = stage.status < 0 and starts_with(data, stage.begins)
            if fits:
                if status and stage.methods:
                    found = find(text, size, b"\r\nCSeq: ", 8, 0)
                    if found < 0:
                        return -1
                    mark = <const char*>memchr(text + found + 2, 13, size - found - 2)
                    if mark == NULL:
                        return -1
                    end = mark - text
                    if not any_ends(text + found, end - found, stage.methods):
                        return -1
                return index
            if not stage.optional:
                return -1
        return -1

    cdef int accept(self, Shot shot, int index, bytes data, source, double at, double now) except -1:
        cdef Stage stage = <Stage>shot.script.stages[index]
        cdef int measure = stage.measure
        shot.last = data
        shot.script._counts[index] += 1
        shot.again_at = 0.0
        if stage.status > 0:
            if measure >= 0 and shot.timed >> measure & 1:
                if stage.final:
                    shot.timed &= ~(<uint32_t>1 << measure)
                    self.note(measure, at - shot.due[measure], at - shot.left[measure])
                elif stage.provisional and not shot.ringing:
                    shot.ringing = True
                    self.note(RINGING, at - shot.due[measure], at - shot.left[measure])
        else:
            shot.address = source
        if stage.auth:
            shot.challenge = data
        if stage.rrs and self.routing is not None:
            self.route(shot, data)
        if stage.after >= 0:
            self.advance(shot, stage.after, now, now, at)
        elif not stage.optional:
            self.advance(shot, index + 1, now, now, at)
        return 0

    cdef int route(self, Shot shot, bytes data) except -1:
        """The route set and the remote target; both are plain in nearly every answer."""
        cdef const char* text = PyBytes_AS_STRING(data)
        cdef const char* first
        cdef const char* last
        cdef Py_ssize_t begin
        if seek(data, b"Contact") == 1:
            first = <const char*>memchr(text + line_begin, 60, line_end - line_begin)
            last = <const char*>memchr(first, 62, line_end - (first - text)) if first != NULL else NULL
            if last != NULL and memchr(text + line_begin, 34, line_end - line_begin) == NULL:
                begin = first - text + 1
                if seek(data, b"Record-Route") == 0:
                    shot.routes = b""
                    shot.next_url = PyBytes_FromStringAndSize(text + begin, last - text - begin)
                    return 0
        shot.routes, shot.next_url = self.routing(data)
        return 0

    cdef int advance(self, Shot shot, int index, double now, double due, double at) except -1:
        cdef Script script = shot.script
        cdef Stage stage
        cdef bytes data
        while True:
            stage = <Stage>script.stages[index]
            if stage.kind == RECV:
                shot.at, shot.since = index, now
                if not shot.armed:
                    shot.armed = True
                    self.ticks.append((now + self.tick, shot))
                return 0
            if stage.kind == END:
                self.succeed(shot, at)
                return 0
            script._counts[index] += 1
            index = stage.after if stage.after >= 0 else index + 1
            if stage.kind == SEND:
                if stage.starts:
                    shot.cseq += 1
                    if stage.measure >= 0:
                        shot.due[stage.measure], shot.left[stage.measure] = due, now
                        shot.timed |= <uint32_t>1 << stage.measure
                data = self.made(shot, stage)
                PyList_Append(script.out, (data, shot.address))
                shot.sent = data
                if stage.is_ack:
                    shot.ack = data
                if stage.retrans:
                    shot.resend, shot.interval, shot.again_at = data, stage.retrans, now + stage.retrans
                self.sent += 1
            elif stage.kind == PAUSE and stage.seconds > 0:
                shot.at, shot.since, shot.paused = index, now, True
                shot.wakes_at = max(due + stage.seconds, now)
                self.order += 1
                push(self.heap, (shot.wakes_at, self.order, shot, True))
                return 0

    def render(self, Shot shot not None, Stage stage not None):
        return self.made(shot, stage)

    cdef bytes made(self, Shot shot, Stage stage):
        global filled
        cdef Operation one
        cdef Py_ssize_t length
        filled = 0
        for one in stage.body:
            if one.code < 0:
                put_bytes(one.text)
            else:
                self.put_value(shot, one, 0)
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
                self.put_value(shot, one, length)
        if body is not None:
            put_bytes(<bytes>body)
        return PyBytes_FromStringAndSize(room, filled)

    cdef int put_value(self, Shot shot, Operation one, Py_ssize_t length) except -1:
        global filled
        cdef Py_ssize_t begun = filled, place
        cdef const char* mark
        cdef bytes first
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
            if self.rows:
                row = <tuple>self.rows[shot.row % len(self.rows)]
                if one.amount < len(row):
                    put_bytes(row[one.amount])
        elif one.code == ROUTES:
            if shot.routes:
                put(b"Route: ", 7)
                put_bytes(shot.routes)
        elif one.code == NEXT_URL:
            put_bytes(shot.next_url)
        elif one.code == PROOF:
            if self.prove is not None and shot.challenge:
                place = find(room, filled, b"\r\n", 2, 0)
                first = PyBytes_FromStringAndSize(room, place if place >= 0 else filled)
                kept = PyBytes_FromStringAndSize(room, filled)
                value = self.prove(one.argument, shot.challenge, first, shot.row, shot.number)
                filled = 0
                put_bytes(kept)  # whatever the caller's function did with our room
                put_bytes(value)
        if one.vanishes and filled > begun:
            put(b"\r\n", 2)
        return 0

    cdef int succeed(self, Shot shot, double at) except -1:
        if shot.own:
            self.succeeded += 1
            self.note(CALL, at - shot.began, at - shot.began)
        self.finish(shot)
        if self.keep and shot.taken:
            self.young[shot.call_id] = shot.sent
        return 0

    cdef int finish(self, Shot shot) except -1:
        shot.done = True
        self.calls.pop(shot.call_id, None)
        self.under_way -= shot.own
        return 0

    cdef int hand_over(self, Shot shot, bytes data, source, double at) except -1:
        self.finish(shot)
        self.odd.append((shot, data, source, at))
        return 0

    def give_up(self, bytes call_id):
        found = self.calls.get(call_id)
        if found is not None:
            self.finish(<Shot>found)
        return found

    def sweep(self, double now):
        cdef Shot shot
        cdef double due
        cdef bint wakes
        while self.ticks:
            due, shot = self.ticks[0]
            if due > now:
                break
            self.ticks.popleft()
            if not shot.done:
                self.check(shot, now)
        while self.heap:
            due, _, shot, wakes = self.heap[0]
            if due > now:
                break
            pop(self.heap)
            if shot.done:
                continue
            if not wakes:
                self.check(shot, now)
            elif shot.paused:
                shot.paused = False
                self.advance(shot, shot.at, now, due, now)

    def next_at(self):
        cdef double first = NEVER
        if self.ticks:
            first = self.ticks[0][0]
        if self.heap:
            first = min(first, <double>self.heap[0][0])
        return first

    cdef int check(self, Shot shot, double now) except -1:
        cdef double ends = NEVER, due
        cdef Stage stage
        cdef int index
        if shot.paused:
            shot.armed = False
            return 0
        for index in range(shot.at, len(shot.script.stages)):
            stage = <Stage>shot.script.stages[index]
            if stage.kind != RECV or not stage.optional:
                ends = shot.since + self.timeout if stage.status > 0 else NEVER
                break
        if now >= ends:
            self.hand_over(shot, b"", None, now)
            return 0
        if shot.again_at and now >= shot.again_at:
            PyList_Append(shot.script.out, (shot.resend, shot.address))
            self.repeated += 1
            shot.interval *= 2
            if shot.interval > T2 and not shot.resend.startswith(b"INVITE "):
                shot.interval = T2
            shot.again_at = now + shot.interval
        due = min(ends, now + T2)
        if shot.again_at:
            due = min(due, shot.again_at)
        self.order += 1
        push(self.heap, (due, self.order, shot, False))
        return 0

    cdef int note(self, int measure, double response, double service) except -1:
        count(&self.times[measure], response)
        count(&self.times[MEASURES + measure], service)
        return 0

    def take(self):
        cdef int number
        cdef list times = []
        counts = {
            "sent": self.sent, "repeated": self.repeated, "succeeded": self.succeeded, "answered": self.answered
        }
        self.sent = self.repeated = self.succeeded = self.answered = 0
        for number in range(MEASURES):
            if not self.times[number].total:
                times.append(None)
                continue
            response, high = emptied(&self.times[number])
            service, other = emptied(&self.times[MEASURES + number])
            times.append((response, high, service, other))
        return counts, times

    def forget(self):
        self.old, self.young = self.young, {}


cdef inline bint is_answer(bytes data) noexcept:
    return PyBytes_GET_SIZE(data) >= 4 and memcmp(PyBytes_AS_STRING(data), b"SIP/", 4) == 0

cdef inline bint starts_with(bytes data, bytes begins) noexcept:
    cdef Py_ssize_t length = PyBytes_GET_SIZE(begins)
    return PyBytes_GET_SIZE(data) >= length and memcmp(PyBytes_AS_STRING(data), PyBytes_AS_STRING(begins), length) == 0

cdef bint any_ends(const char* text, Py_ssize_t size, tuple ends) except -1:
    cdef Py_ssize_t length
    cdef bytes one
    for one in ends:
        length = PyBytes_GET_SIZE(one)
        if size >= length and memcmp(text + size - length, PyBytes_AS_STRING(one), length) == 0:
            return True
    return False

cdef int count(Times* times, double seconds) except -1:
    if times.counts == NULL:
        times.counts = <uint32_t*>calloc(BUCKETS, sizeof(uint32_t))
        if times.counts == NULL:
            raise MemoryError
    times.counts[bucket(seconds)] += 1
    times.total += 1
    if seconds > times.highest:
        times.highest = seconds
    return 0

cdef tuple emptied(Times* times):
    cdef dict made = {}
    cdef int number
    cdef double high = times.highest
    for number in range(BUCKETS):
        if times.counts[number]:
            made[number] = times.counts[number]
    memset(times.counts, 0, BUCKETS * sizeof(uint32_t))
    times.highest, times.total = 0.0, 0
    return made, high

# -- datagrams with the time of their arrival -------------------------------------------------------------------

cdef extern from *:
    """
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <arpa/inet.h>
    #include <time.h>
    #ifndef SO_TIMESTAMPNS
    #define SO_TIMESTAMPNS 35
    #endif
    static double stamp_of(struct msghdr *message) {
        struct cmsghdr *one;
        for (one = CMSG_FIRSTHDR(message); one != NULL; one = CMSG_NXTHDR(message, one))
            if (one->cmsg_level == SOL_SOCKET && one->cmsg_type == SO_TIMESTAMPNS
                && one->cmsg_len >= CMSG_LEN(sizeof(struct timespec))) {
                struct timespec at;
                memcpy(&at, CMSG_DATA(one), sizeof(at));
                return (double)at.tv_sec + at.tv_nsec * 1e-9;
            }
        return 0.0;
    }
    static double seconds_on(clockid_t which) {
        struct timespec at;
        clock_gettime(which, &at);
        return (double)at.tv_sec + at.tv_nsec * 1e-9;
    }
    """
    cdef struct sockaddr_storage:
        uint16_t ss_family
    cdef struct iovec:
        void* iov_base
        size_t iov_len
    cdef struct msghdr:
        void* msg_name
        unsigned int msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    cdef struct mmsghdr:
        msghdr msg_hdr
        unsigned int msg_len
    int recvmmsg(int fd, mmsghdr* messages, unsigned int count, int flags, void* timeout) nogil
    double stamp_of(msghdr* message) nogil
    double seconds_on(int which) nogil
    enum:
        AF_INET
        AF_INET6
        MSG_DONTWAIT
        CLOCK_REALTIME
        CLOCK_MONOTONIC

cdef enum:
    BATCH = 64
    DATAGRAM = 65536
    CONTROL = 256

cdef char* buffers = NULL
cdef char* controls = NULL
cdef mmsghdr* incoming = <mmsghdr*>calloc(BATCH, sizeof(mmsghdr))
cdef iovec* vectors = <iovec*>calloc(BATCH, sizeof(iovec))
cdef sockaddr_storage* names = <sockaddr_storage*>calloc(BATCH, sizeof(sockaddr_storage))
cdef dict by_name = {}      # the octets of a sockaddr -> (host, port)
cdef bytes known_name = b""
cdef object known = None

if incoming == NULL or vectors == NULL or names == NULL:
    raise MemoryError


cdef int open_buffers() except -1:
    global buffers, controls
    cdef int number
    if buffers == NULL:
        buffers, controls = <char*>malloc(BATCH * DATAGRAM), <char*>malloc(BATCH * CONTROL)
        if buffers == NULL or controls == NULL:
            raise MemoryError
        for number in range(BATCH):
            vectors[number].iov_base = buffers + number * DATAGRAM
            vectors[number].iov_len = DATAGRAM
            incoming[number].msg_hdr.msg_iov = &vectors[number]
            incoming[number].msg_hdr.msg_iovlen = 1
            incoming[number].msg_hdr.msg_name = &names[number]
            incoming[number].msg_hdr.msg_control = controls + number * CONTROL
    return 0

cdef object source_of(int number):
    """(host, port) of a sender: nearly always the one before."""
    global known_name, known
    cdef const char* name = <const char*>&names[number]
    cdef Py_ssize_t size = 8 if names[number].ss_family == AF_INET else 28
    if PyBytes_GET_SIZE(known_name) == size and memcmp(PyBytes_AS_STRING(known_name), name, size) == 0:
        return known
    key = PyBytes_FromStringAndSize(name, size)
    found = by_name.get(key)
    if found is None:
        port = (<unsigned char>name[2] << 8) | <unsigned char>name[3]
        if size == 8:
            found = (_socket.inet_ntop(_socket.AF_INET, key[4:8]), port)
        else:
            host = _socket.inet_ntop(_socket.AF_INET6, key[8:24])
            scope = int.from_bytes(key[24:28], "little")
            found = (f"{host}%{_socket.if_indextoname(scope)}" if scope else host, port)
        if len(by_name) >= 8192:
            by_name.clear()
        by_name[key] = found
    known_name, known = key, found
    return found

def recv_stamped(int fd):
    """Up to 64 datagrams that wait: (octets, address, time of arrival on the monotonic clock). Raises OSError.

    The times are the kernel's where the socket has SO_TIMESTAMPNS, else now.
    """
    cdef int number, count
    cdef double now, shift, at
    open_buffers()
    for number in range(BATCH):
        incoming[number].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
        incoming[number].msg_hdr.msg_controllen = CONTROL
    with nogil:
        count = recvmmsg(fd, incoming, BATCH, MSG_DONTWAIT, NULL)
    if count < 0:
        if errno == EAGAIN or errno == EINTR:
            return []
        PyErr_SetFromErrno(OSError)
    now = seconds_on(CLOCK_MONOTONIC)
    shift = seconds_on(CLOCK_REALTIME) - now
    cdef list batch = []
    for number in range(count):
        at = stamp_of(&incoming[number].msg_hdr)
        at = at - shift if at else now
        batch.append((
            PyBytes_FromStringAndSize(<char*>vectors[number].iov_base, incoming[number].msg_len),
            source_of(number), at if at < now else now,
        ))
    return batch
