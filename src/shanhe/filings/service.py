"""Filings of one city, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from shanhe.filings.complaints import Complaints, ModelOf, Remove, SubjectOf
from shanhe.filings.moderation import Moderation
from shanhe.filings.register import Register
from shanhe.kernel.asking import Akin, Parameter, Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.sealing import Seals
from shanhe.kernel.vault import Vault


class Filings:
    """`register` of algorithms, `moderation` records, `complaints`. `parameter` and `evaluate` are rule P9_filing's."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, parameter: Parameter,
        evaluate: Callable[[Mapping[str, Any], date], Any], seals: Seals, notifier: Notifier, model_of: ModelOf,
        subject_of: SubjectOf, concerned: Akin, remove: Remove, entry: Record | None = None,
    ) -> None:  # fmt: skip
        self.register = Register(db, clock, evaluate=evaluate, entry=entry)
        self.moderation = Moderation(db, clock, vault, parameter=parameter, seals=seals)
        self.complaints = Complaints(
            db,
            clock,
            parameter=parameter,
            seals=seals,
            notifier=notifier,
            model_of=model_of,
            subject_of=subject_of,
            concerned=concerned,
            remove=remove,
        )
