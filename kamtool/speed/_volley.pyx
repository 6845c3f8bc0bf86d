# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""What `volley.py` does, in C; its docstrings there are the reference.

What is rare (a folded header, several Vias, a challenge) goes through Python's functions. Every use of a pointer is
preceded by a comparison with the end of its span.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_Append
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

import heapq as _heapq
from collections import deque as _deque

from kamtool.speed.lines import COMPACT as _COMPACT, header_line as _any_header_line, to_tag as _any_to_tag

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

include "_octets.pxi"
include "_lines.pxi"
include "_durations.pxi"
include "_md5.pxi"
include "_proving.pxi"
include "_stages.pxi"
include "_awaiting.pxi"
include "_rendering.pxi"

@cython.final
cdef class Volley:
    cdef readonly list rows
    cdef object prove, routing
    cdef dict answers
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
        bint own=False, dict answers=None,
    ):
        self.rows, self.prove, self.routing = [tuple(row) for row in rows], prove, routing
        self.answers = {} if answers is None else answers
        self.timeout, self.tick, self.keep, self.own = timeout, tick, keep, own
        self.calls, self.young, self.old, self.odd, self.heap, self.ticks = {}, {}, {}, [], [], _deque()

    def __dealloc__(self):
        cdef int number
        for number in range(2 * MEASURES):
            free(self.times[number].counts)

    def begin(self, Script script not None, long long number, bytes call_id not None, long long row, double due, double now):
        cdef Shot shot = Shot(script, number, call_id, script.target, row)
        shot.began, shot.begun, shot.own = due, now, True
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
            shot.began, shot.begun, shot.own = due, now, True
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
        index = expected(shot, data)
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
        shot.began = shot.begun = at
        shot.own, shot.taken = self.own, True
        self.calls[call_id] = shot
        self.answered += 1
        self.under_way += self.own
        self.accept(shot, 0, data, source, at, now)
        return True

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
            route(shot, data, self.routing)
        if stage.after >= 0:
            self.advance(shot, stage.after, now, now, at)
        elif not stage.optional:
            self.advance(shot, index + 1, now, now, at)
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
                data = made(shot, stage, self.rows, self.prove, self.answers)
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
        return made(shot, stage, self.rows, self.prove, self.answers)

    cdef int succeed(self, Shot shot, double at) except -1:
        if shot.own:
            self.succeeded += 1
            self.note(CALL, at - shot.began, at - shot.begun)
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
