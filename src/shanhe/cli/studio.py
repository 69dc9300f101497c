"""`shanhe studio`: from a data set to a model that answers: estimate, run, follow, deploy, roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import ACTOR, Data, Json, find_org, in_city, pairs, rows, show
from shanhe.kernel.money import format_credits

if TYPE_CHECKING:
    from shanhe.app import Services

WORDS = {"true": True, "false": False}
app = typer.Typer(no_args_is_help=True)
JobId = Annotated[UUID, typer.Argument(help="Id of the job.")]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
VersionId = Annotated[UUID, typer.Argument(help="Id of the data set's version.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A field of the recipe, as epochs=2; may be given several times.")
]


def _recipe(base: str, fields: list[str] | None) -> Any:
    from shanhe.studio.routes import recipe_of

    given: dict[str, Any] = {"base": base}
    for field in fields or ():
        name, _, value = field.partition("=")
        given[name] = int(value) if value.lstrip("-").isdigit() else WORDS.get(value, value)
    return recipe_of(given)


@app.command("templates")
def trades(as_json: Json = False) -> None:
    """Samples and recipes of trades to begin with."""
    from shanhe.studio.api import templates

    found = {name: {"title": one.title["en"], "form": one.form, **one.recipe} for name, one in templates().items()}
    show(as_json, found, lambda: rows(("template", "what", "form", "recipe"), [
        (name, one["title"], one["form"], ", ".join(f"{field}={value}" for field, value in one.items()
                                                    if field not in ("title", "form")))
        for name, one in found.items()
    ]))  # fmt: skip


@app.command()
def estimate(version: VersionId, base: str, fields: Set = None, data: Data = None, as_json: Json = False) -> None:
    """Steps, processor time and price of a recipe."""
    found = in_city(data, lambda services: services.workshop.studio.estimate(None, version, _recipe(base, fields)))
    show(as_json, found, lambda: pairs({
        "steps": " → ".join(step["title"] for step in found["steps"]), "core seconds": found["core_ms"] // 1000,
        "price": format_credits(found["price_micro"]), "budget held": format_credits(found["budget_micro"]),
    }))  # fmt: skip


@app.command("run")
def order(
    version: VersionId,
    base: str,
    org: Annotated[str, typer.Option(help="Organisation that pays and owns: id or name.")],
    name: Annotated[str, typer.Option(help="Name of the model that comes out.")],
    fields: Set = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Queue a job; the running city works on it."""
    from shanhe.studio.routes import job_view

    async def work(services: Services) -> Any:
        owner = await find_org(services, org)
        studio = services.workshop.studio
        return job_view(await studio.order(owner.id, name, version, _recipe(base, fields), by=ACTOR))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: {found['steps']} steps, {found['state']}")


@app.command()
def jobs(data: Data = None, as_json: Json = False) -> None:
    """Jobs, the newest first."""
    from shanhe.studio.routes import job_view

    async def work(services: Services) -> Any:
        return [job_view(one) for one in await services.workshop.studio.jobs(None)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("id", "model", "state", "core s", "credits"), [
        (one["id"], one["name"], one["state"], one["core_ms"] // 1000, format_credits(one["spent_micro"]))
        for one in found
    ], right=("core s", "credits")))  # fmt: skip


@app.command("show")
def show_job(job: JobId, data: Data = None, as_json: Json = False) -> None:
    """A job: steps, what they measured, curves, last words."""
    from shanhe.studio.routes import job_page

    async def work(services: Services) -> Any:
        studio = services.workshop.studio
        return await job_page(studio, await studio.job(job, None))

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("step", "state", "core s", "measured"), [
        (step["title"], step["state"], step["core_ms"] // 1000, step["metrics"]) for step in found["steps"]
    ], title=found["state"], right=("core s",)))  # fmt: skip


@app.command()
def cancel(job: JobId, data: Data = None, as_json: Json = False) -> None:
    """End a job; what it used until then is charged."""
    from shanhe.studio.routes import job_view

    async def work(services: Services) -> Any:
        return job_view(await services.workshop.studio.cancel(job, None))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: asked to end")


@app.command()
def resume(job: JobId, data: Data = None, as_json: Json = False) -> None:
    """Order a failed or cancelled job again; it goes on where it ended."""
    from shanhe.studio.routes import job_view

    async def work(services: Services) -> Any:
        return job_view(await services.workshop.studio.resume(job, None, by=ACTOR))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['id']}: {found['steps']} steps, {found['state']}")


@app.command()
def compare(job: JobId, data: Data = None, as_json: Json = False) -> None:
    """What the base and the model answered to the same questions."""
    found = in_city(data, lambda services: services.workshop.studio.compare(job, None))
    show(as_json, found, lambda: rows(("question", "right answer", "before", "after"), [
        (one["question"], one["answer"], one["before"], one["after"]) for one in found
    ]))  # fmt: skip


@app.command()
def models(data: Data = None, as_json: Json = False) -> None:
    """What came out of the studio."""
    from shanhe.studio.routes import made_view

    async def work(services: Services) -> Any:
        return [made_view(one) for one in await services.workshop.studio.models(None)]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(("model", "number", "state", "before", "after", "bytes"), [
        (one["name"], one["number"], one["state"], f"{one['base_bps'] / 100:.1f}", f"{one['score_bps'] / 100:.1f}",
         one["size_bytes"]) for one in found
    ], right=("number", "before", "after", "bytes")))  # fmt: skip


@app.command()
def deploy(
    name: Name,
    number: int = 0,
    share: Annotated[int, typer.Option(help="Percent of the calls, while the one before answers the rest.")] = 100,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Let a model answer under its name; without --number the newest."""
    _switch(name, data, as_json, number=number or None, share_bps=share * 100)


@app.command()
def rollback(name: Name, data: Data = None, as_json: Json = False) -> None:
    """Let the model answer that did before."""
    _switch(name, data, as_json, back=True)


def _switch(
    name: str, data: Any, as_json: bool, *, number: int | None = None, back: bool = False, share_bps: int = 10_000
) -> None:
    from shanhe.studio.routes import made_view

    async def work(services: Services) -> Any:
        studio = services.workshop.studio
        if back:
            return made_view(await studio.roll_back(name, None, by=ACTOR))
        return made_view(await studio.deploy(name, None, number, by=ACTOR, share_bps=share_bps))

    found = in_city(data, work)
    show(as_json, found, lambda: f"✓ {found['name']} {found['number']}: {found['state']}")
