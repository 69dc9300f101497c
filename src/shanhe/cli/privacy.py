"""`shanhe privacy`: what data is used for, a person's copy, refusals, requests, impact assessments, erasure."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, id_of, in_city, one_of, person_of, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services


app = typer.Typer(no_args_is_help=True)
Login = Annotated[str, typer.Argument(help="Login name or e-mail address of the person.")]
By = Annotated[str, typer.Option(help="Who decides, for the books.")]


@app.command()
def purposes(login: Annotated[str, typer.Option("--of", help="How this person stands to each.")] = "",
             data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Everything personal data is used for, on what ground, and whether a person's is."""

    async def work(services: Services) -> list[Any]:
        person = await person_of(services, login) if login else None
        return list(await services.privacy.standings(person))

    found = in_city(data, work)
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("purpose", "目的", "purpose", "ground", "version", "used"),
        [(x.purpose, x.title["zh"], x.title["en"], x.article, x.version, "✓" if x.used else "") for x in found],
    ))  # fmt: skip


@app.command()
def copy(login: Login, out_file: Annotated[Path, typer.Option("--out", help="File to write; .pdf to read it.")],
         data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Write a person's copy of their data: JSON, or PDF to read."""

    async def work(services: Services) -> int:
        from shanhe.console.api import words
        from shanhe.kernel.documents import render
        from shanhe.privacy.api import copy_json, copy_paper

        person = await person_of(services, login)
        made = await services.privacy.copy(person)
        await services.identity.record(ACTOR, "person.copy", f"person:{person}")
        if out_file.suffix == ".pdf":
            content = await render(copy_paper(made, city_name=services.settings.city_name, word=words().get), "pdf")
        else:
            content = copy_json(made)
        out_file.touch(mode=0o600)
        return out_file.write_bytes(content)

    size = in_city(data, work)
    show(as_json, {"file": str(out_file), "bytes": size}, lambda: f"✓ {out_file}")


@app.command()
def readings(login: Login, data: Data = None, as_json: Json = False) -> None:
    """Who read a person's facts, for what, on what ground; newest first."""

    async def work(services: Services) -> list[Any]:
        return list(await services.privacy.readings(await person_of(services, login)))

    found = in_city(data, work)
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("at", "purpose", "ground", "by", "facts"),
        [(x.at.isoformat(timespec="seconds"), x.purpose, x.ground, x.by, ", ".join(x.names)) for x in found],
    ))  # fmt: skip


@app.command()
def refuse(login: Login, purpose: Annotated[str, typer.Argument(help="Like automated_decisions.")],
           back: Annotated[bool, typer.Option("--take-back", help="Take the refusal back.")] = False,
           data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Record that a person refuses what may be refused; people decide instead of rules alone."""

    async def work(services: Services) -> None:
        person, consents = await person_of(services, login), services.identity.consents
        await (consents.accept(person, purpose) if back else consents.refuse(person, purpose))
        await services.identity.record(ACTOR, "person.refusal", f"person:{person}", {"purpose": purpose})

    in_city(data, work)
    show(as_json, {"login": login, "purpose": purpose, "refused": not back}, lambda: "✓")


@app.command()
def requests(everything: Annotated[bool, typer.Option("--all", help="Answered ones too.")] = False,
             data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """What people asked about their data, the most urgent first."""

    async def work(services: Services) -> list[Any]:
        return list(await services.privacy.requests(open_only=not everything))

    found = in_city(data, work)
    show(as_json, [asdict(one) for one in found], lambda: rows(("id", "kind", "state", "due", "asked"), [
        (x.id, x.kind, x.state, x.due_at.date(), x.asked) for x in found
    ]))  # fmt: skip


@app.command()
def answer(request: UUID, text: Annotated[str, typer.Option("--answer", help="What the person is told.")],
           refused: Annotated[bool, typer.Option("--refuse", help="It can't be done; say why.")] = False,
           by: By = ACTOR, data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Answer a person's request."""
    made = in_city(data, lambda services: services.privacy.decide(request, done=not refused, answer=text, by=by))
    show(as_json, asdict(made), lambda: f"✓ {made.id} · {made.state}")


@app.command()
def assess(
    purpose: Annotated[str, typer.Argument(help="Purpose that is assessed.")],
    ground: Annotated[list[str], typer.Option(help="sensitive, automated, entrusted, abroad, other; repeat it.")],
    necessity: Annotated[str, typer.Option(help="Why it is lawful, needed and no more than that.")],
    impact: Annotated[str, typer.Option(help="What it does to people, and the risks.")],
    safeguards: Annotated[str, typer.Option(help="What protects them, and whether that fits the risk.")],
    conclusion: Annotated[str, typer.Option(help="acceptable, with_measures, not_acceptable.")],
    number: Annotated[str, typer.Option("--id", help="Repeat it to repeat the command.")] = "",
    by: By = ACTOR,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record an impact assessment (PIPL 55, 56)."""

    from shanhe.privacy.api import Conclusion, NewAssessment

    new = NewAssessment(
        id_of(number), purpose, tuple(ground), necessity, impact, safeguards, one_of(Conclusion, conclusion)
    )

    made = in_city(data, lambda services: services.privacy.assess(new, by=by))
    show(as_json, asdict(made), lambda: f"✓ {made.purpose} · {made.id} · → {made.keep_until}")


@app.command()
def assessments(data: Data = None, as_json: Json = False) -> None:
    """Impact assessments, newest first, and the purposes that lack one."""

    async def work(services: Services) -> tuple[list[Any], list[str]]:
        return list(await services.privacy.assessments()), await services.privacy.unassessed()

    found, missing = in_city(data, work)
    plain = {"data": [asdict(one) for one in found], "missing": missing}
    show(as_json, plain, lambda: rows(("purpose", "conclusion", "made", "kept until", "by"), [
        *((x.purpose, x.conclusion, x.made_at.date(), x.keep_until, x.made_by) for x in found),
        *((name, "missing · 待评估", "", "", "") for name in missing),
    ]))  # fmt: skip


@app.command()
def erase(login: Login, sure: Annotated[bool, typer.Option("--yes", help="It cannot be undone.")] = False,
          data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Erase a person at their request: the key is destroyed, copies everywhere become unreadable."""
    if not sure:
        raise typer.BadParameter("An erased person cannot be brought back; say --yes. · 清除后无法恢复，请加 --yes。")

    async def work(services: Services) -> UUID:
        person = await person_of(services, login)
        await services.identity.people.erase(person, by=ACTOR)
        return person

    person = in_city(data, work)
    show(as_json, {"person": str(person), "erased": True}, lambda: f"✓ {person}")
