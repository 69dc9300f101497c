"""Wiring of the truths, which everything else stands on: who, what is known, what is booked, what is on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Final

from shanhe.approvals.api import Approvals
from shanhe.facts.api import Facts, RelationTerms
from shanhe.identity.api import Identity, OidcSettings, Options, Registering, SecondFactor
from shanhe.kernel.blobs import Shared
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.errors import Invalid
from shanhe.kernel.metrics import Metrics
from shanhe.kernel.notify import EmailSender, Notifier, Sender, WebhookSender
from shanhe.kernel.outbox import Outbox
from shanhe.kernel.vault import Vault
from shanhe.ledger.api import Feed, Ledger, LotTerms, Provenance
from shanhe.log.api import Log
from shanhe.privacy.api import Privacy
from shanhe.rulebook.api import Rulebook
from shanhe.settings import Settings
from shanhe.wiring.books import Books
from shanhe.wiring.personal_copy import Guardians
from shanhe.wiring.relatives import Relatives

RETENTION_RULE: Final = "P9_retention"


@dataclass(frozen=True)
class Truths:
    """What is true in the city, whoever asks; and the ground it stands on."""

    db: Database
    clock: Clock
    vault: Vault
    metrics: Metrics
    outbox: Outbox
    notifier: Notifier
    rulebook: Rulebook
    ledger: Ledger
    log: Log
    identity: Identity
    privacy: Privacy
    facts: Facts
    approvals: Approvals
    guardians: Guardians
    relatives: Relatives
    books: Books
    files: Shared | None
    """Where uploads lie when every machine is to read them."""


def open_truths(settings: Settings, worker: str, db: Database, clock: Clock, rulebook: Rulebook) -> Truths:
    """Connect them; nothing runs yet. `worker`: this process's name."""
    vault, metrics = Vault(settings.data / "keys", root_key=settings.vault_root_key), Metrics(worker)
    metrics.watch_room(settings.data)
    outbox = Outbox(db, clock)
    ledger = Ledger(
        db, clock, worker=worker, workers=settings.workers, terms=rulebook.kept(partial(_lot_terms, rulebook)),
        lent=settings.data / "run" / "lent",
    )  # fmt: skip
    log = Log(db, clock, vault, data=settings.data, origin=lambda: log_origin(settings), feed=Feed(db), worker=worker)
    identity = Identity(db, clock, vault, _identity_options(settings), announce=outbox.emit)
    retention = partial(rulebook.parameter, RETENTION_RULE)
    privacy = Privacy(db, clock, vault, identity=identity, parameter=retention)
    facts = Facts(db, clock, vault, rulebook.kept(partial(_relation_terms, rulebook)), privacy)
    guardians = Guardians(clock, facts, retention)
    identity.consents.minors(guardians.is_child)
    relatives = Relatives(identity, facts, clock)
    books = Books(identity, relatives, facts, clock, settings.webhook_url)
    notifier = books.notifier = Notifier(db, clock, senders=_senders(settings, clock), addresses=books.addresses)
    identity.keys.on_leak(trace=books.key_use, tell=books.tell_leak)
    approvals = Approvals(db, clock, samples=settings.demo, entry=log.record, seals=identity.seals, notifier=notifier)
    return Truths(
        db, clock, vault, metrics, outbox, notifier, rulebook, ledger, log, identity, privacy, facts, approvals,
        guardians, relatives, books, Shared(settings.database_url) if settings.shares_files else None,
    )  # fmt: skip


def _lot_terms(rulebook: Rulebook, on: date) -> LotTerms:
    """What the rulebook says of lots: burn order (C12), expiry (C11), lock (C6), how long income is pending (P10)."""
    order = rulebook.parameter("C12", "order", on)
    expiring = rulebook.parameter("C11", "expiring", on)
    months = {Provenance(name): int(rulebook.parameter("C11", f"{name}_months", on)) for name in expiring}
    return LotTerms(
        burn_order=tuple(Provenance(name) for name in order),
        income_expiry_months=months,
        income_lock_months=int(rulebook.parameter("C6", "lock_months", on)),
        income_pending_days=int(rulebook.parameter("P10", "income_pending_days", on)),
    )


def _relation_terms(rulebook: Rulebook, on: date) -> RelationTerms:
    """What makes two parties count as one (R0)."""
    return RelationTerms(
        ownership_bps=int(rulebook.parameter("R0", "common_ownership", on)),
        referral_months=int(rulebook.parameter("R0", "referral_months", on)),
    )


def log_origin(settings: Settings) -> str:
    """The log's name: the address it is published at, without the scheme (tlog-tiles). Asked for once in its life."""
    return settings.url.partition("://")[2] + "/log"


def _identity_options(settings: Settings) -> Options:
    oidc = None
    if settings.oidc_issuer:
        oidc = OidcSettings(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_client_secret)
    relaxed = settings.second_factor == "optional" or (settings.second_factor == "auto" and settings.demo)
    factor = SecondFactor.OPTIONAL if relaxed else SecondFactor.REQUIRED
    registering = _registering(settings)
    return Options(
        url=settings.url, city_name=settings.city_name, second_factor=factor, oidc=oidc, registering=registering
    )


def _registering(settings: Settings) -> Registering:
    """At once in a demo city; elsewhere somebody looks first, unless the operator says otherwise."""
    if settings.registration == "auto":
        return Registering.ON if settings.demo else Registering.APPROVAL
    if settings.registration not in tuple(Registering):
        raise Invalid(
            "bad_registration",
            f"SHANHE_REGISTRATION is {settings.registration!r}.",
            message_zh=f"SHANHE_REGISTRATION 的值“{settings.registration}”无效。",
            hint="Use on, off, approval or auto.",
            hint_zh="请使用 on、off、approval 或 auto。",
        )
    return Registering(settings.registration)


def _senders(settings: Settings, clock: Clock) -> list[Sender]:
    senders: list[Sender] = []
    if settings.smtp_url:
        senders.append(EmailSender(settings.smtp_url, settings.mail_from, settings.url))
    if settings.webhook_url:
        senders.append(WebhookSender(settings.webhook_secret, clock))
    return senders
