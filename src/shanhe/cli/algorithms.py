"""`shanhe algorithms`: the register of algorithms, what guardrails did, complaints about outputs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import (
    ACTOR,
    Data,
    Json,
    day_of,
    id_of,
    in_city,
    json_object,
    one_of,
    pairs,
    person_of,
    rows,
    show,
)
from shanhe.kernel.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shanhe.app import Services
    from shanhe.filings.api import NewAlgorithm

TEXTS = ("subject", "name_zh", "name_en", "operator", "kind", "purpose_zh", "purpose_en", "sources_zh", "sources_en")
app = typer.Typer(no_args_is_help=True)
Description = Annotated[Path, typer.Argument(help="JSON: subject, names, operator, kind, purpose, sources.")]
AlgorithmId = Annotated[UUID, typer.Argument(help="Id of the record.")]


@app.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Every record with its filing."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.filings.api import algorithm_view

        return [algorithm_view(one, whole=True) for one in await services.filings.register.list()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "subject", "name", "operator", "filing", "number"), [
        (x["id"], x["subject"], x["name"]["zh"], x["operator"], x["state"], x["number"] or "") for x in found
    ]))  # fmt: skip


@app.command("show")
def show_one(algorithm: AlgorithmId, data: Data = None, as_json: Json = False) -> None:
    """One record with documents and history."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.filings.api import algorithm_view

        return algorithm_view(await services.filings.register.get(algorithm), whole=True)

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({name: value for name, value in found.items() if value not in (None, "", ())}))


@app.command()
def add(file: Description, data: Data = None, as_json: Json = False) -> None:
    """Register an algorithm, in preparation."""
    given = _read(file)

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.filings.api import algorithm_view

        new = _described(given, id_of(str(given.get("id", ""))))
        return algorithm_view(await services.filings.register.add(new, by=ACTOR), whole=True)

    _changed(as_json, in_city(data, work))


@app.command()
def describe(algorithm: AlgorithmId, file: Description, data: Data = None, as_json: Json = False) -> None:
    """Describe a registered algorithm in other words; what was filed counts as changed then."""
    given = _read(file)

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.filings.api import algorithm_view

        done = await services.filings.register.describe(_described(given, algorithm), by=ACTOR)
        return algorithm_view(done, whole=True)

    _changed(as_json, in_city(data, work))


def _read(file: Path) -> dict[str, Any]:
    """The file of `add` and `describe`: a JSON object with no other fields than a record has."""
    given = json_object(file)
    unknown = set(given) - {*TEXTS, "id", "responsible", "assessed_on"}
    if unknown:
        raise Invalid("bad_file", f"Unknown: {', '.join(sorted(unknown))}.", message_zh="文件中有未知字段。")
    return given


def _described(given: Mapping[str, Any], algorithm: UUID) -> NewAlgorithm:
    from shanhe.filings.api import AlgorithmKind, NewAlgorithm

    texts = {name: str(given.get(name, "")) for name in TEXTS}
    return NewAlgorithm(
        algorithm,
        **texts | {"kind": one_of(AlgorithmKind, texts["kind"] or "generation")},  # type: ignore[arg-type]
        responsible=id_of(given["responsible"]) if given.get("responsible") else None,
        assessed_on=day_of(given["assessed_on"]) if given.get("assessed_on") else None,
    )


@app.command("state")
def state_(
    algorithm: AlgorithmId,
    state: Annotated[str, typer.Argument(help="not_needed, preparing, filed, changed or withdrawn.")],
    number: Annotated[str, typer.Option(help="Filing number.")] = "",
    filed_on: Annotated[str, typer.Option("--filed-on", help="Day of the filing.")] = "",
    reason: Annotated[str, typer.Option(help="Why none is needed, or it is withdrawn.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Write down how a filing stands."""
    from shanhe.filings.api import Filing, algorithm_view

    to = one_of(Filing, state)

    async def work(services: Services) -> dict[str, Any]:
        done = await services.filings.register.move(
            algorithm, to, by=ACTOR, number=number, filed_on=day_of(filed_on) if filed_on else None, reason=reason
        )
        return algorithm_view(done, whole=True)

    _changed(as_json, in_city(data, work))


@app.command()
def attach(
    algorithm: AlgorithmId,
    file: Annotated[Path, typer.Argument(help="The document; only its SHA-256 is kept.")],
    kind: Annotated[str, typer.Option(help="model_card, safety_assessment, receipt or other.")] = "other",
    title: Annotated[str, typer.Option(help="What it is called; default: the file's name.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Add a document by its hash."""
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise Invalid("bad_file", f"The file can't be read: {error}.", message_zh="无法读取文件。") from error

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.filings.api import algorithm_view

        done = await services.filings.register.attach(algorithm, kind, title or file.name, digest, by=ACTOR)
        return algorithm_view(done, whole=True)

    _changed(as_json, in_city(data, work))


@app.command()
def moderation(
    out: Annotated[Path | None, typer.Option("--csv", help="Write the table into this file.")] = None,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What guardrails did, by month, surface, category and decision."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.filings.api import month_view, months_csv

        found = await services.filings.moderation.months()
        if out is not None:
            out.write_text(months_csv(found), encoding="utf-8-sig")
        return [month_view(one) for one in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("month", "surface", "category", "decision", "count"), [
        tuple(one.values()) for one in found
    ], right=("count",)))  # fmt: skip


@app.command()
def complaints(
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that wait for a decision.")] = False,
    data: Data = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Complaints about outputs, newest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.filings.api import complaint_view

        now = services.clock.now()
        return [complaint_view(one, now) for one in await services.filings.complaints.list(waiting=waiting)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "model", "category", "state", "due", "text"), [
        (x["id"], x["model"], x["category"], x["state"], x["due_at"], x["text"]) for x in found
    ]))  # fmt: skip


@app.command()
def decide(
    complaint: Annotated[UUID, typer.Argument(help="Id of the complaint.")],
    login: Annotated[str, typer.Option("--as", help="Login of the person who decides.")],
    answer: Annotated[str, typer.Option(help="The decision's reasons.")],
    uphold: Annotated[bool, typer.Option("--uphold/--reject", help="The decision.")] = False,
    state: Annotated[
        str, typer.Option("--state", help="As it was read, open or appealed; refused where an appeal came since.")
    ] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Decide a complaint, or its appeal as somebody else."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.filings.api import complaint_view

        person = await person_of(services, login)
        done = await services.filings.complaints.decide(
            complaint, uphold=uphold, answer=answer, person_id=person, state=state or None
        )
        return complaint_view(done, services.clock.now())

    done = in_city(data, work)
    show(as_json, done, lambda: f"✓ {done['id']}: {done['state']}")


def _changed(as_json: bool, one: dict[str, Any]) -> None:
    show(as_json, one, lambda: f"✓ {one['subject']} · {one['state']} · {one['id']}")
