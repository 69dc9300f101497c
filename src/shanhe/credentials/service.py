"""Issuing, revoking, rotating: one issuer, its keys, its status lists."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, Final
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shanhe.credentials import sdjwt, status, store
from shanhe.credentials.errors import UnknownCredential
from shanhe.credentials.model import Credential, Jwk
from shanhe.kernel.clock import Clock, midnight
from shanhe.kernel.db import Database
from shanhe.kernel.errors import NotFound, Unavailable
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault

FIELD: Final = "credential"
KID_BYTES: Final = 4
DRAWS_MAX: Final = 64
FULL_AT: Final = status.SIZE // 2
REASON_MAX_CHARS: Final = 200
REASON_FIELD: Final = "credential.reason"


class Credentials:
    """Signs with the present key; keys that were rotated away stay published, for what they signed."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, *, url: str) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self.issuer = url

    # -- issuing ------------------------------------------------------------------------------------------------------

    async def issue(
        self, conn: Any, person_id: UUID, kind: str, disclosable: Mapping[str, Any], *, valid_from: date,
        valid_until: date, holder: Jwk | None = None,
    ) -> UUID:  # fmt: skip
        """Issue a credential in the caller's transaction. Times are whole days, so that they tell nobody apart."""
        kid, key = await self._signing(conn)
        list_no, index = await self._place(conn)
        vct = f"{self.issuer}/credentials/{kind}"
        claims: dict[str, Any] = {
            "iss": self.issuer, "vct": vct, "iat": _seconds(self._clock.today()), "nbf": _seconds(valid_from),
            "exp": _seconds(valid_until + timedelta(days=1)) - 1,
            "status": {"status_list": {"idx": index, "uri": self._list_uri(list_no)}},
        }  # fmt: skip
        token = sdjwt.issue(claims, disclosable, key, kid, holder=holder)
        identifier = new_id()
        sealed = self._vault.encrypt(person_id, FIELD, token)
        if not await store.insert(conn, identifier, person_id, vct, kid, list_no, index, self._clock.now(), valid_until,
                                  sealed):  # fmt: skip
            raise Unavailable("place_taken", "Two credentials were issued at once.", message_zh="签发冲突，请重试。")
        return identifier

    async def _place(self, conn: Any) -> tuple[int, int]:
        """A free place in a status list, drawn at random."""
        list_no, count = await store.fullest(conn)
        if count >= FULL_AT:
            list_no += 1
        for _ in range(DRAWS_MAX):
            index = secrets.randbelow(status.SIZE)
            if not await store.taken(conn, list_no, index):
                return list_no, index
        raise Unavailable("list_full", "The status list has no free place.", message_zh="状态列表暂无空位。")

    async def get(self, identifier: UUID) -> Credential:
        values = dict(await self._row(identifier))
        values.pop("sealed")
        reason = Seals(self._vault).of_person(values["person_id"]).open(REASON_FIELD, values["reason"])
        return Credential(**values | {"reason": reason})

    async def token(self, identifier: UUID) -> str:
        """The whole credential, for its holder. PersonErased when its key is gone."""
        row = await self._row(identifier)
        return self._vault.decrypt(row["person_id"], FIELD, row["sealed"])

    async def _row(self, identifier: UUID) -> Any:
        row = await store.one(self._db, identifier)
        if row is None:
            raise UnknownCredential
        return row

    async def revoke(self, identifier: UUID, reason: str, conn: Any = None) -> bool:
        """Set its bit in the status list; False when it was set before."""
        target = conn if conn is not None else self._db.writes
        seal = Seals(self._vault).of_person((await self._row(identifier))["person_id"])
        sealed = seal.text(REASON_FIELD, reason[:REASON_MAX_CHARS])
        return await store.revoke(target, identifier, self._clock.now(), sealed)

    # -- what verifiers read ------------------------------------------------------------------------------------------

    async def jwks(self) -> dict[str, Any]:
        """Every key that may have signed something still valid, the present one first."""
        await self._signing(self._db)
        return {"keys": [sdjwt.public_jwk(row["public"], row["kid"]) for row in await store.keys(self._db)]}

    async def metadata(self) -> dict[str, Any]:
        """SD-JWT VC issuer metadata."""
        return {"issuer": self.issuer, "jwks": await self.jwks()}

    async def status_list(self, list_no: int) -> str:
        """A signed status list as of now."""
        newest, _ = await store.fullest(self._db)
        if not 1 <= list_no <= newest:
            raise NotFound("unknown_list", "There is no such status list.", message_zh="没有该状态列表。")
        kid, key = await self._signing(self._db)
        indexes = await store.revoked_in(self._db, list_no)
        return status.sealed_list(indexes, self._list_uri(list_no), key, kid, self._clock.now())

    async def rotate(self) -> str:
        """Sign with a new key from now on; what the old one signed stays verifiable. The new key's id."""
        async with self._db.transaction() as conn:
            await self._signing(conn)
            await store.end_key(conn, self._clock.now())
            return (await self._signing(conn))[0]

    async def _signing(self, conn: Any) -> tuple[str, Ed25519PrivateKey]:
        row = await store.current_key(conn)
        if row is None:
            kid = f"{self._clock.today():%Y%m%d}-{secrets.token_hex(KID_BYTES)}"
            await store.add_key(conn, kid, self._private(kid).public_key().public_bytes_raw(), self._clock.now())
            row = await store.current_key(conn)
        return row["kid"], self._private(row["kid"])

    def _private(self, kid: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self._vault.secret(f"credential-{kid}"))

    def _list_uri(self, list_no: int) -> str:
        return f"{self.issuer}/api/credentials/status/{list_no}"


def _seconds(day: date) -> int:
    return int(midnight(day).timestamp())
