# Scenarios and the calls in them, the twin of `stages.py`.

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
    cdef readonly double began, begun, since, again_at, interval, wakes_at
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
