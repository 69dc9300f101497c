"""C2PA manifests in sounds, where the library for it is installed (the extra `scenes`): who made a file, and how.

The city signs with a certificate of its own (ES256, leaf under a root made from one secret), so readers find the file
intact and its signer unknown until they trust the city's root. Dates of the certificates are fixed, so that every
process has the same ones.
"""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256."""
FROM: Final = datetime(2026, 1, 1, tzinfo=UTC)
LASTS: Final = timedelta(days=7_300)
NAME_MAX_CHARS: Final = 60
MEDIA: Final = "audio/wav"
MADE_BY_MODEL: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ABSENT, UNCHECKED = "absent", "unchecked"


class Provenance:
    """Signs a city's sounds."""

    def __init__(self, secret: bytes, city: str) -> None:
        root, leaf = _key(secret, b"root"), _key(secret, b"leaf")
        names = _name(city, "C2PA root"), _name(city, "C2PA signer")
        authority = _certificate(names[0], root.public_key(), names[0], root, authority=True)
        signer = _certificate(names[1], leaf.public_key(), names[0], root, authority=False)
        self._chain = signer.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM)
        self._key = leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.root = authority.public_bytes(Encoding.PEM).decode()
        """What a reader has to trust, PEM."""

    def sign(self, wav: bytes, title: str) -> bytes:
        """A WAV file with its manifest; as it is where the library is not installed."""
        c2pa = _library()
        if c2pa is None:
            return wav
        action = {"action": "c2pa.created", "digitalSourceType": MADE_BY_MODEL}
        manifest = {
            "claim_generator_info": [{"name": "shanhe"}], "format": MEDIA, "title": title,
            "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
        }  # fmt: skip
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", self._chain, self._key, None))
        made = io.BytesIO()
        c2pa.Builder(json.dumps(manifest)).sign(signer, MEDIA, io.BytesIO(wav), made)
        return made.getvalue()


def state_of(wav: bytes) -> str:
    """`Valid` or `Invalid` as the library says, `absent` without a manifest, `unchecked` without the library."""
    if b"C2PA" not in wav:
        return ABSENT
    c2pa = _library()
    if c2pa is None:
        return UNCHECKED
    try:
        found = json.loads(c2pa.Reader(MEDIA, io.BytesIO(wav)).json())
    except c2pa.C2paError:
        return "Invalid"
    return str(found.get("validation_state", "Invalid"))


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        return None
    return c2pa


def _key(secret: bytes, part: bytes) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(hashlib.sha512(b"shanhe c2pa " + part + secret).digest(), "big")
    return ec.derive_private_key(number % (ORDER - 1) + 1, ec.SECP256R1())


def _name(city: str, what: str) -> x509.Name:
    return x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, city[:NAME_MAX_CHARS]),
        x509.NameAttribute(NameOID.COMMON_NAME, what),
    ])  # fmt: skip


def _certificate(
    subject: x509.Name, public: ec.EllipticCurvePublicKey, issuer: x509.Name, signer: ec.EllipticCurvePrivateKey, *,
    authority: bool,
) -> x509.Certificate:  # fmt: skip
    usage = x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    mine = x509.SubjectKeyIdentifier.from_public_key(public)
    theirs = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
        .serial_number(int.from_bytes(mine.digest[:8], "big") | 1).not_valid_before(FROM).not_valid_after(FROM + LASTS)
        .add_extension(x509.BasicConstraints(authority, None), critical=True).add_extension(usage, critical=True)
        .add_extension(mine, critical=False).add_extension(theirs, critical=False)
    )  # fmt: skip
    if not authority:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return made.sign(signer, hashes.SHA256())
