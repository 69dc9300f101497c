"""Wiring of what makes models and of work that may wait: batches, data sets, the studio."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from typing import Any, Final
from uuid import UUID

from shanhe.batches.api import Batches, Runner, Wire
from shanhe.compute.api import Compute
from shanhe.datasets.api import Datasets, UnknownDataset
from shanhe.gateway.api import Gateway
from shanhe.identity.api import Identity
from shanhe.kernel.asking import Announce
from shanhe.kernel.blobs import Shared
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.outbox import Event
from shanhe.kernel.sealing import Seals
from shanhe.ledger.api import Ledger
from shanhe.programmes.api import AlreadyClaimed, ApplicationConflict, BadAnswers, NotForYou, Programmes, State
from shanhe.rulebook.api import Rulebook
from shanhe.settings import Settings
from shanhe.sharing import DATASETS, FILES
from shanhe.studio.api import Foreman, RayJobs, Rules, RunStep, Studio, UnknownMade, run_step
from shanhe.wiring.judges import KEY_NAME, Judges
from shanhe.wiring.payers import Payers

BATCH_RULE: Final = "P11_batch"
STUDIO_RULE: Final = "P11_studio"


EXPERT, GRADUATE = "expert_clone", "graduate_finetune"
ASKED_MAX: Final = 100


@dataclass(frozen=True)
class Workshop:
    """What works behind interactive calls."""

    batches: Batches
    runner: Runner
    datasets: Datasets
    studio: Studio
    foreman: Foreman

    async def dataset_title(self, org_id: UUID, ref: str) -> str | None:
        """What an organisation's data set is called; None when it has none with this id."""
        try:
            return (await self.datasets.dataset(str(UUID(ref)), org_id)).name
        except (ValueError, UnknownDataset):
            return None

    async def model_title(self, org_id: UUID, ref: str) -> str | None:
        """What a model that an organisation made is called; None when it made none of this name."""
        try:
            return (await self.studio.made(ref, org_id)).name
        except UnknownMade:
            return None


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
    announce: Announce,
    shared: Shared | None = None,
) -> Workshop:
    """Connect it; nothing runs yet."""
    parameter = partial(rulebook.parameter, BATCH_RULE)
    batches = Batches(db, clock, folder=settings.data / FILES, parameter=parameter, shared=shared, seals=identity.seals)
    runner = Runner(
        db, clock, batches, worker=worker, run=gateway.run, caller_of=identity.caller_of, charged=ledger.posting,
        fate=ledger.fate, spare=compute.spare, parameter=parameter,
    )  # fmt: skip
    wire = Wire(batches, lambda model: compute.model(model) is not None)
    gateway.app.mount("files", wire.files)
    gateway.app.mount("batches", wire.batches)
    datasets = Datasets(db, clock, folder=settings.data / DATASETS, shared=shared, seals=identity.seals)
    studio = _studio(
        settings, db, clock, compute=compute, ledger=ledger, rulebook=rulebook, datasets=datasets, announce=announce,
        seals=identity.seals,
    )  # fmt: skip
    steps: RunStep = run_step
    if settings.ray_jobs:
        steps = RayJobs(settings.ray_jobs, settings.ray_token, gpus=settings.ray_gpus)
    judges = Judges(batches, Payers(identity, KEY_NAME), compute, gateway)
    foreman = Foreman(
        studio, compute, worker=worker, environment=settings.child_environment(), run_step=steps, asks=judges
    )  # fmt: skip
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
    announce: Announce,
    seals: Seals,
) -> Studio:
    async def lessons(version_id: UUID, org_id: UUID | None) -> tuple[Sequence[Any], Sequence[Any], UUID]:
        dataset, _ = await datasets.readable(version_id, org_id)
        return *await datasets.lessons(version_id, org_id), dataset.id

    def charge(facts: Mapping[str, object], on: date) -> int:
        return int(rulebook.evaluate(STUDIO_RULE, facts, on=on).outputs["charge_micro"])

    rules = Rules(charge, partial(rulebook.parameter, STUDIO_RULE))
    return Studio(
        db, clock, folder=settings.data / "studio", compute=compute, ledger=ledger, rules=rules, lessons=lessons,
        used=datasets.used, announce=announce, seals=seals,
    )  # fmt: skip


async def ask_for_subsidies(programmes: Programmes, event: Event) -> None:
    """A model that somebody asked a subsidy for was deployed: ask again, with the papers shown then.

    An expert's sponsorship (T1) happens once, so only for the model that was named; a graduate who asked before (T7)
    has each next model asked for.
    """
    org_id, name, ref = UUID(event.payload["org_id"]), event.payload["name"], f"studio:{event.id}"
    for programme, answer in ((EXPERT, "clone"), (GRADUATE, "model")):
        asked = await programmes.applications(org_id=org_id, programme=programme, limit=ASKED_MAX)
        if programme == EXPERT:
            asked = [one for one in asked if one.answers.get(answer) == name]
        if not asked or any(one.answers.get(answer) == name and one.state is not State.REFUSED for one in asked):
            continue
        papers = {paper: asdict(shown) for paper, shown in asked[0].evidence.items()}
        with contextlib.suppress(AlreadyClaimed, ApplicationConflict, NotForYou, BadAnswers):  # asked for, or closed
            await programmes.applying.apply(
                programme, org_id, answers={answer: name}, evidence=papers, client_ref=ref, actor="studio"
            )
