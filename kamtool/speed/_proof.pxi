# Digest credentials, MD5 and nonces without a Python object in between. See proof.py.

cdef inline object md5_text(Md5* md5, str text):
    cdef Text source
    kept = open_text(text, &source)
    md5_add(md5, source.p, source.size)
    return kept


def md5_of(*parts):
    cdef Md5 md5
    cdef char digits[32]
    cdef bint first = True
    md5_begin(&md5)
    for part in parts:
        if not first:
            md5_colon(&md5)
        first = False
        md5_text(&md5, part)
    md5_end(&md5, digits)
    return PyUnicode_DecodeASCII(digits, 32, NULL)


# Credentials

cdef enum:
    USERNAME = 0
    REALM = 1
    NONCE = 2
    DIGEST_URI = 3
    RESPONSE = 4
    ALGORITHM = 5
    CNONCE = 6
    OPAQUE = 7
    QOP = 8
    NC = 9
    PARTS = 10

cdef const char* PART_NAMES[10]
cdef Py_ssize_t[10] PART_SIZES = [8, 5, 5, 3, 8, 9, 6, 6, 3, 2]
PART_NAMES[:] = ["username", "realm", "nonce", "uri", "response", "algorithm", "cnonce", "opaque", "qop", "nc"]


@cython.no_gc
@cython.final
cdef class Proof:
    cdef bytes _data
    cdef Span _parts[PARTS]
    cdef readonly bint is_md5

    cdef str part(self, int which):
        cdef Span span = self._parts[which]
        if span.end <= span.start:
            return ""
        return PyUnicode_DecodeASCII(PyBytes_AS_STRING(self._data) + span.start, span.end - span.start, NULL)

    cdef inline void hash_part(self, Md5* md5, int which) noexcept:
        cdef Span span = self._parts[which]
        if span.end > span.start:
            md5_add(md5, <Octets>PyBytes_AS_STRING(self._data) + span.start, span.end - span.start)

    @property
    def username(self):
        return self.part(USERNAME)

    @property
    def user(self):
        return self.part(USERNAME).partition("@")[0]

    @property
    def domain(self):
        return self.part(USERNAME).partition("@")[2] or self.part(REALM)

    @property
    def realm(self):
        return self.part(REALM)

    @property
    def nonce(self):
        return self.part(NONCE)

    @property
    def uri(self):
        return self.part(DIGEST_URI)

    @property
    def response(self):
        return self.part(RESPONSE)

    @property
    def algorithm(self):
        return self.part(ALGORITHM)

    @property
    def cnonce(self):
        return self.part(CNONCE)

    @property
    def opaque(self):
        return self.part(OPAQUE)

    @property
    def qop(self):
        return self.part(QOP)

    @property
    def nc(self):
        return self.part(NC)

    def ha1(self, str password not None):
        cdef Md5 md5
        cdef char digits[32]
        md5_begin(&md5)
        self.hash_part(&md5, USERNAME)
        md5_colon(&md5)
        self.hash_part(&md5, REALM)
        md5_colon(&md5)
        md5_text(&md5, password)
        md5_end(&md5, digits)
        return PyUnicode_DecodeASCII(digits, 32, NULL)

    def proves(self, str ha1 not None, str method not None):
        cdef Md5 md5
        cdef char a2[32]
        cdef char digits[32]
        cdef Octets given
        cdef Span span = self._parts[RESPONSE]
        cdef int i, wrong = 0, octet
        if span.end - span.start != 32:
            return False
        md5_begin(&md5)
        md5_text(&md5, method)
        md5_colon(&md5)
        self.hash_part(&md5, DIGEST_URI)
        md5_end(&md5, a2)
        md5_begin(&md5)
        md5_text(&md5, ha1)
        md5_colon(&md5)
        self.hash_part(&md5, NONCE)
        md5_colon(&md5)
        if self._parts[QOP].end > self._parts[QOP].start:
            for i in (NC, CNONCE, QOP):
                self.hash_part(&md5, i)
                md5_colon(&md5)
        md5_add(&md5, <unsigned char*>a2, 32)
        md5_end(&md5, digits)
        given = <Octets>PyBytes_AS_STRING(self._data) + span.start
        for i in range(32):  # without a way out: its time tells nothing
            octet = given[i]
            if c'A' <= octet <= c'Z':
                octet += 32
            wrong |= octet ^ <unsigned char>digits[i]
        return wrong == 0


def read_proof(Index index not None, str header not None, str realm not None):
    cdef int number = known_id(header)
    cdef Py_ssize_t place = index.next_place(0, number, None if number else lowered(header))
    cdef Row* row
    cdef Octets p = index.octets()
    cdef Py_ssize_t at, end, stop
    cdef Span name, value
    cdef Text wanted
    cdef int seen = 0, which
    cdef Proof found
    if place < 0 or index.next_place(place + 1, number, None if number else lowered(header)) >= 0:
        return None
    row = &index._rows[place]
    at, end = row.value_start, row.value_end
    if end - at < 8 or p[at + 6] != c' ':
        return None
    name.start, name.end = at, at + 6
    if not same(p, name, "digest", 6):
        return None
    at += 7
    found = Proof.__new__(Proof)
    while True:
        while is_at(p, at, end, c' '):
            at += 1
        name.start = at
        while at < end and KIND[p[at]] & (ALPHA | DIGIT):
            at += 1
        name.end = at
        if name.start == at or not is_at(p, at, end, c'='):
            return None
        at += 1
        if is_at(p, at, end, c'"'):
            value.start = at + 1
            stop = value.start
            while stop < end and 32 <= p[stop] < 127 and p[stop] != c'"' and p[stop] != c'\\':
                stop += 1
            if not is_at(p, stop, end, c'"'):
                return None
            value.end, at = stop, stop + 1
        else:
            value.start = at
            while at < end and KIND[p[at]] & TOKEN:
                at += 1
            value.end = at
            if value.start == at:
                return None
        for which in range(PARTS):
            if name.end - name.start == PART_SIZES[which] and same(p, name, PART_NAMES[which], PART_SIZES[which]):
                break
        else:
            return None
        if seen & 1 << which:
            return None
        seen |= 1 << which
        found._parts[which] = value
        while is_at(p, at, end, c' '):
            at += 1
        if at == end:
            break
        if p[at] != c',':
            return None
        at += 1
    if seen & 31 != 31:
        return None
    value = found._parts[QOP]
    if value.end > value.start and (found._parts[NC].end <= found._parts[NC].start
                                    or found._parts[CNONCE].end <= found._parts[CNONCE].start):
        return None
    kept = open_text(realm, &wanted)
    name = found._parts[REALM]
    if name.end - name.start != wanted.size or memcmp(p + name.start, wanted.p, wanted.size):
        return None
    name = found._parts[ALGORITHM]
    found.is_md5 = ((name.end <= name.start or same(p, name, "md5", 3))
                    and (value.end <= value.start or same(p, value, "auth", 4)))
    found._data = index.data
    return found


# Nonces

cdef inline Long turned(Long value, int bits) noexcept nogil:
    return value << bits | value >> (64 - bits)


cdef inline void sip_round(Long* v) noexcept nogil:
    v[0] += v[1]
    v[2] += v[3]
    v[1] = turned(v[1], 13) ^ v[0]
    v[3] = turned(v[3], 16) ^ v[2]
    v[0] = turned(v[0], 32)
    v[2] += v[1]
    v[0] += v[3]
    v[1] = turned(v[1], 17) ^ v[2]
    v[3] = turned(v[3], 21) ^ v[0]
    v[2] = turned(v[2], 32)


cdef inline Long little(const unsigned char* octets, Py_ssize_t size) noexcept nogil:
    cdef Long value = 0
    cdef Py_ssize_t i
    for i in range(size):
        value |= <Long>octets[i] << (8 * i)
    return value


cdef void siphash(const unsigned char* key, const unsigned char* text, Py_ssize_t size, unsigned char* out) noexcept nogil:
    """SipHash-2-4 with 16 octets of result."""
    cdef Long k0 = little(key, 8), k1 = little(key + 8, 8), m
    cdef Long v[4]
    cdef Py_ssize_t at = 0
    cdef int i
    v[0], v[1] = k0 ^ 0x736F6D6570736575ULL, k1 ^ 0x646F72616E646F6DULL ^ 0xEE
    v[2], v[3] = k0 ^ 0x6C7967656E657261ULL, k1 ^ 0x7465646279746573ULL
    while True:
        m = little(text + at, 8 if size - at >= 8 else size - at)
        if size - at < 8:
            m |= <Long>(size & 255) << 56
        v[3] ^= m
        sip_round(v)
        sip_round(v)
        v[0] ^= m
        if size - at < 8:
            break
        at += 8
    v[2] ^= 0xEE
    for i in range(4):
        sip_round(v)
    m = v[0] ^ v[1] ^ v[2] ^ v[3]
    for i in range(8):
        out[i] = <unsigned char>(m >> (8 * i))
    v[1] ^= 0xDD
    for i in range(4):
        sip_round(v)
    m = v[0] ^ v[1] ^ v[2] ^ v[3]
    for i in range(8):
        out[8 + i] = <unsigned char>(m >> (8 * i))


cdef enum:
    NONCE_HEAD = 9
    NONCE_SIZE = 21
    NONCE_TEXT = 28

cdef const char* BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
cdef signed char SEXTET[256]

cdef void _fill_sextets() noexcept:
    cdef int i
    for i in range(256):
        SEXTET[i] = -1
    for i in range(64):
        SEXTET[<unsigned char>BASE64[i]] = <signed char>i

_fill_sextets()


cdef int nonce_hash(bytes key, const unsigned char* head, bytes binding, unsigned char* out) except -1:
    cdef bytes whole
    if PyBytes_GET_SIZE(key) != 16:
        raise ValueError("a key of nonces has 16 octets")
    if PyBytes_GET_SIZE(binding):
        whole = PyBytes_FromStringAndSize(<const char*>head, NONCE_HEAD) + binding
        siphash(<Octets>PyBytes_AS_STRING(key), <Octets>PyBytes_AS_STRING(whole), PyBytes_GET_SIZE(whole), out)
    else:
        siphash(<Octets>PyBytes_AS_STRING(key), head, NONCE_HEAD, out)
    return 0


def make_nonce(bytes key not None, Word created, Word number, unsigned char checks, bytes binding not None=b""):
    cdef unsigned char raw[NONCE_HEAD + 16]
    cdef char text[NONCE_TEXT]
    cdef Word three
    cdef int i
    for i in range(4):
        raw[i] = <unsigned char>(created >> (24 - 8 * i))
        raw[4 + i] = <unsigned char>(number >> (24 - 8 * i))
    raw[8] = checks
    nonce_hash(key, raw, binding, raw + NONCE_HEAD)
    for i in range(7):
        three = <Word>raw[3 * i] << 16 | <Word>raw[3 * i + 1] << 8 | raw[3 * i + 2]
        text[4 * i] = BASE64[three >> 18]
        text[4 * i + 1] = BASE64[three >> 12 & 63]
        text[4 * i + 2] = BASE64[three >> 6 & 63]
        text[4 * i + 3] = BASE64[three & 63]
    return PyUnicode_DecodeASCII(text, NONCE_TEXT, NULL)


def read_nonce(bytes key not None, str nonce not None, bytes binding not None=b""):
    cdef unsigned char raw[NONCE_SIZE]
    cdef unsigned char wanted[16]
    cdef Text text
    cdef Word three
    cdef int i, j, wrong = 0
    kept = open_text(nonce, &text)
    if text.size != NONCE_TEXT:
        return None
    for i in range(7):
        three = 0
        for j in range(4):
            if SEXTET[text.p[4 * i + j]] < 0:
                return None
            three = three << 6 | <Word>SEXTET[text.p[4 * i + j]]
        raw[3 * i] = <unsigned char>(three >> 16)
        raw[3 * i + 1] = <unsigned char>(three >> 8)
        raw[3 * i + 2] = <unsigned char>three
    nonce_hash(key, raw, binding, wanted)
    for i in range(NONCE_SIZE - NONCE_HEAD):
        wrong |= raw[NONCE_HEAD + i] ^ wanted[i]
    if wrong:
        return None
    return (
        <Word>raw[0] << 24 | <Word>raw[1] << 16 | <Word>raw[2] << 8 | raw[3],
        <Word>raw[4] << 24 | <Word>raw[5] << 16 | <Word>raw[6] << 8 | raw[7],
    )
