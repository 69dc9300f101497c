"""What passkeys take of the WebAuthn library. Imported with the first passkey: it costs a start a tenth of a second."""

from __future__ import annotations

import binascii

from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import generate_challenge
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

MALFORMED = (WebAuthnException, ValueError, KeyError, TypeError, binascii.Error)
TRANSPORTS = frozenset(transport.value for transport in AuthenticatorTransport)

__all__ = [
    "MALFORMED",
    "TRANSPORTS",
    "AuthenticatorSelectionCriteria",
    "AuthenticatorTransport",
    "PublicKeyCredentialDescriptor",
    "ResidentKeyRequirement",
    "UserVerificationRequirement",
    "base64url_to_bytes",
    "generate_authentication_options",
    "generate_challenge",
    "generate_registration_options",
    "options_to_json_dict",
    "verify_authentication_response",
    "verify_registration_response",
]
