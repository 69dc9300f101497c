"""Governance of one city, put together."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from shanhe.governance.deciding import Deciding, Follow
from shanhe.governance.dilution import Dilution
from shanhe.governance.sampling import Outcome, Sampling, Treated
from shanhe.governance.simulating import Gather, Simulating
from shanhe.governance.trials import Trials
from shanhe.governance.watching import Measure, Watching, Work
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.notify import Notifier
from shanhe.kernel.vault import Vault
from shanhe.rulebook.api import Amendments, Rulebook

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


class Governance:
    """`deciding` is the way of proposals, `watching` what the city wants to see come true, `trials` tenders and
    experiments, `sampling` what experiments are judged by, `dilution` whether money is spread thin, `simulating` what
    a change would have cost. `gather` reads the cases of a rule; `follow`: what an adopted matter sets in motion."""

    def __init__(
        self, db: Database, clock: Clock, vault: Vault, *, rulebook: Rulebook, amendments: Amendments,
        notifier: Notifier, record: Record, measures: Mapping[str, Measure], work: Mapping[str, Work],
        outcomes: Mapping[str, Outcome] = NOTHING, treated: Treated | None = None,
        follow: Mapping[str, Follow] = NOTHING, dilution: Dilution, gather: Gather | None = None,
    ) -> None:  # fmt: skip
        self.sampling = Sampling(db, clock, rulebook, outcomes, treated)
        self.trials = Trials(db, clock, rulebook, self.sampling)
        self.dilution = dilution
        tasks = {**work, "labs": self.trials.duties, "dilution": dilution.duties}
        self.watching = Watching(db, clock, rulebook=rulebook, measures=measures, work=tasks)
        checks = {
            "profit_share": self.watching.check_profit_share,
            "infeasibility": self.watching.check_infeasibility,
            "tender": self.trials.check_tender,
            "policy_lab": self.trials.check_lab,
        }
        self.simulating = Simulating(db, clock, rulebook, record, gather)
        self.deciding = Deciding(
            db, clock, vault, rulebook=rulebook, amendments=amendments, notifier=notifier, record=record, checks=checks,
            follow=follow, proposed=self.simulating.attach,
        )  # fmt: skip
