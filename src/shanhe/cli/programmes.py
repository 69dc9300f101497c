"""`shanhe programmes`: what the city promises, who applied, what waits, what is paid; and the facts behind it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer

from shanhe.cli.common import (
    ACTOR,
    Data,
    Json,
    Org,
    day_of,
    find_org,
    in_city,
    json_object,
    one_of,
    pairs,
    person_of,
    rows,
    show,
    write_pages,
)
from shanhe.kernel.ids import new_id

if TYPE_CHECKING:
    from shanhe.app import Services


app = typer.Typer(no_args_is_help=True)
Application = Annotated[UUID, typer.Argument(help="Number of the application.")]


@app.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Every programme: whom it is for, by which rule, who decides."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.programmes.api import programme_view

        known = services.programmes.catalogue
        return [programme_view(item, known) for item in known.programmes.values()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("id", "计划 programme", "对象 for", "规则 rules", "部门 department"),
        [(x["id"], f"{x['title']['zh']} {x['title']['en']}", ", ".join(x["for"]), ", ".join(x["rules"]),
          x["department"]["zh"]) for x in found],
    ))  # fmt: skip


@app.command()
def entitled(org: Org, data: Data = None, as_json: Json = False) -> None:
    """What an organisation or person is entitled to today, and what stands against the rest."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.programmes.api import entitlement_view

        owner, known = await find_org(services, org), services.programmes.catalogue
        found = await services.programmes.applying.entitlements(owner.id)
        return [entitlement_view(known.programmes[item.programme], item, known) for item in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("id", "计划 programme", "standing", "金额 amount", "原因 why"),
        [(x["programme"], x["title"]["zh"], x["standing"], ", ".join(p["text"]["zh"] for p in x["payments"]),
          "；".join([r["zh"] for r in x["reasons"]] + [f"缺 {m['zh']}" for m in x["missing"]])) for x in found],
    ))  # fmt: skip


@app.command()
def apply(
    org: Org,
    programme: Annotated[str, typer.Argument(help="Programme, as in the list.")],
    answers: Annotated[str, typer.Option(help="The form's answers as JSON.")] = "{}",
    evidence: Annotated[str, typer.Option(help="Documents as JSON: name to reference.")] = "{}",
    ref: Annotated[str, typer.Option(help="Reference: the same one again applies once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Apply for somebody, as a service counter does."""

    async def work(services: Services) -> dict[str, Any]:
        owner = await find_org(services, org)
        made = await services.programmes.applying.apply(
            programme, owner.id, answers=json_object(answers), evidence=json_object(evidence),
            client_ref=ref or str(new_id()), actor=ACTOR,
        )  # fmt: skip
        return await _file(services, made.id)

    _show_file(as_json, in_city(data, work))


@app.command()
def check(
    org: Org,
    programme: Annotated[str, typer.Argument(help="Programme, as in the list.")],
    answers: Annotated[str, typer.Option(help="The form's answers as JSON.")] = "{}",
    evidence: Annotated[str, typer.Option(help="Documents as JSON: name to reference.")] = "{}",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Look a form over without sending it: what to mend, what stands against it, what it would give."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import checked_view

        owner, programmes = await find_org(services, org), services.programmes
        found = await programmes.checking.check(
            programme, owner.id, answers=json_object(answers), evidence=json_object(evidence)
        )
        return checked_view(found, programmes.catalogue)

    found = in_city(data, work)
    against = [{"title": {"zh": "", "en": ""}, **one} for one in (found["closed"], found["taken"]) if one]
    show(as_json, found, lambda: rows(
        ("项目 what", "说明 note"),
        [("结果 standing", found["standing"]),
         *[("可得 gives", payment["text"]["zh"]) for payment in found["payments"]],
         *[(one["title"]["zh"], f"{one['zh']} {one['en']}") for one in [*against, *found["problems"]]],
         *[("不满足 against", f"{one['zh']} {one['en']}") for one in found["reasons"]],
         *[("未知 unknown", f"{one['zh']} {one['en']}") for one in found["missing"]]],
    ))  # fmt: skip


@app.command()
def status(application: Application, data: Data = None, as_json: Json = False) -> None:
    """An application with its tranches, decisions and history."""
    _show_file(as_json, in_city(data, lambda services: _file(services, application)))


@app.command()
def applications(
    programme: Annotated[str, typer.Option(help="Only of this programme.")] = "",
    state: Annotated[str, typer.Option(help="Only in this state.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Applications of everybody, newest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        found = await services.programmes.applications(programme=programme or None, state=state or None)
        return [_row(services, item) for item in found]

    _show_rows(as_json, in_city(data, work))


@app.command()
def queue(
    reviewer: Annotated[str, typer.Option(help="Login of a reviewer (default: everybody's).")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What waits for review, the most urgent first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        person = await person_of(services, reviewer) if reviewer else None
        return [_row(services, item) for item in await services.programmes.reviewing.queue(person)]

    _show_rows(as_json, in_city(data, work))


@app.command()
def decide(
    application: Application,
    verdict: Annotated[str, typer.Argument(help="pass, refuse or return.")],
    by: Annotated[str, typer.Option(help="Login of the reviewer who decides.")],
    reason: Annotated[str, typer.Option(help="Why; needed to refuse or return.")] = "",
    assessed: Annotated[str, typer.Option(help="What reviewers fill in, as JSON.")] = "{}",
    turn: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How often it had been returned when it was read, as in “status --json”; refused where it was since.",
        ),
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record a reviewer's decision on the present step."""

    from shanhe.programmes.api import Verdict

    word, given = one_of(Verdict, verdict), json_object(assessed)

    async def work(services: Services) -> dict[str, Any]:
        person = await person_of(services, by)
        await services.programmes.reviewing.decide(application, person, word, reason=reason, assessed=given, turn=turn)
        return await _file(services, application)

    _show_file(as_json, in_city(data, work))


@app.command()
def met(
    application: Application,
    number: Annotated[int, typer.Argument(help="Which milestone, counted from 1.")],
    by: Annotated[str, typer.Option(help="Login of the reviewer who accepts its document.")],
    on: Annotated[str, typer.Option(help="Day on which it was met, like 2026-11-20.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Accept the document of a milestone: its tranche is released (C1)."""
    day = day_of(on)

    async def work(services: Services) -> dict[str, Any]:
        await services.programmes.reviewing.met(application, await person_of(services, by), number, on=day)
        return await _file(services, application)

    _show_file(as_json, in_city(data, work))


@app.command()
def budgets(data: Data = None, as_json: Json = False) -> None:
    """What every budget holds, has promised and paid."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.programmes.api import budget_view

        known = services.programmes.catalogue
        return [budget_view(item, known) for item in await services.programmes.budgets.list()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("budget", "预算 title", "可用 free", "已承诺 committed", "已拨付 paid"),
        [(x["name"], x["title"]["zh"], x["free_text"]["zh"], x["committed_text"]["zh"], x["spent_text"]["zh"])
         for x in found], right=("可用 free", "已承诺 committed", "已拨付 paid"),
    ))  # fmt: skip


@app.command()
def fund(
    budget: Annotated[str, typer.Argument(help="Budget, as in the list.")],
    amount: Annotated[int, typer.Argument(help="In the smallest unit: µ-credits, fen, points.")],
    reason: Annotated[str, typer.Option(help="Why, for the books.")],
    ref: Annotated[UUID | None, typer.Option(help="Id: the same one again books nothing twice.")] = None,
    by: Annotated[str, typer.Option(help="Who asks, for the books.")] = ACTOR,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask for money into a budget; `shanhe programmes approve` by somebody else books it."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import request_view

        return request_view(
            await services.programmes.second.fund(budget, amount, reason=reason, by=by, request_id=ref or new_id())
        )

    asked = in_city(data, work)
    show(as_json, asked, lambda: pairs({"申请 request": asked["id"], "状态 state": asked["state"]}))


@app.command()
def requests(data: Data = None, as_json: Json = False) -> None:
    """Money moves that operators asked for, newest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.programmes.api import request_view

        return [request_view(one) for one in await services.programmes.second.requests()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "kind", "subject", "amount", "state", "asked by"), [
        (x["id"], x["kind"], x["subject"], x["amount"] or "", x["state"], x["asked_by"]) for x in found
    ]))  # fmt: skip


@app.command()
def approve(
    request: Annotated[UUID, typer.Argument(help="Id of the request.")],
    by: Annotated[str, typer.Option(help="Who agrees; never the one who asked.")],
    reject: Annotated[str, typer.Option("--reject", help="Refuse instead, for this reason.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Agree to a money move as the second person: it is booked at once."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import request_view

        second = services.programmes.second
        done = second.reject(request, by=by, reason=reject) if reject else second.approve(request, by=by)
        return request_view(await done)

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"申请 request": done["id"], "状态 state": done["state"]}))


@app.command()
def reviewer(
    login: Annotated[str, typer.Argument(help="Login of the person.")],
    department: Annotated[str, typer.Argument(help="Department, as programmes name it.")],
    remove: Annotated[bool, typer.Option("--remove", help="Take the duty away.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let a person review for a department."""

    async def work(services: Services) -> dict[str, Any]:
        person = await person_of(services, login)
        if remove:
            await services.programmes.reviewing.dismiss(person, department)
        else:
            await services.programmes.reviewing.assign(person, department, actor=ACTOR)
        return {"person_id": person, "departments": sorted(await services.programmes.reviewing.departments(person))}

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"departments": ", ".join(done["departments"]) or "—"}))


@app.command()
def clawback(
    application: Application,
    note: Annotated[str, typer.Option(help="Why, for the file.")],
    ref: Annotated[UUID | None, typer.Option(help="Id: the same one again asks once.")] = None,
    by: Annotated[str, typer.Option(help="Who asks, for the books.")] = ACTOR,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask for an award to end: once somebody else agrees, unspent lots come back and the rest is owed."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import request_view

        second = services.programmes.second
        return request_view(await second.claw_back(application, note=note, by=by, request_id=ref or new_id()))

    asked = in_city(data, work)
    show(as_json, asked, lambda: pairs({"申请 request": asked["id"], "状态 state": asked["state"]}))


@app.command()
def points(
    org: Org,
    convert: Annotated[bool, typer.Option("--convert", help="Turn whole blocks into credits.")] = False,
    ref: Annotated[UUID | None, typer.Option(help="Id of the conversion: the same one again converts once.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Contribution points: level (T5), reputation with its half-life (T6), and turning them into credits."""

    async def work(services: Services) -> dict[str, Any]:
        from dataclasses import asdict

        owner, desk = await find_org(services, org), services.programmes.points
        given = await desk.convert(owner.id, conversion_id=ref or new_id(), actor=ACTOR) if convert else 0
        return asdict(await desk.standing(owner.id)) | {"converted_micro": given}

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({name: value for name, value in found.items() if name != "traces"}))


@app.command("import")
def import_(
    programme: Annotated[str, typer.Argument(help="Programme, as in the list.")],
    file: Annotated[
        Path, typer.Argument(help="CSV (UTF-8 or GBK) or XLSX; one column is `party`.", exists=True, dir_okay=False)
    ],
    batch: Annotated[str, typer.Option(help="Name of the batch: the same one again records nothing twice.")],
    check: Annotated[bool, typer.Option("--check", help="Only say what each row would become.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Apply for many from a table: all rows or none, with a report row by row."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.programmes.api import import_view

        table, importing = file.read_bytes(), services.programmes.importing
        return import_view(await importing.run(programme, table, batch=batch, actor=ACTOR, check=check))

    done = in_city(data, work)
    lines = [(x["row"], x["party"], _outcome(x, recorded=done["recorded"])) for x in done["rows"]]
    show(as_json, done, lambda: rows(("行 row", "主体 party", "结果 result"), lines))
    if done["bad"]:
        raise typer.Exit(1)


@app.command()
def breach(
    application: Application,
    note: Annotated[str, typer.Option(help="What happened, for the file.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record a breach of exclusivity (C2); the rule decides what follows."""

    async def work(services: Services) -> dict[str, Any]:
        await services.programmes.awards.breach(application, note=note, actor=ACTOR)
        return await _file(services, application)

    _show_file(as_json, in_city(data, work))


@app.command()
def know(
    org: Org,
    name: Annotated[str, typer.Argument(help="Fact, as GET /api/facts/names lists them.")],
    value: Annotated[str, typer.Argument(help='Value as JSON: 5000000, true, "data_analyst", null.')],
    since: Annotated[str, typer.Option("--from", help="First day.")],
    until: Annotated[str, typer.Option("--to", help="Last day, if there is one.")] = "",
    key: Annotated[str, typer.Option(help="Of several at once: the other party's id, a number.")] = "",
    source: Annotated[str, typer.Option(help="The register or document.")] = "register",
    evidence: Annotated[str, typer.Option(help="How the source refers to it.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record what a register or a checked document says of a party."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.facts.api import NewFact, Standing

        owner = await find_org(services, org)
        subject = (await services.programmes.party(owner.id)).subject
        last = day_of(until) if until else None
        new = NewFact(
            new_id(), subject, name, _value(value), day_of(since), last, key, Standing.CHECKED, source, evidence
        )
        return asdict(await services.facts.publish(new, actor=ACTOR))

    done = in_city(data, work)
    show(
        as_json,
        done,
        lambda: pairs({"事实 fact": done["name"], "取值 value": done["value"], "自 from": done["valid_from"]}),
    )


@app.command()
def page(
    docs: Annotated[Path | None, typer.Option(help="Folder to write programmes.md and zh/programmes.md into.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """The page of all programmes, with its table rule → programme → test."""
    from shanhe.programmes.api import docs_page, docs_rows, load_catalogue
    from shanhe.rulebook.api import Rulebook

    rulebook = Rulebook.load()
    catalogue = load_catalogue(rulebook)
    if docs is not None:
        write_pages(docs, "programmes.md", lambda language: docs_page(catalogue, rulebook, language))
    show(as_json, docs_rows(catalogue, rulebook), lambda: docs_page(catalogue, rulebook))


# -- helpers ----------------------------------------------------------------------------------------------------------


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _row(services: Services, item: Any) -> dict[str, Any]:
    from shanhe.programmes.api import application_view

    known = services.programmes.catalogue
    return application_view(item, known.programmes[item.programme], known)


async def _file(services: Services, application: UUID) -> dict[str, Any]:
    from shanhe.programmes.api import file_view

    known, file = services.programmes.catalogue, await services.programmes.file(application)
    return file_view(file, known.programmes[file.application.programme], known)


def _outcome(row: dict[str, Any], *, recorded: bool) -> str:
    if row["problem"]:
        return f"✗ {row['problem']['zh']}"
    if row["known"] or recorded:
        return "已有 known" if row["known"] else str(row["application"])
    return "；".join([f"→ {row['becomes']}", *(one["zh"] for one in row["why"])])


def _show_rows(as_json: bool, found: list[dict[str, Any]]) -> None:
    show(as_json, found, lambda: rows(
        ("id", "计划 programme", "状态 state", "环节 step", "办理 with", "期限 due"),
        [(x["id"], x["title"]["zh"], x["state"], f"{x['step'] or '—'}/{x['steps']}", (x["with"] or {}).get("zh", "—"),
          x["due"] or "—") for x in found],
    ))  # fmt: skip


def _show_file(as_json: bool, file: dict[str, Any]) -> None:
    reasons = [reason["zh"] for decision in file["decisions"] for reason in decision["reasons"]]
    paid = [item["text"]["zh"] for tranche in file["tranches"] for item in tranche["payments"]]
    show(as_json, file, lambda: pairs({
        "申请 application": file["id"], "计划 programme": file["title"]["zh"], "状态 state": file["state"],
        "金额 amounts": "、".join(paid) or "—", "理由 reasons": "；".join(reasons) or "—",
    }))  # fmt: skip
