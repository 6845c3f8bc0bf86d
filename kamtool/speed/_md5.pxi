# MD5 (RFC 1321) without a Python object in between.

ctypedef unsigned int Word
ctypedef unsigned long long Long

cdef struct Md5:
    Word state[4]
    Long size
    unsigned char block[64]

cdef Word MD5_ADD[64]
cdef int MD5_TAKE[64]

cdef void _fill_md5():
    cdef int i
    from math import floor, sin
    takes = ((1, 0), (5, 1), (3, 5), (7, 0))
    for i in range(64):
        MD5_ADD[i] = <Word>floor(abs(sin(i + 1)) * 4294967296.0)
        MD5_TAKE[i] = (takes[i // 16][0] * i + takes[i // 16][1]) % 16

_fill_md5()


cdef inline Word turned_word(Word value, int bits) noexcept nogil:
    return value << bits | value >> (32 - bits)


cdef void md5_block(Md5* md5, const unsigned char* block) noexcept nogil:
    """RFC 1321 §3.4."""
    cdef Word words[16]
    cdef Word a = md5.state[0], b = md5.state[1], c = md5.state[2], d = md5.state[3]
    cdef int i
    for i in range(16):
        words[i] = (block[4 * i] | <Word>block[4 * i + 1] << 8 | <Word>block[4 * i + 2] << 16
                    | <Word>block[4 * i + 3] << 24)
    for i in range(0, 16, 4):
        a = b + turned_word(a + (d ^ (b & (c ^ d))) + MD5_ADD[i] + words[MD5_TAKE[i]], 7)
        d = a + turned_word(d + (c ^ (a & (b ^ c))) + MD5_ADD[i + 1] + words[MD5_TAKE[i + 1]], 12)
        c = d + turned_word(c + (b ^ (d & (a ^ b))) + MD5_ADD[i + 2] + words[MD5_TAKE[i + 2]], 17)
        b = c + turned_word(b + (a ^ (c & (d ^ a))) + MD5_ADD[i + 3] + words[MD5_TAKE[i + 3]], 22)
    for i in range(16, 32, 4):
        a = b + turned_word(a + (c ^ (d & (b ^ c))) + MD5_ADD[i] + words[MD5_TAKE[i]], 5)
        d = a + turned_word(d + (b ^ (c & (a ^ b))) + MD5_ADD[i + 1] + words[MD5_TAKE[i + 1]], 9)
        c = d + turned_word(c + (a ^ (b & (d ^ a))) + MD5_ADD[i + 2] + words[MD5_TAKE[i + 2]], 14)
        b = c + turned_word(b + (d ^ (a & (c ^ d))) + MD5_ADD[i + 3] + words[MD5_TAKE[i + 3]], 20)
    for i in range(32, 48, 4):
        a = b + turned_word(a + (b ^ c ^ d) + MD5_ADD[i] + words[MD5_TAKE[i]], 4)
        d = a + turned_word(d + (a ^ b ^ c) + MD5_ADD[i + 1] + words[MD5_TAKE[i + 1]], 11)
        c = d + turned_word(c + (d ^ a ^ b) + MD5_ADD[i + 2] + words[MD5_TAKE[i + 2]], 16)
        b = c + turned_word(b + (c ^ d ^ a) + MD5_ADD[i + 3] + words[MD5_TAKE[i + 3]], 23)
    for i in range(48, 64, 4):
        a = b + turned_word(a + (c ^ (b | ~d)) + MD5_ADD[i] + words[MD5_TAKE[i]], 6)
        d = a + turned_word(d + (b ^ (a | ~c)) + MD5_ADD[i + 1] + words[MD5_TAKE[i + 1]], 10)
        c = d + turned_word(c + (a ^ (d | ~b)) + MD5_ADD[i + 2] + words[MD5_TAKE[i + 2]], 15)
        b = c + turned_word(b + (d ^ (c | ~a)) + MD5_ADD[i + 3] + words[MD5_TAKE[i + 3]], 21)
    md5.state[0] += a
    md5.state[1] += b
    md5.state[2] += c
    md5.state[3] += d


cdef inline void md5_begin(Md5* md5) noexcept nogil:
    md5.state[0], md5.state[1], md5.state[2], md5.state[3] = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476
    md5.size = 0


cdef void md5_add(Md5* md5, const unsigned char* octets, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t used = <Py_ssize_t>(md5.size & 63), part
    md5.size += size
    while size:
        part = 64 - used if size > 64 - used else size
        memcpy(md5.block + used, octets, part)
        octets, size, used = octets + part, size - part, used + part
        if used == 64:
            md5_block(md5, md5.block)
            used = 0


cdef void md5_end(Md5* md5, char* hexadecimal) noexcept nogil:
    """The sum as 32 digits."""
    cdef Py_ssize_t used = <Py_ssize_t>(md5.size & 63)
    cdef Long bits = md5.size * 8
    cdef int i, octet
    md5.block[used] = 0x80
    used += 1
    if used > 56:
        memset(md5.block + used, 0, 64 - used)
        md5_block(md5, md5.block)
        used = 0
    memset(md5.block + used, 0, 56 - used)
    for i in range(8):
        md5.block[56 + i] = <unsigned char>(bits >> (8 * i))
    md5_block(md5, md5.block)
    for i in range(16):
        octet = md5.state[i // 4] >> (8 * (i % 4)) & 255
        hexadecimal[2 * i] = b"0123456789abcdef"[octet >> 4]
        hexadecimal[2 * i + 1] = b"0123456789abcdef"[octet & 15]


cdef inline void md5_colon(Md5* md5) noexcept nogil:
    md5_add(md5, <const unsigned char*>":", 1)
