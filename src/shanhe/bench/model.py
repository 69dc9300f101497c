"""Frozen shapes of a bench run: what was asked for, what one measurement saw, what the whole run found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

CONNECTIONS_THROUGHPUT: tuple[int, ...] = (16, 64)
CONNECTIONS_LATENCY = 1


@dataclass(frozen=True)
class Options:
    """Bounds of a run. `seconds` is one wrk measurement; the run takes about
    `rounds * contenders * 3 * seconds` plus the memory soak."""

    cache_dir: Path
    docs_dir: Path
    rounds: int = 3
    seconds: int = 4
    warmup_seconds: int = 2
    soak_calls: int = 200_000
    contenders: tuple[str, ...] = ("direct", "nginx", "shanhe", "portkey", "litellm")
    upstream: str = "python"
    write_docs: bool = True


@dataclass(frozen=True)
class Endpoint:
    """Where a contender listens and what a caller must send to it besides the common body."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """One wrk run. Latencies are microseconds; `errors` counts socket errors, timeouts and non-2xx answers."""

    contender: str
    connections: int
    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    errors: int

    @property
    def rps(self) -> float:
        """Requests per second of wall time."""
        return self.requests * 1_000_000 / self.duration_us


@dataclass(frozen=True)
class Memory:
    """Resident memory of the gateway process over a soak, sampled between slices of load."""

    calls: int
    start_kib: int
    end_kib: int
    peak_kib: int
    samples: tuple[tuple[int, int], ...]

    @property
    def drift(self) -> float:
        """Relative growth from the first sample after warm-up to the last."""
        return (self.end_kib - self.start_kib) / self.start_kib


@dataclass(frozen=True)
class Report:
    """Everything a run found; `medians` is what the table shows."""

    started_at: str
    machine: Mapping[str, str]
    options: Mapping[str, object]
    includes: Mapping[str, str]
    versions: Mapping[str, str]
    measurements: Sequence[Measurement]
    memory: Memory | None

    def rps(self, contender: str, connections: int) -> float:
        """Median throughput over the rounds; 0.0 if the contender was not measured."""
        return _median([m.rps for m in self._of(contender, connections)])

    def p50_us(self, contender: str, connections: int) -> float:
        """Median over the rounds of the median latency, microseconds."""
        return _median([m.p50_us for m in self._of(contender, connections)])

    def p99_us(self, contender: str, connections: int) -> float:
        """Median over the rounds of the 99th percentile, microseconds."""
        return _median([m.p99_us for m in self._of(contender, connections)])

    def errors(self, contender: str) -> int:
        """Failed calls of a contender over the whole run."""
        return sum(m.errors for m in self.measurements if m.contender == contender)

    def ratio(self, one: str, other: str, connections: int) -> float | None:
        """Throughput of `one` over `other`, or None where either is missing."""
        below = self.rps(other, connections)
        above = self.rps(one, connections)
        return above / below if below and above else None

    def added_p50_us(self, contender: str) -> float | None:
        """Median latency at one connection that the contender adds to the direct upstream."""
        if not self._of(contender, CONNECTIONS_LATENCY):
            return None
        return self.p50_us(contender, CONNECTIONS_LATENCY) - self.p50_us("direct", CONNECTIONS_LATENCY)

    def contenders(self) -> list[str]:
        """Names in the order they were first measured."""
        return list(dict.fromkeys(m.contender for m in self.measurements))

    def to_dict(self) -> dict[str, object]:
        """JSON form, with the medians and ratios a reader would otherwise recompute."""
        body = asdict(self)
        body["medians"] = {
            name: {
                str(connections): {
                    "rps": round(self.rps(name, connections), 1),
                    "p50_us": self.p50_us(name, connections),
                    "p99_us": self.p99_us(name, connections),
                }
                for connections in (CONNECTIONS_LATENCY, *CONNECTIONS_THROUGHPUT)
            }
            for name in self.contenders()
        }
        return body

    def _of(self, contender: str, connections: int) -> list[Measurement]:
        return [m for m in self.measurements if m.contender == contender and m.connections == connections]


def _median(values: Sequence[float]) -> float:
    return float(median(values)) if values else 0.0
