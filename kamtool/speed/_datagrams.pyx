# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""recvmmsg and sendmmsg (Linux): up to 64 datagrams a system call. See `datagrams.py` for what they promise.

`recv_stamped` has the time of each arrival as well; `send_segments` is the twin of `segments.py`. The buffers are made
once and reused; the octets of a datagram are copied out of them, so only pages that large datagrams have touched are
ever resident. Addresses are remembered in both directions: a flood of forged sources costs no memory.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy, memset

import socket as _socket

from kamtool.speed.segments import LONGEST as _LONGEST, MOST as _MOST, UDP_GRO, WORTH_IT as _WORTH_IT

cdef extern from "string.h":
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length) nogil

cdef extern from *:
    """
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <arpa/inet.h>
    #include <sys/uio.h>
    #include <string.h>
    #include <time.h>
    #ifndef SO_TIMESTAMPNS
    #define SO_TIMESTAMPNS 35
    #endif
    #ifndef SOL_UDP
    #define SOL_UDP 17
    #endif
    #ifndef UDP_SEGMENT
    #define UDP_SEGMENT 103
    #endif
    #ifndef UDP_GRO
    #define UDP_GRO 104
    #endif
    static unsigned int size_of_each(struct msghdr *message) {
        struct cmsghdr *one;
        for (one = CMSG_FIRSTHDR(message); one != NULL; one = CMSG_NXTHDR(message, one))
            if (one->cmsg_level == SOL_UDP && one->cmsg_type == UDP_GRO && one->cmsg_len >= CMSG_LEN(sizeof(int))) {
                int size;
                memcpy(&size, CMSG_DATA(one), sizeof(size));
                return size > 0 ? (unsigned int)size : 0;
            }
        return 0;
    }
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
    static void cut_into(struct msghdr *message, char *control, uint16_t size) {
        struct cmsghdr *one = (struct cmsghdr *)control;
        memset(control, 0, CMSG_SPACE(sizeof(size)));
        one->cmsg_level = SOL_UDP;
        one->cmsg_type = UDP_SEGMENT;
        one->cmsg_len = CMSG_LEN(sizeof(size));
        memcpy(CMSG_DATA(one), &size, sizeof(size));
        message->msg_control = control;
        message->msg_controllen = CMSG_SPACE(sizeof(size));
    }
    """
    cdef struct in_addr:
        uint32_t s_addr
    cdef struct in6_addr:
        pass
    cdef struct sockaddr_storage:
        uint16_t ss_family
    cdef struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id
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
    int sendmmsg(int fd, mmsghdr* messages, unsigned int count, int flags) nogil
    double stamp_of(msghdr* message) nogil
    unsigned int size_of_each(msghdr* message) nogil
    double seconds_on(int which) nogil
    void cut_into(msghdr* message, char* control, uint16_t size) nogil
    uint16_t ntohs(uint16_t number) nogil
    uint16_t htons(uint16_t number) nogil
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
cdef mmsghdr* outgoing = <mmsghdr*>calloc(BATCH, sizeof(mmsghdr))
cdef iovec* vectors = <iovec*>calloc(2 * BATCH, sizeof(iovec))
cdef sockaddr_storage* names = <sockaddr_storage*>calloc(BATCH, sizeof(sockaddr_storage))

if incoming == NULL or outgoing == NULL or vectors == NULL or names == NULL:
    raise MemoryError

cdef int _open_buffers() except -1:
    """Address space for a full batch; pages are only taken as datagrams touch them."""
    global buffers, controls
    cdef int number
    if buffers == NULL:
        if controls == NULL:
            controls = <char*>malloc(BATCH * CONTROL)
        buffers = <char*>malloc(BATCH * DATAGRAM)
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


include "_addresses.pxi"


def recv_batch(int fd, int limit=64):
    cdef int number, count, wanted
    cdef list batch = []
    _open_buffers()
    while limit > 0:
        wanted = limit if limit < BATCH else BATCH
        for number in range(wanted):
            incoming[number].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
            incoming[number].msg_hdr.msg_controllen = 0
        count = recvmmsg(fd, incoming, wanted, MSG_DONTWAIT, NULL)
        if count < 0:
            if batch or errno == EAGAIN or errno == EINTR:
                return batch
            PyErr_SetFromErrno(OSError)
        for number in range(count):
            batch.append((
                PyBytes_FromStringAndSize(<char*>incoming[number].msg_hdr.msg_iov.iov_base, incoming[number].msg_len),
                address_of(&names[number]),
            ))
        if count < wanted:
            break
        limit -= count
    return batch


def recv_stamped(int fd):
    """Up to 64 datagrams that wait: (octets, address, time of arrival on the monotonic clock). Raises OSError.

    The times are the kernel's where the socket has SO_TIMESTAMPNS, else now. With UDP_GRO one of the 64 may be many
    of one length from one address: they are given one by one.
    """
    cdef int number, count
    cdef unsigned int each, begin, size
    cdef char* data
    cdef double now, shift, at
    cdef list batch = []
    _open_buffers()
    for number in range(BATCH):
        incoming[number].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
        incoming[number].msg_hdr.msg_controllen = CONTROL
    count = recvmmsg(fd, incoming, BATCH, MSG_DONTWAIT, NULL)
    if count < 0:
        if errno == EAGAIN or errno == EINTR:
            return batch
        PyErr_SetFromErrno(OSError)
    now = seconds_on(CLOCK_MONOTONIC)
    shift = seconds_on(CLOCK_REALTIME) - now
    for number in range(count):
        at = stamp_of(&incoming[number].msg_hdr)
        at = at - shift if at else now
        stamp = at if at < now else now
        data, size, address = <char*>incoming[number].msg_hdr.msg_iov.iov_base, incoming[number].msg_len, address_of(&names[number])
        each = size_of_each(&incoming[number].msg_hdr)
        begin = 0
        while each and size - begin > each:
            batch.append((PyBytes_FromStringAndSize(data + begin, each), address, stamp))
            begin += each
        batch.append((PyBytes_FromStringAndSize(data + begin, size - begin), address, stamp))
    return batch


def send_batch(int fd, batch):
    cdef list given = list(batch)  # keeps the octets alive, whatever becomes of the caller's list
    cdef list kept
    cdef Py_ssize_t total = len(given), sent = 0, number
    cdef int count, wanted
    cdef bytes data, name
    cdef bint stop = False
    while sent < total and not stop:
        wanted, kept = 0, []
        for number in range(sent, min(total, sent + BATCH)):
            try:
                data, address = given[number]
                if data is None:
                    raise TypeError("a datagram is bytes")
                name = near_sockaddr_of(address)
            except (OSError, ValueError, TypeError):
                if number == 0:
                    raise
                stop = True
                break
            kept.append(name)
            vectors[BATCH + wanted].iov_base = PyBytes_AS_STRING(data)
            vectors[BATCH + wanted].iov_len = PyBytes_GET_SIZE(data)
            outgoing[wanted].msg_hdr.msg_iov = &vectors[BATCH + wanted]
            outgoing[wanted].msg_hdr.msg_iovlen = 1
            outgoing[wanted].msg_hdr.msg_name = PyBytes_AS_STRING(name)
            outgoing[wanted].msg_hdr.msg_namelen = <unsigned int>PyBytes_GET_SIZE(name)
            wanted += 1
        if not wanted:
            break
        count = sendmmsg(fd, outgoing, wanted, MSG_DONTWAIT)
        if count < 0:
            if sent or errno == EAGAIN or errno == EINTR:
                break
            PyErr_SetFromErrno(OSError)
        sent += count
        if count < wanted:
            break
    return sent


include "_segments.pxi"
