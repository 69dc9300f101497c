"""The content hub over its module, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from shanhe.console import model as m
from shanhe.console.live.modules import actor_of
from shanhe.content.api import (
    DRAFTS_MAX,
    FORMATS,
    BadForm,
    Content,
    UnknownContent,
    cleaned,
    draft_view,
    everything,
    exported,
    job_view,
    kind_of,
    kinds_view,
    profile_view,
    required,
    standing_view,
)
from shanhe.kernel.ids import new_id

if TYPE_CHECKING:
    from shanhe.console.live.modules import Modules
    from shanhe.content.api import Draft

FIELD = "f_"
"""Begins the name of a form's field."""


class LiveContent:
    def __init__(self, modules: Modules) -> None:
        self._modules = modules

    @property
    def _content(self) -> Content:
        return self._modules.hub.content

    async def _standing(self, who: m.Who) -> Mapping[str, Any]:
        return standing_view(await self._content.standing(who.org_id))

    async def overview(self, who: m.Who, find: str, kind: str, before: UUID | None) -> Mapping[str, Any]:
        rows = await self._content.drafts(who.org_id, find=find, kind=kind, before=before)
        return {
            "standing": await self._standing(who), "kinds": kinds_view()["kinds"],
            "profiles": [profile_view(one) for one in await self._content.profiles(who.org_id)],
            "rows": [draft_view(one) | {"made_at": one.made_at} for one in rows],
        }  # fmt: skip

    async def agree(self, who: m.Who, own: str) -> None:
        if own not in ("none", "month", "always"):
            raise BadForm("Say none, month or always", "请选择不使用、仅本月或长期")
        await self._content.agree(who.org_id, own, by=actor_of(who).ref)  # type: ignore[arg-type]

    async def blank(self, who: m.Who, kind: str, profile: UUID | None, job: UUID | None) -> Mapping[str, Any]:
        shape, known = kind_of(kind), everything()
        profiles = [profile_view(one) for one in await self._content.profiles(who.org_id)]
        form: Mapping[str, Any] = {"fields": next((p["fields"] for p in profiles if p["id"] == str(profile)), {})}
        if job is not None:
            form = (await self._content.job(who.org_id, job))[0].form
        values = form.get("fields", {})
        return {
            "kind": kind, "title": {"zh": shape.zh, "en": shape.en},
            "about": {"zh": shape.about.zh, "en": shape.about.en},
            "fields": [
                {"id": name, "name": FIELD + name, "label": {"zh": known.fields[name].zh, "en": known.fields[name].en},
                 "lines": known.fields[name].lines, "max_chars": known.fields[name].max_chars,
                 "required": required(shape, name, known.fields[name]), "value": values.get(name, "")}
                for name in shape.fields
            ],
            "tones": {key: {"zh": one.zh, "en": one.en} for key, one in known.tones.items()},
            "lengths": {key: {"zh": one.zh, "en": one.en} for key, one in known.lengths.items()},
            "tone": form.get("tone", "plain"), "length": form.get("length", "medium"), "profiles": profiles,
            "profile": "" if profile is None else str(profile), "standing": await self._standing(who),
            "drafts_max": DRAFTS_MAX,
        }  # fmt: skip

    async def ask(self, who: m.Who, kind: str, fields: Mapping[str, str]) -> UUID:
        """Keep the profile if that was asked for, then have it written."""
        given = {name.removeprefix(FIELD): text for name, text in fields.items() if name.startswith(FIELD)}
        by, ref = actor_of(who).ref, UUID(fields["ref"]) if fields.get("ref") else new_id()
        form = {"fields": cleaned(given), "tone": fields.get("tone") or "plain",
                "length": fields.get("length") or "medium", "language": fields.get("language") or "zh"}  # fmt: skip
        job, _ = await self._content.ask(
            who.org_id, kind, form, by=by, drafts=int(fields.get("drafts") or 1), model=fields.get("model", ""),
            job_id=ref,
        )  # fmt: skip
        if name := fields.get("profile_name", "").strip():
            await self._content.save_profile(
                who.org_id, name, given, by=by, profile_id=uuid5(who.org_id, f"content profile {name}")
            )
        return job.id

    async def job(self, who: m.Who, job_id: UUID) -> Mapping[str, Any]:
        job, drafts = await self._content.job(who.org_id, job_id)
        views = [draft_view(one, self._content.checked(one, job.form)) for one in drafts]
        kind = kind_of(job.kind)
        return job_view(job, views) | {"made_at": job.made_at, "title": {"zh": kind.zh, "en": kind.en}}

    async def again(self, who: m.Who, job_id: UUID, ref: str) -> UUID:
        job, _ = await self._content.again(
            who.org_id, job_id, by=actor_of(who).ref, new=UUID(ref) if ref else None
        )  # fmt: skip
        return job.id

    async def draft(self, who: m.Who, draft_id: UUID) -> Mapping[str, Any]:
        draft = await self._content.draft(who.org_id, draft_id)
        job, _ = await self._content.job(who.org_id, draft.job)
        view = draft_view(draft, self._content.checked(draft, job.form))
        return view | {
            "made_at": draft.made_at, "edited_at": draft.edited_at, "pieces": _pieces(draft.text, view["findings"]),
            "paid": await self._paid(draft),
        }  # fmt: skip

    async def _paid(self, draft: Draft) -> Mapping[str, Any] | None:
        """Who paid what by which decision; None for a draft that cost nothing."""
        if draft.state != "done" or draft.receipt_id is None:
            return None
        receipt = await self._modules.gateway.receipt(draft.receipt_id, draft.payer_org)
        return {
            "name": await self._content.payer_name(draft), "own": draft.payer == "own", "micro": draft.paid_micro,
            "receipt": draft.receipt_id, "trace": self._content.why_paid(draft),
            "lines": [{"bucket": one.bucket, "tokens": one.tokens} for one in receipt.lines],
        }  # fmt: skip

    async def edit(self, who: m.Who, draft_id: UUID, title: str, text: str) -> None:
        await self._content.edit(who.org_id, draft_id, title, text)

    async def drop(self, who: m.Who, draft_id: UUID) -> None:
        await self._content.drop(who.org_id, draft_id)

    async def drop_profile(self, who: m.Who, profile: UUID) -> None:
        await self._content.drop_profile(who.org_id, profile)

    async def file(self, who: m.Who, draft_id: UUID, form: str) -> tuple[bytes, str]:
        draft = await self._content.draft(who.org_id, draft_id)
        if form not in FORMATS or draft.state != "done":
            raise UnknownContent("file", "文件")
        labels = self._modules.hub.labels
        return exported(labels, form, str(draft.id), draft.title, draft.text, draft.model), FORMATS[form]

    async def city(self, who: m.Who) -> Mapping[str, Any]:
        return await self._content.city()

    async def set_city(self, who: m.Who, org: str, model: str) -> None:
        org_id = await self._modules.programmes.find(org.strip()) if org.strip() else None
        await self._content.set_city(org_id, by=actor_of(who).ref, model=model)


def _pieces(text: str, found: Sequence[Mapping[str, Any]]) -> list[tuple[str, int | None]]:
    """A text cut where something was found in it; findings count from 1."""
    pieces: list[tuple[str, int | None]] = []
    at = 0
    for number, one in enumerate(found, 1):
        pieces += [(text[at : one["start"]], None), (text[one["start"] : one["end"]], number)]
        at = one["end"]
    return [piece for piece in [*pieces, (text[at:], None)] if piece[0]]
