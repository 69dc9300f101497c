"""`shanhe governance`: proposals and votes, seats, the scorecard, projects, reviews, overdue work."""

from __future__ import annotations

from functools import partial
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

if TYPE_CHECKING:
    from shanhe.app import Services


app = typer.Typer(no_args_is_help=True)
Person = Annotated[str, typer.Option("--as", help="Login of the person with the seat.")]
Number = Annotated[str, typer.Option("--id", help="Id; repeat it to repeat the command.")]
Proposal = Annotated[UUID, typer.Argument(help="Id of the proposal.")]


@app.command()
def dilution(
    on: Annotated[str, typer.Option(help="Last day of the twelve months, like 2026-11-20 (default: today).")] = "",
    trend: Annotated[str, typer.Option(help="month or quarter: the index of each budget over time.")] = "",
    out: Annotated[Path | None, typer.Option("--csv", help="Write the table into this file.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Whether money is spread thin: an index for each budget, and programmes below their critical mass."""

    async def work(services: Services) -> Any:
        from shanhe.governance.api import as_csv, report_view, trend_view

        measured = services.governance.dilution
        day = day_of(on) if on else None
        if trend:
            return trend_view(await measured.trend(trend, day), whole=True)
        report = await measured.report(day)
        if out is not None:
            out.write_text(as_csv(report, whole=True), encoding="utf-8-sig")
        return report_view(report, whole=True)

    found = in_city(data, work)
    if trend:
        show(as_json, found, lambda: rows(
            ("budget", *(str(point["on"]) for point in found[0]["points"])) if found else ("budget",),
            [(one["id"], *(_percent(point["index_bps"]) for point in one["points"])) for one in found],
        ))  # fmt: skip
        return
    show(as_json, found, lambda: rows(
        ("what", "index", "recipients", "effective", "below", "thin", "said"),
        [(one["id"], _percent(one["index_bps"]), one["recipients"], one["effective"], _percent(one["below_bps"]),
          "!" if one.get("thin") else "", one["said"]["zh"]) for one in (*found["budgets"], *found["programmes"])],
    ))  # fmt: skip


def _percent(bps: int | None) -> str:
    return "—" if bps is None else f"{bps / 100:.1f} %"


@app.command()
def propose(
    title: Annotated[str, typer.Argument(help="What it is called.")],
    login: Person,
    why: Annotated[str, typer.Option(help="Why.")],
    announced: Annotated[str, typer.Option("--announced", help="Day of the announcement.")],
    matter: Annotated[str, typer.Option(help="Kind of matter, see `matters`.")] = "rulebook_change",
    rule: Annotated[str, typer.Option(help="Rule that changes.")] = "",
    content: Annotated[str, typer.Option(help="Dated rows or facts as JSON, or @FILE.")] = "",
    department: Annotated[str, typer.Option(help="Whose matter it is.")] = "",
    number: Number = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Propose a change of a rule, or another matter."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.governance.api import NewProposal, file_view

        new = NewProposal(
            id_of(number), matter, title, why, day_of(announced), json_object(content or "{}"),
            rule or None, department,
        )  # fmt: skip
        deciding = services.governance.deciding
        made = await deciding.propose(new, person_id=await person_of(services, login))
        return file_view(await deciding.file(made.id))

    _show(as_json, in_city(data, work))


@app.command("list")
def list_(everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
          data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Proposals, newest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.governance.api import proposal_view
        from shanhe.kernel.paging import every

        page = partial(services.governance.deciding.proposals, open_only=not everything)
        return [proposal_view(one) async for one in every(page)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "matter", "title", "state", "announced", "in force"), [
        (x["id"], x["matter"], x["title"], x["state"], x["announced_on"], x["effective_on"]) for x in found
    ]))  # fmt: skip


@app.command()
def sample(
    proposal: Annotated[UUID, typer.Argument(help="Number of the experiment.")], data: Data = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """By what an experiment (P13) is judged: cases drawn by lot, their change, and what chance alone does."""

    async def work(services: Services) -> dict[str, Any] | None:
        from shanhe.governance.api import sample_view

        found = await services.governance.sampling.get(proposal)
        return sample_view(found, named=True) if found else None

    found = in_city(data, work)
    show(as_json, found, lambda: pairs({
        "指标 outcome": found["outcome"], "参与 treated": f"{found['treated']} ({found['treated_change']})",
        "未参与 untreated": f"{found['untreated']} ({found['untreated_change']})", "效果 effect": found["effect"],
        "随机 chance": f"{(found['chance_bps'] or 0) / 100:.1f} %",
    } if found else {"抽样 sample": "—"}))  # fmt: skip


@app.command()
def simulate(
    proposal: Proposal,
    first: Annotated[str, typer.Option("--from", help="First day of a month (default: the last).")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day of a month (default: the last).")] = "",
    number: Number = "",
    table: Annotated[Path | None, typer.Option("--csv", help="Write the table into this file.")] = None,
    by: Annotated[str, typer.Option(help="Who asks.")] = ACTOR,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a proposed change would have cost over a past time; worked out now, once, and kept with the proposal."""
    from shanhe.cli.simulations import save_csv, span_of

    made = id_of(number)

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.governance.api import simulation_view

        simulating = services.governance.simulating
        days = simulating.span(span_of(first, last), months=True)
        found = await simulating.of_days(proposal, days) or await simulating.ask(made, proposal, days=days, by=by)
        view = simulation_view(await simulating.run(found.id), whole=True)
        if table is not None and view["report"]:
            save_csv(view["report"], table)
        return view

    _simulated(as_json, in_city(data, work))


@app.command()
def simulations(proposal: Proposal, data: Data = None, as_json: Json = False) -> None:
    """What was known of a change when: the simulations of a proposal, newest first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.governance.api import simulation_view

        found = await services.governance.simulating.of(proposal)
        return [simulation_view(one, whole=True, traces=False) for one in found]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "state", "from", "to", "asked", "done", "sha256"), [
        (x["id"], x["state"], x["first"], x["last"], x["asked_at"], x["ended_at"] or "—", x["report_sha256"] or "—")
        for x in found
    ]))  # fmt: skip


def _simulated(as_json: bool, view: dict[str, Any]) -> None:
    from shanhe.cli.simulations import spoken

    if view["report"]:
        show(as_json, view, lambda: spoken(view["report"]))
    else:
        show(as_json, view, lambda: f"{view['state']} · {(view['error'] or {}).get('zh', '')}")


@app.command("show")
def show_(proposal: Proposal, data: Data = None, as_json: Json = False) -> None:
    """A proposal: what it changes in words and numbers, votes, comments, history."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.governance.api import file_view
        from shanhe.kernel.paging import COPY_ROWS

        return file_view(await services.governance.deciding.file(proposal, most=COPY_ROWS))

    _show(as_json, in_city(data, work))


@app.command()
def comment(proposal: Proposal, text: Annotated[str, typer.Argument(help="What to say.")], login: Person,
            number: Number = "", data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Say something while a proposal is discussed."""
    made = id_of(number)

    async def work(services: Services) -> None:
        person = await person_of(services, login)
        await services.governance.deciding.comment(proposal, person, text, comment_id=made)

    in_city(data, work)
    show(as_json, {"id": str(made)}, lambda: "✓")


@app.command()
def vote(proposal: Proposal, word: Annotated[str, typer.Argument(help="for, against or veto.")], login: Person,
         reason: Annotated[str, typer.Option(help="Why; needed against.")] = "",
         data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Vote for or against, or veto as the big-data group."""
    from shanhe.governance.api import Vote, file_view

    says = one_of(Vote, word)

    async def work(services: Services) -> dict[str, Any]:
        deciding = services.governance.deciding
        await deciding.vote(proposal, await person_of(services, login), says, reason=reason)
        return file_view(await deciding.file(proposal))

    _show(as_json, in_city(data, work))


@app.command()
def withdraw(proposal: Proposal, login: Person, data: Data = None, as_json: Json = False) -> None:
    """Take one's own proposal back before it is announced."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.governance.api import file_view

        deciding = services.governance.deciding
        await deciding.withdraw(proposal, await person_of(services, login))
        return file_view(await deciding.file(proposal))

    _show(as_json, in_city(data, work))


@app.command()
def matters(as_json: Json = False) -> None:
    """The duty matrix: departments, and how each matter is decided."""
    import msgspec

    from shanhe.governance.api import duties

    known = duties()
    show(as_json, msgspec.to_builtins(known), lambda: rows(("matter", "事项", "matter", "path"), [
        (name, one.zh, one.en, " → ".join(f"{step.by} ×{step.eyes}" for step in one.path))
        for name, one in known.matters.items()
    ]))  # fmt: skip


@app.command()
def seat(login: Annotated[str, typer.Argument(help="Login of the person.")],
         department: Annotated[str, typer.Argument(help="Department, see `matters`.")],
         remove: Annotated[bool, typer.Option("--remove", help="Take the seat away.")] = False,
         data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Give a person a seat in a department, or take it away."""

    async def work(services: Services) -> list[str]:
        person, deciding = await person_of(services, login), services.governance.deciding
        if remove:
            await deciding.unseat(person, department)
        else:
            await deciding.seat(person, department, by=ACTOR)
        return sorted(await deciding.seats_of(person))

    found = in_city(data, work)
    show(as_json, {"login": login, "seats": found}, lambda: ", ".join(found) or "—")


@app.command()
def scorecard(data: Data = None, as_json: Json = False) -> None:
    """Targets of the strategy beside what is reached, and how much of the time has passed."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.governance.api import score_view

        return [score_view(one) for one in await services.governance.watching.scorecard()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("指标", "target", "reached", "%", "time %", "source"), [
        (x["title"]["zh"], x["target"], "—" if x["actual"] is None else x["actual"],
         "—" if x["reached_bps"] is None else f"{x['reached_bps'] / 100:g}", f"{x['elapsed_bps'] / 100:g}", x["source"])
        for x in found
    ]))  # fmt: skip


@app.command()
def figure(name: Annotated[str, typer.Argument(help="Target, or cumulative_profit_fen, availability_bps.")],
           value: int, on: Annotated[str, typer.Option(help="Day it holds for.")],
           evidence: Annotated[str, typer.Option(help="Where it comes from.")], number: Number = "",
           by: Annotated[str, typer.Option(help="Who records it.")] = ACTOR,
           data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Record a figure that nobody measures, with its evidence."""
    made = id_of(number)

    async def work(services: Services) -> None:
        await services.governance.watching.record(name, value, on=day_of(on), evidence=evidence, figure_id=made, by=by)

    in_city(data, work)
    show(as_json, {"id": str(made), "name": name, "value": value}, lambda: "✓")


@app.command("profit-lock")
def profit_lock(data: Data = None, as_json: Json = False) -> None:
    """Whether the operator may share profit today (P3)."""

    async def work(services: Services) -> dict[str, Any]:
        decision, missing = await services.governance.watching.profit_lock()
        return {"may_share": False, "missing": missing} if decision is None else dict(decision.outputs)

    found = in_city(data, work)
    show(as_json, found, lambda: pairs(found))


@app.command()
def projects(data: Data = None, as_json: Json = False) -> None:
    """Projects with what they cost and returned, and the watch list (S3)."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.governance.api import project_view

        return [project_view(one) for one in await services.governance.watching.projects()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "项目", "invested fen", "returned fen", "by", "watch"), [
        (x["id"], x["name"]["zh"], x["invested_fen"], x["returned_fen"], x["deadline"], "!" if x["watched"] else "")
        for x in found
    ]))  # fmt: skip


@app.command()
def project(name_zh: str, name_en: str, department: Annotated[str, typer.Option(help="Whose it is.")],
            started: Annotated[str, typer.Option(help="First day.")], number: Number = "",
            data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Add a project that has to repay."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.governance.api import project_view

        made = await services.governance.watching.add_project(
            id_of(number), name_zh=name_zh, name_en=name_en, department=department,
            started_on=day_of(started), by=ACTOR,
        )  # fmt: skip
        return project_view(made)

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['id']} → {made['deadline']}")


@app.command()
def flow(project: UUID, kind: Annotated[str, typer.Argument(help="invested or returned.")],
         amount_fen: Annotated[int, typer.Argument(help="In fen.")], on: Annotated[str, typer.Option(help="Day.")],
         evidence: Annotated[str, typer.Option(help="Posting or document.")], number: Number = "",
         data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Record money into or back out of a project."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.governance.api import project_view

        made = await services.governance.watching.flow(
            project, kind, amount_fen, on=day_of(on), evidence=evidence,
            flow_id=id_of(number), by=ACTOR,
        )  # fmt: skip
        return project_view(made)

    made = in_city(data, work)
    show(as_json, made, lambda: f"✓ {made['invested_fen']} / {made['returned_fen']}")


@app.command()
def review(rule: Annotated[str, typer.Argument(help="Rule, like P1.")], finding: str,
           on: Annotated[str, typer.Option(help="Day of the review.")], number: Number = "",
           data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Record that a rule was reviewed, and what was found (P9)."""
    made = id_of(number)

    async def work(services: Services) -> None:
        await services.governance.watching.review(rule, on=day_of(on), finding=finding, review_id=made, by=ACTOR)

    in_city(data, work)
    show(as_json, {"id": str(made), "rule": rule}, lambda: "✓")


@app.command()
def work(overdue: Annotated[bool, typer.Option("--overdue", help="Only what is late.")] = False,
         data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Work of every department with its day, the most urgent first."""

    async def read(services: Services) -> list[dict[str, Any]]:
        from shanhe.governance.api import duty_view

        return [duty_view(one) for one in await services.governance.watching.duties(overdue_only=overdue)]

    found = in_city(data, read)
    show(as_json, found, lambda: rows(("due", "部门", "kind", "what", "late"), [
        (x["due_on"], x["department"]["zh"], x["kind"], x["title"]["zh"], "!" if x["overdue"] else "") for x in found
    ]))  # fmt: skip


def _show(as_json: bool, file: dict[str, Any]) -> None:
    show(as_json, file, lambda: pairs({
        "id": file["id"], "title": file["title"], "state": file["state"], "rule": file["rule"] or "—",
        "announced": file["announced_on"], "in force": file["effective_on"],
        "变更 changes": "\n".join(f"{c['words']['zh']}\n{c['words']['en']}" for c in file["changes"]) or "—",
        "with": file["with"]["en"] if file["with"] else "—", "reason": file["reason"] or "—",
    }))  # fmt: skip
