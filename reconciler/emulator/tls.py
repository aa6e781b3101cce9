"""The certificate of the TLS port: an authority of this state folder's own, which signs for this machine's names only.

The authority's key is thrown away once it has signed, so that nobody can sign anything else with it.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Certificate:
    """`authority` is the file that clients trust (`REQUESTS_CA_BUNDLE`), `chain` the server's certificate and key."""

    authority: Path
    chain: Path


def certificate(folder: Path, host: str, now: datetime) -> Certificate:
    """The certificate for `localhost` and `host`; kept in `folder`, made anew when it is about to end.

    Raises `ModuleNotFoundError` when the package `cryptography` is not installed.
    """
    found = Certificate(folder / "ca.pem", folder / f"server-{host.replace(':', '_')}.pem")
    if not _holds(found, now):
        _make(found, host, now)
    return found


def _holds(found: Certificate, now: datetime) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        signed = x509.load_pem_x509_certificate(found.chain.read_bytes())
        authority = x509.load_pem_x509_certificate(found.authority.read_bytes())
        signed.verify_directly_issued_by(authority)
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(found.chain)
    except (OSError, ValueError, TypeError, InvalidSignature):
        return False
    return signed.not_valid_after_utc - RENEW_BEFORE > now


def _make(found: Certificate, host: str, now: datetime) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def use(*, signs_others: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs_others,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs_others,
            crl_sign=signs_others,
            encipher_only=False,
            decipher_only=False,
        )

    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = name(f"The embedded Vertex AI of {found.authority.parent}"[:64])
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in ("127.0.0.1", "::1")]
    try:
        if ipaddress.ip_address(host) not in {one.value for one in names}:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
    except ValueError:
        if host != "localhost":
            names.append(x509.DNSName(host))
    begins = now - timedelta(minutes=5)
    root_id = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    root = (
        x509.CertificateBuilder(root_name, root_name, root_key.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(use(signs_others=True), critical=True)
        .add_extension(root_id, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed = (
        x509.CertificateBuilder(root_name, name("localhost"), key.public_key(), x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(use(signs_others=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(own_id, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(root_id), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found.chain.unlink(missing_ok=True)
    found.chain.touch(mode=0o600)
    found.chain.write_bytes(signed.public_bytes(pem) + secret)
    found.authority.write_bytes(root.public_bytes(pem))
