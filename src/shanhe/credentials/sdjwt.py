"""SD-JWT VC (RFC 9901, draft-ietf-oauth-sd-jwt-vc) with Ed25519: issue, present, bind to a holder's key, verify. Pure.

A credential is a signed JWT that holds digests; each digest hides one claim whose salted text, the disclosure, travels
beside it. Whoever holds it leaves out what is nobody's business. Claims are disclosed one by one, at the top only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shanhe.credentials.errors import CredentialRefused
from shanhe.credentials.model import Jwk, Verified

TYPE: Final = "dc+sd-jwt"
BINDING_TYPE: Final = "kb+jwt"
ALGORITHM: Final = "EdDSA"
HASH: Final = "sha-256"
SALT_BYTES: Final = 16
TEXT_MAX_BYTES: Final = 64 * 1024
DISCLOSURES_MAX: Final = 64
SKEW: Final = timedelta(seconds=60)
FOREVER_S: Final = 2**37
"""A time of another millennium, far from where calendars end."""
BINDING_LIFE: Final = timedelta(minutes=5)
RESERVED: Final = frozenset({"_sd", "_sd_alg", "...", "iss", "nbf", "exp", "cnf", "vct", "status"})


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise CredentialRefused("malformed", "it is not base64url", "编码不正确") from None


def public_jwk(public: bytes, kid: str) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": b64(public), "kid": kid, "alg": ALGORITHM, "use": "sig"}


def sign(header: Mapping[str, Any], payload: Mapping[str, Any], key: Ed25519PrivateKey) -> str:
    """A compact JWS."""
    head = {"alg": ALGORITHM, **header}
    text = f"{b64(msgspec.json.encode(head))}.{b64(msgspec.json.encode(payload))}"
    return f"{text}.{b64(key.sign(text.encode()))}"


def issue(
    claims: Mapping[str, Any], disclosable: Mapping[str, Any], key: Ed25519PrivateKey, kid: str, *,
    holder: Jwk | None = None,
) -> str:  # fmt: skip
    """The credential with all its disclosures, for its holder: `<JWT>~<disclosure>~…~`."""
    disclosures = [
        b64(msgspec.json.encode([b64(secrets.token_bytes(SALT_BYTES)), name, value]))
        for name, value in disclosable.items()
    ]
    payload = {**claims, "_sd": sorted(_digest(item) for item in disclosures), "_sd_alg": HASH}
    if holder is not None:
        payload["cnf"] = {"jwk": {name: holder[name] for name in ("kty", "crv", "x")}}
    return "~".join([sign({"typ": TYPE, "kid": kid}, payload, key), *disclosures, ""])


def present(token: str, names: Collection[str]) -> str:
    """The same credential with only these claims disclosed."""
    jwt, disclosures, _ = _parts(token)
    return "~".join([jwt, *(item for item in disclosures if _opened(item)[0] in names), ""])


def bind(presentation: str, key: Ed25519PrivateKey, *, nonce: str, audience: str, at: datetime) -> str:
    """A presentation with the holder's own signature over it, for one verifier and one occasion."""
    payload = {"iat": int(at.timestamp()), "aud": audience, "nonce": nonce, "sd_hash": _digest(presentation)}
    return presentation + sign({"typ": BINDING_TYPE}, payload, key)


def verify(
    text: str, keys: Sequence[Jwk], *, at: datetime, audience: str | None = None, nonce: str | None = None
) -> Verified:
    """What a presentation says, by its issuer's public keys alone; CredentialRefused with why.

    With `audience` and `nonce` the holder's signature is required. The status list is read apart (`status.revoked`).
    """
    jwt, disclosures, binding = _parts(text.strip())
    header, payload = _jws(jwt, keys)
    if header.get("typ") not in (TYPE, "vc+sd-jwt"):
        raise CredentialRefused("malformed", "it is no SD-JWT VC", "不是 SD-JWT VC")
    _in_time(payload, at)
    claims = _disclosed(payload, disclosures)
    bound = False
    if binding or audience is not None:
        _bound(payload, text.strip(), binding, at, audience, nonce)
        bound = True
    status = payload.get("status", {}).get("status_list")
    return Verified(
        str(payload.get("iss", "")), str(payload.get("vct", "")), str(header.get("kid", "")), claims,
        _instant(payload.get("nbf")), _instant(payload.get("exp")),
        (str(status["uri"]), int(status["idx"])) if status else None, bound,
    )  # fmt: skip


def _parts(text: str) -> tuple[str, list[str], str]:
    if len(text.encode()) > TEXT_MAX_BYTES or text.count("~") > DISCLOSURES_MAX or "~" not in text:
        raise CredentialRefused("malformed", "it is no SD-JWT, or too large", "不是 SD-JWT 或过长")
    jwt, *disclosures, binding = text.split("~")
    return jwt, disclosures, binding


def _jws(text: str, keys: Sequence[Jwk]) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = text.split(".")
    if len(parts) != 3:
        raise CredentialRefused("malformed", "it has no three parts", "结构不完整")
    header, payload = _object(parts[0]), _object(parts[1])
    if header.get("alg") != ALGORITHM or "crit" in header:
        raise CredentialRefused("signature", "its algorithm is not accepted", "签名算法不受支持")
    kid = header.get("kid")
    known = [key for key in keys if (kid is None or key.get("kid") in (kid, None)) and key.get("crv") == "Ed25519"]
    if not known:
        raise CredentialRefused("key", "none of the keys given signed it", "给定的公钥均非签发密钥")
    for key in known:
        try:
            Ed25519PublicKey.from_public_bytes(unb64(str(key["x"]))).verify(
                unb64(parts[2]), f"{parts[0]}.{parts[1]}".encode()
            )
        except (InvalidSignature, ValueError, KeyError):
            continue
        return header, payload
    raise CredentialRefused("signature", "its signature does not hold", "签名无效")


def read_jws(text: str, keys: Sequence[Jwk], typ: str) -> dict[str, Any]:
    """The payload of a signed JWT of one type."""
    header, payload = _jws(text, keys)
    if header.get("typ") != typ:
        raise CredentialRefused("malformed", f"it is no {typ}", f"类型不是 {typ}")
    return payload


def _in_time(payload: Mapping[str, Any], at: datetime) -> None:
    before, expires = _instant(payload.get("nbf")), _instant(payload.get("exp"))
    if before is not None and at + SKEW < before:
        raise CredentialRefused("early", f"it is valid from {before:%Y-%m-%d}", f"自 {before:%Y-%m-%d} 起有效")
    if expires is not None and at - SKEW > expires:
        raise CredentialRefused("expired", f"it ended on {expires:%Y-%m-%d}", f"已于 {expires:%Y-%m-%d} 到期")


def _disclosed(payload: Mapping[str, Any], disclosures: Sequence[str]) -> dict[str, Any]:
    if payload.get("_sd_alg", HASH) != HASH:
        raise CredentialRefused("malformed", "its hash is not accepted", "摘要算法不受支持")
    digests = payload.get("_sd", [])
    if not isinstance(digests, list) or len(set(disclosures)) != len(disclosures):
        raise CredentialRefused("malformed", "its disclosures repeat", "披露项重复")
    claims = {name: value for name, value in payload.items() if name not in ("_sd", "_sd_alg")}
    for item in disclosures:
        name, value = _opened(item)
        if _digest(item) not in digests:
            raise CredentialRefused("signature", "a disclosure is not the issuer's", "含有非签发方的披露项")
        if name in RESERVED or name in claims:
            raise CredentialRefused("malformed", "a disclosure names a claim twice", "披露项与已有字段重名")
        claims[name] = value
    return claims


def _bound(
    payload: Mapping[str, Any], text: str, binding: str, at: datetime, audience: str | None, nonce: str | None
) -> None:
    holder = payload.get("cnf", {}).get("jwk")
    if not holder or not binding:
        raise CredentialRefused("binding", "its holder did not sign it", "缺少持有人签名")
    said = read_jws(binding, [holder], BINDING_TYPE)
    signed = _instant(said.get("iat"))
    wrong = (
        said.get("sd_hash") != _digest(text[: len(text) - len(binding)])
        or (audience is not None and said.get("aud") != audience)
        or (nonce is not None and said.get("nonce") != nonce)
        or signed is None
        or not signed - SKEW <= at <= signed + BINDING_LIFE
    )
    if wrong:
        raise CredentialRefused("binding", "its holder signed something else", "持有人签名与本次出示不符")


def _digest(text: str) -> str:
    return b64(hashlib.sha256(text.encode()).digest())


def _opened(disclosure: str) -> tuple[str, Any]:
    try:
        _, name, value = msgspec.json.decode(unb64(disclosure))
    except (msgspec.DecodeError, ValueError, TypeError):
        raise CredentialRefused("malformed", "a disclosure can't be read", "披露项无法解析") from None
    if not isinstance(name, str):
        raise CredentialRefused("malformed", "a disclosure can't be read", "披露项无法解析")
    return name, value


def _object(part: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(unb64(part))
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise CredentialRefused("malformed", "it can't be read", "无法解析")
    return found


def _instant(seconds: object) -> datetime | None:
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < FOREVER_S:
        raise CredentialRefused("malformed", "a time in it makes no sense", "时间字段不合理")
    return datetime.fromtimestamp(seconds, UTC)
