"""TOTP (RFC 6238) with recovery codes, and which second factors a person has or needs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from uuid import UUID

import pyotp

from shanhe.identity.entry_model import SecondFactor, TotpEnrolment
from shanhe.identity.errors import CodeWrong
from shanhe.identity.service.base import By, Ground, ref
from shanhe.identity.store import people
from shanhe.identity.store import sessions as store
from shanhe.kernel import acts
from shanhe.kernel.errors import Conflict

STEP_S = 30
WINDOW_STEPS = 1
DIGITS = 6
CODES = 10
CODE_BYTES = 10
SECRET_BYTES = 20


class Factors:
    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    async def of(self, person_id: UUID) -> tuple[str, ...]:
        """Second factors that the person has set up: `totp`, `recovery`, `passkey`."""
        found = []
        row = await store.totp(self._ground.db, person_id)
        if row is not None and row["confirmed_at"] is not None:
            found.append("totp")
            if await store.recovery_codes_left(self._ground.db, person_id):
                found.append("recovery")
        if await store.passkeys(self._ground.db, person_id):
            found.append("passkey")
        return tuple(found)

    async def needed(self, person_id: UUID) -> bool:
        """Whether the person must have one: everybody with a role in the city, unless the setting says optional."""
        if self._ground.options.second_factor == SecondFactor.OPTIONAL:
            return False
        return bool(await people.city_roles(self._ground.db, person_id))

    async def begin_totp(self, person_id: UUID) -> TotpEnrolment:
        """A new secret, shown once; it counts only after `confirm_totp`. Conflict while a confirmed one stands."""
        secret = base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()
        sealed = self._ground.vault.encrypt(person_id, "totp", secret)
        if not await store.put_totp(self._ground.db.writes, person_id, sealed):
            raise Conflict("totp_set_up", "A TOTP application is set up already.", message_zh="已设置验证器应用。")
        row = await people.get(self._ground.db, person_id)
        label = self._ground.open(person_id, "login", row["login_sealed"]) or self._ground.open(
            person_id, "email", row["email_sealed"]
        )
        uri = pyotp.TOTP(secret).provisioning_uri(name=label, issuer_name=self._ground.options.city_name)
        return TotpEnrolment(secret, uri)

    async def confirm_totp(self, person_id: UUID, code: str, *, by: By) -> tuple[str, ...]:
        """Accept the new secret by its first code; the recovery codes, shown once. CodeWrong."""
        if not await self.use_totp(person_id, code, confirmed=False):
            raise CodeWrong()
        now = self._ground.now()
        async with self._ground.db.transaction() as conn:
            await store.confirm_totp(conn, person_id, now)
            codes = await self._new_codes(conn, person_id)
            await acts.note(conn, ref(by), "person.totp", f"person:{person_id}", {"set": True}, now)
        return codes

    async def use_totp(self, person_id: UUID, code: str, *, confirmed: bool = True) -> bool:
        """Whether the code is right now, give or take a step, and was not used before."""
        row = await store.totp(self._ground.db, person_id)
        if row is None or (row["confirmed_at"] is None) == confirmed:
            return False
        tried = code.replace(" ", "")
        if len(tried) != DIGITS or not (tried.isascii() and tried.isdigit()):
            return False
        totp = pyotp.TOTP(self._ground.vault.decrypt(person_id, "totp", row["secret_sealed"]))
        current = int(self._ground.now().timestamp()) // STEP_S
        matching = None
        for step in range(current - WINDOW_STEPS, current + WINDOW_STEPS + 1):
            if hmac.compare_digest(totp.generate_otp(step), tried):
                matching = step
        return matching is not None and await store.use_totp_step(self._ground.db.writes, person_id, matching)

    async def use_recovery_code(self, person_id: UUID, code: str) -> bool:
        return await store.use_recovery_code(self._ground.db.writes, person_id, _code_hash(code), self._ground.now())

    async def renew_recovery_codes(self, person_id: UUID, *, by: By) -> tuple[str, ...]:
        """Ten new codes, shown once; the old ones end."""
        async with self._ground.db.transaction() as conn:
            codes = await self._new_codes(conn, person_id)
            await acts.note(conn, ref(by), "person.recovery_codes", f"person:{person_id}", {}, self._ground.now())
        return codes

    async def remove_totp(self, person_id: UUID, *, by: By) -> None:
        """Conflict when it is the last second factor of somebody who must have one."""
        if await self.needed(person_id) and "passkey" not in await self.of(person_id):
            raise Conflict(
                "last_factor", "Set up a passkey before you remove the last second factor.",
                message_zh="移除最后一个第二重验证前，请先设置通行密钥。",
            )  # fmt: skip
        async with self._ground.db.transaction() as conn:
            await store.remove_totp(conn, person_id)
            await store.put_recovery_codes(conn, person_id, [])
            details = {"set": False}
            await acts.note(conn, ref(by), "person.totp", f"person:{person_id}", details, self._ground.now())

    async def _new_codes(self, conn: object, person_id: UUID) -> tuple[str, ...]:
        codes = tuple(_new_code() for _ in range(CODES))
        await store.put_recovery_codes(conn, person_id, [_code_hash(code) for code in codes])
        return codes


def _new_code() -> str:
    text = base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower()
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def _code_hash(code: str) -> bytes:
    # 80 random bits: a plain hash can't be guessed through.
    return hashlib.sha256(code.lower().replace("-", "").replace(" ", "").encode("utf-8", "replace")).digest()
