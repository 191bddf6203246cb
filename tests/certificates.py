"""Certificates made for a test: each signs itself, so it is its own authority."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from groupd.config import TlsConfig

HOSTS: Final = ("localhost", "127.0.0.1")
DAY: Final = datetime.timedelta(days=1)


def make_certificate(
    directory: Path, *, hosts: tuple[str, ...] = HOSTS, is_over: bool = False, passphrase: str = ""
) -> TlsConfig:
    """Write a certificate for some hosts and its key; one whose time is over, if so wished."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    today = datetime.datetime.now(datetime.UTC)
    end = today - DAY if is_over else today + DAY
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - 2 * DAY)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([*map(_name_of, hosts)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    encryption = (
        serialization.BestAvailableEncryption(passphrase.encode())
        if passphrase
        else serialization.NoEncryption()
    )
    files = TlsConfig(certificate=str(directory / "cert.pem"), key=str(directory / "key.pem"))
    assert files.certificate is not None
    assert files.key is not None
    Path(files.certificate).write_bytes(
        builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    Path(files.key).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    return files


def authority(files: TlsConfig) -> Path:
    """Give the file that a client must trust."""
    assert files.certificate is not None
    return Path(files.certificate)


def _name_of(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
