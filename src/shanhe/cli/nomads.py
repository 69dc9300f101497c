"""`shanhe nomads`: venues, presence, the ID and what it opens; some without a city, at a gate or an organisation."""

from __future__ import annotations

from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import msgspec
import typer

from shanhe.cli.common import (
    ACTOR,
    Data,
    Json,
    day_of,
    find_org,
    in_city,
    json_of,
    one_of,
    pairs,
    person_of,
    rows,
    show,
)
from shanhe.kernel.clock import CITY_TZ, SystemClock
from shanhe.kernel.errors import Invalid
from shanhe.kernel.ids import new_id

if TYPE_CHECKING:
    from shanhe.app import Services

KEY_BYTES = 32
QUEUE_MAX_BYTES = 5_000_000

app = typer.Typer(no_args_is_help=True)
VenueId = Annotated[UUID, typer.Argument(help="Number of the venue.")]
Login = Annotated[str, typer.Argument(help="Login of the person.")]


@app.command()
def venues(data: Data = None, as_json: Json = False) -> None:
    """Every venue with its public key."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.nomads.api import venue_view

        return [venue_view(item) for item in await services.nomads.venues.list()]

    found = in_city(data, work)
    show(as_json, found, lambda: rows(
        ("id", "场所 venue", "类别 kind", "状态 state"),
        [(x["id"], x["name"], x["kind"], "已停用 closed" if x["closed_at"] else "可用 open") for x in found],
    ))  # fmt: skip


@app.command("venue")
def venue_add(
    org: Annotated[str, typer.Argument(help="Organisation that runs it: id or name.")],
    name: Annotated[str, typer.Argument(help="Name of the venue.")],
    kind: Annotated[str, typer.Option(help="space, lodging, attraction, merchant, academy or clinic.")] = "space",
    address: Annotated[str, typer.Option(help="Address.")] = "",
    public_key: Annotated[str, typer.Option(help="Its own public key in hex (default: the city keeps one).")] = "",
    certified: Annotated[
        bool, typer.Option("--certified", help="Ask a second person to certify its courses (N6): `shanhe approvals`.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Register a venue."""

    from shanhe.nomads.api import NewVenue, VenueKind, venue_view

    what, key = one_of(VenueKind, kind), _hex(public_key) if public_key else None

    async def work(services: Services) -> dict[str, Any]:
        new = NewVenue(name, what, (await find_org(services, org)).id, address, key, certified)
        return venue_view(await services.nomads.venues.add(new, actor=ACTOR))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"id": done["id"], "公钥 public key": done["public_key"]}))


@app.command()
def certify(venue: VenueId, by: Annotated[str, typer.Option(help="Who asks, for the books.")] = ACTOR,
            data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Ask a second person whether a venue's courses are certified (N6); `shanhe approvals approve` decides."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import venue_view

        return venue_view(await services.nomads.venues.ask_to_certify(venue, actor=by))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"场所 venue": done["name"], "课程认证 certified": _certified(done)}))


@app.command()
def uncertify(venue: VenueId, reason: Annotated[str, typer.Option(help="Why; whoever runs it is told.")],
              data: Data = None, as_json: Json = False) -> None:  # fmt: skip
    """Take a venue's certificate back: the city pays for no further course there."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import venue_view

        return venue_view(await services.nomads.venues.end_certificate(venue, reason))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"场所 venue": done["name"], "课程认证 certified": _certified(done)}))


def _certified(venue: dict[str, Any]) -> str:
    return "已认证 yes" if venue["certified"] else "未认证 no"


@app.command("close")
def close(venue: VenueId, data: Data = None, as_json: Json = False) -> None:
    """Close a venue: nothing it signs counts from now on."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import venue_view

        return venue_view(await services.nomads.venues.close(venue, actor=ACTOR))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"场所 venue": done["name"], "停用 closed": done["closed_at"]}))


@app.command()
def code(
    venue: VenueId,
    key: Annotated[Path | None, typer.Option(help="The venue's own private key: then no city is needed.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A fresh code for a venue's screen."""

    async def work(services: Services) -> str:
        return services.nomads.venues.code(await services.nomads.venues.get(venue))

    if key is not None:
        from shanhe.nomads.api import VENUE, make_code

        text = make_code(VENUE, venue, SystemClock().now(), _private(key))
    else:
        text = in_city(data, work)
    show(as_json, {"code": text}, lambda: text)


@app.command("status")
def status(login: Login, data: Data = None, as_json: Json = False) -> None:
    """How many days a person has, what they suffice for, and the card."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import outlook_view

        person = await person_of(services, login)
        nomad = await services.nomads.presence.nomad(person)
        return {**outlook_view(await services.nomads.cards.outlook(person, actor=ACTOR)), "number": nomad.number}

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({
        "编号 number": done["number"], "在场 days": f"{done['days']}/{done['needed']}", "身份 ID": done["standing"],
        "理由 reasons": "；".join(f"{r['zh']} {r['en']}" for r in done["reasons"]) or "—",
    }))  # fmt: skip


@app.command("consent")
def consent(
    login: Login,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Withdraw it.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Record a person's separate consent to presence records, given at a counter."""

    async def work(services: Services) -> dict[str, Any]:
        person = await person_of(services, login)
        await services.nomads.presence.consent(person, given=not withdraw)
        return {"consent": await services.nomads.presence.consented(person)}

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"同意 consent": done["consent"]}))


@app.command("check-in")
def check_in(
    login: Login,
    text: Annotated[str, typer.Argument(help="The code on the venue's screen, or its address.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Count today for a person by a venue's code."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import check_in_view

        return check_in_view(await services.nomads.presence.check_in(await person_of(services, login), text))

    done = in_city(data, work)
    show(
        as_json,
        done,
        lambda: pairs({"日期 day": done["day"], "新计 counted": done["counted"], "共 days": done["days"]}),
    )


@app.command("apply")
def apply(
    login: Login,
    insured_in: Annotated[str, typer.Option(help="City of the social insurance, `-` for none.")] = "",
    ref: Annotated[str, typer.Option(help="Reference: the same one again decides once.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask for the ID, or its renewal, for a person at a counter."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import verdict_view

        person = await person_of(services, login)
        if insured_in:
            await services.nomads.cards.declare(person, insured_in, actor=ACTOR)
        return verdict_view(await services.nomads.apply(person, client_ref=ref or str(new_id()), actor=ACTOR))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({
        "结果 granted": done["granted"], "在场 days": f"{done['days']}/{done['needed']}",
        "理由 reasons": "；".join(f"{r['zh']} {r['en']}" for r in done["reasons"]) or "—",
    }))  # fmt: skip
    if not done["granted"]:
        raise typer.Exit(1)


@app.command("card")
def card(
    login: Login,
    out: Annotated[Path | None, typer.Option(help="Write the SD-JWT into this file.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """A person's card with everything disclosed, for its holder."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import NotEligible, card_view

        found, standing = await services.nomads.cards.current(await person_of(services, login))
        if found is None:
            raise NotEligible("no_card", "there is no card yet", "还没有身份卡")
        return {**card_view(found, str(standing)), "sd_jwt": await services.nomads.cards.token(found)}

    done = in_city(data, work)
    if out is not None:
        out.write_text(done["sd_jwt"] + "\n", encoding="utf-8")
    show(as_json, done, lambda: done["sd_jwt"])


@app.command("revoke")
def revoke(
    card_id: Annotated[UUID, typer.Argument(help="Number of the card.")],
    reason: Annotated[str, typer.Option(help="Why, for the holder.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """End a card today."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import card_view

        return card_view(await services.nomads.revoke(card_id, reason, actor=ACTOR), "revoked")

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"撤销 revoked": done["revoked_at"]}))


@app.command("appeals")
def appeals(data: Data = None, as_json: Json = False) -> None:
    """Appeals of refused cards that wait, the most urgent first."""

    async def work(services: Services) -> list[dict[str, Any]]:
        from shanhe.nomads.api import appeal_view

        return [appeal_view(one) for one in await services.nomads.appeals.open()]

    done = in_city(data, work)
    lines = [(x["id"], x["due_at"], x["why"], " ".join(map(str, x["days"]))) for x in done]
    show(as_json, done, lambda: rows(("编号 id", "期限 due", "理由 why", "日期 days"), lines))


@app.command("appeal")
def appeal(
    appeal_id: Annotated[UUID, typer.Argument(help="Number of the appeal.")],
    answer: Annotated[str, typer.Option(help="What to answer.")],
    by: Annotated[str, typer.Option(help="Login of who decides; never the one who appeals.")],
    uphold: Annotated[bool, typer.Option("--uphold/--reject", help="Whether its days count.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Decide an appeal; upheld days count, and the rule decides again."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import appeal_view

        decider = await person_of(services, by)
        return appeal_view(await services.nomads.decide_appeal(appeal_id, decider, uphold=uphold, answer=answer))

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"申诉 appeal": done["state"]}))


@app.command("import")
def import_(
    venue: VenueId,
    file: Annotated[Path, typer.Argument(help="CSV, XLSX or JSON with nomad and date.", exists=True, dir_okay=False)],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Import a venue's records: good rows count, bad ones are named."""

    async def work(services: Services) -> dict[str, Any]:
        from shanhe.nomads.api import feed_view

        place = await services.nomads.venues.get(venue)
        return feed_view(await services.nomads.feeds.run(place, file.read_bytes()))

    done = in_city(data, work)
    lines = [(x["row"], x["nomad"], x["day"], x["outcome"], x["zh"]) for x in done["rows"]]
    show(as_json, done, lambda: rows(("行 row", "编号 nomad", "日期 day", "结果 result", "说明 why"), lines))


@app.command("recognise")
def recognise(
    org: Annotated[str, typer.Argument(help="Organisation of nomads: id or name.")],
    public_key: Annotated[str, typer.Argument(help="Its public Ed25519 key in hex.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Put an organisation on the list whose members qualify sooner (N2)."""

    async def work(services: Services) -> dict[str, Any]:
        owner = await find_org(services, org)
        await services.nomads.membership.recognise(owner.id, _hex(public_key), actor=ACTOR)
        return {"org_id": owner.id}

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"机构 organisation": done["org_id"]}))


@app.command()
def strike(
    org: Annotated[str, typer.Argument(help="Organisation of nomads: id or name.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take an organisation off that list from tomorrow on."""

    async def work(services: Services) -> dict[str, Any]:
        owner = await find_org(services, org)
        await services.nomads.membership.strike(owner.id)
        return {"org_id": owner.id}

    done = in_city(data, work)
    show(as_json, done, lambda: pairs({"机构 organisation": done["org_id"]}))


@app.command("attest")
def attest(
    org_id: Annotated[UUID, typer.Argument(help="Number of the organisation that signs.")],
    number: Annotated[str, typer.Argument(help="Nomad number of the member.")],
    until: Annotated[str, typer.Option(help="Last day of the membership.")],
    key: Annotated[Path, typer.Option(help="The organisation's private key, 64 hex digits.", exists=True)],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Sign a membership proof, at an organisation: needs no city."""
    from shanhe.nomads.api import attest as signed

    now, last = SystemClock().now(), datetime.combine(day_of(until), time(23, 59, 59), CITY_TZ)
    token = signed(org_id, number.strip().upper(), int(now.timestamp()), int(last.timestamp()), _private(key))
    show(as_json, {"proof": token}, lambda: token)


@app.command("kit")
def kit(
    venue: VenueId,
    out: Annotated[Path | None, typer.Option(help="Write it into this file.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a scanner needs to work without a network."""

    async def work(services: Services) -> dict[str, Any]:
        return await services.nomads.offline.kit(await services.nomads.venues.get(venue))

    done = in_city(data, work)
    if out is not None:
        out.write_text(msgspec.json.encode(done).decode() + "\n", encoding="utf-8")
    show(as_json, done, lambda: pairs(done))


@app.command("scan")
def scan(
    kit_file: Annotated[Path, typer.Argument(help="The kit of this gate.", exists=True, dir_okay=False)],
    queue: Annotated[Path, typer.Argument(help="File in which this scanner keeps what it let in.")],
    text: Annotated[str, typer.Argument(help="The ticket's code.")],
    companions: Annotated[int, typer.Option(help="Companions who come along.", min=0, max=50)] = 0,
    scanner: Annotated[str, typer.Option(help="Name of this scanner.")] = "gate",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Check a ticket at a gate without a network, and keep it for `sync`."""
    from shanhe.kernel.clock import city_date
    from shanhe.nomads.api import check_offline

    kept, now = _queue(queue), SystemClock().now()
    used = {item["ticket"]: item for item in kept}
    ticket = check_offline(text, json_of(kit_file)["public_key"], city_date(now), used)
    admitted = 1 + min(companions, ticket.companions_max)
    line = {"ticket": str(ticket.id), "code": text.strip(), "at": now.isoformat(), "scanner": scanner, "seq": len(kept),
            "companions": companions}  # fmt: skip
    with queue.open("a", encoding="utf-8") as file:
        file.write(msgspec.json.encode(line).decode() + "\n")
    done = {"admitted": admitted, "holder": ticket.holder, "number": ticket.number}
    show(as_json, done, lambda: pairs({"入园 admitted": admitted, "持证人 holder": ticket.holder}))


@app.command("sync")
def sync(
    venue: VenueId,
    queue: Annotated[Path, typer.Argument(help="The file of `scan`.", exists=True, dir_okay=False)],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Report what scanners let in; the ledger moves once for each ticket."""

    from shanhe.nomads.api import Scan, settled_view

    scans = [Scan(x["code"], datetime.fromisoformat(x["at"]).astimezone(UTC), x["scanner"], x["seq"],
                  x["companions"]) for x in _queue(queue)]  # fmt: skip

    async def work(services: Services) -> list[dict[str, Any]]:
        place = await services.nomads.venues.get(venue)
        return [settled_view(item) for item in await services.nomads.offline.sync(place, scans)]

    done = in_city(data, work)
    lines = [(x["scanner"], x["seq"], x["outcome"], x["zh"]) for x in done]
    show(as_json, done, lambda: rows(("扫码器 scanner", "序号 seq", "结果 result", "说明 why"), lines))


@app.command("figures")
def figures(data: Data = None, as_json: Json = False) -> None:
    """How many people, valid cards, refusals and used tickets."""

    async def work(services: Services) -> dict[str, int]:
        return dict(await services.nomads.figures())

    done = in_city(data, work)
    show(as_json, done, lambda: pairs(done))


# -- helpers ----------------------------------------------------------------------------------------------------------


def _hex(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.strip())
    except ValueError:
        found = b""
    if len(found) != KEY_BYTES:
        raise Invalid("bad_key", "A key has 64 hex digits.", message_zh="密钥为 64 位十六进制。")
    return found


def _private(path: Path) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(_hex(path.read_text(encoding="utf-8")))


def _queue(path: Path) -> list[dict[str, Any]]:
    """What a scanner kept, line by line; empty for a file that is not there yet."""
    if not path.exists():
        return []
    if path.stat().st_size > QUEUE_MAX_BYTES:
        raise Invalid("queue_too_large", f"{path} is larger than {QUEUE_MAX_BYTES:,} bytes.", message_zh="队列过大。")
    try:
        return [msgspec.json.decode(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except msgspec.DecodeError:
        raise Invalid("bad_file", f"{path} is no list of scans.", message_zh=f"{path} 不是扫码记录。") from None
