# cython: language_level=3, boundscheck=False, wraparound=False
"""The receipts of remembered requests, in rows that lie side by side, and the memory of them.

Placement rules: ``domain/receipts.py`` and ``domain/exactly_once.py`` do the same in Python, and
say what each method is for, how long a receipt is kept, and what an id may be.

The rows are a ring, the oldest first. A table of their places, open-addressed with linear probing,
finds one by its user and id; it is at most half full. Where it is searched from depends on Python's
own secret for hashes, so nobody can choose ids that all lie together.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_GetItem
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject, PyObject_Hash, PyObject_RichCompareBool, Py_EQ
from cpython.ref cimport Py_INCREF, Py_XDECREF
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from groupd.native.encoding cimport UUID_BYTES, read_uuid7

from collections import OrderedDict

import cython

VERSION = 4
"""As in ``native/__init__.py``."""

cdef enum:
    HASH_BYTES = 16
    ROWS_MIN = 4
    EMPTY = 0  # In the table, where other numbers are places in the ring, from 1 on.

cdef struct Row:
    uint8_t request_id[UUID_BYTES]
    uint8_t request_hash[HASH_BYTES]  # All zero: dropped. No SHA-256 begins so.
    int64_t seq
    int64_t time_ms
    int64_t number  # The value, where that is an integer.
    PyObject* value  # NULL: it is ``number``.
    PyObject* user

cdef uint64_t SECRET = <uint64_t>PyObject_Hash(b"groupd receipts")
cdef uint8_t NO_HASH[HASH_BYTES]
memset(NO_HASH, 0, HASH_BYTES)


@cython.auto_pickle(False)
cdef class Receipts:
    """Receipts by user and request id, the oldest first. See ``domain.receipts``."""

    cdef Row* rows
    cdef uint32_t* table
    cdef uint32_t size  # Of the ring, a power of two; the table has twice as many slots.
    cdef uint32_t first  # Where the oldest row is.
    cdef uint32_t count

    def __cinit__(self):
        self.make_room(ROWS_MIN)

    def __dealloc__(self):
        cdef uint32_t place
        for place in range(self.count):
            self.let_go(self.row(place))
        PyMem_Free(self.rows)
        PyMem_Free(self.table)

    def __len__(self):
        return self.count

    def __iter__(self):
        """Give user, id in lower case, and receipt, the oldest first."""
        cdef uint32_t place
        return iter([self.item(self.row(place)) for place in range(self.count)])

    def __eq__(self, other):
        return list(self) == list(other) if type(other) is Receipts else NotImplemented

    __hash__ = None

    def find(self, str user not None, str request_id not None):
        """Give the receipt of a request, or None."""
        cdef uint8_t number[UUID_BYTES]
        cdef uint32_t slot
        if read_uuid7(request_id, number) < 0:
            return None
        slot = self.slot_of(user, number)
        return None if self.table[slot] == EMPTY else receipt_of(&self.rows[self.table[slot] - 1])

    def add(self, str user not None, str request_id not None, receipt):
        """Add a receipt as the newest, unless the request has one."""
        self.keep(user, request_id, receipt)

    def drop(self):
        """Drop the oldest; give whose it was and the time within its id."""
        if self.count == 0:
            raise IndexError("no receipt is left")
        user = <object>self.row(0).user
        return user, self.drop_oldest()

    def time_ms(self, uint32_t place):
        """Give the time of a receipt: 0 is the oldest."""
        if place >= self.count:
            raise IndexError("there is no such receipt")
        return self.row(place).time_ms

    def erase(self, seqs):
        """Drop the request hashes of these seqs."""
        cdef uint32_t place
        cdef int64_t first
        cdef Row* row
        if not seqs or self.count == 0 or max(seqs) < self.row(0).seq:
            return
        first = min(seqs)
        for place in range(self.count):
            row = self.row(self.count - 1 - place)
            if row.seq < first:
                return
            if row.seq in seqs:
                memset(row.request_hash, 0, HASH_BYTES)

    def dump(self, *, bint erasable):
        """Give plain values, a column each."""
        cdef uint32_t place
        cdef Row* row
        cdef bytes ids = PyBytes_FromStringAndSize(NULL, self.count * UUID_BYTES)
        cdef bytes hashes = PyBytes_FromStringAndSize(NULL, self.count * HASH_BYTES * erasable)
        users, whose, seqs, times, values = {}, [], [], [], []
        for place in range(self.count):
            row = self.row(place)
            whose.append(users.setdefault(<object>row.user, len(users)))
            memcpy(PyBytes_AS_STRING(ids) + place * UUID_BYTES, row.request_id, UUID_BYTES)
            if erasable:
                memcpy(PyBytes_AS_STRING(hashes) + place * HASH_BYTES, row.request_hash, HASH_BYTES)
            seqs.append(row.seq)
            times.append(row.time_ms)
            values.append(value_of(row))
        return [list(users), whose, ids, hashes, seqs, times, values]

    @classmethod
    def load(cls, plain):
        """Rebuild them from ``dump``."""
        cdef Receipts made = cls()
        cdef bytes ids, hashes
        cdef Py_ssize_t place
        users, whose, ids, hashes, seqs, times, values = plain
        if not len(whose) * UUID_BYTES == PyBytes_GET_SIZE(ids) == PyBytes_GET_SIZE(hashes):
            raise ValueError("the columns are not of one length")
        for place, (user, seq, time_ms, value) in enumerate(
            zip(whose, seqs, times, values, strict=True)
        ):
            made.put(
                users[user],
                <const uint8_t*>PyBytes_AS_STRING(ids) + place * UUID_BYTES,
                <const uint8_t*>PyBytes_AS_STRING(hashes) + place * HASH_BYTES,
                seq, time_ms, value,
            )
        return made

    # --- rows

    cdef int keep(self, str user, str request_id, receipt) except -1:
        cdef uint8_t number[UUID_BYTES]
        cdef bytes request_hash
        request_hash, seq, time_ms, value = receipt
        if read_uuid7(request_id, number) < 0:
            raise ValueError(f"{request_id!r} is no request id")
        if request_hash is None or PyBytes_GET_SIZE(request_hash) not in (0, HASH_BYTES):
            raise ValueError(f"a request hash has {HASH_BYTES} bytes, or none")
        return self.put(
            user, number,
            <const uint8_t*>PyBytes_AS_STRING(request_hash) if request_hash else NO_HASH,
            seq, time_ms, value,
        )

    cdef int64_t drop_oldest(self) except -1:
        """Drop the oldest, which is there; give the time within its id."""
        cdef Row* row = self.row(0)
        cdef int64_t ms = 0
        cdef int place
        for place in range(6):
            ms = ms << 8 | row.request_id[place]
        self.empty(self.slot_of(<object>row.user, row.request_id))
        self.let_go(row)
        self.first = (self.first + 1) & (self.size - 1)
        self.count -= 1
        return ms

    cdef inline Row* row(self, uint32_t place) noexcept:
        return &self.rows[(self.first + place) & (self.size - 1)]

    cdef int put(
        self, str user, const uint8_t* request_id, const uint8_t* request_hash,
        int64_t seq, int64_t time_ms, object value,
    ) except -1:
        cdef uint32_t slot
        cdef Row* row
        cdef int64_t number = 0
        # A number that is too large raises here, while nothing has changed.
        if type(value) is int:
            number = value
        elif value is not None and type(value) is not str:
            raise TypeError("the value of a receipt is a text, an integer or nothing")
        if self.count == self.size:
            self.make_room(self.size * 2)
        slot = self.slot_of(user, request_id)
        if self.table[slot] != EMPTY:
            return 0
        row = self.row(self.count)
        memcpy(row.request_id, request_id, UUID_BYTES)
        memcpy(row.request_hash, request_hash, HASH_BYTES)
        row.seq, row.time_ms, row.number = seq, time_ms, number
        row.value = NULL
        if type(value) is not int:
            Py_INCREF(value)
            row.value = <PyObject*>value
        Py_INCREF(user)
        row.user = <PyObject*>user
        self.table[slot] = <uint32_t>(row - self.rows) + 1
        self.count += 1
        return 0

    cdef void let_go(self, Row* row) noexcept:
        Py_XDECREF(row.user)
        Py_XDECREF(row.value)
        row.user = row.value = NULL

    cdef int make_room(self, uint32_t size) except -1:
        """Move all to a ring of this size, which is larger."""
        cdef Row* rows
        cdef uint32_t* table
        cdef uint32_t place
        if size > 1 << 24:
            raise MemoryError("too many receipts")
        rows = <Row*>PyMem_Malloc(size * sizeof(Row))
        table = <uint32_t*>PyMem_Malloc(2 * size * sizeof(uint32_t))
        if rows == NULL or table == NULL:
            PyMem_Free(rows)
            PyMem_Free(table)
            raise MemoryError
        memset(table, 0, 2 * size * sizeof(uint32_t))
        for place in range(self.count):
            rows[place] = self.row(place)[0]
        PyMem_Free(self.rows)
        PyMem_Free(self.table)
        self.rows, self.table, self.size, self.first = rows, table, size, 0
        for place in range(self.count):
            self.table[self.slot_of(<object>rows[place].user, rows[place].request_id)] = place + 1
        return 0

    # --- the table

    cdef inline uint32_t home_of(self, object user, const uint8_t* request_id):
        """Say where the search for a request begins."""
        cdef uint64_t words[2]
        memcpy(words, request_id, UUID_BYTES)
        words[0] = (words[0] ^ SECRET) * <uint64_t>0x9E3779B97F4A7C15
        words[0] ^= words[0] >> 32
        words[0] += words[1] ^ <uint64_t>PyObject_Hash(user)
        words[0] = (words[0] ^ (SECRET >> 7)) * <uint64_t>0xD6E8FEB86659FD93
        return <uint32_t>(words[0] >> 32) & (2 * self.size - 1)

    cdef uint32_t slot_of(self, object user, const uint8_t* request_id) except? 0:
        """Give the slot of a request, or the empty one where it would be."""
        cdef uint32_t slot = self.home_of(user, request_id)
        cdef Row* row
        while self.table[slot] != EMPTY:
            row = &self.rows[self.table[slot] - 1]
            if memcmp(row.request_id, request_id, UUID_BYTES) == 0 and (
                row.user == <PyObject*>user
                or PyObject_RichCompareBool(<object>row.user, user, Py_EQ)
            ):
                break
            slot = (slot + 1) & (2 * self.size - 1)
        return slot

    cdef int empty(self, uint32_t slot) except -1:
        """Take a slot's row out, and close the gap that this would leave in others' searches."""
        cdef uint32_t last = 2 * self.size - 1, gap = slot, home
        cdef Row* row
        while True:
            self.table[gap] = EMPTY
            while True:
                slot = (slot + 1) & last
                if self.table[slot] == EMPTY:
                    return 0
                row = &self.rows[self.table[slot] - 1]
                home = self.home_of(<object>row.user, row.request_id)
                # Its search goes from home to slot: does it pass the gap?
                if ((slot - home) & last) >= ((slot - gap) & last):
                    break
            self.table[gap] = self.table[slot]
            gap = slot

    cdef tuple item(self, Row* row):
        """Give what ``__iter__`` does."""
        from uuid import UUID

        request_id = str(UUID(bytes=PyBytes_FromStringAndSize(<char*>row.request_id, UUID_BYTES)))
        return <object>row.user, request_id, receipt_of(row)


# --- the memory of requests

@cython.auto_pickle(False)
cdef class Memory:
    """See ``domain.exactly_once.RequestMemory``, whose part for each request this is."""

    cdef readonly Receipts receipts
    cdef readonly object forgotten
    cdef readonly int64_t forgotten_ms

    def __cinit__(self, Receipts receipts=None, forgotten=None, int64_t forgotten_ms=0):
        self.receipts = Receipts() if receipts is None else receipts
        self.forgotten = OrderedDict() if forgotten is None else forgotten
        self.forgotten_ms = forgotten_ms

    def recall(
        self, str user not None, str request_id not None, bytes request_hash not None,
        int64_t now_ms, limits,
    ):
        """Give what is remembered of this request, or None where it is new; raises Rejected."""
        cdef uint8_t number[UUID_BYTES]
        cdef int64_t time_ms = read_uuid7(request_id, number), oldest_ms
        cdef uint32_t slot
        cdef Row* row
        if time_ms < 0:
            raise rules().not_a_request_id()
        slot = self.receipts.slot_of(user, number)
        if self.receipts.table[slot] != EMPTY:
            row = &self.receipts.rows[self.receipts.table[slot] - 1]
            if memcmp(row.request_hash, NO_HASH, HASH_BYTES) and (
                PyBytes_GET_SIZE(request_hash) != HASH_BYTES
                or memcmp(row.request_hash, PyBytes_AS_STRING(request_hash), HASH_BYTES)
            ):
                raise rules().id_reused()
            return receipt_of(row)
        oldest_ms = now_ms - <int64_t>limits.ids_window_ms + 1
        oldest_ms = max(oldest_ms, self.forgotten_ms + 1)
        forgotten_ms = PyDict_GetItem(self.forgotten, user)
        if forgotten_ms != NULL:
            oldest_ms = max(oldest_ms, <int64_t><object>forgotten_ms + 1)
        if not oldest_ms <= time_ms <= now_ms + <int64_t>limits.ids_ahead_ms:
            raise rules().stale_id(now_ms, oldest_ms)
        return None

    def overdue(self, int64_t now_ms, limits):
        """Say how many of the oldest are to be forgotten as of now. At most two at once."""
        cdef Receipts receipts = self.receipts
        cdef int64_t excess = receipts.count + 1 - <int64_t>limits.ids_max
        cdef int64_t until_ms
        if excess > 0:
            return 1 if excess == 1 else 2
        until_ms = now_ms - <int64_t>limits.ids_window_ms
        if receipts.count == 0 or receipts.row(0).time_ms > until_ms:
            return 0
        return 1 if receipts.count == 1 or receipts.row(1).time_ms > until_ms else 2

    def remember(self, str user not None, str request_id not None, receipt):
        """Keep the receipt of a request's first event; further events change nothing."""
        self.receipts.keep(user, request_id, receipt)

    def forget(self, int64_t count):
        """Drop the ``count`` oldest."""
        cdef Receipts receipts = self.receipts
        cdef int64_t time_ms
        cdef PyObject* before_ms
        forgotten = self.forgotten
        while count > 0 and receipts.count:
            count -= 1
            user = <object>receipts.row(0).user
            time_ms = receipts.drop_oldest()
            before_ms = PyDict_GetItem(forgotten, user)
            if before_ms == NULL or time_ms > <int64_t><object>before_ms:
                forgotten[user] = time_ms
            forgotten.move_to_end(user)
            # There is one more only where that user had none.
            if before_ms == NULL and len(forgotten) > rules().FORGOTTEN_USERS_MAX:
                time_ms = forgotten.popitem(last=False)[1]
                self.forgotten_ms = max(self.forgotten_ms, time_ms)


cdef object rules():
    """Give the module that has the limits and the refusals."""
    from groupd.domain import exactly_once  # Which imports the package of this module.

    return exactly_once


cdef object value_of(Row* row):
    return row.number if row.value == NULL else <object>row.value


cdef object receipt_of(Row* row):
    from groupd.domain.base import Receipt  # Which imports the package of this module.

    cdef bint is_dropped = memcmp(row.request_hash, NO_HASH, HASH_BYTES) == 0
    request_hash = b"" if is_dropped else PyBytes_FromStringAndSize(<char*>row.request_hash, HASH_BYTES)
    return Receipt(request_hash, row.seq, row.time_ms, value_of(row))
