# cython: language_level=3, boundscheck=False, wraparound=False
"""How events become records and frames, compiled.

Placement rules: whatever stands here stands in Python too, in ``wire/codec.py``,
``domain/fields.py`` and ``storage/memory_rows.py``, and those say why; ``tests/native`` holds the
two together. No rule is decided here, and nothing is kept but encoded names.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.tuple cimport PyTuple_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from groupd.native.encoding cimport (
    HEAD_MAX,
    UUID_BYTES,
    PyUnicode_DATA,
    PyUnicode_GET_LENGTH,
    PyUnicode_IS_COMPACT_ASCII,
    put_big_endian,
    put_bytes,
    put_integer,
    put_text,
    read_uuid7,
    utf8_of,
)

from hashlib import sha256 as _sha256
from os import fsencode

VERSION = 4
"""As in ``native/__init__.py``."""

cdef extern from "<dlfcn.h>" nogil:
    void* dlopen(const char* path, int flags)
    void* dlsym(void* library, const char* name)
    int RTLD_LAZY
    int RTLD_NOLOAD

cdef enum:
    HASH_BYTES = 32
    REQUEST_HASH_BYTES = 16
    PRIVATE_BYTES = 13
    CONTEXT_WORDS = 64  # Of eight bytes; OpenSSL's SHA256_CTX has 14.

# Where the fields of a ``Record`` stand in it.
cdef enum:
    TIME_MS = 1
    KIND = 2
    USER = 3
    REQUEST_ID = 4
    AUDIENCE = 5
    N = 6
    FORGET = 7
    FOLLOWED = 8
    HEADER = 9
    SALT = 10
    REQUEST_HASH = 11
    BODY = 12
    INNER = 13
    CHAIN = 14
    FIELDS = 15

cdef tuple record_of(object item):
    """Take a ``Record`` for the tuple that it is."""
    if not isinstance(item, tuple) or PyTuple_GET_SIZE(item) != FIELDS:
        raise TypeError(f"expected a Record, got {type(item).__name__}")
    return <tuple>item


# --- maps of fields, into a space that grows

cdef enum:
    FIRST_BYTES = 1024  # Most headers and bodies fit, and take no memory but the stack.

cdef struct Space:
    char* begin
    char* at
    char* end
    char first[FIRST_BYTES]


cdef inline void open_space(Space* space) noexcept:
    """Begin; ``close_space`` must follow, whatever is raised in between."""
    space.begin = space.at = space.first
    space.end = space.begin + FIRST_BYTES


cdef inline void close_space(Space* space) noexcept:
    if space.begin != space.first:
        PyMem_Free(space.begin)


cdef inline int reserve(Space* space, Py_ssize_t size) except -1:
    """Make sure that so many bytes can be put at ``at``."""
    cdef Py_ssize_t used = space.at - space.begin, whole = 2 * (used + size)
    cdef char* larger
    if space.end - space.at >= size:
        return 0
    larger = <char*>PyMem_Malloc(whole)
    if larger == NULL:
        raise MemoryError
    memcpy(larger, space.begin, used)
    close_space(space)
    space.begin, space.at, space.end = larger, larger + used, larger + whole
    return 0


cdef int put_fields(
    Space* space, uint8_t count_bits, object value, tuple table, object pack
) except -1:
    """Put one byte that counts, and the fields that differ from their defaults.

    ``table`` has name, encoded key and default of each field. ``count_bits`` are set in the byte
    that counts.
    """
    cdef Py_ssize_t begin = space.at - space.begin, length
    cdef unsigned int count = 0
    cdef const char* text
    cdef object name, default, item
    cdef bytes key
    reserve(space, 1)
    space.at += 1
    for name, key, default in table:
        item = getattr(value, name)
        if item is default or item == default:
            continue
        count += 1
        if type(item) is str:
            text = utf8_of(<str>item, &length)
            reserve(space, PyBytes_GET_SIZE(key) + HEAD_MAX + length)
            space.at = put_text(put_bytes(space.at, key), text, length)
        else:
            item = pack(item)
            reserve(space, PyBytes_GET_SIZE(key) + PyBytes_GET_SIZE(<bytes?>item))
            space.at = put_bytes(put_bytes(space.at, key), <bytes>item)
    if count > 0xFF:
        raise IndexError("more fields than one byte counts")
    space.begin[begin] = <char>(count_bits | count)
    return 0


cdef bytes body_of(object event, tuple table, object pack):
    cdef Space space
    open_space(&space)
    try:
        put_fields(&space, 0, event, table, pack)
        return PyBytes_FromStringAndSize(space.begin, space.at - space.begin)
    finally:
        close_space(&space)


# --- hashes: those of OpenSSL, found where ``hashlib`` has them

ctypedef int (*Init)(void* context) noexcept nogil
ctypedef int (*Update)(void* context, const void* data, size_t size) noexcept nogil
ctypedef int (*Final)(unsigned char* digest, void* context) noexcept nogil

cdef object sha256 = _sha256
cdef Init sha256_init = NULL
cdef Update sha256_update = NULL
cdef Final sha256_final = NULL


cdef struct Piece:
    const char* data
    Py_ssize_t size


cdef inline Piece piece_of(bytes data) noexcept:
    """Give bytes as a piece; they must outlive it."""
    cdef Piece piece
    piece.data, piece.size = PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data)
    return piece


cdef int put_digest(unsigned char* to, const Piece* pieces, int count) except -1:
    """Put the SHA-256 of pieces, one after the other."""
    cdef uint64_t context[CONTEXT_WORDS]
    cdef int place, is_good
    cdef bytes digest
    if sha256_init != NULL:
        is_good = sha256_init(context)
        for place in range(count):
            is_good &= sha256_update(context, pieces[place].data, pieces[place].size)
        if is_good == 1 and sha256_final(to, context) == 1:
            return 0
    made = sha256()
    for place in range(count):
        made.update(PyBytes_FromStringAndSize(pieces[place].data, pieces[place].size))
    digest = made.digest()
    memcpy(to, PyBytes_AS_STRING(digest), HASH_BYTES)
    return 0


cdef bytes digest_of(const Piece* pieces, int count):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, HASH_BYTES)
    put_digest(<unsigned char*>PyBytes_AS_STRING(made), pieces, count)
    return made


def find_sha256(path):
    """Look for OpenSSL's own functions behind the library at ``path``; say whether they are right.

    ``hashlib`` makes an object for each hash, which takes three times as long as hashing a post.
    """
    global sha256_init, sha256_update, sha256_final
    sha256_init = NULL
    if not path:
        return False  # Of Python itself nobody knows what else it is linked to.
    cdef bytes name = fsencode(path)
    cdef void* library = dlopen(PyBytes_AS_STRING(name), RTLD_LAZY | RTLD_NOLOAD)
    if library == NULL:
        return False
    sha256_update = <Update>dlsym(library, "SHA256_Update")
    sha256_final = <Final>dlsym(library, "SHA256_Final")
    if sha256_update == NULL or sha256_final == NULL:
        return False
    sha256_init = <Init>dlsym(library, "SHA256_Init")
    cdef bytes text = bytes(range(200)), end = b"x"
    cdef Piece* pieces = [piece_of(text), piece_of(text), piece_of(end)]
    if sha256_init != NULL and digest_of(pieces, 3) == sha256(text + text + end).digest():
        return True
    sha256_init = NULL
    return False


def request_hash(bytes head not None, request, tuple table not None, pack):
    """Hash what a request asks for. ``head`` is what comes before its map of at most 15 entries."""
    cdef unsigned char digest[HASH_BYTES]
    cdef Space space
    cdef Piece asked
    open_space(&space)
    try:
        reserve(&space, PyBytes_GET_SIZE(head))
        space.at = put_bytes(space.at, head)
        put_fields(&space, 0x80, request, table, pack)
        asked.data, asked.size = space.begin, space.at - space.begin
        put_digest(digest, &asked, 1)
    finally:
        close_space(&space)
    return PyBytes_FromStringAndSize(<char*>digest, REQUEST_HASH_BYTES)


cdef bytes chain_hash(
    bytes previous, bytes header, uint8_t audience, uint64_t n, uint64_t forget, bytes inner
):
    cdef char private[PRIVATE_BYTES]
    put_big_endian(put_big_endian(put_big_endian(private, audience, 1), n, 8), forget, 4)
    cdef Piece hidden
    hidden.data, hidden.size = private, PRIVATE_BYTES
    cdef Piece* pieces = [piece_of(previous), piece_of(header), hidden, piece_of(inner)]
    return digest_of(pieces, 4)


# --- records

cdef class EventClass:
    """What is the same for all events of a class; no ``table`` for a kind that is not known."""

    cdef object kind, audience, followed
    cdef bytes encoded_kind
    cdef tuple table

    def __init__(self, cls, bytes encoded_kind not None, table):
        self.kind, self.audience, self.followed = cls.kind, cls.audience, cls.followed
        self.encoded_kind, self.table = encoded_kind, table


cdef class RecordWriter:
    """Writes the records of one stream. See ``wire.codec.RecordWriter``."""

    cdef type _record
    cdef bytes _prefix, _prefix_with_id, _time_key, _user_key, _id_key, _time
    cdef object _class_of, _kind_of, _encode_body, _pack
    cdef bint _has_user
    cdef int64_t _time_ms

    def __init__(
        self, type record not None, *, bytes prefix not None, bytes prefix_with_id not None,
        bytes time_key not None, bytes user_key not None, bytes id_key not None, class_of, kind_of,
        encode_body, pack,
    ):
        self._record = record
        self._prefix, self._prefix_with_id = prefix, prefix_with_id
        self._time_key, self._user_key, self._id_key = time_key, user_key, id_key
        self._class_of, self._kind_of = class_of, kind_of
        self._encode_body, self._pack = encode_body, pack
        self._has_user = len(user_key) != 0
        # All records of a batch have the same time.
        self._time_ms, self._time = -1, b""

    def header(self, seq, time_ms, str user not None, str kind not None, str request_id not None):
        """Give a record's header."""
        return self._header(seq, time_ms, user, self._kind_of(kind), request_id)

    cdef bytes _header(
        self, uint64_t seq, int64_t time_ms, str user, bytes encoded_kind, str request_id
    ):
        cdef bytes prefix = self._prefix_with_id if request_id else self._prefix
        cdef Py_ssize_t user_size = 0, id_size = 0, size
        cdef const char* user_text = NULL
        cdef const char* id_text = NULL
        if time_ms != self._time_ms:
            self._time = self._time_key + self._pack(time_ms) + self._user_key
            self._time_ms = time_ms
        size = PyBytes_GET_SIZE(prefix) + PyBytes_GET_SIZE(self._time)
        size += PyBytes_GET_SIZE(encoded_kind) + 3 * HEAD_MAX
        if self._has_user:
            user_text = utf8_of(user, &user_size)
            size += user_size
        if request_id:
            id_text = utf8_of(request_id, &id_size)
            size += PyBytes_GET_SIZE(self._id_key) + id_size
        cdef Space space
        open_space(&space)
        try:
            reserve(&space, size)
            space.at = put_bytes(space.at, prefix)
            space.at = put_bytes(put_integer(space.at, seq), self._time)
            if self._has_user:
                space.at = put_text(space.at, user_text, user_size)
            space.at = put_bytes(space.at, encoded_kind)
            if request_id:
                space.at = put_text(put_bytes(space.at, self._id_key), id_text, id_size)
            return PyBytes_FromStringAndSize(space.begin, space.at - space.begin)
        finally:
            close_space(&space)

    def write(
        self, event, seq, time_ms, str user not None, str request_id not None, n, forget,
        bytes salt not None, bytes request_hash not None, bytes previous not None,
    ):
        """Make the record of an event."""
        cdef EventClass known = <EventClass?>self._class_of(type(event))
        cdef object kind = known.kind
        cdef bytes header, body, inner, chain
        if known.table is None:
            # It has its kind and its fields with it.
            kind = event.kind
            header = self._header(seq, time_ms, user, self._kind_of(kind), request_id)
            body = <bytes?>self._encode_body(event)
        else:
            header = self._header(seq, time_ms, user, known.encoded_kind, request_id)
            body = body_of(event, known.table, self._pack)
        cdef Piece* pieces = [piece_of(salt), piece_of(request_hash), piece_of(body)]
        inner = digest_of(pieces, 3)
        chain = chain_hash(previous, header, known.audience, n, forget, inner)
        return tuple.__new__(
            self._record,
            (
                seq, time_ms, kind, user, request_id, known.audience, n, forget, known.followed,
                header, salt, request_hash, body, inner, chain,
            ),
        )


# --- frames

cdef bytes frame_of(bytes prefix, bytes header, bytes body):
    """Join prefix, map head, and the entries of header and body, each led by their count."""
    if PyBytes_GET_SIZE(header) == 0 or PyBytes_GET_SIZE(body) == 0:
        raise IndexError("a header or body without its count")
    cdef unsigned int count = <uint8_t>PyBytes_AS_STRING(header)[0]
    count += <uint8_t>PyBytes_AS_STRING(body)[0]
    cdef Py_ssize_t head = 1 if count < 16 else 3
    cdef bytes made = PyBytes_FromStringAndSize(
        NULL,
        PyBytes_GET_SIZE(prefix) + head + PyBytes_GET_SIZE(header) + PyBytes_GET_SIZE(body) - 2,
    )
    cdef char* at = put_bytes(PyBytes_AS_STRING(made), prefix)
    if count < 16:
        at = put_big_endian(at, 0x80 | count, 1)
    else:
        at = put_big_endian(put_big_endian(at, 0xDE, 1), count, 2)
    put_bytes(put_bytes(at, header, 1), body, 1)
    return made


def frames(records, bytes prefix not None, event_map):
    """Give the events of records as their readers see them; ``event_map`` serves what is erased."""
    cdef list made = []
    cdef tuple record
    for item in records:
        record = record_of(item)
        if record[BODY] is None:
            made.append(event_map(item, prefix))
        else:
            made.append(frame_of(prefix, <bytes?>record[HEADER], <bytes?>record[BODY]))
    return made


# --- rows of a store in memory

cdef enum:
    ROW_HEAD = 36


def row_of(item):
    """Give a record as one piece. See ``storage/memory_rows.py``."""
    cdef tuple record = record_of(item)
    cdef Py_ssize_t kind_size, user_size, id_size
    cdef const char* kind = utf8_of(<str?>record[KIND], &kind_size)
    cdef const char* user = utf8_of(<str?>record[USER], &user_size)
    cdef const char* id = utf8_of(<str?>record[REQUEST_ID], &id_size)
    cdef bytes header = <bytes?>record[HEADER], salt = <bytes?>record[SALT]
    cdef bytes asked = <bytes?>record[REQUEST_HASH]
    cdef bytes inner = <bytes?>record[INNER], chain = <bytes?>record[CHAIN]
    cdef bytes body = b"" if record[BODY] is None else <bytes?>record[BODY]
    cdef int64_t time_ms = record[TIME_MS]
    if kind_size > 0xFF or user_size > 0xFFFF or id_size > 0xFFFF:
        raise ValueError("a record's kind, user or request id is too long")
    if max(len(salt), len(asked), len(inner), len(chain)) > 0xFF:
        raise ValueError("a record's salt or hash is too long")
    cdef bytes made = PyBytes_FromStringAndSize(
        NULL,
        ROW_HEAD + kind_size + user_size + id_size + PyBytes_GET_SIZE(header)
        + PyBytes_GET_SIZE(salt) + PyBytes_GET_SIZE(asked) + PyBytes_GET_SIZE(inner)
        + PyBytes_GET_SIZE(chain) + PyBytes_GET_SIZE(body),
    )
    cdef char* at = PyBytes_AS_STRING(made)
    at = put_big_endian(at, record[AUDIENCE], 1)
    at = put_big_endian(at, 1 if record[FOLLOWED] else 0, 1)
    at = put_big_endian(at, record[FORGET], 4)
    at = put_big_endian(at, record[N], 8)
    at = put_big_endian(at, <uint64_t>time_ms, 8)
    at = put_big_endian(at, kind_size, 1)
    at = put_big_endian(at, user_size, 2)
    at = put_big_endian(at, id_size, 2)
    at = put_big_endian(at, PyBytes_GET_SIZE(header), 4)
    at = put_big_endian(at, PyBytes_GET_SIZE(salt), 1)
    at = put_big_endian(at, PyBytes_GET_SIZE(asked), 1)
    at = put_big_endian(at, PyBytes_GET_SIZE(inner), 1)
    at = put_big_endian(at, PyBytes_GET_SIZE(chain), 1)
    at = put_big_endian(at, 0 if record[BODY] is None else 1, 1)
    memcpy(at, kind, kind_size)
    memcpy(at + kind_size, user, user_size)
    memcpy(at + kind_size + user_size, id, id_size)
    at = put_bytes(at + kind_size + user_size + id_size, header)
    at = put_bytes(put_bytes(at, salt), asked)
    put_bytes(put_bytes(put_bytes(at, inner), chain), body)
    return made


# --- request ids and texts

def embedded_ms(str value not None):
    """Give the time in a UUIDv7 of 36 characters; -1 where it is none."""
    cdef uint8_t number[UUID_BYTES]
    return read_uuid7(value, number)


def is_plain(str text not None):
    """Say whether all is printable ASCII."""
    cdef const uint8_t* at
    cdef Py_ssize_t place
    cdef uint8_t other = 0
    if not PyUnicode_IS_COMPACT_ASCII(text):
        return False
    at = <const uint8_t*>PyUnicode_DATA(text)
    for place in range(PyUnicode_GET_LENGTH(text)):
        other |= at[place] < 0x20 or at[place] == 0x7F
    return other == 0
