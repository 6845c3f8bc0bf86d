# Addresses of datagrams, remembered in both directions. The tables are emptied when they are full.

cdef enum:
    REMEMBERED = 8192
    NEAR = 256

cdef dict by_ipv4 = {}      # address and port as one number -> (host, port)
cdef dict by_ipv6 = {}      # the whole sockaddr_in6 -> (host, port)
cdef dict by_address = {}   # (host, port) -> sockaddr
# An address that is the same object as before need not be hashed: each has its place by where it is in memory.
cdef list _near_addresses = [None] * NEAR
cdef list _near_names = [None] * NEAR
cdef uint64_t last_key = 0
cdef tuple last_found = None

cdef tuple address_of(sockaddr_storage* name):
    """(host, port) of a source; the same object for the same source while it is remembered."""
    cdef sockaddr_in* four
    cdef sockaddr_in6* six
    cdef uint64_t key
    cdef tuple found
    global last_key, last_found
    if name.ss_family == AF_INET:
        four = <sockaddr_in*>name
        key = (<uint64_t>four.sin_addr.s_addr << 16) | four.sin_port
        if last_found is not None and key == last_key:  # nearly always, of a proxy or a load generator
            return last_found
        found = by_ipv4.get(key)
        if found is None:
            packed = (<char*>&four.sin_addr)[:4]
            found = (_socket.inet_ntop(_socket.AF_INET, packed), ntohs(four.sin_port))
            if len(by_ipv4) >= REMEMBERED:
                by_ipv4.clear()
            by_ipv4[key] = found
        last_key, last_found = key, found
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


cdef inline bytes near_sockaddr_of(object address):
    cdef Py_ssize_t place = (<uint64_t><void*>address >> 4) & (NEAR - 1)
    if _near_addresses[place] is address:
        return <bytes>_near_names[place]
    found = sockaddr_of(address)
    if isinstance(address, tuple):  # what cannot change
        _near_addresses[place], _near_names[place] = address, found
    return found


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
