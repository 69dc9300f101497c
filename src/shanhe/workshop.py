"""Wiring of what makes models and of work that may wait: batches, data sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from shanhe.batches.api import Batches, Runner, Wire
from shanhe.compute.api import Compute
from shanhe.datasets.api import Datasets
from shanhe.gateway.api import Gateway
from shanhe.identity.api import Identity
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.ledger.api import Ledger
from shanhe.rulebook.api import Rulebook
from shanhe.settings import Settings

BATCH_RULE: Final = "P11_batch"


@dataclass(frozen=True)
class Workshop:
    """What works behind interactive calls."""

    batches: Batches
    runner: Runner
    datasets: Datasets


def open_workshop(
    settings: Settings,
    db: Database,
    clock: Clock,
    *,
    worker: str,
    gateway: Gateway,
    compute: Compute,
    ledger: Ledger,
    identity: Identity,
    rulebook: Rulebook,
) -> Workshop:
    """Connect it; nothing runs yet."""
    parameter = partial(rulebook.parameter, BATCH_RULE)
    batches = Batches(db, clock, folder=settings.data / "files", parameter=parameter)
    runner = Runner(
        db, clock, batches, worker=worker, run=gateway.run, caller_of=identity.caller_of, charged=ledger.posting,
        spare=compute.spare, parameter=parameter,
    )  # fmt: skip
    wire = Wire(batches, lambda model: compute.model(model) is not None)
    gateway.app.mount("files", wire.files)
    gateway.app.mount("batches", wire.batches)
    datasets = Datasets(db, clock, folder=settings.data / "datasets")
    return Workshop(batches, runner, datasets)
