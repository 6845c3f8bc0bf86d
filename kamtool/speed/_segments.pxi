# Datagrams of one length leave as one, and the kernel cuts them apart: the twin of `segments.py`.

cdef enum:
    CHUNK = 512    # messages that are put in order together
    SLOTS = 2048   # of the table of calls
    GROUPS = 64

cdef int LONGEST = _LONGEST, MOST = _MOST, WORTH_IT = _WORTH_IT

cdef struct Group:   # the run that a message of this length to this address joins
    Py_ssize_t length
    void* address
    int run
cdef struct Latest:  # the run of a call's last message
    uint64_t call
    uint32_t round
    int run

cdef Group groups[GROUPS]
cdef Latest* latest = <Latest*>calloc(SLOTS, sizeof(Latest))
cdef uint32_t this_round = 0
cdef int run_of[CHUNK]
cdef int places[CHUNK + 1]
cdef iovec* pieces = <iovec*>calloc(CHUNK, sizeof(iovec))
cdef char* cuts = <char*>calloc(BATCH, CONTROL)

if latest == NULL or pieces == NULL or cuts == NULL:
    raise MemoryError


cdef uint64_t call_of(const char* text, Py_ssize_t size) noexcept:
    """A number for the Call-ID; 0 where it is not written as usual."""
    cdef const char* found = <const char*>memmem(text, size, b"\r\nCall-ID: ", 11)
    cdef const char* end = text + size
    cdef uint64_t number = 14695981039346656037ULL
    if found == NULL:
        return 0
    found += 11
    while found < end and found[0] != 13:
        number = (number ^ <unsigned char>found[0]) * 1099511628211ULL
        found += 1
    return number | 1


cdef bint uniform(list given, Py_ssize_t begin, int count) except -1:
    """Whether all of these are of one length and for one address: then no Call-ID need be looked for."""
    cdef tuple one = given[begin]
    cdef Py_ssize_t number, size
    if type(one[0]) is not bytes:
        return False
    size, address = PyBytes_GET_SIZE(one[0]), one[1]
    for number in range(begin + 1, begin + count):
        one = given[number]
        if type(one[0]) is not bytes or PyBytes_GET_SIZE(one[0]) != size or one[1] is not address:
            return False
    return True


cdef int runs_of(list given, Py_ssize_t begin, int count) except -1:
    """Give each of these messages its run in `run_of`; how many runs there are.

    A message joins a run of its length and address, but none that leaves before what its call sends before it.
    """
    global this_round
    cdef int number, group, known = 0, made = 0, slot, before
    cdef bytes data
    cdef tuple one
    cdef uint64_t call
    cdef Py_ssize_t size
    cdef void* address
    if uniform(given, begin, count):
        for number in range(count):
            run_of[number] = 0
        return 1
    this_round += 1
    for number in range(count):
        one = given[begin + number]
        data, target = one
        if data is None:
            raise TypeError("a datagram is bytes")
        address, size = <void*>target, PyBytes_GET_SIZE(data)
        call = call_of(PyBytes_AS_STRING(data), size)
        slot = <int>(call % SLOTS)
        while latest[slot].round == this_round and latest[slot].call != call:
            slot = (slot + 1) % SLOTS
        before = latest[slot].run if latest[slot].round == this_round else 0
        group = known - 1
        while group >= 0 and (groups[group].length != size or groups[group].address != address):
            group -= 1
        if group < 0:
            group = known if known < GROUPS else made % GROUPS
            known = min(known + 1, GROUPS)
            groups[group].length, groups[group].address, groups[group].run = size, address, -1
        if groups[group].run < before:
            groups[group].run = made
            made += 1
        run_of[number] = groups[group].run
        latest[slot].call, latest[slot].round, latest[slot].run = call, this_round, groups[group].run
    return made


cdef list in_runs(list given, Py_ssize_t begin, int count, int made):
    """These messages run by run; `places` says where each run begins."""
    cdef int number
    cdef list order = [None] * count
    for number in range(made + 1):
        places[number] = 0
    for number in range(count):
        places[run_of[number] + 1] += 1
    for number in range(made):
        places[number + 1] += places[number]
    for number in range(count):
        order[places[run_of[number]]] = given[begin + number]
        places[run_of[number]] += 1
    for number in range(made, 0, -1):
        places[number] = places[number - 1]
    places[0] = 0
    return order


cdef int sent_of(int fd, list order, int made, int* error) except -1:
    """Send messages that are in runs, as far as the socket takes them; how many went."""
    cdef int run = 0, entries, at = 0, first, ends, most, count, number
    cdef int begins[BATCH + 1]
    cdef bytes data, name
    cdef list names_held
    error[0] = 0
    while at < len(order):
        entries, first, names_held = 0, at, []
        while entries < BATCH and at < len(order):
            while places[run + 1] <= at:
                run += 1
            data, address = <tuple>order[at]
            most = 1
            if places[run + 1] - places[run] >= WORTH_IT and 0 < PyBytes_GET_SIZE(data) <= LONGEST:
                most = min(MOST, 65000 // <int>PyBytes_GET_SIZE(data))
            ends = min(places[run + 1], at + most)
            name = near_sockaddr_of(address)
            names_held.append(name)
            outgoing[entries].msg_hdr.msg_name = PyBytes_AS_STRING(name)
            outgoing[entries].msg_hdr.msg_namelen = <unsigned int>PyBytes_GET_SIZE(name)
            outgoing[entries].msg_hdr.msg_iov = &pieces[at]
            outgoing[entries].msg_hdr.msg_iovlen = ends - at
            outgoing[entries].msg_hdr.msg_control, outgoing[entries].msg_hdr.msg_controllen = NULL, 0
            if ends - at > 1:
                cut_into(&outgoing[entries].msg_hdr, cuts + entries * CONTROL, <uint16_t>PyBytes_GET_SIZE(data))
            begins[entries] = at
            for number in range(at, ends):
                data = <bytes>(<tuple>order[number])[0]
                pieces[number].iov_base, pieces[number].iov_len = PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
            at = ends
            entries += 1
        begins[entries] = at
        count = sendmmsg(fd, outgoing, entries, MSG_DONTWAIT)
        error[0] = errno if count < 0 else 0
        for number in range(entries):
            outgoing[number].msg_hdr.msg_control, outgoing[number].msg_hdr.msg_controllen = NULL, 0
        if count < 0:
            if error[0] == EAGAIN or error[0] == EINTR:
                error[0] = 0
            return first
        if count < entries:
            at = begins[count]
            run = 0
    return at


def send_segments(int fd, out):
    """As in `segments.py`."""
    cdef list given = list(out), order
    cdef Py_ssize_t begin = 0
    cdef int count, made, sent, error = 0
    while begin < len(given):
        count = <int>min(CHUNK, len(given) - begin)
        made = runs_of(given, begin, count)
        order = in_runs(given, begin, count, made)
        sent = sent_of(fd, order, made, &error)
        begin += count
        if sent < count:
            return order[sent:] + given[begin:], error
    return [], 0
