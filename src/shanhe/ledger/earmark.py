"""What an earmarked lot may pay for. Pure.

An earmark is a JSON object, and a lot pays when the call's facts contain it (`facts @> earmark` in the database).
Everything in it is a single word; `models` holds one word that names the whole list, so that containment decides it as
well, and the facts of a call hold the word of every list that has the call's model in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

MODEL_SEPARATOR: Final = "|"
MODELS_MAX: Final = 50


def earmark(
    *,
    department: str | None = None,
    programme: str | None = None,
    fiscal_year: int | None = None,
    models: Sequence[str] = (),
) -> dict[str, Any] | None:
    """An earmark for a new lot; None when nothing restricts it."""
    words: dict[str, Any] = {}
    if department is not None:
        words["department"] = str(department)
    if programme is not None:
        words["programme"] = programme
    if fiscal_year is not None:
        words["fiscal_year"] = fiscal_year
    if models:
        if len(models) > MODELS_MAX or any(MODEL_SEPARATOR in model for model in models):
            raise ValueError(f"an earmark names at most {MODELS_MAX} models, without {MODEL_SEPARATOR!r}")
        words["models"] = [MODEL_SEPARATOR.join(sorted(set(models)))]
    return words or None


def call_facts(
    *,
    model: str,
    department: str | None = None,
    programmes: Iterable[str] = (),
    fiscal_year: int,
    earmarks: Iterable[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The facts of one call, for an account whose lots have these earmarks."""
    lists = {word for mark in earmarks for word in mark.get("models", ()) if model in word.split(MODEL_SEPARATOR)}
    facts: dict[str, Any] = {"model": model, "fiscal_year": fiscal_year, "models": sorted(lists)}
    if department is not None:
        facts["department"] = department
    wanted = {mark["programme"] for mark in earmarks if "programme" in mark} & set(programmes)
    if wanted:
        facts["programme"] = sorted(wanted)[0]
    return facts
