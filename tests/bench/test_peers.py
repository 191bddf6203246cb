"""What every peer of the bench is proven to do before it is compared with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from bench.peers import PEERS, programs
from bench.peers.base import Dialect, Peer, Running
from bench.peers.reference import Reference, ReferenceDialect
from bench.server import BenchError
from bench.text import TEXT_BYTES, text_of

MEMBERS = ("m0", "m1", "m2")
GROUP = "g0"
POSTS = 5
PATIENCE_S = 10
"""How long a read may wait; a peer that has lost something fails the test after it."""
READ_BYTES = 65_536
CHUNK_BYTES = 50_000
KEPT_CHUNKS = 240
"""More than the kernel holds for a reader, less than the reference does."""
LOST_CHUNKS = 600
"""More than both do."""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are looked at through /proc"
)


@pytest.fixture(params=PEERS.values(), ids=PEERS)
def peer(request: pytest.FixtureRequest) -> Peer:
    found: Peer = request.param
    if reason := found.missing():
        pytest.skip(reason)
    return found


def test_a_peer_delivers_each_post_once_to_every_member_and_leaves_nothing_behind(
    peer: Peer, tmp_path: Path
) -> None:
    dialect = peer.dialect()
    texts = [text_of(number, 0) for number in range(POSTS)]

    with peer.running(tmp_path, core=None) as running, ExitStack() as stack:
        members = [_entered(dialect, running, user, stack) for user in MEMBERS]
        poster = members[0]
        if dialect.posts_apart:
            poster = _entered(dialect, running, "p0", stack, posts=True)
        mould = dialect.mould(MEMBERS[0], GROUP)
        poster.sendall(b"".join(map(mould, texts)))

        readers = members if dialect.echoes or dialect.posts_apart else members[1:]
        read = [_read(member, dialect.marker, texts[-1]) for member in readers]
        for one in read:
            places = [one.index(text) for text in texts]
            assert places == sorted(places)
            assert one.count(dialect.marker) == POSTS
        if dialect.alike:
            # Whoever came earlier may have read of those who came later.
            assert read[-2].endswith(read[-1])
        if not dialect.echoes:
            assert dialect.answer_marker is not None
            assert _read(poster, dialect.answer_marker).count(dialect.answer_marker) == POSTS

    assert running.pids
    assert not [pid for pid in running.pids if _lives(pid)]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))


def test_a_peer_says_its_version(peer: Peer) -> None:
    version = peer.version()

    assert version == "" or version[0].isdigit()


def test_a_peer_is_stopped_also_when_the_load_fails(peer: Peer, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="load"), peer.running(tmp_path, core=None) as running:
        raise BenchError("the load failed")

    assert not [pid for pid in running.pids if _lives(pid)]


@pytest.mark.parametrize("found", PEERS.values(), ids=PEERS)
def test_no_text_holds_what_is_counted(found: Peer) -> None:
    text = text_of(1_234_567_890, 10**18, 99)

    for marker in (found.dialect.marker, found.dialect.answer_marker):
        assert marker is None or (len(marker) == 1 and marker not in text)
    assert len(text) == TEXT_BYTES


@pytest.mark.parametrize("found", PEERS.values(), ids=PEERS)
def test_a_program_that_is_not_installed_is_named(
    found: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.peers.programs.find", lambda name: None)

    reason = found.missing()

    assert reason is not None
    assert "install" in reason


def test_a_program_beside_python_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "of-a-wheel"
    program.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    assert programs.find("of-a-wheel") == str(program)
    assert programs.find("of-no-wheel") is None


def test_a_program_that_is_not_there_cannot_be_run() -> None:
    with pytest.raises(BenchError, match="not installed"):
        programs.path_of("no-such-program")


def test_the_version_is_the_first_number_with_a_point_that_a_program_says() -> None:
    python = Path(sys.executable).name

    assert programs.version(python, "-c", "print('peer 7, v=1.2.3:4.5'); exit(3)") == "1.2.3"
    assert programs.version(python, "-c", "print('none')") == ""


def test_a_helper_does_not_outlive_its_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "HELPERS_STOP_MAX_MS", 0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as helper:
        peer = nullcontext(Running((os.getpid(), helper.pid), 0))

        with pytest.raises(BenchError, match="load"), programs.with_helpers(peer):
            raise BenchError("the load failed")

        assert helper.wait(PATIENCE_S) == -signal.SIGKILL


# --- the reference


def test_the_reference_keeps_what_a_slow_member_has_not_read(tmp_path: Path) -> None:
    with _reference(tmp_path) as (slow, poster):
        posted = b"".join(_post_and_read(poster, number) for number in range(KEPT_CHUNKS))
        read = b""
        for number in range(KEPT_CHUNKS):
            # It reads a little while more is posted: what waits must stay in front of that.
            posted += _post_and_read(poster, number)
            read += _read_exactly(slow, 2 * CHUNK_BYTES)

        assert read == posted


def test_the_reference_hangs_up_on_a_member_that_is_owed_too_much(tmp_path: Path) -> None:
    with _reference(tmp_path) as (slow, poster):
        for number in range(LOST_CHUNKS):
            _post_and_read(poster, number)

        read = 0
        with suppress(ConnectionResetError):
            while piece := slow.recv(READ_BYTES):
                read += len(piece)
        assert read < LOST_CHUNKS * CHUNK_BYTES


def test_the_reference_joins_pieces_of_a_line(tmp_path: Path) -> None:
    with _reference(tmp_path) as (reader, poster):
        for piece in (b"a", b"b\nc", b"\n"):
            poster.sendall(piece)
            # So that each piece is read for itself: a member is answered in its turn.
            other = socket.create_connection(poster.getpeername(), timeout=PATIENCE_S)
            ReferenceDialect().enter(other, "m2", "other", posts=False)
            other.close()

        assert _read_exactly(reader, 5) == b"ab\nc\n"


@pytest.mark.parametrize(
    "line", [b"hello\n", b"JOIN \n", b"JOIN " + b"g" * 65 + b"\n", b"x" * 5_000]
)
def test_the_reference_hangs_up_on_who_does_not_join(tmp_path: Path, line: bytes) -> None:
    with _reference(tmp_path) as (_, poster):
        stranger = socket.create_connection(poster.getpeername(), timeout=PATIENCE_S)
        stranger.sendall(line)

        assert stranger.recv(READ_BYTES) == b""
        stranger.close()


@contextmanager
def _reference(directory: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Run it; gives a member with a small buffer, and one that posts."""
    reference, dialect = Reference(), ReferenceDialect()
    if reason := reference.missing():
        pytest.skip(reason)
    with (
        reference.running(directory, core=None) as running,
        socket.socket() as slow,
        socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_S) as poster,
    ):
        slow.settimeout(PATIENCE_S)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)
        slow.connect(("127.0.0.1", running.port))
        poster.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for sock in (slow, poster):
            dialect.enter(sock, "", GROUP, posts=True)
        yield slow, poster


def _post_and_read(poster: socket.socket, number: int) -> bytes:
    chunk = (b"%099d\n" % number) * (CHUNK_BYTES // TEXT_BYTES)
    poster.sendall(chunk)
    assert _read_exactly(poster, len(chunk)) == chunk
    return chunk


def _read_exactly(sock: socket.socket, size: int) -> bytes:
    read = bytearray()
    while len(read) < size:
        piece = sock.recv(min(READ_BYTES, size - len(read)))
        assert piece, "the peer hung up"
        read += piece
    return bytes(read)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"  # An orphan's end may have to wait for whoever collects those.


def _entered(
    dialect: Dialect, running: Running, user: str, stack: ExitStack, *, posts: bool = False
) -> socket.socket:
    sock = stack.enter_context(
        socket.create_connection(("127.0.0.1", running.port), timeout=PATIENCE_S)
    )
    dialect.enter(sock, user, GROUP, posts=posts)
    return sock


def _read(sock: socket.socket, marker: bytes, last: bytes = b"") -> bytes:
    """Read until all markers are there, and ``last``; nothing may come twice before it."""
    read = b""
    while read.count(marker) < POSTS or last not in read:
        piece = sock.recv(READ_BYTES)
        assert piece, "the peer hung up"
        read += piece
    return read
