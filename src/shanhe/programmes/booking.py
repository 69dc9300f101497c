"""Awards on the ledger: set aside, released, given back. Every posting's id follows from its award, so that repeating
it is recognised.

Setting aside moves money from a budget to its account of commitments; a budget's floor is 0, so no two awards can
promise the same fen. Credits of a release become lots that begin to expire on that day (C11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID, uuid5

import msgspec

from shanhe.kernel.clock import midnight
from shanhe.kernel.money import MICRO, round_half_even
from shanhe.ledger.api import (
    CITY_OWNER,
    Account,
    Asset,
    InsufficientCredit,
    Ledger,
    Lot,
    LotDelta,
    NewLot,
    Posting,
    Provenance,
    Transfer,
    UnknownPosting,
    nth_lot,
)
from shanhe.programmes.cases import Payment, Tranche
from shanhe.programmes.errors import UnknownBudget
from shanhe.programmes.model import Catalogue
from shanhe.rulebook.api import Rulebook

EXPIRY, LOCK, PRICE = "C11", "C6", "P1"
NEVER: Final = date.max
ATTEMPTS_MAX: Final = 5


class Books:
    """The postings of programmes; nothing here decides."""

    def __init__(self, ledger: Ledger, rulebook: Rulebook, catalogue: Catalogue) -> None:
        self._ledger = ledger
        self._rulebook = rulebook
        self._catalogue = catalogue

    # -- accounts -----------------------------------------------------------------------------------------------------

    async def budget(self, name: str) -> Account:
        """A budget's own account; it can't fall below zero unless the catalogue says it is no money."""
        return await self._account(name, "budget")

    async def committed(self, name: str) -> Account:
        """What a budget has promised and not yet paid."""
        return await self._account(name, "committed")

    async def _account(self, name: str, kind: str) -> Account:
        budget = self._catalogue.budgets.get(name)
        if budget is None:
            raise UnknownBudget(name)
        floor = None if budget.unlimited and kind == "budget" else 0
        asset = Asset(budget.asset)
        return await self._ledger.ensure_account(CITY_OWNER, asset, kind, name=name, floor=floor, lots=False)

    async def wallet(self, org_id: UUID, asset: str) -> Account:
        return await self._ledger.ensure_account(org_id, Asset(asset), "wallet")

    async def free(self, name: str) -> int:
        """What a budget can still promise."""
        return (await self._ledger.balance((await self.budget(name)).id)).balance

    async def fund(self, name: str, amount: int, *, posting_id: UUID, reason: str, actor: str) -> None:
        """Money into a budget: credits are issued, cash comes from the treasury, a sponsor's cash backs vouchers."""
        budget = self._catalogue.budgets[name]
        account, asset = await self.budget(name), Asset(budget.asset)
        transfers = []
        if asset is Asset.CNY:
            source = await self._ledger.system_account("cash", asset, "treasury")
        else:
            source = await self._ledger.system_account("issuance", asset)
        if asset is Asset.VOUCHER:
            cash = await self._ledger.system_account("cash", Asset.CNY, "sponsors" if budget.sponsor else "treasury")
            backing = await self._ledger.system_account("issuance", Asset.CNY, "vouchers")
            transfers.append(Transfer(_leg(posting_id, 2), cash.id, backing.id, amount))
        transfers.append(Transfer(_leg(posting_id, 1), source.id, account.id, amount))
        posting = Posting(
            id=posting_id, kind="budget", transfers=tuple(transfers), actor=actor, memo=f"{name}: {reason}"
        )
        await self._ledger.post(posting)

    # -- awards -------------------------------------------------------------------------------------------------------

    async def commit(self, award: UUID, tranches: Sequence[Tranche], *, actor: str) -> None:
        """Set the tranches' money aside; InsufficientCredit when a budget can't cover them."""
        payments = [item for tranche in tranches for item in tranche.payments]
        if not payments:
            return
        posting_id = uuid5(award, f"commit:{tranches[0].n}")
        transfers = [
            _move(posting_id, index, item, await self.budget(item.budget), await self.committed(item.budget))
            for index, item in enumerate(payments, 1)
        ]  # fmt: skip
        await self._ledger.post(
            Posting(id=posting_id, kind="award", transfers=tuple(transfers), actor=actor, memo=f"Award {award}")
        )

    async def set_aside(self, award: UUID, tranches: Sequence[Tranche], n: int) -> bool:
        """Whether the n-th tranche's money was set aside, by itself or with those before it, whatever its row says."""
        legs = len(tranches[n - 1].payments), sum(len(tranche.payments) for tranche in tranches[:n])
        for first, least in zip((n, 1), legs, strict=True):
            with suppress(UnknownPosting):
                if least <= len((await self._ledger.posting(uuid5(award, f"commit:{first}"))).transfers):
                    return True
        return False

    async def release(
        self, award: UUID, tranche: Tranche, *, on: date, evidence: Mapping[str, Any], actor: str
    ) -> UUID | None:
        """Pay what was decided and give the rest back to the budget, in one posting; None when nothing moves."""
        posting_id = uuid5(award, f"tranche:{tranche.n}")
        transfers, lots = list[Transfer](), list[NewLot]()
        for item in tranche.payments:
            committed = await self.committed(item.budget)
            if item.released:
                wallet = await self.wallet(item.to_org, item.asset)
                transfers.append(Transfer(_leg(posting_id, len(transfers) + 1), committed.id, wallet.id, item.released))
                if wallet.lots:
                    lots.append(self.lot(item, wallet, on))
            if item.amount > item.released:
                budget, rest = await self.budget(item.budget), item.amount - item.released
                transfers.append(Transfer(_leg(posting_id, len(transfers) + 1), committed.id, budget.id, rest))
        if not transfers:
            return None
        await self._ledger.post(
            Posting(
                id=posting_id,
                kind="grant",
                transfers=tuple(transfers),
                lots=tuple(lots),
                actor=actor,
                evidence=msgspec.json.encode(evidence, order="sorted"),
                memo=f"Award {award}, tranche {tranche.n}",
            )
        )
        return posting_id

    async def give_back(self, award: UUID, tranche: Tranche, *, actor: str) -> None:
        """Return a cancelled tranche's commitment to its budgets."""
        posting_id = uuid5(award, f"cancel:{tranche.n}")
        transfers = [
            _move(posting_id, index, item, await self.committed(item.budget), await self.budget(item.budget))
            for index, item in enumerate(tranche.payments, 1)
        ]  # fmt: skip
        if transfers:
            await self._ledger.post(
                Posting(id=posting_id, kind="award_cancelled", transfers=tuple(transfers), actor=actor,
                        memo=f"Award {award}, tranche {tranche.n} cancelled")
            )  # fmt: skip

    def lot(self, item: Payment, wallet: Account, on: date) -> NewLot:
        """The lot of released credits: R2's class, C11's expiry counted from release, C6's lock, C3's cost."""
        provenance = str(item.provenance)
        expires = self._rulebook.evaluate(EXPIRY, {"provenance": provenance, "issued_on": on}, on=on).outputs[
            "expires_on"
        ]
        facts = {"provenance": provenance, "acquired_on": on, "asked_on": on}
        unlocks = self._rulebook.evaluate(LOCK, facts, on=on).outputs["unlocks_on"]
        price = 0 if provenance == Provenance.SUBSIDY else int(self._rulebook.parameter(PRICE, "list_price_fen", on))
        return NewLot(
            account=wallet.id, provenance=Provenance(provenance), amount=item.released, expires_at=_midnight(expires),
            unlock_at=_midnight(unlocks), cost_fen=round_half_even(price * item.released, MICRO), earmark=item.earmark,
        )  # fmt: skip

    # -- clawback -----------------------------------------------------------------------------------------------------

    async def unspent(self, tranche: Tranche) -> int:
        """µ of a tranche's credits that are still in the lots it minted, free or held."""
        return sum([lot.remaining for lot in (await self._minted(tranche)).values()])

    async def take_back(
        self, award: UUID, tranche: Tranche, *, unspent_only: bool, actor: str
    ) -> tuple[dict[str, int], dict[str, int]]:
        """Reverse what is unspent of a released tranche; the rest becomes a receivable unless `unspent_only`.

        Returns minor units recovered and owed, by asset. What gateway workers hold for running calls counts as spent.
        What an attempt before this one booked as owed stays owed, whatever came into the wallet since.
        """
        recovered, owed = dict[str, int](), dict[str, int]()
        for ordinal, item in enumerate(tranche.payments):
            if not item.released:
                continue
            debt = uuid5(award, f"owed:{tranche.n}:{ordinal}")
            rest = await self._booked(debt)
            taken = await self._take(award, tranche, ordinal, actor) if rest is None else item.released - rest
            recovered[item.asset] = recovered.get(item.asset, 0) + taken
            if taken < item.released and not unspent_only:
                owed[item.asset] = owed.get(item.asset, 0) + item.released - taken
                await self._owe(debt, item, item.released - taken, actor)
        return recovered, owed

    async def _booked(self, posting_id: UUID) -> int | None:
        """What a posting of one leg moved; None when it was not made."""
        with suppress(UnknownPosting):
            return sum(leg.amount for leg in (await self._ledger.posting(posting_id)).transfers)
        return None

    async def _take(self, award: UUID, tranche: Tranche, ordinal: int, actor: str) -> int:
        posting_id, item = uuid5(award, f"clawback:{tranche.n}:{ordinal}"), tranche.payments[ordinal]
        wallet, budget = await self.wallet(item.to_org, item.asset), await self.budget(item.budget)
        for attempt in range(ATTEMPTS_MAX):
            if (taken := await self._booked(posting_id)) is not None:  # an earlier attempt may have died after it
                return taken
            deltas: tuple[LotDelta, ...] = ()
            if wallet.lots:
                lot = (await self._minted(tranche)).get(ordinal)
                amount = lot.remaining - lot.held if lot else 0
                deltas = (LotDelta(lot.id, -amount),) if lot else ()
            else:
                amount = min((await self._ledger.balance(wallet.id)).available, item.released)
            if amount <= 0:
                return 0
            transfer = Transfer(_leg(posting_id, 1), wallet.id, budget.id, amount)
            posting = Posting(id=posting_id, kind="clawback", transfers=(transfer,), deltas=deltas, actor=actor,
                              memo=f"Award {award} clawed back")  # fmt: skip
            try:
                await self._ledger.post(posting)
            except InsufficientCredit:
                if attempt + 1 == ATTEMPTS_MAX:
                    raise
        return 0

    async def _owe(self, posting_id: UUID, item: Payment, amount: int, actor: str) -> None:
        wallet, asset = await self.wallet(item.to_org, item.asset), Asset(item.asset)
        receivable = await self._ledger.system_account("receivable", asset, str(wallet.id))
        recoverable = await self._ledger.system_account("recoverable", asset, item.budget)
        transfer = Transfer(_leg(posting_id, 1), receivable.id, recoverable.id, amount)
        await self._ledger.post(
            Posting(id=posting_id, kind="clawback_owed", transfers=(transfer,), actor=actor, memo="Spent, to be repaid")
        )

    async def _minted(self, tranche: Tranche) -> Mapping[int, Lot]:
        """The lots that a tranche's release minted, by the place of the payment that each one is."""
        if tranche.posting is None:
            return {}
        paid = [n for n, item in enumerate(tranche.payments) if item.released and item.asset == Asset.CREDIT]
        ids = {nth_lot(tranche.posting, index): n for index, n in enumerate(paid)}
        return {ids[lot.id]: lot for lot in (await self._ledger.lots_by_id(list(ids))).values()}


def _move(posting_id: UUID, index: int, item: Payment, debit: Account, credit: Account) -> Transfer:
    return Transfer(_leg(posting_id, index), debit.id, credit.id, item.amount)


def _leg(posting_id: UUID, index: int) -> UUID:
    return UUID(int=posting_id.int ^ index)


def _midnight(day: date) -> datetime | None:
    return None if day == NEVER else midnight(day)
