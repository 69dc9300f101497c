"""SQL of signing in: passwords, attempts, sessions, TOTP, recovery codes, passkeys, OpenID Connect."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

Connection = Any  # an asyncpg connection inside a transaction, or the Database for single statements


# -- passwords and attempts ------------------------------------------------------------------------------------------


async def password_hash(conn: Connection, person_id: UUID) -> str | None:
    found: str | None = await conn.fetchval("SELECT hash FROM identity.password WHERE person_id = $1", person_id)
    return found


async def set_password(conn: Connection, person_id: UUID, hash_: str, now: datetime) -> None:
    await conn.execute(
        """INSERT INTO identity.password VALUES ($1, $2, $3)
           ON CONFLICT (person_id) DO UPDATE SET hash = EXCLUDED.hash, set_at = EXCLUDED.set_at""",
        person_id,
        hash_,
        now,
    )


async def count_attempt(
    conn: Connection,
    bucket: bytes,
    now: datetime,
    *,
    forget_before: datetime,
    free: int,
    first_lock_s: int,
    lock_max_s: int,
) -> bool:
    """Count an attempt as failed before it is judged, so that parallel guesses all count; False while locked.

    From the `free`-th failure on, each attempt let through locks the bucket behind it, twice as long every time.
    """
    row = await conn.fetchval(
        """INSERT INTO identity.attempt AS a VALUES ($1, 1, $2, NULL)
           ON CONFLICT (bucket) DO UPDATE SET
             failures = CASE WHEN a.since < $3 THEN 1 ELSE a.failures + 1 END,
             since = CASE WHEN a.since < $3 THEN $2 ELSE a.since END,
             locked_until = CASE WHEN a.since >= $3 AND a.failures + 1 >= $4
               THEN $2 + least($5 * power(2, least(a.failures + 1 - $4, 20)), $6) * interval '1 second' END
           WHERE a.locked_until IS NULL OR a.locked_until <= $2
           RETURNING 1""",
        bucket,
        now,
        forget_before,
        free,
        first_lock_s,
        lock_max_s,
    )
    return row is not None


async def locked_until(conn: Connection, bucket: bytes) -> datetime | None:
    found: datetime | None = await conn.fetchval("SELECT locked_until FROM identity.attempt WHERE bucket = $1", bucket)
    return found


async def forget_attempts(conn: Connection, bucket: bytes) -> None:
    await conn.execute("DELETE FROM identity.attempt WHERE bucket = $1", bucket)


async def take_back_attempt(conn: Connection, bucket: bytes, free: int) -> None:
    await conn.execute(
        """UPDATE identity.attempt SET failures = greatest(failures - 1, 0),
                  locked_until = CASE WHEN failures > $2 THEN locked_until END WHERE bucket = $1""",
        bucket,
        free,
    )


async def purge(conn: Connection, now: datetime, forget_before: datetime) -> None:
    """Drop what has run out."""
    await conn.execute(
        "DELETE FROM identity.attempt WHERE since < $1 AND (locked_until IS NULL OR locked_until < $2)",
        forget_before,
        now,
    )
    await conn.execute("DELETE FROM identity.challenge WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM identity.oidc_flow WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM identity.handover WHERE expires_at < $1", now)
    await conn.execute("DELETE FROM identity.session WHERE expires_at < $1", now)


# -- sessions --------------------------------------------------------------------------------------------------------


async def add_session(
    conn: Connection,
    session_id: UUID,
    token_sha256: bytes,
    person_id: UUID,
    *,
    org_id: UUID | None,
    stage: str,
    methods: Sequence[str],
    device: bytes,
    now: datetime,
    expires_at: datetime,
) -> None:
    await conn.execute(
        """INSERT INTO identity.session (id, token_sha256, person_id, org_id, stage, methods, device_sealed, created_at,
                                         seen_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)""",
        session_id,
        token_sha256,
        person_id,
        org_id,
        stage,
        list(methods),
        device,
        now,
        expires_at,
    )


async def session_by_token(conn: Connection, token_sha256: bytes) -> Any:
    """The session row with its person's state and language."""
    return await conn.fetchrow(
        """SELECT s.*, p.state AS person_state, p.language, p.name_sealed
           FROM identity.session s JOIN identity.person p ON p.id = s.person_id
           WHERE s.token_sha256 = $1 AND s.revoked_at IS NULL""",
        token_sha256,
    )


async def session_began(conn: Connection, person_id: UUID, session_id: UUID) -> datetime | None:
    """When one of a person's sessions that has not ended began; it begins anew with each step of a sign-in."""
    found: datetime | None = await conn.fetchval(
        "SELECT created_at FROM identity.session WHERE id = $1 AND person_id = $2 AND revoked_at IS NULL",
        session_id,
        person_id,
    )
    return found


async def touch_session(conn: Connection, session_id: UUID, now: datetime) -> None:
    await conn.execute("UPDATE identity.session SET seen_at = $2 WHERE id = $1", session_id, now)


async def set_session_org(conn: Connection, session_id: UUID, org_id: UUID) -> None:
    await conn.execute("UPDATE identity.session SET org_id = $2 WHERE id = $1", session_id, org_id)


async def revoke_session(conn: Connection, person_id: UUID, session_id: UUID, now: datetime) -> bool:
    row = await conn.fetchval(
        """UPDATE identity.session SET revoked_at = $3
           WHERE id = $2 AND person_id = $1 AND revoked_at IS NULL RETURNING 1""",
        person_id,
        session_id,
        now,
    )
    return row is not None


async def revoke_sessions(conn: Connection, person_id: UUID, now: datetime, *, keep: UUID | None = None) -> None:
    await conn.execute(
        """UPDATE identity.session SET revoked_at = $2
           WHERE person_id = $1 AND revoked_at IS NULL AND ($3::uuid IS NULL OR id <> $3)""",
        person_id,
        now,
        keep,
    )


async def live_sessions(conn: Connection, person_id: UUID, now: datetime, idle_since: datetime) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        """SELECT * FROM identity.session
           WHERE person_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND seen_at > $3
           ORDER BY seen_at DESC LIMIT 100""",
        person_id,
        now,
        idle_since,
    )
    return rows


# -- second factors --------------------------------------------------------------------------------------------------


async def totp(conn: Connection, person_id: UUID) -> Any:
    return await conn.fetchrow("SELECT * FROM identity.totp WHERE person_id = $1", person_id)


async def put_totp(conn: Connection, person_id: UUID, sealed: bytes) -> bool:
    """A new unconfirmed secret; False when a confirmed one stands."""
    row = await conn.fetchval(
        """INSERT INTO identity.totp AS t VALUES ($1, $2, NULL, 0)
           ON CONFLICT (person_id) DO UPDATE SET secret_sealed = EXCLUDED.secret_sealed, last_step = 0
           WHERE t.confirmed_at IS NULL RETURNING 1""",
        person_id,
        sealed,
    )
    return row is not None


async def use_totp_step(conn: Connection, person_id: UUID, step: int) -> bool:
    """False when this step, or a later one, was used already."""
    row = await conn.fetchval(
        "UPDATE identity.totp SET last_step = $2 WHERE person_id = $1 AND last_step < $2 RETURNING 1", person_id, step
    )
    return row is not None


async def confirm_totp(conn: Connection, person_id: UUID, now: datetime) -> None:
    await conn.execute("UPDATE identity.totp SET confirmed_at = $2 WHERE person_id = $1", person_id, now)


async def remove_totp(conn: Connection, person_id: UUID) -> None:
    await conn.execute("DELETE FROM identity.totp WHERE person_id = $1", person_id)


async def put_recovery_codes(conn: Connection, person_id: UUID, hashes: Sequence[bytes]) -> None:
    await conn.execute("DELETE FROM identity.recovery_code WHERE person_id = $1", person_id)
    await conn.executemany(
        "INSERT INTO identity.recovery_code VALUES ($1, $2, NULL)", [(person_id, hash_) for hash_ in hashes]
    )


async def use_recovery_code(conn: Connection, person_id: UUID, hash_: bytes, now: datetime) -> bool:
    row = await conn.fetchval(
        """UPDATE identity.recovery_code SET used_at = $3
           WHERE person_id = $1 AND code_sha256 = $2 AND used_at IS NULL RETURNING 1""",
        person_id,
        hash_,
        now,
    )
    return row is not None


async def recovery_codes_left(conn: Connection, person_id: UUID) -> int:
    found: int = await conn.fetchval(
        "SELECT count(*) FROM identity.recovery_code WHERE person_id = $1 AND used_at IS NULL", person_id
    )
    return found


async def add_passkey(conn: Connection, row: Sequence[Any]) -> bool:
    """False when the credential is known already."""
    done = await conn.fetchval(
        """INSERT INTO identity.passkey (id, person_id, credential_id, public_key, sign_count, transports, backed_up,
                                         name, created_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (credential_id) DO NOTHING RETURNING 1""",
        *row,
    )
    return done is not None


async def passkeys(conn: Connection, person_id: UUID) -> list[Any]:
    rows: list[Any] = await conn.fetch(
        "SELECT * FROM identity.passkey WHERE person_id = $1 ORDER BY id LIMIT 100", person_id
    )
    return rows


async def passkey(conn: Connection, credential_id: bytes) -> Any:
    return await conn.fetchrow("SELECT * FROM identity.passkey WHERE credential_id = $1", credential_id)


async def used_passkey(conn: Connection, passkey_id: UUID, old_count: int, new_count: int, now: datetime) -> bool:
    """False when another answer of the same authenticator was accepted meanwhile."""
    row = await conn.fetchval(
        """UPDATE identity.passkey SET sign_count = $3, used_at = $4 WHERE id = $1 AND sign_count = $2 RETURNING 1""",
        passkey_id,
        old_count,
        new_count,
        now,
    )
    return row is not None


async def remove_passkey(conn: Connection, person_id: UUID, passkey_id: UUID) -> bool:
    row = await conn.fetchval(
        "DELETE FROM identity.passkey WHERE id = $2 AND person_id = $1 RETURNING 1", person_id, passkey_id
    )
    return row is not None


async def add_challenge(
    conn: Connection, id_: UUID, purpose: str, person_id: UUID | None, challenge: bytes, expires_at: datetime
) -> None:
    await conn.execute(
        "INSERT INTO identity.challenge VALUES ($1, $2, $3, $4, $5)", id_, purpose, person_id, challenge, expires_at
    )


async def take_challenge(conn: Connection, id_: UUID, purpose: str, now: datetime) -> Any:
    """The challenge, which is gone afterwards; None when unknown, used or late."""
    return await conn.fetchrow(
        """DELETE FROM identity.challenge WHERE id = $1 AND purpose = $2 AND expires_at > $3
           RETURNING person_id, challenge""",
        id_,
        purpose,
        now,
    )


# -- OpenID Connect --------------------------------------------------------------------------------------------------


async def add_flow(
    conn: Connection, state_sha256: bytes, nonce: str, verifier: str, return_path: str, expires_at: datetime
) -> None:
    await conn.execute(
        "INSERT INTO identity.oidc_flow VALUES ($1, $2, $3, $4, $5)",
        state_sha256,
        nonce,
        verifier,
        return_path,
        expires_at,
    )


async def take_flow(conn: Connection, state_sha256: bytes, now: datetime) -> Any:
    return await conn.fetchrow(
        """DELETE FROM identity.oidc_flow WHERE state_sha256 = $1 AND expires_at > $2
           RETURNING nonce, verifier, return_path""",
        state_sha256,
        now,
    )


async def person_of_subject(conn: Connection, subject_index: bytes) -> UUID | None:
    found: UUID | None = await conn.fetchval(
        "SELECT person_id FROM identity.oidc_subject WHERE subject_index = $1", subject_index
    )
    return found


async def link_subject(conn: Connection, subject_index: bytes, person_id: UUID, now: datetime) -> None:
    await conn.execute(
        "INSERT INTO identity.oidc_subject VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", subject_index, person_id, now
    )
