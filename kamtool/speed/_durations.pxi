# Histograms of durations, as HdrHistogram has them.

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

cdef struct Times:
    uint32_t* counts
    double highest
    long long total

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
