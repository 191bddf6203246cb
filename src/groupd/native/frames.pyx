# cython: language_level=3, boundscheck=False, wraparound=False
"""Requests out of the bytes of a read, and those bytes out of WebSocket's frames, compiled.

Placement rules: ``wire/rpc.py`` decides what a byte stream must look like, and ``websockets`` what
frames must. Here only whole, well formed requests and frames are taken, which is nearly all that a
server reads; at the first byte that is anything else (a half, another message, an error, a limit)
this stops, and those go on from there. So there is one place that refuses, and it is not this one.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    object PyUnicode_DecodeUTF8(const char* data, Py_ssize_t size, const char* errors)

VERSION = 4
"""As in ``native/__init__.py``."""

cdef enum:
    DEPTH_MAX = 8  # Levels of lists and maps; what is deeper is for Python to look at.


cdef class Stop(Exception):
    """What comes next is not for this module."""


cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end
    uint64_t array_max
    uint64_t map_max


cdef inline int need(Cursor* cursor, uint64_t size) except -1:
    if <uint64_t>(cursor.end - cursor.at) < size:
        raise Stop()
    return 0


cdef inline uint64_t big_endian(Cursor* cursor, int width) except? 0:
    """Read a number of ``width`` bytes."""
    cdef uint64_t number = 0
    cdef int place
    need(cursor, width)
    for place in range(width):
        number = number << 8 | cursor.at[place]
    cursor.at += width
    return number


cdef inline object take_text(Cursor* cursor, uint64_t size):
    need(cursor, size)
    cdef const char* text = <const char*>cursor.at
    cursor.at += size
    return PyUnicode_DecodeUTF8(text, size, NULL)


cdef object take_list(Cursor* cursor, uint64_t count, int depth):
    # Each item takes a byte at least: no list is made that the frame cannot fill.
    if depth == 0 or count > cursor.array_max:
        raise Stop()
    need(cursor, count)
    return [take(cursor, depth - 1) for _ in range(count)]


cdef object take_map(Cursor* cursor, uint64_t count, int depth):
    cdef dict made = {}
    cdef object key
    cdef uint64_t index
    if depth == 0 or count > cursor.map_max:
        raise Stop()
    for index in range(count):
        key = take(cursor, 0)
        if type(key) is not str:
            raise Stop()
        made[key] = take(cursor, depth - 1)
    if <uint64_t>len(made) != count:
        raise Stop()
    return made


cdef object take(Cursor* cursor, int depth):
    """Read one value."""
    need(cursor, 1)
    cdef uint8_t head = cursor.at[0]
    cdef uint64_t bits
    cdef uint32_t bits32
    cdef float single
    cdef double number
    cursor.at += 1
    if head < 0x80:
        return head
    if head < 0x90:
        return take_map(cursor, head & 0x0F, depth)
    if head < 0xA0:
        return take_list(cursor, head & 0x0F, depth)
    if head < 0xC0:
        return take_text(cursor, head & 0x1F)
    if head >= 0xE0:
        return <int8_t>head
    if head == 0xD9:
        return take_text(cursor, big_endian(cursor, 1))
    if head == 0xDA:
        return take_text(cursor, big_endian(cursor, 2))
    if head == 0xC0:
        return None
    if head == 0xC2:
        return False
    if head == 0xC3:
        return True
    if head == 0xCC:
        return big_endian(cursor, 1)
    if head == 0xCD:
        return big_endian(cursor, 2)
    if head == 0xCE:
        return big_endian(cursor, 4)
    if head == 0xCF:
        return big_endian(cursor, 8)
    if head == 0xCB:
        bits = big_endian(cursor, 8)
        memcpy(&number, &bits, 8)
        return number
    if head == 0xCA:
        bits32 = <uint32_t>big_endian(cursor, 4)
        memcpy(&single, &bits32, 4)
        return <double>single
    if head == 0xD0:
        return <int8_t>big_endian(cursor, 1)
    if head == 0xD1:
        return <int16_t>big_endian(cursor, 2)
    if head == 0xD2:
        return <int32_t>big_endian(cursor, 4)
    if head == 0xD3:
        return <int64_t>big_endian(cursor, 8)
    if head == 0xDC:
        return take_list(cursor, big_endian(cursor, 2), depth)
    if head == 0xDE:
        return take_map(cursor, big_endian(cursor, 2), depth)
    raise Stop()


cdef object take_request(Cursor* cursor, object cls):
    """Read ``[0, msgid, method, [params]]``."""
    cdef object method, params
    cdef uint64_t msgid
    need(cursor, 3)
    if cursor.at[0] != 0x94 or cursor.at[1] != 0:
        raise Stop()
    cursor.at += 2
    value = take(cursor, 0)
    if type(value) is not int or not 0 <= value <= 0xFFFFFFFF:
        raise Stop()
    method = take(cursor, 0)
    if type(method) is not str:
        raise Stop()
    need(cursor, 1)
    if cursor.at[0] == 0x90:
        cursor.at += 1
        return tuple.__new__(cls, (value, method, {}))
    if cursor.at[0] != 0x91:
        raise Stop()
    cursor.at += 1
    params = take(cursor, DEPTH_MAX)
    if type(params) is not dict:
        raise Stop()
    return tuple.__new__(cls, (value, method, params))


def take_requests(
    bytes data not None, list messages not None, cls, *, uint64_t frame_max, uint64_t array_max, uint64_t map_max
):
    """Append the requests at the beginning of ``data``; give where the first other thing begins."""
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef const uint8_t* start = begin
    cdef Cursor cursor
    cursor.at, cursor.end = begin, begin + PyBytes_GET_SIZE(data)
    cursor.array_max, cursor.map_max = array_max, map_max
    try:
        while cursor.at < cursor.end:
            start = cursor.at
            message = take_request(&cursor, cls)
            if <uint64_t>(cursor.at - start) > frame_max:
                raise Stop()
            messages.append(message)
            start = cursor.at
    except (Stop, UnicodeDecodeError):
        pass
    return start - begin


# --- WebSocket: RFC 6455, section 5.2

cdef enum:
    FRAME_BINARY = 0x82  # A message of one frame, in bytes.
    FRAME_LAST = 0x80
    FRAME_MASKED = 0x80
    MASK_BYTES = 4


cdef int frame_head(const uint8_t* at, Py_ssize_t size, uint64_t* payload) noexcept:
    """Give how long the head of the frame at ``at`` is, 0 where it is not whole."""
    cdef int head = 2, place
    if size < 2:
        return 0
    payload[0] = at[1] & 0x7F
    if payload[0] == 126:
        head = 4
    elif payload[0] == 127:
        head = 10
    if at[1] & FRAME_MASKED:
        head += MASK_BYTES
    if size < head:
        return 0
    if payload[0] >= 126:
        payload[0] = 0
        for place in range(2, head - MASK_BYTES * (at[1] & FRAME_MASKED != 0)):
            payload[0] = payload[0] << 8 | at[place]
    return head


cdef bytes unmasked(const uint8_t* at, Py_ssize_t size, const uint8_t* mask):
    cdef bytes made = PyBytes_FromStringAndSize(NULL, size)
    cdef char* to = PyBytes_AS_STRING(made)
    cdef uint64_t wide, key
    cdef Py_ssize_t place = 0
    memcpy(&key, mask, MASK_BYTES)
    memcpy(<char*>&key + MASK_BYTES, mask, MASK_BYTES)
    while place + 8 <= size:
        memcpy(&wide, at + place, 8)
        wide ^= key
        memcpy(to + place, &wide, 8)
        place += 8
    while place < size:
        to[place] = <char>(at[place] ^ mask[place & 3])
        place += 1
    return made


def take_messages(bytes data not None, list parts not None, *, uint64_t size_max):
    """Append what is in the messages at the beginning of ``data``; give where other things begin.

    Taken are messages of bytes, whole and in one frame each, of at most ``size_max`` bytes.
    """
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t start = 0, size = PyBytes_GET_SIZE(data)
    cdef uint64_t payload = 0
    cdef int head
    while start < size:
        head = frame_head(begin + start, size - start, &payload)
        if head == 0 or begin[start] != FRAME_BINARY or not begin[start + 1] & FRAME_MASKED:
            break
        if payload > size_max or payload > <uint64_t>(size - start - head):
            break
        parts.append(unmasked(begin + start + head, payload, begin + start + head - MASK_BYTES))
        start += head + <Py_ssize_t>payload
    return start


def survey(bytes data not None, Py_ssize_t start):
    """Say where the frames from ``start`` on end: ``(end, missing)``.

    ``end`` is where a head begins that is not whole, if one does; the last frame before it lacks
    ``missing`` bytes. It is -1 where a message is in several frames.
    """
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef uint64_t payload = 0, there
    cdef int head
    while 0 <= start < size:
        head = frame_head(begin + start, size - start, &payload)
        if head == 0:
            break
        if not begin[start] & FRAME_LAST:
            return -1, 0
        there = <uint64_t>(size - start - head)
        if payload > there:
            return size, payload - there
        start += head + <Py_ssize_t>payload
    return start, 0
