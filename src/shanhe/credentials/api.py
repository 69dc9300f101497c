"""The door of credentials."""

from __future__ import annotations

from shanhe.credentials.errors import CredentialRefused, UnknownCredential
from shanhe.credentials.model import Credential, Jwk, Verified
from shanhe.credentials.sdjwt import bind, present, public_jwk, read_jws, verify
from shanhe.credentials.sdjwt import sign as sign_jws
from shanhe.credentials.service import Credentials
from shanhe.credentials.status import revoked

__all__ = [
    "Credential",
    "CredentialRefused",
    "Credentials",
    "Jwk",
    "UnknownCredential",
    "Verified",
    "bind",
    "present",
    "public_jwk",
    "read_jws",
    "revoked",
    "sign_jws",
    "verify",
]
