"""A certificate authority made on the spot, and what it signs: the keys of a cluster's nodes.

Law: private keys are their owner's alone; the authority's own key is thrown away once every
node has its certificate, so that nothing else is ever signed by it.
"""

import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=825)
NODE = "shuqiao-kafka-node"
"""The common name of every node: nodes trust each other by it."""


def certify(folder: Path, names: Iterable[str], host: str = "127.0.0.1") -> Path:
    """Make `<name>.pem` (private key and chain) for every name, and the authority's `ca.pem`,
    whose path is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    root = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("ShuQiao local authority")
    authority = (
        _begun(issuer, issuer, root.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root, hashes.SHA256())
    )
    chain = authority.public_bytes(serialization.Encoding.PEM)
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        places = [x509.IPAddress(ip_address(host)), x509.DNSName("localhost")]
        certificate = (
            _begun(_name(NODE), issuer, key.public_key())
            .add_extension(x509.SubjectAlternativeName(places), critical=False)
            .sign(root, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public = certificate.public_bytes(serialization.Encoding.PEM)
        write_secret(folder / f"{name}.pem", private + public + chain)
    (folder / "ca.pem").write_bytes(chain)
    return folder / "ca.pem"


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )
