"""Passkeys (WebAuthn level 3): a discoverable credential with user verification is two factors in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from shanhe.identity.entry_model import Ceremony, Passkey
from shanhe.identity.errors import SignInFailed, TooManyOfThem, Unknown
from shanhe.identity.model import PersonState
from shanhe.identity.names import NAME_MAX, clean
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.service.factors import Factors
from shanhe.identity.service.orgs import active
from shanhe.identity.service.people import PASSKEY_FIELD as NAME_FIELD
from shanhe.identity.store import people
from shanhe.identity.store import sessions as store
from shanhe.kernel import acts
from shanhe.kernel.errors import Conflict, Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seal, Seals

CHALLENGE_S = 300
PASSKEYS_MAX = 20
CREDENTIAL_ID_MAX_BYTES = 1_023


class Passkeys:
    """The relying party is the host of `Options.url`; browsers accept passkeys on https or localhost only."""

    def __init__(self, ground: Ground, factors: Factors) -> None:
        self._ground = ground
        self._factors = factors
        address = urlsplit(ground.options.url)
        self._rp_id = address.hostname or "localhost"
        self._origin = f"{address.scheme}://{address.netloc}"

    async def begin_registration(self, person_id: UUID) -> Ceremony:
        """Options for `navigator.credentials.create`."""
        from shanhe.identity.service import relying

        known = await store.passkeys(self._ground.db, person_id)
        if len(known) >= PASSKEYS_MAX:
            raise TooManyOfThem("passkeys", PASSKEYS_MAX)
        row = await people.get(self._ground.db, person_id)
        opened = {
            name: self._ground.open(person_id, name, row[f"{name}_sealed"]) for name in ("login", "email", "name")
        }
        challenge = relying.generate_challenge()
        options = relying.generate_registration_options(
            rp_id=self._rp_id,
            rp_name=self._ground.options.city_name,
            user_id=person_id.bytes,
            user_name=opened["login"] or opened["email"] or str(person_id),
            user_display_name=opened["name"] or "",
            challenge=challenge,
            authenticator_selection=relying.AuthenticatorSelectionCriteria(
                resident_key=relying.ResidentKeyRequirement.REQUIRED,
                user_verification=relying.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[
                relying.PublicKeyCredentialDescriptor(id=bytes(key["credential_id"])) for key in known
            ],
        )
        return await self._ceremony("register", person_id, challenge, options)

    async def register(
        self, person_id: UUID, ceremony_id: UUID, answer: Mapping[str, Any], *, name: str, by: By
    ) -> Passkey:
        """Store the credential that the browser made; Invalid when its answer does not hold."""
        from shanhe.identity.service import relying

        name = clean("name", name, NAME_MAX)
        challenge = await store.take_challenge(self._ground.db.writes, ceremony_id, "register", self._ground.now())
        if challenge is None or challenge["person_id"] != person_id:
            raise _refused()
        try:
            made = relying.verify_registration_response(
                credential=dict(answer),
                expected_challenge=bytes(challenge["challenge"]),
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except relying.MALFORMED as error:
            raise _refused() from error
        if len(made.credential_id) > CREDENTIAL_ID_MAX_BYTES:
            raise _refused()
        response = answer.get("response")
        told = response.get("transports") if isinstance(response, Mapping) else None
        transports = [text for text in told if text in relying.TRANSPORTS] if isinstance(told, list) else []
        now, passkey_id = self._ground.now(), new_id()
        row = (passkey_id, person_id, made.credential_id, made.credential_public_key, made.sign_count, transports)
        async with self._ground.db.transaction() as conn:
            await active(conn, person_id)
            if len(await store.passkeys(conn, person_id)) >= PASSKEYS_MAX:  # of ceremonies begun side by side, too
                raise TooManyOfThem("passkeys", PASSKEYS_MAX)
            sealed = self._seal(person_id).text(NAME_FIELD, name)
            if not await store.add_passkey(conn, (*row, made.credential_backed_up, sealed, now)):
                raise Conflict("passkey_known", "This passkey is registered already.", message_zh="该通行密钥已登记。")
            await acts.note(conn, ref(by), "passkey.add", f"person:{person_id}", {}, now)
        return Passkey(passkey_id, name, now, None, made.credential_backed_up)

    async def begin_authentication(self, person_id: UUID | None = None) -> Ceremony:
        """Options for `navigator.credentials.get`: of one person, or whichever passkey the browser offers."""
        from shanhe.identity.service import relying

        known = await store.passkeys(self._ground.db, person_id) if person_id is not None else []
        challenge = relying.generate_challenge()
        options = relying.generate_authentication_options(
            rp_id=self._rp_id,
            challenge=challenge,
            allow_credentials=[
                relying.PublicKeyCredentialDescriptor(
                    id=bytes(key["credential_id"]),
                    transports=[relying.AuthenticatorTransport(name) for name in key["transports"]] or None,
                )
                for key in known
            ],
            user_verification=relying.UserVerificationRequirement.REQUIRED,
        )
        return await self._ceremony("authenticate", person_id, challenge, options)

    async def authenticate(self, ceremony_id: UUID, answer: Mapping[str, Any]) -> UUID:
        """The person whose passkey answered; SignInFailed otherwise. A challenge is good once."""
        from shanhe.identity.service import relying

        now = self._ground.now()
        challenge = await store.take_challenge(self._ground.db.writes, ceremony_id, "authenticate", now)
        if challenge is None:
            raise SignInFailed()
        try:
            credential_id = relying.base64url_to_bytes(str(answer["rawId"]))
            key = await store.passkey(self._ground.db, credential_id)
            if key is None or challenge["person_id"] not in (None, key["person_id"]):
                raise SignInFailed()
            verified = relying.verify_authentication_response(
                credential=dict(answer),
                expected_challenge=bytes(challenge["challenge"]),
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                credential_public_key=bytes(key["public_key"]),
                credential_current_sign_count=key["sign_count"],
                require_user_verification=True,
            )
        except relying.MALFORMED as error:
            raise SignInFailed() from error
        person_id: UUID = key["person_id"]
        handle = _handle(answer)
        person = await people.get(self._ground.db, person_id)
        if handle not in (None, person_id.bytes) or person["state"] != PersonState.ACTIVE:
            raise SignInFailed()
        if not await store.used_passkey(
            self._ground.db.writes, key["id"], key["sign_count"], verified.new_sign_count, now
        ):
            raise SignInFailed()
        return person_id

    async def list(self, person_id: UUID) -> Sequence[Passkey]:
        seal = self._seal(person_id)
        return [
            Passkey(row["id"], seal.open(NAME_FIELD, row["name"]), row["created_at"], row["used_at"], row["backed_up"])
            for row in await store.passkeys(self._ground.db, person_id)
        ]

    def _seal(self, person_id: UUID) -> Seal:
        return Seals(self._ground.vault).of_person(person_id)

    async def remove(self, person_id: UUID, passkey_id: UUID, *, by: By) -> None:
        """Unknown when it isn't the person's; Conflict for the last second factor of somebody who must have one."""
        left = [key for key in await self.list(person_id) if key.id != passkey_id]
        if not left and "totp" not in await self._factors.of(person_id) and await self._factors.needed(person_id):
            raise Conflict(
                "last_factor", "Set up a TOTP application before you remove the last second factor.",
                message_zh="移除最后一个第二重验证前，请先设置验证器应用。",
            )  # fmt: skip
        async with self._ground.db.transaction() as conn:
            if not await store.remove_passkey(conn, person_id, passkey_id):
                raise Unknown("passkey", "通行密钥")
            await acts.note(conn, ref(by), "passkey.remove", f"person:{person_id}", {}, self._ground.now())

    async def _ceremony(self, purpose: str, person_id: UUID | None, challenge: bytes, options: Any) -> Ceremony:
        from shanhe.identity.service import relying

        ceremony_id = new_id()
        expires_at = self._ground.now() + timedelta(seconds=CHALLENGE_S)
        await store.add_challenge(self._ground.db, ceremony_id, purpose, person_id, challenge, expires_at)
        return Ceremony(ceremony_id, relying.options_to_json_dict(options))


def _handle(answer: Mapping[str, Any]) -> bytes | None:
    from shanhe.identity.service import relying

    response = answer.get("response")
    handle = response.get("userHandle") if isinstance(response, Mapping) else None
    return relying.base64url_to_bytes(handle) if isinstance(handle, str) else None


def _refused() -> Invalid:
    return Invalid(
        "passkey_refused",
        "The passkey could not be registered: the browser's answer does not fit this page or came too late.",
        message_zh="无法登记通行密钥：浏览器的应答无效或已超时。",
        hint="Open the page under the city's own address and try again.",
        hint_zh="请通过本城正式地址访问页面后重试。",
    )
