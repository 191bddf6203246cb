"""The server under test: a process of its own, on a core of its own, looked at through /proc."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

START_MAX_S: Final = 20
STOP_MAX_S: Final = 30
POLL_S: Final = 0.02
LOG_SHOWN_BYTES: Final = 2_000
_SERVE: Final = "from groupd.cli import main; main()"


class BenchError(Exception):
    """The measurement could not be made."""


@attrs.frozen
class RunningServer:
    """A server that accepts connections."""

    pid: int
    port: int
    data: Path
    certificate: Path | None
    """Its own, where it speaks TLS."""


def cores() -> tuple[int | None, int | None]:
    """Give a core for the server and one for the load; None where they cannot be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def pin(pid: int, core: int | None) -> None:
    """Keep a process on one core; 0 is the calling one."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def cpu_s(pid: int) -> float:
    """Give the CPU time of a process so far, user and system, of all its threads."""
    # The second field is a name in brackets, which may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def cpu_s_of(pids: Sequence[int]) -> float:
    """Add up the CPU time of processes so far."""
    return sum(map(cpu_s, pids))


def rss_bytes(pid: int, field: str = "VmRSS") -> int:
    """Give the memory of a process that is resident; ``VmHWM`` is the most that ever was."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1_024
    raise BenchError(f"process {pid} has no memory; it has ended")


def reset_peak_rss(pid: int) -> None:
    """Let the most resident memory that ever was be that of now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@contextmanager
def running_server(
    directory: Path,
    *,
    memory: bool,
    core: int | None,
    tls: bool = False,
    websocket: bool = False,
) -> Iterator[RunningServer]:
    """Run a server with its files in a directory; stop it at the end.

    Raises BenchError where it does not start or does not stop by itself.
    """
    if not Path("/proc/self/stat").exists():
        raise BenchError("the server's CPU time is read from /proc, which this system has not")
    data, log = directory / "data", directory / "log"
    certificate = None
    command = [sys.executable, "-c", _SERVE, "serve"]
    command += ["--listen", f"{'tls' if tls else 'tcp'}://127.0.0.1:0"]
    if tls:
        certificate, key = make_certificate(directory)
        command += ["--tls-cert", str(certificate), "--tls-key", str(key)]
    command += ["--web", "http://127.0.0.1:0"] if websocket else []
    command += ["--no-rate-limits", "--log-level", "info", "--data", str(data)]
    command += ["--memory"] if memory else []
    with _process(command, log) as process:
        # Before it has threads, so that they inherit it.
        pin(process.pid, core)
        yield RunningServer(process.pid, _port(process, log, is_web=websocket), data, certificate)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_MAX_S)
        if process.returncode != 0:
            raise BenchError(f"the server ended with {process.returncode}: {_end(log)}")


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that signs itself, and its key."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    secret = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(secret.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, key


@contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()  # Does nothing to one that has ended.


def _port(process: subprocess.Popen[bytes], log: Path, *, is_web: bool) -> int:
    """Wait until the log says where the server listens."""
    deadline = time.monotonic() + START_MAX_S
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_bytes().splitlines(keepends=True):
            if line.startswith(b"{") and line.endswith(b"}\n"):
                entry = json.loads(line)
                if entry.get("event") == "serving":
                    return urlsplit(entry["web"] if is_web else entry["urls"][0]).port or 0
        time.sleep(POLL_S)
    raise BenchError(f"the server did not start: {_end(log)}")


def _end(log: Path) -> str:
    return log.read_bytes()[-LOG_SHOWN_BYTES:].decode(errors="replace")
