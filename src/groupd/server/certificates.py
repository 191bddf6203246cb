"""Certificates: what a server shows, and whom a client trusts, as contexts for TLS.

A context is made once and shared by all connections of a listener or a client. Here the files are
read, and what is wrong with one is said by its setting and its name, since OpenSSL's errors have
neither.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from groupd.config import TlsConfig
from groupd.errors import ConfigError

TICKETS: Final = 1
"""Tickets a client gets, with which its next handshake is cheaper; it uses one at a time."""

NO_PAIR: Final = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of a key that is another certificate's. The last is of a key of another kind:
it keeps one pair of each kind, and there is no certificate beside this key."""


def server_context(files: TlsConfig) -> ssl.SSLContext:
    """Give what a server shows its clients. Reads the files.

    Raises ConfigError, which names the setting and the file, where one cannot be used.
    """
    assert files.certificate is not None
    assert files.key is not None
    _expect_pem(files.certificate, "CERTIFICATE", setting="tls.certificate")
    _expect_pem(files.key, "PRIVATE KEY", setting="tls.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = TICKETS
    _harden(context)

    def refuse_to_ask() -> str:
        raise ConfigError(
            f"tls.key: {files.key}: it is locked by a passphrase, which nobody is there to type; "
            "unlock it: openssl pkey -in LOCKED -out KEY"
        )

    try:
        context.load_cert_chain(files.certificate, files.key, password=refuse_to_ask)
    except ssl.SSLError as error:
        if error.reason in NO_PAIR:
            raise ConfigError(
                f"tls.key: {files.key}: it is not the key of {files.certificate}; "
                "name the two files that were made together"
            ) from error
        raise ConfigError(
            f"tls.certificate: {files.certificate}, tls.key: {files.key}: {reason_of(error)}"
        ) from error
    return context


def client_context(authorities: Path | None = None) -> ssl.SSLContext:
    """Give what a client trusts: the system's authorities, or those of a PEM file alone.

    The system's are where OpenSSL looks for them, or in the file that ``SSL_CERT_FILE`` names. They
    take tens of milliseconds to read. Raises ConfigError where the file cannot be used.
    """
    if authorities is not None:
        _expect_pem(str(authorities), "CERTIFICATE", setting="--ca")
    try:
        context = ssl.create_default_context(cafile=authorities)
    except ssl.SSLError as error:
        raise ConfigError(f"{authorities}: not a certificate: {reason_of(error)}") from error
    _harden(context)
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Only TLS 1.2 has them: what a peer can use to cost more than it pays, or to guess secrets by.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # Many just close. What has arrived is whole or not by groupd's own frames, and who has closed
    # one direction still gets answers in the other.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF


def _expect_pem(path: str, what: str, *, setting: str) -> None:
    """Look into a file before OpenSSL does."""
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting}: {path}: {error.strerror}; name a PEM file") from error
    if f"{what}-----".encode() not in text:
        raise ConfigError(f"{setting}: {path}: there is no {what.lower()} in it; name a PEM file")


def reason_of(error: ssl.SSLError) -> str:
    """Give OpenSSL's words for what went wrong."""
    return (error.reason or str(error)).replace("_", " ").lower()
