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

import os
import re

import cython

cdef extern from "<sys/socket.h>" nogil:
    enum: MSG_DONTWAIT
    enum: MSG_NOSIGNAL
    ssize_t send(int descriptor, const void* data, size_t size, int flags)

cdef extern from "<sys/types.h>" nogil:
    ctypedef long long off_t

cdef extern from "<unistd.h>" nogil:
    ssize_t pwrite(int descriptor, const void* data, size_t size, off_t offset)
    int ftruncate(int descriptor, off_t length)

cdef extern from "<signal.h>" nogil:
    enum: SIGPIPE
    ctypedef void (*Handler)(int) noexcept nogil
    Handler SIG_IGN
    struct sigaction_t "sigaction":
        Handler sa_handler
    int sigaction(int signum, const sigaction_t* act, sigaction_t* oldact)

# Of Linux alone: elsewhere no sheet is ever opened, and nothing else calls it.
cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/sendfile.h>
    #else
    #include <errno.h>
    #include <sys/types.h>
    static ssize_t sendfile(int out, int in, off_t *at, size_t size) { errno = ENOSYS; return -1; }
    #endif
    """
    ssize_t sendfile(int out, int in_, off_t* at, size_t size) nogil


VERSION = 4
"""As in ``native/__init__.py``."""

cdef enum:
    SENDS_MAX = 64  # Before other threads, the store's above all, have their chance.
    SHARED_MIN_BYTES = 14_000  # From here on sharing pages costs less than copying; measured.
    SHARED_MIN_PEERS = 100
    SHEET_BYTES = 1 << 20  # Then its pages are let go of, and it begins anew.
    PAGE_BYTES = 4096


@cython.auto_pickle(False)
cdef class Sheet:
    """Pages of the kernel's own that many sockets send from, instead of a copy for each.

    A page is written once. It lives on, after the sheet has let go of it, until the last socket has
    sent it and its receiver has read it: no byte that is under way ever changes.
    """

    cdef int descriptor, readers
    cdef bint is_tried
    cdef off_t end

    def __cinit__(self):
        self.forget()

    def forget(self):
        """Begin anew; after a fork, so that two processes do not write to the same pages."""
        if self.is_tried and self.descriptor != -1:
            os.close(self.descriptor)
        self.descriptor, self.readers, self.end, self.is_tried = -1, 0, 0, False

    cdef int open(self) except -1:
        self.is_tried = True
        # Linux 6.5 gives a socket all pages of a call at once; before, each was a send of its own.
        found = re.match(r"(\d+)\.(\d+)", os.uname().release)
        if hasattr(os, "memfd_create") and found and tuple(map(int, found.groups())) >= (6, 5):
            try:
                self.descriptor = os.memfd_create("groupd fan-out", os.MFD_CLOEXEC)
            except OSError:
                pass  # Not allowed here, or no descriptor is left.
        return 0

    cdef off_t lay(self, bytes data) except -2:
        """Write bytes to where ``sendfile`` finds them; give where, and ``lift`` must follow.

        Gives -1 where this cannot be done, or costs more than it saves.
        """
        cdef ssize_t size = PyBytes_GET_SIZE(data)
        cdef off_t at
        if not self.is_tried:
            self.open()
        if self.descriptor == -1 or not are_broken_pipes_errors():
            return -1
        if self.readers == 0 and self.end + size > SHEET_BYTES:
            if ftruncate(self.descriptor, 0):
                return -1
            self.end = 0
        at = self.end
        if pwrite(self.descriptor, PyBytes_AS_STRING(data), size, at) != size:
            return -1
        self.end = (at + size + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES
        self.readers += 1
        return at

    cdef void lift(self) noexcept:
        self.readers -= 1


cdef bint are_broken_pipes_errors() noexcept:
    """Say whether a socket that has gone is an error to ``sendfile``, rather than a signal."""
    cdef sigaction_t now
    return sigaction(SIGPIPE, NULL, &now) == 0 and now.sa_handler == SIG_IGN


cdef Sheet SHEET = Sheet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SHEET.forget)


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

    cdef ssize_t send(self, bytes data, off_t at) noexcept:
        """Give how many bytes left, or an error number, negative.

        ``at`` is where they lie on the sheet, or -1.
        """
        cdef ssize_t taken, size = PyBytes_GET_SIZE(data)
        cdef off_t begin = at
        if self.descriptor == -1:
            return -EBADF
        while True:
            if at == -1:
                taken = send(
                    self.descriptor, PyBytes_AS_STRING(data), size, MSG_DONTWAIT | MSG_NOSIGNAL
                )
            else:
                taken = sendfile(self.descriptor, SHEET.descriptor, &begin, size)
                if taken == 0 or (taken < 0 and errno != EAGAIN):
                    at = -1  # Then let ``send`` say what is wrong, or do it.
                    continue
            if taken >= 0:
                return taken
            if errno != EINTR:
                return -errno

    def __call__(self, bytes data not None):
        """Give how many bytes left; raises BlockingIOError for none, OSError where it is broken."""
        cdef ssize_t taken = self.send(data, -1)
        if taken < 0:
            raise OSError(-taken, os.strerror(-taken))
        return taken


@cython.auto_pickle(False)
cdef class MessageSender:
    """Sends through the socket of a link that puts what it sends into messages.

    ``link`` is the ``WebSocketLink``: its ``is_clear`` says that nothing of it waits, ``wrap(data)`` gives
    what bytes are on the socket, ``hold(rest, size)`` takes what the socket did not.
    """

    cdef Sender sender
    cdef object link

    def __init__(self, Sender sender not None, link):
        self.sender = sender
        self.link = link

    def __call__(self, bytes data not None):
        """Give how many bytes left, as the link's ``try_send``."""
        return self.link.try_send(data)


def push_all(peers, stream, bytes chunk not None):
    """Give the same frames to many. See ``engine.peer.push_all``."""
    cdef ssize_t size = PyBytes_GET_SIZE(chunk), taken
    cdef object peer, try_send, link
    cdef int sends = 0
    cdef bint is_shared = size >= SHARED_MIN_BYTES and len(peers) >= SHARED_MIN_PEERS
    cdef off_t at = -1, message_at = -1
    cdef bytes message = None
    if is_shared:
        at = SHEET.lay(chunk)
    try:
        for peer in peers:
            if peer._busy:
                peer._push_busy(stream, chunk)
                continue
            try_send = peer._try_send
            if type(try_send) is MessageSender:
                link = (<MessageSender>try_send).link
                if not link.is_clear:
                    peer._push_elsewhere(chunk)
                    continue
                if message is None:
                    message = link.wrap(chunk)
                    if is_shared:
                        message_at = SHEET.lay(message)
                sends += 1
                if sends == SENDS_MAX:
                    sends = 0
                    with nogil:
                        pass
                taken = (<MessageSender>try_send).sender.send(message, message_at)
                if taken == PyBytes_GET_SIZE(message):
                    continue
                if taken == -EAGAIN:
                    peer._keep(chunk)
                elif taken >= 0:
                    # Begun: it counts as not sent, and what is left of it goes first.
                    link.hold(message[taken:], size)
                    peer._keep(chunk)
                else:
                    peer._give_up()
                continue
            if type(try_send) is not Sender:
                peer._push_elsewhere(chunk)
                continue
            sends += 1
            if sends == SENDS_MAX:
                sends = 0
                with nogil:
                    pass
            taken = (<Sender>try_send).send(chunk, at)
            if taken == size:
                continue
            if taken >= 0:
                peer._keep(chunk[taken:])
            elif taken == -EAGAIN:
                peer._keep(chunk)
            else:
                peer._give_up()
    finally:
        if at != -1:
            SHEET.lift()
        if message_at != -1:
            SHEET.lift()
