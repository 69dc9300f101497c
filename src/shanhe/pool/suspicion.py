"""When to believe that a node cheats: a sequential test with a false-alarm rate that holds however long it runs. Pure.

For each kind of check let p₀ be the largest share of checks that an honest node fails (engines differ in rounding,
networks break) and p₁ what a cheat fails. A failed check multiplies the evidence by p₁/p₀, a passed one by
(1−p₁)/(1−p₀). Cheating may begin at any time, so evidence is the average over all beginnings: S ← (S + 1/N) · factor,
N checks an epoch. Under honesty S plus the weight not yet spent is a non-negative supermartingale that begins at 1,
hence (Ville 1939) the chance that S ever reaches 1/α within an epoch is at most α. Source of the method: Shin, Ramdas
& Rinaldo, "E-detectors", 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

BPS: Final = 10_000
SCORE_MAX: Final = 1e300
NUMBERS: Final = (
    "alarm_ppm", "epoch_checks", "canary_every_calls", "spot_bps", "withhold_calls", "slack_tokens", "slack_bps",
)  # fmt: skip
"""Parameters of the rule, in the order of `AuditTerms`."""


class Check(StrEnum):
    COUNT = "count"
    """The tokens that it claims are those of its text."""
    ANSWER = "answer"
    """Greedy answers are those of an engine that the city trusts."""
    REPLAY = "replay"
    """Different questions get different answers."""
    REFUSAL = "refusal"
    """It answers what the others answer."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Shares of failed checks, bps: the most that is honest, and what a cheat shows."""

    honest_bps: int
    cheat_bps: int


@dataclass(frozen=True, slots=True)
class AuditTerms:
    """The rulebook's say on audits (P10_node_audit)."""

    alarm_ppm: int
    epoch_checks: int
    canary_every_calls: int
    spot_bps: int
    withhold_calls: int
    slack_tokens: int
    slack_bps: int
    tolerances: Mapping[Check, Tolerance]

    @property
    def threshold(self) -> float:
        """The evidence at which a node is quarantined: 1/α."""
        return 1_000_000 / self.alarm_ppm


def terms_of(read: Callable[[str], Any]) -> AuditTerms:
    """The terms in force, from a reader of the rule's parameters."""
    honest, cheat = read("honest_bps"), read("cheat_bps")
    return AuditTerms(
        **{name: int(read(name)) for name in NUMBERS},
        tolerances={check: Tolerance(int(honest[check.value]), int(cheat[check.value])) for check in Check},
    )


@dataclass(slots=True)
class Suspicion:
    """Where one test against one node stands."""

    checks: int = 0
    failures: int = 0
    score: float = 0.0

    def add(self, failed: bool, tolerance: Tolerance, epoch_checks: int) -> None:
        """One more check. The tolerance may differ from check to check as long as it is fixed before the outcome."""
        if self.checks and self.checks % epoch_checks == 0:
            self.score = 0.0
        honest, cheat = tolerance.honest_bps / BPS, tolerance.cheat_bps / BPS
        factor = cheat / honest if failed else (1 - cheat) / (1 - honest)
        self.checks += 1
        self.failures += failed
        self.score = min(SCORE_MAX, (self.score + 1 / epoch_checks) * factor)


def beside_peers(tolerance: Tolerance, peers_failed: int, peers_checks: int) -> Tolerance:
    """What is honest where peers fail, too: half as much again as they, at most a third."""
    if not peers_checks:
        return tolerance
    peers_bps = BPS * peers_failed * 3 // (2 * peers_checks)
    honest = min(BPS // 3, max(tolerance.honest_bps, peers_bps))
    return Tolerance(honest, max(tolerance.cheat_bps, min(BPS - 1, honest * 2)))
