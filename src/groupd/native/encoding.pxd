# cython: language_level=3
"""MessagePack and UUIDs, as far as nearly all values need them: what the compiled modules share."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const void* PyUnicode_DATA(object text)
    Py_ssize_t PyUnicode_GET_LENGTH(object text)

cdef enum:
    HEAD_MAX = 9  # Bytes of the longest head of an integer or a string.
    UUID_BYTES = 16


cdef inline char* put_big_endian(char* at, uint64_t number, int width) noexcept:
    """Write a number in ``width`` bytes; give where they end, as all of these do."""
    cdef int place
    for place in range(width):
        at[place] = <char>(number >> (8 * (width - 1 - place)))
    return at + width


cdef inline char* put_integer(char* at, uint64_t number) noexcept:
    """Write an integer that is not negative."""
    if number < 128:
        return put_big_endian(at, number, 1)
    if number < 256:
        return put_big_endian(put_big_endian(at, 0xCC, 1), number, 1)
    if number < 65_536:
        return put_big_endian(put_big_endian(at, 0xCD, 1), number, 2)
    if number < 4_294_967_296:
        return put_big_endian(put_big_endian(at, 0xCE, 1), number, 4)
    return put_big_endian(put_big_endian(at, 0xCF, 1), number, 8)


cdef inline char* put_text(char* at, const char* text, uint64_t size) noexcept:
    """Write a string that is in UTF-8 already."""
    if size < 32:
        at = put_big_endian(at, 0xA0 | size, 1)
    elif size < 256:
        at = put_big_endian(put_big_endian(at, 0xD9, 1), size, 1)
    elif size < 65_536:
        at = put_big_endian(put_big_endian(at, 0xDA, 1), size, 2)
    else:
        at = put_big_endian(put_big_endian(at, 0xDB, 1), size, 4)
    memcpy(at, text, size)
    return at + size


cdef inline char* put_bytes(char* at, bytes data, Py_ssize_t start=0) noexcept:
    """Copy bytes that are encoded already, from ``start`` on."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data) - start
    memcpy(at, PyBytes_AS_STRING(data) + start, size)
    return at + size


cdef inline const char* utf8_of(str text, Py_ssize_t* size) except NULL:
    """Give a string in UTF-8; the bytes belong to the string."""
    if PyUnicode_IS_COMPACT_ASCII(text):
        size[0] = PyUnicode_GET_LENGTH(text)
        return <const char*>PyUnicode_DATA(text)
    return PyUnicode_AsUTF8AndSize(text, size)


cdef inline int64_t read_uuid7(str value, uint8_t* number) noexcept:
    """Read a UUIDv7 of 36 characters, in either case; give the time in it, -1 where it is none."""
    cdef const uint8_t* text
    cdef int place, digits = 0
    cdef uint8_t char
    cdef int64_t ms = 0
    if not PyUnicode_IS_COMPACT_ASCII(value) or PyUnicode_GET_LENGTH(value) != 36:
        return -1
    text = <const uint8_t*>PyUnicode_DATA(value)
    for place in range(36):
        char = text[place]
        if place == 8 or place == 13 or place == 18 or place == 23:
            if char != c"-":
                return -1
            continue
        if c"0" <= char <= c"9":
            char -= c"0"
        elif c"a" <= char <= c"f":
            char -= c"a" - 10
        elif c"A" <= char <= c"F":
            char -= c"A" - 10
        else:
            return -1
        if place == 14 and char != 7:
            return -1
        if place == 19 and char & 0xC != 8:
            return -1
        if digits & 1:
            number[digits >> 1] |= char
        else:
            number[digits >> 1] = char << 4
        digits += 1
    for place in range(6):
        ms = ms << 8 | number[place]
    return ms
