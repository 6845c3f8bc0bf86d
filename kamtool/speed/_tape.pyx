# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, binding=True
"""What `tape.py` does, in C; its docstrings there are the reference.

Octets go into rooms that are made once and used again, so that watching asks the system for no memory. A room that
was given away is used again only when nobody looks at it any more.
"""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.long cimport PyLong_FromVoidPtr
from libc.stdint cimport uint32_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

import sys as _sys

if _sys.byteorder != "little":
    raise ImportError("frames are little-endian")

cdef extern from "string.h":
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length) nogil

cdef extern from *:
    """
    #include <time.h>
    static double time_of_day(void) {
        struct timespec at;
        clock_gettime(CLOCK_REALTIME, &at);
        return (double)at.tv_sec + at.tv_nsec * 1e-9;
    }
    """
    double time_of_day() nogil

cdef enum:
    HEAD = 21
    KEEPALIVE = 4
    FIRST = 1 << 18
    WORTH_KEEPING = 1 << 20
    NEAR = 256
    NEAR_ACTIONS = 1024


cdef void put_head(char* at, uint8_t kind, double moment, uint32_t number, uint32_t place, uint32_t size) noexcept nogil:
    memcpy(at, &kind, 1)
    memcpy(at + 1, &moment, 8)
    memcpy(at + 9, &number, 4)
    memcpy(at + 13, &place, 4)
    memcpy(at + 17, &size, 4)


cdef inline uint32_t size_at(const char* at) noexcept nogil:
    cdef uint32_t size
    memcpy(&size, at + 17, 4)
    return size


cdef inline bytes octets_of(data):
    """Nearly always it is bytes; what watches must not be stricter than what it watches."""
    return <bytes>data if type(data) is bytes else bytes(data)


@cython.final
cdef class Room:
    """Octets; `looks` counts the views of them."""

    cdef char* octets
    cdef Py_ssize_t size, filled
    cdef int looks

    def __dealloc__(self):
        free(self.octets)

    cdef int hold(self, Py_ssize_t more) except -1:
        """Have room for so many more."""
        cdef Py_ssize_t size = self.size if self.size else FIRST
        cdef char* octets
        if self.filled + more <= self.size:
            return 0
        while size < self.filled + more:
            size *= 2
        octets = <char*>realloc(self.octets, size)
        if octets == NULL:
            raise MemoryError
        self.octets, self.size = octets, size
        return 0

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.octets, self.filled, 1, flags)
        self.looks += 1

    def __releasebuffer__(self, Py_buffer* view):
        self.looks -= 1


cdef class Noting:
    cdef public Py_ssize_t limit
    cdef public object number_of
    cdef readonly dict numbers
    cdef public long long dropped, place
    cdef public bytes call_id
    cdef void* near_flows[NEAR]
    cdef uint32_t near_numbers[NEAR]

    def __init__(self, Py_ssize_t limit, number_of):
        self.limit, self.number_of, self.numbers = limit, number_of, {}
        self.dropped = self.place = 0
        self.call_id = b""

    cdef int noted(self, double at, bint inbound, flow, bytes data) except -1:
        raise NotImplementedError

    cdef uint32_t number(self, flow) except? 0:
        cdef uint32_t place = <uint32_t>((<size_t><void*>flow) >> 4) & (NEAR - 1)
        cdef void* found
        cdef uint32_t number
        if self.near_flows[place] == <void*>flow:
            return self.near_numbers[place]
        found = <void*>PyDict_GetItem(self.numbers, PyLong_FromVoidPtr(<void*>flow))
        number = <object>found if found != NULL else self.number_of(flow)
        self.near_flows[place], self.near_numbers[place] = <void*>flow, number
        return number

    def number_anew(self):
        self.numbers.clear()
        memset(self.near_flows, 0, sizeof(self.near_flows))

    def note(self, double at, bint inbound, flow, bytes data not None):
        self.noted(at, inbound, flow, data)

    def __call__(self, seen):
        at, inbound, flow, data = seen
        self.note(at, inbound, flow, data)

    def receiving(self, plain):
        cdef Noting own = self

        def receive(data, flow):
            own.noted(0.0, True, flow, octets_of(data))
            plain(data, flow)

        return receive

    def sending(self, plain, is_http):
        cdef Noting own = self

        def send(flow, data):
            sent = plain(flow, data)
            if sent and len(data) > KEEPALIVE and not (flow.connection and is_http(flow)):
                own.noted(0.0, False, flow, octets_of(data))
            return sent

        return send


@cython.final
cdef class Tape(Noting):
    cdef Room room, other

    def __init__(self, Py_ssize_t limit, number_of):
        Noting.__init__(self, limit, number_of)
        self.room, self.other = Room(), Room()

    def __len__(self):
        return self.room.filled

    cdef int noted(self, double at, bint inbound, flow, bytes data) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef uint32_t number = self.number(flow), place = 0
        cdef Room room = self.room
        if room.filled > self.limit - HEAD - size:
            self.dropped += 1
            return 0
        if self.place and not inbound and memmem(
            PyBytes_AS_STRING(data), size, PyBytes_AS_STRING(self.call_id), PyBytes_GET_SIZE(self.call_id)
        ) != NULL:
            place = <uint32_t>self.place
        room.hold(HEAD + size)
        put_head(room.octets + room.filled, inbound, at if at else time_of_day(), number, place, <uint32_t>size)
        memcpy(room.octets + room.filled + HEAD, PyBytes_AS_STRING(data), size)
        room.filled += HEAD + size
        return 0

    def put(self, uint8_t kind, double at, uint32_t number, uint32_t place, bytes data not None):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef Room room = self.room
        room.hold(HEAD + size)
        put_head(room.octets + room.filled, kind, at, number, place, <uint32_t>size)
        memcpy(room.octets + room.filled + HEAD, PyBytes_AS_STRING(data), size)
        room.filled += HEAD + size

    def take(self):
        cdef Room taken = self.room, free = self.other
        if free.looks or free.size > WORTH_KEEPING:
            free = Room()
        free.filled = 0
        self.room, self.other = free, taken
        return memoryview(taken)


@cython.final
cdef class Ring(Noting):
    cdef char* octets
    cdef Py_ssize_t first, last, wrap, count
    cdef bint wrapped
    cdef readonly Py_ssize_t size
    cdef readonly long long forgotten

    def __init__(self, Py_ssize_t limit, number_of):
        Noting.__init__(self, limit, number_of)
        if self.octets == NULL:
            # Address space; pages are taken as messages come.
            self.octets = <char*>malloc(limit if limit > 0 else 1)
            if self.octets == NULL:
                raise MemoryError

    def __dealloc__(self):
        free(self.octets)

    def __len__(self):
        return self.count

    cdef void forget(self) noexcept:
        """The oldest goes."""
        cdef Py_ssize_t size = HEAD + <Py_ssize_t>size_at(self.octets + self.first)
        self.first += size
        self.size -= size
        self.count -= 1
        self.forgotten += 1
        if not self.count:
            self.first = self.last = 0
            self.wrapped = False
        elif self.wrapped and self.first == self.wrap:
            self.first, self.wrapped = 0, False

    cdef int noted(self, double at, bint inbound, flow, bytes data) except -1:
        cdef Py_ssize_t size = HEAD + PyBytes_GET_SIZE(data)
        cdef uint32_t number = self.number(flow)
        if size > self.limit:
            while self.count:
                self.forget()
            self.forgotten += 1
            return 0
        while True:
            if self.wrapped:
                if self.first - self.last >= size:
                    break
                self.forget()
            elif self.limit - self.last >= size:
                break
            elif self.first == 0:
                self.forget()
            else:  # go on at the beginning; what is left at the end stays empty
                self.wrap, self.last, self.wrapped = self.last, 0, True
        put_head(self.octets + self.last, inbound, at if at else time_of_day(), number, 0, <uint32_t>(size - HEAD))
        memcpy(self.octets + self.last + HEAD, PyBytes_AS_STRING(data), size - HEAD)
        self.last += size
        self.size += size
        self.count += 1
        return 0

    def __iter__(self):
        cdef list rows = []
        cdef Py_ssize_t at = self.first, number
        cdef uint32_t size, flow
        cdef double moment
        for number in range(self.count):
            if self.wrapped and at == self.wrap:
                at = 0
            size = size_at(self.octets + at)
            memcpy(&moment, self.octets + at + 1, 8)
            memcpy(&flow, self.octets + at + 9, 4)
            rows.append((moment, bool(self.octets[at]), flow, PyBytes_FromStringAndSize(self.octets + at + HEAD, size)))
            at += HEAD + size
        return iter(rows)


@cython.final
@cython.freelist(64)
cdef class Visit:
    cdef readonly bytes call_id
    cdef readonly long long route
    cdef size_t outer
    cdef long long place
    cdef readonly list replied
    cdef uint32_t* numbers
    cdef Py_ssize_t count, room

    def __dealloc__(self):
        free(self.numbers)

    @property
    def path(self):
        return PyBytes_FromStringAndSize(<char*>self.numbers, self.count * sizeof(uint32_t))

    cdef int append(self, uint32_t number) except -1:
        cdef uint32_t* numbers
        if self.count == self.room:
            numbers = <uint32_t*>realloc(self.numbers, (2 * self.room + 32) * sizeof(uint32_t))
            if numbers == NULL:
                raise MemoryError
            self.numbers, self.room = numbers, 2 * self.room + 32
        self.numbers[self.count] = number
        self.count += 1
        return 0


@cython.final
cdef class Steps:
    cdef readonly Tape tape
    cdef object number_of
    cdef Py_ssize_t longest
    cdef dict numbers, visits
    cdef size_t current
    cdef Visit visit
    cdef void* near_actions[NEAR_ACTIONS]
    cdef uint32_t near_numbers[NEAR_ACTIONS]

    def __init__(self, Tape tape not None, number_of, Py_ssize_t longest):
        self.tape, self.number_of, self.longest = tape, number_of, longest
        self.numbers, self.visits = {}, {}
        self.current, self.visit = 0, None

    cdef uint32_t number(self, action) except? 0:
        cdef uint32_t place = <uint32_t>((<size_t><void*>action) >> 4) & (NEAR_ACTIONS - 1)
        cdef uint32_t number
        if self.near_actions[place] == <void*>action:
            return self.near_numbers[place]
        key = PyLong_FromVoidPtr(<void*>action)
        found = self.numbers.get(key)
        if found is None:
            found = self.numbers[key] = self.number_of(action)
        number = found
        self.near_actions[place], self.near_numbers[place] = <void*>action, number
        return number

    def at(self, action, ctx):
        cdef Visit visit = self.visit
        cdef uint32_t number = self.number(action)
        self.tape.place = number
        if visit is None or self.current != <size_t><void*>ctx:
            visit = self.visits.get(PyLong_FromVoidPtr(<void*>ctx))
            if visit is None:
                return None
            self.current, self.visit, self.tape.call_id = <size_t><void*>ctx, visit, visit.call_id
        if visit.count < self.longest:
            visit.append(number)
        return None

    def begin(self, ctx, bytes call_id not None, long long route):
        cdef Visit visit = Visit()
        visit.route = route
        visit.call_id, visit.outer, visit.place, visit.replied = call_id, self.current, self.tape.place, []
        self.visits[PyLong_FromVoidPtr(<void*>ctx)] = visit
        if self.current == <size_t><void*>ctx:
            self.visit = visit

    def of(self, ctx):
        return self.visits.get(PyLong_FromVoidPtr(<void*>ctx))

    def end(self, ctx):
        cdef Visit visit = self.visits.pop(PyLong_FromVoidPtr(<void*>ctx), None)
        cdef Visit outer = None
        if visit is not None:
            outer = self.visits.get(PyLong_FromVoidPtr(<void*>visit.outer))
        self.visit = outer
        if outer is None:
            self.current = 0
            self.tape.place = 0
        else:
            self.current, self.tape.place, self.tape.call_id = visit.outer, visit.place, outer.call_id
        return visit


@cython.final
cdef class Passing:
    cdef public object to

    def __init__(self, to):
        self.to = to

    def __call__(self, one, other):
        return self.to(one, other)
