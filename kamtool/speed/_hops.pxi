# Max-Forwards, one down. See hops.py.

cdef list _small_numbers = [b"%d" % number for number in range(256)]


def fewer_hops(Index index not None, long long limit):
    cdef long long value = index._max_forwards
    if value <= 0:
        return None
    value = (value if value < limit else limit) - 1
    text = _small_numbers[value] if 0 <= value < 256 else b"%d" % value
    return [(index.max_forwards_start, index.max_forwards_end, text)]
