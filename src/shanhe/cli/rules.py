"""`shanhe rules`: look at the rulebook, ask it, and prove it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import (
    REFUSED,
    Data,
    Json,
    day_of,
    id_of,
    in_city,
    json_object,
    json_of,
    out,
    pairs,
    readable,
    rows,
    show,
    write_pages,
)
from shanhe.kernel.clock import SystemClock

OUTCOMES = {
    "same": "✓ 一致 same",
    "differs": "✗ 不一致 differs:",
    "unknown": "非本程序的版本 another program's version",
}
ORIGINS = {"given": "原文给定 given", "assumed": "设定 assumed"}

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.rulebook.api import Rulebook

app = typer.Typer(no_args_is_help=True)
Identifier = Annotated[str, typer.Argument(help="Rule, like P1.")]
On = Annotated[str, typer.Option("--on", help="Date of the event, like 2026-11-20 (default: today in the city).")]


Amended = Annotated[
    Path | None, typer.Option("--data", help="Data folder of a city, to see its amendments (default: as released).")
]


def _rulebook(data: Path | None = None) -> Rulebook:
    from shanhe.rulebook.api import Rulebook

    async def amended(services: Services) -> Rulebook:
        return services.rulebook

    return Rulebook.load() if data is None else in_city(data, amended)


def _day(text: str) -> date:
    return day_of(text) if text else SystemClock().today()


@app.command("list")
def list_rules(as_json: Json = False) -> None:
    """Every rule with its title and article."""
    book = _rulebook()
    found = [book.rule(identifier) for identifier in book.ids()]
    plain = [{"id": r.id, "title": r.title.to_dict(), "article": r.article, "kind": str(r.kind)} for r in found]
    show(as_json, plain, lambda: rows(("id", "规则", "rule", "article"), [
        (r.id, r.title.zh, r.title.en, r.article) for r in found
    ]))  # fmt: skip


@app.command("show")
def show_rule(identifier: Identifier, on: On = "", data: Amended = None, as_json: Json = False) -> None:
    """One rule: facts, parameters (given or assumed, and since when), formula, examples; with --on what holds then."""
    book, day = _rulebook(data), _day(on) if on else None
    rule = book.rule(identifier)
    unfit = [f"{one.amendment.id}: {one.why.zh} · {one.why.en}"
             for one in book.unfit if one.amendment.rule_id == rule.id]  # fmt: skip
    show(as_json, rule, lambda: pairs({
        **({"not in force": _lines(unfit)} if unfit else {}),
        "id": rule.id,
        "title": f"{rule.title.zh} · {rule.title.en}",
        "article": rule.article,
        "department": f"{rule.department.zh} · {rule.department.en}",
        "review": rule.review,
        "event": f"{rule.event_title.zh} · {rule.event_title.en}",
        **({"note": f"{rule.note.zh}\n{rule.note.en}"} if rule.note else {}),
        "facts": _lines(f"{fact.name}: {fact.title.zh} · {fact.title.en} ({_range(fact)})" for fact in rule.facts),
        "parameters": _lines(line for parameter in rule.parameters for line in _parameter(parameter, day)),
        "formula": _lines(line for formula in _holding(rule.formulas, day) for line in _formula(formula)),
        "examples": _lines(example.name for example in rule.examples),
        "version": rule.content_hash,
    }))  # fmt: skip


def _lines(found: Iterable[str]) -> str:
    return "\n".join(found) or "none"


def _holding(versions: Sequence[Any], on: date | None) -> Sequence[Any]:
    """All versions, or the one of them that holds on a day."""
    if on is None:
        return versions
    return sorted((one for one in versions if one.start <= on), key=lambda one: (one.start, one.announced))[-1:]


def _range(fact: Any) -> str:
    if fact.values:
        said = ", ".join(fact.values)
    elif fact.type == "number":
        said = f"{fact.unit}, {fact.lo:,} to {fact.hi:,}"
    else:
        said = fact.type
    return said if fact.default is None else f"{said}; default {str(fact.default).lower()}"


def _parameter(parameter: Any, on: date | None) -> Iterator[str]:
    from shanhe.rulebook.api import display

    yield f"{parameter.name}: {parameter.title.zh} · {parameter.title.en}"
    for value in _holding(parameter.values, on):
        yield f"  {value.start}: {display(value.value, parameter.unit)} ({parameter.unit}, {ORIGINS[value.origin]})"
        if value.reason:
            yield f"    {value.reason.zh} · {value.reason.en}"


def _formula(formula: Any) -> Iterator[str]:
    yield f"{formula.start}:"
    for part in (*formula.steps, *formula.outputs):
        yield f"  {part.name} = {part.expression}  ({part.title.zh} · {part.title.en})"


@app.command("values")
def list_values(
    find: Annotated[str, typer.Argument(help="Words of a value, its rule, article or department.")] = "",
    on: On = "",
    coming: Annotated[bool, typer.Option("--coming", help="Only what changes later, the soonest first.")] = False,
    data: Amended = None,
    as_json: Json = False,
) -> None:
    """Every value of the rulebook on a day, given or assumed, and what succeeds it when."""
    from shanhe.rulebook.api import display, values

    found = values(_rulebook(data), _day(on), find, coming=coming)
    plain = [
        {"rule": one.rule.id, "name": one.parameter.name, "unit": one.parameter.unit, "now": one.now, "then": one.then}
        for one in found
    ]
    show(as_json, plain, lambda: rows(("规则 rule", "取值 value", "现值 now", "自 since", "后续 then", "自 from"), [
        (one.rule.id.partition("_")[0], f"{one.parameter.title.zh} · {one.parameter.title.en}",
         *(part for held in (one.now, one.then) for part in (
             (display(held.value, one.parameter.unit), held.start) if held else ("—", "—"))))
        for one in found
    ]))  # fmt: skip


@app.command()
def schema(identifier: Identifier, on: On = "", as_json: Json = True) -> None:
    """The facts a rule needs, as JSON Schema (always JSON)."""
    show(True, _rulebook().schema(identifier, _day(on)))


@app.command("eval")
def evaluate(
    identifier: Identifier,
    facts: Annotated[str, typer.Option("--facts", help="JSON object, or @FILE.")],
    on: On = "",
    known: Annotated[str, typer.Option("--known", help="By what was announced up to this day (default: all).")] = "",
    data: Amended = None,
    as_json: Json = False,
) -> None:
    """Apply a rule to facts: amount, unit and the trace of how it came about."""
    told = day_of(known) if known else None
    decision = _rulebook(data).evaluate(identifier, json_object(facts), on=_day(on), known=told)
    plain = {
        "rule": decision.rule_id,
        "amount": decision.amount,
        "unit": decision.unit,
        "outputs": decision.outputs,
        "version": decision.version,
        "article": decision.article,
        "trace": decision.trace,
    }
    show(as_json, plain, lambda: pairs(_told(decision.trace)))


def _told(trace: Mapping[str, Any]) -> dict[str, Any]:
    """A trace as people read it: from what and by which values it came out, and how, in both languages."""
    parts = (*trace["steps"], *trace["outputs"])
    others = [one["text"] for one in (*trace["nearest"], *trace["alternatives"])]
    return {
        "rule": f"{trace['rule']} {trace['title']['zh']} · {trace['title']['en']}",
        "on": f"{trace['on']} ({trace['event']['title']['zh']} · {trace['event']['title']['en']})",
        "outputs": _lines(f"{_both(one['title'])}: {_value(one)}" for one in trace["outputs"]),
        "facts": _lines(f"{_both(one['title'])}: {_value(one)}" for one in trace["inputs"]),
        "values": _lines(f"{_both(one['title'])}: {_value(one)} ({_source(one)})" for one in trace["parameters"]),
        "steps": _lines(f"{_both(one['title'])}: {_both(one['reading'], ' = ' + _value(one))}" for one in parts),
        "binding": _lines(_both(one["text"]) for one in trace["binding"]),
        "what would change it": _lines(f"{text['zh']}\n{text['en']}" for text in others),
        "article": trace["article"],
        "department": _both(trace["department"]),
        "version": trace["version"],
    }  # fmt: skip


def _both(text: Mapping[str, str], then: str = "") -> str:
    return f"{text['zh']}{then}" if text["zh"] == text["en"] else f"{text['zh']} · {text['en']}{then}"


def _source(one: Mapping[str, Any]) -> str:
    return f"{one['article']}, {one['from']}, {ORIGINS[one['origin']]}"


def _value(one: Mapping[str, Any]) -> str:
    return _both(one["said"]) if one["said"] else str(one["display"])


@app.command("replay")
def replay_decisions(
    file: Annotated[Path, typer.Argument(help="JSON with decisions: an answer of eval, a case, an export.")],
    data: Amended = None,
    as_json: Json = False,
) -> None:
    """Make recorded decisions again by the version that decided; exit code 1 when one does not come out the same.

    A decision of a version that this program does not have is worked out from its own arithmetic.
    """
    from shanhe.rulebook.api import Outcome, adds_up, replay, traces_in

    book = _rulebook(data)
    found = [(replay(book, trace), adds_up(trace)) for trace in traces_in(json_of(file))]
    plain = [{**asdict(one), "arithmetic": sound} for one, sound in found]
    show(as_json, plain, lambda: rows(("规则 rule", "决定日 on", "版本 version", "结果 outcome", "算式 arithmetic"), [
        (one.rule, one.on, one.version[:12], f"{OUTCOMES[one.outcome]} {', '.join(one.parts)}", "✓" if sound else "✗")
        for one, sound in found
    ]))  # fmt: skip
    if not found or not all(sound and one.outcome is not Outcome.DIFFERS for one, sound in found):
        raise SystemExit(REFUSED)


@app.command()
def diff(
    identifier: Identifier,
    first: Annotated[str, typer.Option("--from", help="The earlier day.")],
    second: Annotated[str, typer.Option("--to", help="The later day.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What changed in a rule between two days, in words and numbers, with the day it was announced."""

    async def work(services: Services) -> list[dict[str, Any]]:
        return [one.to_dict() for one in services.rulebook.differences(identifier, day_of(first), day_of(second))]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("from", "announced", "变更", "change"), [
        (one["from"], one["announced"], one["words"]["zh"], one["words"]["en"]) for one in found
    ]))  # fmt: skip


@app.command()
def simulate(
    identifier: Identifier,
    proposed: Annotated[Path, typer.Option("--proposed", help="Dated rows, or a whole rule file (YAML or JSON).")],
    first: Annotated[str, typer.Option("--from", help="First day (default: of last month).")] = "",
    last: Annotated[str, typer.Option("--to", help="Last day (default: of last month).")] = "",
    table: Annotated[Path | None, typer.Option("--csv", help="Write the table into this file.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What another version of a rule would have cost over the decisions that the city recorded in a past time."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.cli.simulations import proposed_book, save_csv, span_of, told
        from shanhe.governance.api import report_as_seen

        rule, book, content = proposed_book(services.rulebook, identifier, proposed)
        simulating = services.governance.simulating
        with told() as seen:
            days = simulating.span(span_of(first, last))
            report = await simulating.report(rule, book, days, seen=seen, content=content)
        view = report_as_seen(report, whole=True)
        if table is not None:
            save_csv(view, table)
        return view

    from shanhe.cli.simulations import spoken

    found = in_city(data, work)
    show(as_json, found, lambda: spoken(found))


@app.command()
def propose(
    identifier: Identifier,
    content: Annotated[str, typer.Option("--content", help="Dated rows as a JSON object, or @FILE.")],
    by: Annotated[str, typer.Option(help="Who proposes, for the books.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
    request: Annotated[str, typer.Option("--id", help="Id of the amendment; repeat it to repeat the proposal.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Prove an amendment of a rule and ask for a second person; `approve` decides."""

    number = id_of(request)

    async def work(services: Services) -> Any:
        return await services.amendments.propose(
            identifier, json_object(content), amendment_id=number, by=by, note=note
        )

    made = in_city(data, work)
    show(
        as_json,
        {"id": str(made.id), "rule": made.subject, "state": made.state},
        lambda: f"✓ {made.subject} · {made.id}",
    )


@app.command()
def approve(
    amendment: UUID,
    by: Annotated[str, typer.Option(help="Who decides; never the one who proposed.")],
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Agree to an amendment as the second person: it is recorded, and every running process goes over to it."""
    made = in_city(data, lambda services: services.amendments.approve(amendment, by=by, reason=reason))
    show(
        as_json,
        {"id": made.id, "rule": made.rule_id, "decided_by": made.decided_by},
        lambda: f"✓ {made.rule_id} · {made.id}",
    )


@app.command("set-aside")
def set_aside(
    amendment: UUID,
    by: Annotated[str, typer.Option(help="Who asks, for the books.")],
    reason: Annotated[str, typer.Option(help="Why.")],
    request: Annotated[str, typer.Option("--id", help="Id of the request; repeat it to repeat it.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask for a second person to set aside an amendment that a release can't take, so that its rule decides again."""
    number = id_of(request)

    async def work(services: Services) -> Any:
        return await services.amendments.ask_aside(amendment, request_id=number, by=by, reason=reason)

    made = in_city(data, work)
    show(
        as_json,
        {"id": str(made.id), "rule": made.subject, "state": made.state},
        lambda: f"✓ {made.subject} · {made.id}",
    )


@app.command("table")
def rules_table(
    docs: Annotated[Path, typer.Option("--docs", help="Folder to write rules.md and zh/rules.md into.")] = Path("docs"),
    as_json: Json = False,
) -> None:
    """Write the table of all rules: id, title, article, owner, given and assumed values."""
    from shanhe.rulebook.api import rules_page

    book = _rulebook()
    files = write_pages(docs, "rules.md", lambda language: rules_page(book, language))
    show(as_json, {"files": files, "rules": len(book.ids())}, lambda: f"✓ {', '.join(files)}")


@app.command()
def mutate(
    identifier: Annotated[str, typer.Argument(help="Rule, like P1 (default: all).")] = "", as_json: Json = False
) -> None:
    """Change every constant of the rules, one at a time; exit code 1 when no example notices a change."""
    from shanhe.rulebook.api import mutate_rules

    book = _rulebook()
    report = mutate_rules(book, [book.rule(identifier).id] if identifier else book.ids())
    if as_json:
        show(True, report.to_dict())
    else:
        killed, share = report.mutants - len(report.survivors), f"{report.killed_ppm / 10_000:g} %"
        out.print(f"{report.mutants} mutants, {killed} noticed ({share}) · {report.mutants} 个变异，{killed} 个被发现")
        for mutant in report.survivors:
            out.print(f"  ✗ {mutant.rule.id} {mutant.change}")
    if report.survivors:
        raise SystemExit(REFUSED)


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Rule files to check as if they stood in the rulebook (default: what stands there)."),
    ] = None,
    data: Amended = None,
    as_json: Json = False,
) -> None:
    """Prove that bands neither gap nor overlap and that every example holds; exit code 1 when not.

    Of files, each mistake is told with its line and field; several are checked as one change.
    """
    book = _rulebook(data)
    if files:
        _check_files(book, files, as_json)
        return
    report = book.check()
    if as_json:
        show(True, report.to_dict())
    else:
        failed = report.failed()
        count = len(report.findings)
        out.print(f"{count} checks, {len(failed)} failed · {count} 项检查，{len(failed)} 项未通过")
        for finding in failed:
            out.print(f"  ✗ {finding.rule_id} {finding.check}: {finding.message} · {finding.message_zh}")
    if not report.ok:
        raise SystemExit(REFUSED)


def _check_files(book: Rulebook, files: Sequence[Path], as_json: bool) -> None:
    from shanhe.rulebook.api import mistakes

    found = mistakes(book, {str(file): readable(file) for file in files})
    if as_json:
        show(True, {"ok": not found, "mistakes": found})
    else:
        for one in found:
            out.print(f"✗ {one.file}:{one.line}: {one.field or '/'}", markup=False, emoji=False, soft_wrap=True)
            out.print(f"    {one.said.en}\n    {one.said.zh}", markup=False, emoji=False, soft_wrap=True)
        said = f"{len(files)} files, {len(found)} mistakes · {len(files)} 个文件，{len(found)} 处错误"
        out.print(f"{'✗' if found else '✓'} {said}")
    if found:
        raise SystemExit(REFUSED)
