"""`shanhe approvals`: approvals of authorities, the gates they open, and four-eyes requests."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from shanhe.cli.common import Data, Json, day_of, in_city, one_of, pairs, rows, show

if TYPE_CHECKING:
    from shanhe.app import Services
    from shanhe.approvals.api import Licence, Request

app = typer.Typer(no_args_is_help=True)
By = Annotated[str, typer.Option(help="Who decides, for the books; never the one who asked.")]
ScopeWord = Annotated[str, typer.Argument(help="exchange, loans or securities.")]


@app.command()
def gate(scope: ScopeWord, on: Annotated[str, typer.Option(help="Day, like 2026-11-20 (default: today).")] = "",
         data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Whether real cash may move in a scope, and by which approval."""
    from shanhe.approvals.api import Scope

    where, day = one_of(Scope, scope), day_of(on) if on else None

    found = in_city(data, lambda services: services.approvals.gate(where, day))
    licence = found.licence
    show(as_json, asdict(found), lambda: pairs({
        "模式 mode": f"{'真实 real' if found.real else '沙盒 sandbox'}{'（示例 sample）' if found.sample else ''}",
        "批文 approval": f"{licence.authority} {licence.number}, {licence.valid_from} … {licence.valid_to}"
        if licence else "—",
    }))  # fmt: skip


@app.command("list")
def list_(scope: Annotated[str, typer.Option(help="exchange, loans or securities.")] = "",
          data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Recorded approvals, newest first."""
    from shanhe.approvals.api import Scope

    where = one_of(Scope, scope) if scope else None

    async def work(services: Services) -> list[Licence]:
        return list(await services.approvals.licences(where))

    found = in_city(data, work)
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("id", "scope", "authority", "number", "from", "to", "sample", "revoked"),
        [(x.id, x.scope, x.authority, x.number, x.valid_from, x.valid_to, x.sample, x.revoked_at or "") for x in found],
    ))  # fmt: skip


@app.command()
def record(
    scope: ScopeWord,
    authority: Annotated[str, typer.Option(help="Who approved.")],
    number: Annotated[str, typer.Option(help="Number of the approval.")],
    since: Annotated[str, typer.Option("--from", help="First day.")],
    until: Annotated[str, typer.Option("--to", help="Last day.")],
    sample: Annotated[bool, typer.Option("--sample", help="A sample; counts in a demo city only.")] = False,
    by: By = "cli",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record an authority's approval."""
    from shanhe.approvals.api import NewLicence, Scope

    new = NewLicence(one_of(Scope, scope), authority, number, day_of(since), day_of(until), sample)

    made = in_city(data, lambda services: services.approvals.record(new, by=by))
    show(as_json, asdict(made), lambda: f"✓ {made.scope} {made.number} · {made.id}")


@app.command()
def revoke(licence: UUID, reason: Annotated[str, typer.Option(help="Why.")], by: By = "cli",
           data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """End an approval now."""
    ended = in_city(data, lambda services: services.approvals.revoke(licence, reason=reason, by=by))
    show(as_json, asdict(ended), lambda: f"✓ {ended.number} revoked · 已撤销")


@app.command()
def requests(
    state: Annotated[
        str, typer.Option(help="open, approved (not done yet), done, refused, rejected, withdrawn, expired.")
    ] = "open",
    kind: Annotated[str, typer.Option(help="What it is about, as the list names it.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Four-eyes requests, newest first."""
    from shanhe.approvals.api import RequestState

    wanted = one_of(RequestState, state)

    async def work(services: Services) -> list[Request]:
        return list(await services.approvals.requests(state=wanted, kind=kind or None))

    found = in_city(data, work)
    show(as_json, [asdict(one) for one in found], lambda: rows(
        ("id", "kind", "subject", "asked by", "until", "state", "why"),
        [(x.id, x.kind, x.subject, x.requested_by, x.expires_at, x.state, x.fault) for x in found],
    ))  # fmt: skip


@app.command()
def approve(request: UUID, by: By, reason: Annotated[str, typer.Option(help="Why.")] = "",
            data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Agree to what somebody else asked for; then it is done."""
    _decided(as_json, in_city(data, lambda services: services.approvals.agree(request, by=by, reason=reason)))


@app.command()
def reject(request: UUID, by: By, reason: Annotated[str, typer.Option(help="Why.")],
           data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Refuse what somebody else asked for."""
    _decided(as_json, in_city(data, lambda services: services.approvals.reject(request, by=by, reason=reason)))


@app.command()
def withdraw(request: UUID, by: Annotated[str, typer.Option(help="Who asked, as the request names them.")],
             data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Take back what one asked for oneself."""
    _decided(as_json, in_city(data, lambda services: services.approvals.withdraw(request, by=by)))


@app.command()
def again(request: UUID, by: Annotated[str, typer.Option(help="Who asks for it.")] = "cli",
          data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Try once more what was agreed to and is not done."""
    _decided(as_json, in_city(data, lambda services: services.approvals.again(request, by=by)))


def _decided(as_json: bool, done: Any) -> None:
    show(as_json, asdict(done), lambda: f"✓ {done.subject}: {done.state}")
