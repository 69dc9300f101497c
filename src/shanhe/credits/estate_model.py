"""An estate: what somebody leaves behind, to whom it goes and what proves it. Frozen, pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from shanhe.credits.estate_errors import BadEstate

KINDS: Final = ("inheritance", "dissolution")
PROVES: Final = ("end", "right", "other")
"""What a document proves: that the organisation's time is over, that the successor is entitled, or something else."""
WHOLE_BPS: Final = 10_000
SUCCESSORS_MAX, DOCUMENTS_MAX = 20, 20
REFERENCE_CHARS: Final = 120


@dataclass(frozen=True)
class Successor:
    """Who receives, and which part of it."""

    org_id: UUID
    share_bps: int = WHOLE_BPS


@dataclass(frozen=True)
class EstateDocument:
    """A document as its issuer numbers it, with the SHA-256 of its file; the file itself stays in the office."""

    proves: str
    reference: str
    sha256: str = ""


@dataclass(frozen=True)
class EstateLine:
    """What happens to one kind of thing: it passes, or lapses and why (`by_rule`, `expired`)."""

    asset: str
    account: str
    what: str
    passes: int
    lapses: int
    why: str = ""


@dataclass(frozen=True)
class Estate:
    id: UUID
    org_id: UUID
    kind: str
    successors: Sequence[Successor]
    documents: Sequence[EstateDocument]
    reason: str
    asked_by: str
    asked_at: datetime
    state: str
    decided_by: str | None
    decided_at: datetime | None
    posting_id: UUID | None
    lines: Sequence[EstateLine]
    rule_version: str


def check(org_id: UUID, kind: str, successors: Sequence[Successor], documents: Sequence[EstateDocument]) -> None:
    """BadEstate for what can't be one."""
    if kind not in KINDS:
        raise BadEstate(f"the kind is {' or '.join(KINDS)}", "类型应为 inheritance（继承）或 dissolution（清算）")
    owners = [one.org_id for one in successors]
    if not 0 < len(owners) <= SUCCESSORS_MAX or len(set(owners)) < len(owners) or org_id in owners:
        raise BadEstate(
            f"name 1 to {SUCCESSORS_MAX} different successors, and not the organisation itself",
            f"须列明 1 至 {SUCCESSORS_MAX} 个不同的承继方，且不得为本机构",
        )
    if sum(one.share_bps for one in successors) != WHOLE_BPS or any(one.share_bps <= 0 for one in successors):
        raise BadEstate("the successors' shares come to 10000 basis points", "各承继方份额合计须为 100%")
    if len(documents) > DOCUMENTS_MAX or any(_bad(document) for document in documents):
        raise BadEstate(
            f"a document proves {', '.join(PROVES)}, has a reference of 1 to {REFERENCE_CHARS} characters and, if any, "
            "a SHA-256",
            "每份文件须注明证明事项、编号，摘要（如有）须为 SHA-256",
        )
    if not {"end", "right"} <= {document.proves for document in documents}:
        raise BadEstate(
            "documents have to prove both the end of the organisation and the right of its successor",
            "须同时提交主体终止证明与承继权证明",
        )


def _bad(document: EstateDocument) -> bool:
    digest = document.sha256
    hexadecimal = len(digest) == 64 and set(digest) <= set("0123456789abcdef")
    named = 0 < len(document.reference.strip()) <= REFERENCE_CHARS and document.reference.isprintable()
    return document.proves not in PROVES or not named or bool(digest and not hexadecimal)


def shared(amount: int, successors: Sequence[Successor]) -> list[int]:
    """An amount by shares, whole units; what rounding leaves goes one each to the first named. Sums exactly."""
    if not successors:
        return []
    parts = [amount * one.share_bps // WHOLE_BPS for one in successors]
    for number in range(amount - sum(parts)):
        parts[number] += 1
    return parts
