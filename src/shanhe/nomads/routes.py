"""HTTP of nomads: people about themselves, venues about their gates, operators about venues and imports."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from pydantic import Field
from starlette.responses import Response

from shanhe.credentials.api import present
from shanhe.identity.api import Actor, require
from shanhe.kernel.http import as_json
from shanhe.kernel.ids import new_id
from shanhe.kernel.routing import APIRouter, Body
from shanhe.nomads import views
from shanhe.nomads.errors import BadField, NotEligible
from shanhe.nomads.model import NewVenue, Scan, VenueKind
from shanhe.nomads.service import Nomads

CODE_MAX_CHARS = 700
TOKEN_MAX_CHARS = 4_000
TALLY_DAYS = 30
HEX_KEY = r"^[0-9a-f]{64}$"
Member = Annotated[Actor, Depends(require("apply"))]
Operator = Annotated[Actor, Depends(require("programmes"))]
CodeText = Annotated[str, Field(min_length=1, max_length=CODE_MAX_CHARS)]


class ConsentBody(Body):
    given: bool


class DeclareBody(Body):
    city: str = Field(min_length=1, max_length=60)


class CodeBody(Body):
    code: CodeText


class ApplyBody(Body):
    client_ref: str = Field(min_length=1, max_length=128)
    holder: dict[str, str] | None = None


class ProofBody(Body):
    proof: str = Field(min_length=1, max_length=TOKEN_MAX_CHARS)


class RedeemBody(CodeBody):
    companions: int = Field(0, ge=0, le=50)
    holder_present: bool


class PayBody(CodeBody):
    fen: int = Field(gt=0, strict=True)


class CourseBody(CodeBody):
    price_fen: int = Field(gt=0, strict=True)


class StayBody(CodeBody):
    nights: int = Field(0, ge=0, le=366)


class ScanBody(CodeBody):
    at: datetime
    scanner: str = Field(min_length=1, max_length=40)
    seq: int = Field(ge=0)
    companions: int = Field(0, ge=0, le=50)


class SyncBody(Body):
    scans: list[ScanBody] = Field(max_length=500)


class VenueBody(Body):
    id: UUID | None = None
    org_id: UUID
    name: str = Field(min_length=1, max_length=100)
    kind: VenueKind
    address: str = Field("", max_length=200)
    public_key: str | None = Field(None, pattern=HEX_KEY)
    certified: bool = False


class OrganisationBody(Body):
    public_key: str = Field(pattern=HEX_KEY)


class RevokeBody(Body):
    reason: str = Field(min_length=1, max_length=200)


class AppealBody(Body):
    id: UUID
    decision: UUID
    why: str = Field(min_length=1, max_length=1_000)
    days: list[date] = Field(default_factory=list, max_length=366)
    evidence: str = Field("", max_length=1_000)


class VerdictBody(Body):
    uphold: bool
    answer: str = Field(min_length=1, max_length=1_000)


def router(nomads: Nomads) -> APIRouter:
    """Everything under /api/nomads."""
    routes = APIRouter(prefix="/api/nomads", tags=["nomads"])
    _people(routes, nomads)
    _card(routes, nomads)
    _appeals(routes, nomads)
    _operators(routes, nomads)
    _venues(routes, nomads)
    _gates(routes, nomads)
    return routes


def _people(routes: APIRouter, nomads: Nomads) -> None:
    @routes.get("/me")
    async def me(who: Member) -> Response:
        """My days, what they suffice for, and my number."""
        person = await nomads.person_of(who)
        nomad, seen = await nomads.presence.nomad(person), await nomads.cards.outlook(person, actor=who.ref)
        consented = await nomads.presence.consented(person)
        return as_json({**views.outlook_view(seen), "number": nomad.number, "consent": consented})

    @routes.put("/me/consent")
    async def consent(body: ConsentBody, who: Member) -> Response:
        """Give or withdraw the separate consent to have presence recorded."""
        person = await nomads.person_of(who)
        await nomads.presence.consent(person, given=body.given)
        return as_json({"consent": await nomads.presence.consented(person)})

    @routes.put("/me/insurance")
    async def insurance(body: DeclareBody, who: Member) -> Response:
        """Declare where one's social insurance is; `-` for nowhere."""
        await nomads.cards.declare(await nomads.person_of(who), body.city, actor=who.ref)
        return as_json({"city": body.city.strip()})

    @routes.post("/me/check-in")
    async def check_in(body: CodeBody, who: Member) -> Response:
        """Count today by the code on a venue's screen."""
        return as_json(views.check_in_view(await nomads.presence.check_in(await nomads.person_of(who), body.code)))

    @routes.get("/me/readings")
    async def readings(who: Member) -> Response:
        """Who read my days, when, for what."""
        return as_json({"data": await nomads.presence.readings(await nomads.person_of(who))})

    @routes.get("/me/pass")
    async def pass_code(who: Member) -> Response:
        """A fresh pass to show at a venue."""
        nomad = await nomads.presence.nomad(await nomads.person_of(who))
        return as_json({"code": nomads.presence.pass_code(nomad)})

    @routes.post("/me/memberships")
    async def membership(body: ProofBody, who: Member) -> Response:
        """Hand in a membership proof of a recognised organisation."""
        last = await nomads.membership.hand_in(await nomads.person_of(who), body.proof, actor=who.ref)
        return as_json({"valid_until": last})


def _card(routes: APIRouter, nomads: Nomads) -> None:
    @routes.post("/me/card")
    async def apply(body: ApplyBody, who: Member) -> Response:
        """Ask for the ID or its renewal. A refusal is an answer with reasons. `holder`: a public JWK to bind it to."""
        holder = _holder(body.holder) if body.holder is not None else None
        verdict = await nomads.apply(
            await nomads.person_of(who), client_ref=body.client_ref, actor=who.ref, holder=holder
        )
        return as_json(views.verdict_view(verdict))

    @routes.get("/me/card")
    async def card(who: Member, disclose: str = "days_at_least,within_days") -> Response:
        """The card as an SD-JWT with only these claims disclosed (`all` for everything)."""
        found, standing = await nomads.cards.current(await nomads.person_of(who))
        if found is None:
            raise NotEligible("no_card", "you have no card yet", "您还没有身份卡")
        token = await nomads.cards.token(found)
        shown = token if disclose == "all" else present(token, disclose.split(","))
        return as_json({**views.card_view(found, str(standing)), "sd_jwt": shown})

    @routes.get("/me/decisions")
    async def decisions(who: Member) -> Response:
        """What was decided about me, with reasons and traces."""
        found = await nomads.cards.verdicts(await nomads.person_of(who))
        return as_json({"data": [views.verdict_view(item) for item in found]})

    @routes.get("/me/purse")
    async def purse(who: Member) -> Response:
        """Tickets with their codes, nights, courses, vouchers."""
        return as_json(views.purse_view(await nomads.benefits.purse(await nomads.person_of(who))))


def _appeals(routes: APIRouter, nomads: Nomads) -> None:
    @routes.post("/me/appeals", status_code=201)
    async def appeal(body: AppealBody, who: Member) -> Response:
        """Appeal a refused card with the days it should have counted. Idempotent by `id`."""
        person = await nomads.person_of(who)
        made = await nomads.appeals.file(
            person, body.decision, why=body.why, days=body.days, evidence=body.evidence, appeal_id=body.id
        )
        return as_json(views.appeal_view(made), 201)

    @routes.get("/me/appeals")
    async def mine(who: Member) -> Response:
        """My appeals and what was answered."""
        found = await nomads.appeals.of(await nomads.person_of(who))
        return as_json({"data": [views.appeal_view(one) for one in found]})

    @routes.get("/appeals")
    async def waiting(who: Operator) -> Response:
        """What waits for a decision, the most urgent first."""
        return as_json({"data": [views.appeal_view(one) for one in await nomads.appeals.open()]})

    @routes.post("/appeals/{appeal_id}/decide")
    async def decide(appeal_id: UUID, body: VerdictBody, who: Operator) -> Response:
        """Uphold or reject an appeal; upheld days count and the rule decides again. Never one's own."""
        decider = await nomads.person_of(who)
        done = await nomads.decide_appeal(appeal_id, decider, uphold=body.uphold, answer=body.answer)
        return as_json(views.appeal_view(done))


def _operators(routes: APIRouter, nomads: Nomads) -> None:
    @routes.post("/venues", status_code=201)
    async def add(body: VenueBody, who: Operator) -> Response:
        """Register a venue; give `public_key` when it keeps its own private key. `certified` asks a second person
        (`/api/approvals/requests`); sent again once that request was refused or ran out, it asks anew."""
        public = bytes.fromhex(body.public_key) if body.public_key else None
        new = NewVenue(body.name, body.kind, body.org_id, body.address, public, body.certified)
        made = await nomads.venues.add(new, actor=who.ref, identifier=body.id or new_id())
        return as_json(views.venue_view(made), 201)

    @routes.post("/venues/{venue_id}/close")
    async def close(venue_id: UUID, who: Operator) -> Response:
        """From now on nothing the venue signs counts."""
        return as_json(views.venue_view(await nomads.venues.close(venue_id, actor=who.ref)))

    @routes.post("/venues/{venue_id}/certificate", status_code=202)
    async def certify(venue_id: UUID, who: Operator) -> Response:
        """Ask a second person whether the venue's courses are certified (`/api/approvals/requests`)."""
        return as_json(views.venue_view(await nomads.venues.ask_to_certify(venue_id, actor=who.ref)), 202)

    @routes.post("/venues/{venue_id}/certificate/end")
    async def end_certificate(venue_id: UUID, body: RevokeBody, _: Operator) -> Response:
        """Take the certificate back: the city pays for no further course there."""
        return as_json(views.venue_view(await nomads.venues.end_certificate(venue_id, body.reason)))

    @routes.get("/figures")
    async def figures(_: Operator) -> Response:
        return as_json(await nomads.figures())

    @routes.get("/organisations")
    async def organisations(_: Operator) -> Response:
        rows = await nomads.membership.list()
        return as_json({"data": [{**dict(row), "public": row["public"].hex()} for row in rows]})

    @routes.put("/organisations/{org_id}")
    async def recognise(org_id: UUID, body: OrganisationBody, who: Operator) -> Response:
        """Recognise an organisation of nomads by the key it signs membership proofs with."""
        await nomads.membership.recognise(org_id, bytes.fromhex(body.public_key), actor=who.ref)
        return as_json({"org_id": org_id})

    @routes.delete("/organisations/{org_id}")
    async def strike(org_id: UUID, _: Operator) -> Response:
        await nomads.membership.strike(org_id)
        return as_json({"org_id": org_id})

    @routes.post("/cards/{card_id}/revoke")
    async def revoke(card_id: UUID, body: RevokeBody, who: Operator) -> Response:
        """End a card: its bit in the status list, its tickets, the facts that rest on it."""
        card = await nomads.revoke(card_id, body.reason, actor=who.ref)
        return as_json(views.card_view(card, "revoked"))


def _venues(routes: APIRouter, nomads: Nomads) -> None:
    @routes.get("/venues")
    async def venues(who: Member) -> Response:
        """The venues the caller may run."""
        return as_json({"data": [views.venue_view(item) for item in await nomads.venues.of(who)]})

    @routes.get("/venues/open")
    async def places(_: Member) -> Response:
        """Where days are counted, and what else is there: desks, lodging, sights, courses, care."""
        return as_json({"data": [views.place_view(item) for item in await nomads.venues.open()]})

    @routes.get("/venues/all")
    async def every(_: Operator) -> Response:
        return as_json({"data": [views.venue_view(item) for item in await nomads.venues.list()]})

    @routes.get("/venues/{venue_id}/code")
    async def code(venue_id: UUID, who: Member) -> Response:
        """A fresh code for the venue's screen, and the address its QR holds."""
        text = nomads.venues.code(await nomads.venues.mine(venue_id, who))
        return as_json({"code": text, "link": nomads.venues.link(text)})

    @routes.get("/venues/{venue_id}/kit")
    async def kit(venue_id: UUID, who: Member) -> Response:
        """What a scanner needs to work without a network."""
        return as_json(await nomads.offline.kit(await nomads.venues.mine(venue_id, who)))

    @routes.get("/venues/{venue_id}/tallies")
    async def tallies(venue_id: UUID, who: Member) -> Response:
        venue = await nomads.venues.mine(venue_id, who)
        return as_json({"data": await nomads.tallies(venue.id, TALLY_DAYS)})

    @routes.post("/venues/{venue_id}/days")
    async def days(venue_id: UUID, request: Request, who: Member) -> Response:
        """A feed of a lodging or co-working space: CSV, XLSX or JSON as the body."""
        venue = await nomads.venues.mine(venue_id, who)
        return as_json(views.feed_view(await nomads.feeds.run(venue, await request.body())))


def _gates(routes: APIRouter, nomads: Nomads) -> None:
    @routes.post("/venues/{venue_id}/admit")
    async def admit(venue_id: UUID, body: CodeBody, who: Member) -> Response:
        """Count today for whoever shows a pass."""
        venue = await nomads.venues.mine(venue_id, who)
        return as_json(views.check_in_view(await nomads.presence.admit(venue, body.code)))

    @routes.post("/venues/{venue_id}/redeem")
    async def redeem(venue_id: UUID, body: RedeemBody, who: Member) -> Response:
        """Use an attraction ticket."""
        done = await nomads.benefits.redeem(
            await nomads.venues.mine(venue_id, who), body.code, companions=body.companions,
            holder_present=body.holder_present,
        )  # fmt: skip
        return as_json({"ticket": done.ticket, "number": done.number, "admitted": done.admitted, "left": done.left})

    @routes.post("/venues/{venue_id}/sync")
    async def sync(venue_id: UUID, body: SyncBody, who: Member) -> Response:
        """Report what a scanner without a network let in."""
        scans = [Scan(item.code, _aware(item.at), item.scanner, item.seq, item.companions) for item in body.scans]
        done = await nomads.offline.sync(await nomads.venues.mine(venue_id, who), scans)
        return as_json({"data": [views.settled_view(item) for item in done]})

    @routes.post("/venues/{venue_id}/pay")
    async def pay(venue_id: UUID, body: PayBody, who: Member) -> Response:
        """Take vouchers from whoever shows a pass."""
        done = await nomads.benefits.pay(await nomads.venues.mine(venue_id, who), body.code, body.fen)
        return as_json({"posting": done.id, "fen": done.fen, "left_fen": done.left_fen})

    @routes.post("/venues/{venue_id}/course")
    async def course(venue_id: UUID, body: CourseBody, who: Member) -> Response:
        """Enrol whoever shows a pass in a course: what the city pays and what the learner pays."""
        done = await nomads.benefits.course(await nomads.venues.mine(venue_id, who), body.code, body.price_fen)
        return as_json(
            {"posting": done.id, "subsidy_fen": done.subsidy_fen, "pays_fen": done.pays_fen, "left": done.left}
        )

    @routes.post("/venues/{venue_id}/stay")
    async def stay(venue_id: UUID, body: StayBody, who: Member) -> Response:
        """Nights at a lodging, or cover at a clinic."""
        done = await nomads.benefits.stay(await nomads.venues.mine(venue_id, who), body.code, body.nights)
        return as_json({"posting": done.id, "offer": done.offer, "nights": done.nights, "left": done.left})


def _holder(jwk: dict[str, str]) -> dict[str, str]:
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519" or not jwk.get("x"):
        raise BadField("holder", "it is a public Ed25519 JWK", "须为 Ed25519 公钥（JWK）")
    return {name: jwk[name] for name in ("kty", "crv", "x")}


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise BadField("at", "it has a time zone", "时间须带时区")
    return at
