"""Where makers are paid: the account, sealed with its holder's key, and whether name and number were checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id
from shanhe.kernel.sealing import Seals
from shanhe.kernel.texts import check_line
from shanhe.kernel.vault import PersonErased, Vault
from shanhe.payments import payout_store
from shanhe.payments.payout_errors import UnknownPayee
from shanhe.payments.payout_model import OpenPayee, Payee, PayeeCheck, PayeeKind, PayeeState

HOLDER_FIELD, ACCOUNT_FIELD = "payout.holder", "payout.account"
CHECK_FIELD: Final = "payee.check_ref"


class Payees:
    """`check` is the plug-in that checks name and account; without one an operator records what the documents said."""

    def __init__(self, db: Database, clock: Clock, vault: Vault, seals: Seals, check: PayeeCheck | None = None) -> None:
        self._db = db
        self._clock = clock
        self._vault = vault
        self._seals = seals
        self._check = check
        self.told: Callable[[Any, Payee], Awaitable[None]] | None = None
        """(connection, payee): who hears of a check, in its transaction."""

    async def set(
        self, org_id: UUID, *, person_id: UUID, kind: PayeeKind, holder: str, account: str, bank: str
    ) -> Payee:
        """Say where an organisation is paid. Name and number are sealed with the person's key; a new account needs a
        new check. Invalid where it is one person who says to be an organisation, whose income nobody taxes at the
        source."""
        holder, bank, digits = holder.strip(), bank.strip(), "".join(account.split())
        check_line("holder", holder)
        check_line("bank", bank)
        if not (digits.isascii() and digits.isdigit() and 8 <= len(digits) <= 32):
            raise Invalid(
                "bad_account", "An account number has 8 to 32 digits.", message_zh="银行账号应为 8 至 32 位数字。"
            )
        if kind is not PayeeKind.PERSON and await self._seals.personal(org_id):
            raise Invalid(
                "person_is_paid", "You are paid as a person: tax is withheld from a person's income.",
                message_zh="个人只能按个人收款，由付款方代扣税款。",
            )  # fmt: skip
        payee = Payee(
            new_id(),
            org_id,
            person_id,
            kind,
            digits[-4:],
            bank,
            PayeeState.UNCHECKED,
            None,
            None,
            None,
            self._clock.now(),
        )
        sealed = (
            self._vault.encrypt(person_id, HOLDER_FIELD, holder),
            self._vault.encrypt(person_id, ACCOUNT_FIELD, digits),
            self._vault.blind_index(ACCOUNT_FIELD, digits),
        )
        async with self._db.transaction() as conn:
            await payout_store.lock_org(conn, org_id)
            await payout_store.replace_payee(conn, payee, *sealed)
        if self._check is not None:
            said = await self._check.check(kind, OpenPayee(holder, digits, bank))
            return await self.record_check(payee.id, passed=said.passed, reference=said.reference, by=self._check.name)
        return payee

    async def of(self, org_id: UUID) -> Payee | None:
        """Where an organisation is paid now; None before it said so."""
        found = await payout_store.payee_of(self._db, org_id)
        return None if found is None else self._opened(found)

    async def of_all(self, org_ids: Collection[UUID]) -> dict[UUID, Payee]:
        """The same of several, of those that said so; one question."""
        return {one.org_id: self._opened(one) for one in await payout_store.payees_of(self._db, org_ids)}

    def _opened(self, found: Payee) -> Payee:
        if found.check_ref is None:
            return found
        return replace(found, check_ref=self._seals.of_person(found.person_id).open(CHECK_FIELD, found.check_ref))

    async def record_check(self, payee_id: UUID, *, passed: bool, reference: str, by: str) -> Payee:
        """Record that name and account belong together, or don't; `reference` names the evidence, not the person."""
        check_line("reference", reference)
        state = PayeeState.PASSED if passed else PayeeState.FAILED
        found = await payout_store.payee(self._db, payee_id)
        if found is None:
            raise UnknownPayee
        sealed = self._seals.of_person(found.person_id).text(CHECK_FIELD, reference)
        async with self._db.transaction() as conn:
            if not await payout_store.set_check(conn, payee_id, state, by, sealed, self._clock.now()):
                raise UnknownPayee
            if self.told is not None:
                await self.told(conn, replace(found, state=state))
        return replace(found, state=state, checked_by=by, check_ref=reference, checked_at=self._clock.now())

    async def open(self, payee_id: UUID) -> OpenPayee:
        """Name and account in plain text, for whoever sends or checks; PersonErased when their key is gone."""
        return self._plain(*(await payout_store.sealed(self._db, [payee_id]))[payee_id])

    async def open_all(self, payees: Collection[UUID]) -> dict[UUID, OpenPayee]:
        """The same of several, without those whose key is gone; one question."""
        found: dict[UUID, OpenPayee] = {}
        for payee_id, sealed in (await payout_store.sealed(self._db, payees)).items():
            with suppress(PersonErased):
                found[payee_id] = self._plain(*sealed)
        return found

    def _plain(self, person_id: UUID, holder: bytes, account: bytes, bank: str) -> OpenPayee:
        return OpenPayee(
            self._vault.decrypt(person_id, HOLDER_FIELD, holder),
            self._vault.decrypt(person_id, ACCOUNT_FIELD, account),
            bank,
        )
