"""Wiring of what makes models and of work that may wait: batches, data sets, the studio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final
from uuid import UUID

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
from shanhe.studio.api import Foreman, RayJobs, Rules, RunStep, Studio, run_step

BATCH_RULE: Final = "P11_batch"
STUDIO_RULE: Final = "P11_studio"


@dataclass(frozen=True)
class Workshop:
    """What works behind interactive calls."""

    batches: Batches
    runner: Runner
    datasets: Datasets
    studio: Studio
    foreman: Foreman


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
    batches = Batches(db, clock, folder=settings.data / "files", parameter=parameter, seals=identity.seals)
    runner = Runner(
        db, clock, batches, worker=worker, run=gateway.run, caller_of=identity.caller_of, charged=ledger.posting,
        spare=compute.spare, parameter=parameter,
    )  # fmt: skip
    wire = Wire(batches, lambda model: compute.model(model) is not None)
    gateway.app.mount("files", wire.files)
    gateway.app.mount("batches", wire.batches)
    datasets = Datasets(db, clock, folder=settings.data / "datasets", seals=identity.seals)
    studio = _studio(settings, db, clock, compute=compute, ledger=ledger, rulebook=rulebook, datasets=datasets)
    steps: RunStep = run_step
    if settings.ray_jobs:
        steps = RayJobs(settings.ray_jobs, settings.ray_token, gpus=settings.ray_gpus)
    foreman = Foreman(studio, compute, worker=worker, environment=settings.child_environment(), run_step=steps)
    return Workshop(batches, runner, datasets, studio, foreman)


def _studio(
    settings: Settings,
    db: Database,
    clock: Clock,
    *,
    compute: Compute,
    ledger: Ledger,
    rulebook: Rulebook,
    datasets: Datasets,
) -> Studio:
    async def lessons(version_id: UUID, org_id: UUID | None) -> tuple[Sequence[Any], Sequence[Any], UUID]:
        dataset, _ = await datasets.version(version_id, org_id)
        return *await datasets.lessons(version_id, org_id), dataset.id

    def charge(facts: Mapping[str, object], on: date) -> int:
        return int(rulebook.evaluate(STUDIO_RULE, facts, on=on).outputs["charge_micro"])

    rules = Rules(charge, partial(rulebook.parameter, STUDIO_RULE))
    return Studio(
        db, clock, folder=settings.data / "studio", compute=compute, ledger=ledger, rules=rules, lessons=lessons,
        used=datasets.used,
    )  # fmt: skip
