"""A studio over a real database and ledger, whose steps are scripts and whose engines are names in a list."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from shanhe.compute.api import cards
from shanhe.datasets.api import Datasets, NewDataset
from shanhe.kernel.clock import FixedClock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id
from shanhe.ledger.api import Asset, Ledger, NewLot, Posting, Provenance, Transfer
from shanhe.rulebook.api import Rulebook
from shanhe.studio.foreman import Foreman
from shanhe.studio.jury import Asks
from shanhe.studio.model import Job, Recipe
from shanhe.studio.service import Rules, Studio

WORKER = (sys.executable, "-I", "-S", str(Path(__file__).parent / "worker.py"))
BASE = "qwen2.5-coder-0.5b-instruct"
RECIPE = Recipe(BASE, epochs=1, drop_layers=2)
STEPS = 8
STEP_MS = 5_000
FUNDS = 10_000_000


class Models:
    """Stands for compute: the packaged cards, a base file, and who answers under which name."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "base.gguf"
        self.file.write_bytes(b"base")
        self.answering: dict[str, str] = {}
        self.trials: dict[str, tuple[str, int]] = {}
        self.made = self

    def cards(self) -> Any:
        return cards()

    def model(self, name: str) -> Any:
        return SimpleNamespace(kind="chat") if name in ("taken", *self.answering) else None

    async def model_file(self, model: str) -> Path:
        return self.file

    async def serve(self, card: Any, file: Path, *, public: str, actor: str, share_bps: int) -> Any:
        if share_bps < 10_000:
            self.trials[public] = (f"local-{card.id}", share_bps)
            return type("Engine", (), {"name": f"local-{card.id}"})()
        self.answering[public] = f"local-{card.id}"
        return type("Engine", (), {"name": f"local-{card.id}"})()

    async def serve_adapter(
        self, card: Any, file: Path, sha256: str, *, base: str, public: str, actor: str, share_bps: int
    ) -> Any:
        self.answering[public] = f"{base} with {card.adapters[0].split('-')[0]}"
        return type("Engine", (), {"name": f"local-{card.id}"})()

    async def switch(self, public: str, name: str, *, actor: str) -> Any:
        self.answering[public] = name


class House:
    """A studio with a data set, credits, and a foreman whose steps are scripts."""

    def __init__(self, database: Database, clock: FixedClock, folder: Path, ledger: Ledger) -> None:
        rulebook = Rulebook.load()
        self.folder, self.ledger, self.org = folder, ledger, new_id()
        self.datasets = Datasets(database, clock, folder=folder / "datasets")
        self.models = Models(folder)
        self.told: list[tuple[str, str, Mapping[str, Any]]] = []

        async def lessons(version: UUID, org: UUID | None) -> Any:
            dataset, _ = await self.datasets.version(version, org)
            return *await self.datasets.lessons(version, org), dataset.id

        def charge(facts: Mapping[str, object], on: date) -> int:
            return int(rulebook.evaluate("P11_studio", facts, on=on).outputs["charge_micro"])

        self.price = lambda core_ms: charge({"core_ms": core_ms, "budget_micro": 10**15}, clock.today())
        self.studio = Studio(
            database, clock, folder=folder / "studio", compute=self.models, ledger=ledger,  # type: ignore[arg-type]
            rules=Rules(charge, lambda name, on: rulebook.parameter("P11_studio", name, on)), lessons=lessons,
            used=self.datasets.used, announce=self.announce,
        )  # fmt: skip

    def foreman(self, asks: Asks | None = None) -> Foreman:
        return Foreman(self.studio, self.models, worker="jobs", environment={}, command=WORKER, asks=asks)  # type: ignore[arg-type]

    async def announce(self, connection: Any, topic: str, key: str, payload: Mapping[str, Any]) -> None:
        self.told.append((topic, key, payload))

    async def open(self) -> None:
        rows = [f"第{n}道工序几度,不预热,预热到{n}十度,防裂" for n in range(1, 5)]
        table = "\n".join(["题目,错误做法,正确做法,原因", *rows]).encode()
        new = NewDataset("错题集", "errors", "CC0-1.0", "own")
        self.version = (await self.datasets.bring(self.org, new, "a.csv", table, by="t")).id
        wallet = await self.ledger.ensure_account(self.org, Asset.CREDIT, "wallet")
        issuance = await self.ledger.system_account("issuance", Asset.CREDIT)
        lot = NewLot(account=wallet.id, provenance=Provenance.PURCHASED, amount=FUNDS)
        transfer = Transfer(new_id(), issuance.id, wallet.id, FUNDS)
        await self.ledger.post(Posting(id=new_id(), kind="test", transfers=(transfer,), lots=(lot,)))
        self.wallet = wallet.id

    async def order(self, name: str = "helper", recipe: Recipe = RECIPE, **more: Any) -> Job:
        return await self.studio.order(self.org, name, self.version, recipe, by="t", **more)

    async def money(self) -> tuple[int, int]:
        """(balance, free)."""
        found = await self.ledger.balance(self.wallet)
        return found.balance, found.available

    def tell(self, **orders: Any) -> None:
        (self.folder / "studio").mkdir(exist_ok=True)
        (self.folder / "studio" / "ORDERS").write_text(json.dumps(orders))
