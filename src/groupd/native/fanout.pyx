# cython: language_level=3, boundscheck=False, wraparound=False
"""The same bytes to many sockets, compiled: the one loop that runs for each delivery.

Placement rules: ``engine/peer.py`` says what a peer is and what becomes of bytes that the kernel
does not take; here is the loop of its ``push_all``, and the system call.

A ``Sender`` holds a number that the kernel gives to the next connection once the socket is closed.
So whoever closes the socket calls ``close`` first, in the same step; and as long as it is not
called, the socket is kept from ending by itself.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.errno cimport EAGAIN, EBADF, EINTR, errno

from os import strerror

import cython

cdef extern from "<sys/socket.h>" nogil:
    enum: MSG_DONTWAIT
    enum: MSG_NOSIGNAL
    ssize_t send(int descriptor, const void* data, size_t size, int flags)


VERSION = 1
"""As in ``native/__init__.py``."""

cdef enum:
    SENDS_MAX = 64  # Before other threads, the store's above all, have their chance.


@cython.auto_pickle(False)  # A copy would go on writing where this one has been closed.
cdef class Sender:
    """Sends through one socket, as its own ``send`` does: what the kernel takes at once."""

    cdef int descriptor
    cdef object sock

    def __cinit__(self):
        self.descriptor = -1

    def __init__(self, sock):
        self.descriptor = sock.fileno()
        self.sock = sock

    def close(self):
        """Send nothing more; before the socket is closed."""
        self.descriptor = -1
        self.sock = None

    cdef ssize_t send(self, bytes data) noexcept:
        """Give how many bytes left, or an error number, negative."""
        cdef ssize_t taken
        if self.descriptor == -1:
            return -EBADF
        while True:
            taken = send(
                self.descriptor, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
                MSG_DONTWAIT | MSG_NOSIGNAL,
            )
            if taken >= 0:
                return taken
            if errno != EINTR:
                return -errno

    def __call__(self, bytes data not None):
        """Give how many bytes left; raises BlockingIOError for none, OSError where it is broken."""
        cdef ssize_t taken = self.send(data)
        if taken < 0:
            raise OSError(-taken, strerror(-taken))
        return taken


def push_all(peers, stream, bytes chunk not None):
    """Give the same frames to many. See ``engine.peer.push_all``."""
    cdef ssize_t size = PyBytes_GET_SIZE(chunk), taken
    cdef object peer, try_send
    cdef int sends = 0
    for peer in peers:
        if peer._busy:
            peer._push_busy(stream, chunk)
            continue
        try_send = peer._try_send
        if type(try_send) is not Sender:
            peer._push_elsewhere(chunk)
            continue
        sends += 1
        if sends == SENDS_MAX:
            sends = 0
            with nogil:
                pass
        taken = (<Sender>try_send).send(chunk)
        if taken == size:
            continue
        if taken >= 0:
            peer._keep(chunk[taken:])
        elif taken == -EAGAIN:
            peer._keep(chunk)
        else:
            peer._give_up()
