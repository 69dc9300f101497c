"""The register of algorithms that generate for the public, and whether something built upon them may be published."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import asyncpg

from shanhe.filings import store
from shanhe.filings.errors import (
    AlgorithmConflict,
    BadAlgorithm,
    FiledOtherwise,
    FilingMove,
    NotFiled,
    UnknownAlgorithm,
)
from shanhe.filings.model import EVERYTHING, MISSING, Algorithm, Filing, NewAlgorithm, Verdict
from shanhe.kernel.asking import Record
from shanhe.kernel.clock import Clock
from shanhe.kernel.db import Database
from shanhe.kernel.ids import new_id

SUBJECT: Final = re.compile(r"\*|(?:agent|clone|alliance|model)/[A-Za-z0-9._:/-]{1,120}")
NAME_CHARS, TEXT_CHARS, NUMBER_CHARS, REASON_CHARS = 120, 1_000, 80, 500
DOCUMENT_KINDS: Final = ("model_card", "safety_assessment", "receipt", "other")
PAGE_ROWS: Final = 500
OFFERED: Final = ("agent", "clone", "alliance", "model")
BUILT_ON_MAX: Final = 64

Evaluate = Callable[[Mapping[str, Any], date], Any]
"""Rule P9_filing on facts and a day."""


class Register:
    def __init__(self, db: Database, clock: Clock, *, evaluate: Evaluate, entry: Record | None = None) -> None:
        self._db = db
        self._clock = clock
        self._evaluate = evaluate
        self._entry = entry

    # -- keeping it ---------------------------------------------------------------------------------------------------

    async def add(self, new: NewAlgorithm, *, by: str) -> Algorithm:
        """A new record, in preparation. Idempotent by id; AlgorithmConflict for a subject that has one."""
        _check(new)
        async with self._db.transaction() as conn:
            await store.insert(conn, new, by, self._clock.now())
            found = await store.get(conn, new.id)
            if found is None or found["subject"] != new.subject:
                raise AlgorithmConflict(new.subject)
        return await self.get(new.id)

    async def describe(self, new: NewAlgorithm, *, by: str) -> Algorithm:
        """Other words for the same algorithm. One that is filed counts as changed then: its filing is brought up to
        date, or the change is taken back."""
        _check(new)
        async with self._db.transaction() as conn:
            row = await store.get(conn, new.id, lock=True)
            if row is None or row["subject"] != new.subject:
                raise UnknownAlgorithm
            told = ("operator", "kind", "purpose_zh", "purpose_en", "sources_zh", "sources_en")
            other = any(str(getattr(new, name)) != row[name] for name in told)
            await store.describe(conn, new, self._clock.now())
            if other and row["state"] == Filing.FILED:
                await self._moved(conn, row, Filing.CHANGED, None, None, "described anew", by)
        return await self.get(new.id)

    async def move(
        self, algorithm_id: UUID, to: Filing, *, by: str, number: str = "", filed_on: date | None = None,
        reason: str = "",
    ) -> Algorithm:  # fmt: skip
        """Write down how the filing stands. `filed` needs number and day, `not_needed` and `withdrawn` a reason;
        repeating it changes nothing. FilingMove for a step there is none of, FiledOtherwise."""
        if len(reason) > REASON_CHARS or len(number) > NUMBER_CHARS or not (number + reason).isprintable():
            raise BadAlgorithm("number or reason is too long", "备案号或理由过长")
        if to in (Filing.NOT_NEEDED, Filing.WITHDRAWN) and not reason.strip():
            raise BadAlgorithm("say why", "须写明理由")
        async with self._db.transaction() as conn:
            row = await store.get(conn, algorithm_id, lock=True)
            if row is None:
                raise UnknownAlgorithm
            if to is Filing.FILED and not ((number.strip() or row["number"]) and (filed_on or row["filed_on"])):
                raise BadAlgorithm("a filing has a number and a day", "须填写备案号与备案日期")
            if filed_on is not None and filed_on > self._clock.today():
                raise BadAlgorithm("it was not filed in the future", "备案日期不得晚于今天")
            if (
                to is Filing.FILED
                and row["state"] == to
                and (number.strip() not in ("", row["number"]) or filed_on not in (None, row["filed_on"]))
            ):
                raise FiledOtherwise(row["number"])
            if row["state"] != to:
                await self._moved(conn, row, to, number.strip() or None, filed_on, reason.strip(), by)
        return await self.get(algorithm_id)

    async def _moved(
        self, conn: Any, row: Any, to: Filing, number: str | None, filed_on: date | None, reason: str, by: str
    ) -> None:
        try:
            await store.move(conn, row["id"], row["state"], str(to), number, filed_on, reason, by, self._clock.now())
        except asyncpg.RestrictViolationError as error:
            raise FilingMove(row["state"], to) from error
        if self._entry is not None:
            public = {"subject": row["subject"], "state": str(to), "number": number or row["number"] or ""}
            await self._entry(conn, "filing.moved", public, {"id": str(row["id"]), "by": by})

    async def attach(
        self, algorithm_id: UUID, kind: str, title: str, sha256: str, *, by: str, document_id: UUID | None = None
    ) -> Algorithm:
        """A document by its hash: the paper itself stays where it is kept. The same one again is one."""
        if kind not in DOCUMENT_KINDS or not 1 <= len(title.strip()) <= NAME_CHARS:
            raise BadAlgorithm("a document has a kind and a title", "须填写文件类别与名称")
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise BadAlgorithm("its SHA-256 has 64 hexadecimal digits", "SHA-256 须为 64 位十六进制")
        await self.get(algorithm_id)
        await store.add_document(
            self._db, document_id or new_id(), algorithm_id, kind, title.strip(), bytes.fromhex(sha256), by,
            self._clock.now(),
        )  # fmt: skip
        return await self.get(algorithm_id)

    async def get(self, algorithm_id: UUID) -> Algorithm:
        row = await store.get(self._db, algorithm_id)
        if row is None:
            raise UnknownAlgorithm
        return store.algorithm(
            row, await store.documents(self._db, algorithm_id), await store.history(self._db, algorithm_id)
        )

    async def list(self) -> list[Algorithm]:
        """Every record, the city's own first; without documents and history."""
        return [store.algorithm(row) for row in await store.page(self._db, PAGE_ROWS)]

    # -- the gate -----------------------------------------------------------------------------------------------------

    async def verdict(self, name: str, built_on: Sequence[str] = ()) -> Verdict:
        """Whether `kind/name` may be published: by its own record, else by the worst of what it is built on (subjects,
        like `model/ID`), each by its own record or the city's."""
        kind = name.partition("/")[0]
        offered = kind if kind in OFFERED else "other"
        subjects = list(built_on[:BUILT_ON_MAX])
        known = {row["subject"]: row for row in await store.of_subjects(self._db, [name, EVERYTHING, *subjects])}
        if name in known:
            rows = [known[name]]
        else:
            rows = [known.get(subject, known.get(EVERYTHING)) for subject in subjects or [EVERYTHING]]
        worst: Verdict | None = None
        for row in rows:
            state = MISSING if row is None else row["state"]
            said = self._evaluate({"offered": offered, "filing": state}, self._clock.today()).outputs
            found = Verdict(
                bool(said["may_publish"]), bool(said["needs_record"]), state,
                None if row is None else store.algorithm(row),
            )  # fmt: skip
            if worst is None or not found.may_publish:
                worst = found
        assert worst is not None  # there is always one to ask
        return worst

    async def require(self, name: str, built_on: Sequence[str] = ()) -> Verdict:
        """The same; NotFiled where it may not."""
        found = await self.verdict(name, built_on)
        if not found.may_publish:
            raise NotFiled(name, found.filing)
        return found


def _check(new: NewAlgorithm) -> None:
    if not SUBJECT.fullmatch(new.subject):
        raise BadAlgorithm(
            "the subject is * or like agent/NAME, clone/NAME, model/ID", "对象须为 * 或 agent/名称、model/编号"
        )
    for text, most in ((new.name_zh, NAME_CHARS), (new.name_en, NAME_CHARS), (new.operator, NAME_CHARS),
                       (new.purpose_zh, TEXT_CHARS), (new.purpose_en, TEXT_CHARS)):  # fmt: skip
        if not 1 <= len(text.strip()) <= most:
            raise BadAlgorithm(
                f"names, operator and purpose have 1 to {most} characters", f"名称、运营方、用途须为 1–{most} 字"
            )
    if max(len(new.sources_zh), len(new.sources_en)) > TEXT_CHARS:
        raise BadAlgorithm(f"data sources have at most {TEXT_CHARS} characters", f"数据来源不超过 {TEXT_CHARS} 字")
