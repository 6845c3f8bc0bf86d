# cython: language_level=3, boundscheck=False, wraparound=False, binding=True
"""recvmmsg and sendmmsg (Linux): up to 64 datagrams a system call. See `datagrams.py` for what they promise.

The buffers are made once and reused; the octets of a datagram are copied out of them, so only pages that large
datagrams have touched are ever resident. Addresses are remembered in both directions, in tables that are emptied when
they are full: a flood of forged sources costs no memory.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy, memset

import socket as _socket

cdef extern from *:
    """
    #include <sys/socket.h>
    #include <netinet/in.h>
    #include <arpa/inet.h>
    #include <sys/uio.h>
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
    uint16_t ntohs(uint16_t number) nogil
    uint16_t htons(uint16_t number) nogil
    enum:
        AF_INET
        AF_INET6
        MSG_DONTWAIT

cdef enum:
    BATCH = 64
    DATAGRAM = 65536
    REMEMBERED = 8192

cdef char* buffers = NULL
cdef mmsghdr* incoming = <mmsghdr*>calloc(BATCH, sizeof(mmsghdr))
cdef mmsghdr* outgoing = <mmsghdr*>calloc(BATCH, sizeof(mmsghdr))
cdef iovec* vectors = <iovec*>calloc(2 * BATCH, sizeof(iovec))
cdef sockaddr_storage* names = <sockaddr_storage*>calloc(BATCH, sizeof(sockaddr_storage))
cdef dict by_ipv4 = {}      # address and port as one number -> (host, port)
cdef dict by_ipv6 = {}      # the whole sockaddr_in6 -> (host, port)
cdef dict by_address = {}   # (host, port) -> sockaddr

if incoming == NULL or outgoing == NULL or vectors == NULL or names == NULL:
    raise MemoryError

cdef int _open_buffers() except -1:
    """Address space for a full batch; pages are only taken as datagrams touch them."""
    global buffers
    cdef int number
    if buffers == NULL:
        buffers = <char*>malloc(BATCH * DATAGRAM)
        if buffers == NULL:
            raise MemoryError
        for number in range(BATCH):
            vectors[number].iov_base = buffers + number * DATAGRAM
            vectors[number].iov_len = DATAGRAM
            incoming[number].msg_hdr.msg_iov = &vectors[number]
            incoming[number].msg_hdr.msg_iovlen = 1
            incoming[number].msg_hdr.msg_name = &names[number]
    return 0


cdef tuple address_of(sockaddr_storage* name):
    """(host, port) of a source; the same object for the same source while it is remembered."""
    cdef sockaddr_in* four
    cdef sockaddr_in6* six
    cdef uint64_t key
    cdef tuple found
    if name.ss_family == AF_INET:
        four = <sockaddr_in*>name
        key = (<uint64_t>four.sin_addr.s_addr << 16) | four.sin_port
        found = by_ipv4.get(key)
        if found is None:
            packed = (<char*>&four.sin_addr)[:4]
            found = (_socket.inet_ntop(_socket.AF_INET, packed), ntohs(four.sin_port))
            if len(by_ipv4) >= REMEMBERED:
                by_ipv4.clear()
            by_ipv4[key] = found
        return found
    six = <sockaddr_in6*>name
    six.sin6_flowinfo = 0
    whole = (<char*>six)[: sizeof(sockaddr_in6)]
    found = by_ipv6.get(whole)
    if found is None:
        packed = (<char*>&six.sin6_addr)[:16]
        host = _socket.inet_ntop(_socket.AF_INET6, packed)
        if six.sin6_scope_id:
            host = f"{host}%{_socket.if_indextoname(six.sin6_scope_id)}"
        found = (host, ntohs(six.sin6_port))
        if len(by_ipv6) >= REMEMBERED:
            by_ipv6.clear()
        by_ipv6[whole] = found
    return found


def recv_batch(int fd, int limit=64):
    cdef int number, count, wanted
    cdef list batch = []
    _open_buffers()
    while limit > 0:
        wanted = limit if limit < BATCH else BATCH
        for number in range(wanted):
            incoming[number].msg_hdr.msg_namelen = sizeof(sockaddr_storage)
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


cdef bytes sockaddr_of(object address):
    """The sockaddr of a (host, port). Raises ValueError when it is no numeric address."""
    cdef bytes found = by_address.get(address)
    cdef sockaddr_in four
    cdef sockaddr_in6 six
    cdef bytes packed
    if found is not None:
        return found
    host, port = address
    if not 0 <= port <= 65535:
        raise ValueError(f"not a port: {port}")
    bare, _, scope = host.partition("%")
    try:
        packed = _socket.inet_pton(_socket.AF_INET6 if ":" in host else _socket.AF_INET, bare)
    except OSError as error:
        raise ValueError(f"not an IP address: {host!r}") from error
    if ":" in host:
        memset(&six, 0, sizeof(six))
        six.sin6_family, six.sin6_port = AF_INET6, htons(<uint16_t><int>port)
        memcpy(&six.sin6_addr, PyBytes_AS_STRING(packed), 16)
        if scope:
            six.sin6_scope_id = int(scope) if scope.isdigit() else _socket.if_nametoindex(scope)
        found = (<char*>&six)[: sizeof(six)]
    else:
        memset(&four, 0, sizeof(four))
        four.sin_family, four.sin_port = AF_INET, htons(<uint16_t><int>port)
        memcpy(&four.sin_addr, PyBytes_AS_STRING(packed), 4)
        found = (<char*>&four)[: sizeof(four)]
    if len(by_address) >= REMEMBERED:
        by_address.clear()
    by_address[address] = found
    return found


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
                name = sockaddr_of(address)
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
