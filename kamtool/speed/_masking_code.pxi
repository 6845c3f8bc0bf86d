# Base64 in an alphabet of one's own, the twin of `kamtool.modules.topoh.code`.

cdef struct Code:
    char to[64]
    signed char back[256]
    char pad

cdef void prepare(Code* code, const char* letters) noexcept:
    cdef int place
    memset(code.back, -1, 256)
    for place in range(64):
        code.to[place] = letters[place]
        code.back[<unsigned char>letters[place]] = <signed char>place
    code.pad = letters[64]

cdef void encode(Code* code, const char* octets, int size, char* to) noexcept:
    """Writes 4 octets for each 3, or what is left of them."""
    cdef const unsigned char* p = <const unsigned char*>octets
    cdef int at = 0
    while size - at >= 3:
        to[0] = code.to[p[at] >> 2]
        to[1] = code.to[(p[at] & 3) << 4 | p[at + 1] >> 4]
        to[2] = code.to[(p[at + 1] & 15) << 2 | p[at + 2] >> 6]
        to[3] = code.to[p[at + 2] & 63]
        at += 3
        to += 4
    if size - at == 1:
        to[0], to[1] = code.to[p[at] >> 2], code.to[(p[at] & 3) << 4]
        to[2] = to[3] = code.pad
    elif size - at == 2:
        to[0] = code.to[p[at] >> 2]
        to[1] = code.to[(p[at] & 3) << 4 | p[at + 1] >> 4]
        to[2], to[3] = code.to[(p[at + 1] & 15) << 2], code.pad

cdef int decode(Code* code, const char* octets, int size, char* to) noexcept:
    """How many octets were written, at most 3 for each 4; -1 for no code, or what is not one line of a header."""
    cdef const unsigned char* p = <const unsigned char*>octets
    cdef int at, pads = 0, made = 0, place
    cdef int four[4]
    cdef unsigned char octet
    if size < 4 or size % 4:
        return -1
    while pads < 2 and p[size - 1 - pads] == <unsigned char>code.pad:
        pads += 1
    at = 0
    while at < size:
        for place in range(4):
            four[place] = code.back[p[at + place]]
            if four[place] < 0:
                if at + place < size - pads:
                    return -1
                four[place] = 0
        to[made] = <char>(four[0] << 2 | four[1] >> 4)
        to[made + 1] = <char>((four[1] & 15) << 4 | four[2] >> 2)
        to[made + 2] = <char>((four[2] & 3) << 6 | four[3])
        made += 3
        at += 4
    made -= pads
    for place in range(made):
        octet = <unsigned char>to[place]
        if octet < 32 or octet == 127:
            return -1
    return made
