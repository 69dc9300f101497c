"""Wiring of digital clones: consents before every call, what is deleted when one ends, labels, and who says what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from shanhe.agents.api import Depicted, Published, definition_of
from shanhe.clones.api import VOICE, CloneRefused, Clones, Compared, GateClosed, Mandate, Teaching, Trained
from shanhe.datasets.api import NewDataset
from shanhe.kernel.errors import Invalid, NotFound, ShanheError
from shanhe.kernel.labelling import Labels, check_text
from shanhe.kernel.provenance import Provenance
from shanhe.retrieval.api import UnknownBase
from shanhe.store.api import Check, Listing, Version
from shanhe.studio.api import Recipe, gain_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shanhe.agents.api import Agents
    from shanhe.clones.api import Remove
    from shanhe.compute.api import Compute
    from shanhe.datasets.api import Datasets
    from shanhe.kernel.vault import Vault
    from shanhe.retrieval.api import Knowledge
    from shanhe.settings import Settings
    from shanhe.store.api import Store
    from shanhe.studio.api import Comparison, Made, Studio

ACTOR: Final = "clones"
LABEL_SECRET: Final = "aigc-labels"
PROVENANCE_SECRET: Final = "c2pa"
LICENCE: Final = "本人授权 with consent"


def labels_of(settings: Settings, vault: Vault, mark: str = "") -> Labels:
    """What the city labels with: a key of its own, its name, and the mark that its settings say (or `mark`)."""
    return Labels(vault.secret(LABEL_SECRET), settings.city_name, mark or settings.aigc_mark)


def provenance_of(settings: Settings, vault: Vault) -> Provenance:
    """What the city signs sounds with."""
    return Provenance(vault.secret(PROVENANCE_SECRET), settings.city_name)


class Consent:
    """Consents as agents and the store ask for them."""

    teaching: Teaching

    def __init__(self, clones: Clones, compute: Compute, studio: Studio) -> None:
        self._clones = clones
        self._compute = compute
        self._studio = studio

    async def permit(self, clone: Published, purpose: str, means: Sequence[str]) -> Depicted:
        likeness = clone.definition.clone
        if likeness is None:
            raise CloneRefused(clone.name, "it depicts nobody", "未关联本人授权")
        found = await self._clones.permit(clone.name, likeness.mandate, purpose, means)
        return Depicted(found.called, found.id)

    async def checks(self, owner: UUID, content: Mapping[str, object], name: str) -> list[Check]:
        """What a clone needs before it is reviewed: its person's consent to this maker, and what its parts ask for."""
        definition = definition_of(content, "clone")
        likeness = definition.clone
        assert likeness is not None
        found = [await self._consent_check(owner, name, likeness.mandate, bool(likeness.voice))]
        if likeness.adapter and found[0].passed:
            found.append(await self._gate_check(name, owner, likeness.adapter))
        if likeness.voice:
            voice = self._compute.model(likeness.voice)
            if voice is not None and voice.kind == "speech":
                found.append(Check("voice", True, "语音模型可用", "the voice is there"))
            else:
                zh, en = f"没有语音模型 {likeness.voice}", f"there is no speech model {likeness.voice}"
                found.append(Check("voice", False, zh, en))
        return found

    async def _gate_check(self, name: str, owner: UUID, number: int) -> Check:
        """An adapter is offered only if its evaluation passes (T2)."""
        mandate = await self._clones.standing(name, owner)
        gate = await self.teaching.gate(mandate, number)
        if gate is None:
            return Check("gate", False, f"没有第 {number} 版适配器", f"there is no adapter {number}")
        if not gate.passed:
            return Check("gate", False, gate.why_zh, gate.why_en)
        zh = f"评测 {gate.score_bps / 100:g} 分，基座 {gate.base_bps / 100:g}"
        en = f"it scores {gate.score_bps / 100:g}, its base {gate.base_bps / 100:g}"
        if gate.compared is not None:
            asked, number = gate.compared.asked, gate.compared.number
            zh += f"，在用的第 {number} 版 {gate.standing_bps / 100:g}（相同的 {asked} 道题）"
            en += f", version {number} in service {gate.standing_bps / 100:g} (the same {asked} questions)"
        return Check("gate", True, zh, en)

    async def _consent_check(self, owner: UUID, name: str, mandate: UUID, speaks: bool) -> Check:
        try:
            found = await self._clones.permit(name, mandate, "", (VOICE,) if speaks else ())
        except ShanheError as error:
            return Check("consent", False, error.message_zh, error.message)
        if found.org_id != owner:
            return Check("consent", False, "授权不属于该制作方", "the consent was given to somebody else")
        return Check("consent", True, f"本人已授权至 {found.until}", f"the person consents until {found.until}")

    async def ready(self, listing: Listing, version: Version) -> None:
        """Before a clone is offered its consent is looked at once more, and its adapter is put into service."""
        likeness = definition_of(version.content, "clone").clone
        assert likeness is not None
        found = await self._clones.permit(listing.name, likeness.mandate, "")
        if likeness.adapter:
            check = await self._gate_check(listing.name, listing.owner, likeness.adapter)
            if not check.passed:  # another version went into service since this one was handed in
                raise GateClosed(check.zh, check.en)
            await self._studio.deploy(found.model, listing.owner, likeness.adapter, by=ACTOR, reviewed=True)


class Classroom:
    """See `clones.School`."""

    def __init__(
        self, agents: Agents, store: Store, studio: Studio, datasets: Datasets, labels: Labels
    ) -> None:  # fmt: skip
        self._agents = agents
        self._store = store
        self._studio = studio
        self._datasets = datasets
        self._labels = labels

    async def run_of(self, run_id: UUID) -> tuple[str, UUID]:
        run, _ = await self._agents.trace(run_id, None)
        return run.agent, run.org_id

    def genuine(self, text: str, label: Mapping[str, object]) -> str:
        found = check_text(text, label, self._labels.public_key)
        return found.content_id if found.genuine else ""

    async def collect(self, mandate: Mandate, rows: bytes, *, by: str) -> UUID:
        new = NewDataset(mandate.model, "pairs", LICENCE, "consent", note=mandate.name)
        return (await self._datasets.bring(mandate.org_id, new, "feedback.jsonl", rows, by=by)).id

    async def train(self, mandate: Mandate, version_id: UUID, recipe: Mapping[str, object], *, by: str) -> UUID:
        base = definition_of((await self._store.draft_of(mandate.name, mandate.org_id)).version.content, "clone").model
        try:
            against = next((one.number for one in await self._made(mandate) if one.state == "deployed"), 0)
            wanted = msgspec.convert({**recipe, "base": base, "adapter": True, "against": against}, Recipe)
        except msgspec.ValidationError as error:
            raise Invalid("bad_recipe", f"{error}.", message_zh="训练方案有误。") from error
        return (await self._studio.order(mandate.org_id, mandate.model, version_id, wanted, by=by)).id

    async def trained(self, mandate: Mandate) -> list[Trained]:
        made = await self._made(mandate)
        standing = next((one for one in made if one.state == "deployed"), None)
        found = [] if standing is None else await self._studio.comparisons(standing)
        beside = {} if standing is None else dict(_beside(one, standing) for one in reversed(found))
        return [Trained(one.number, one.score_bps, one.base_bps, one.state, beside.get(one.id)) for one in made]

    async def _made(self, mandate: Mandate) -> list[Made]:
        made = [one for one in await self._studio.models(mandate.org_id) if one.name == mandate.model]
        return sorted(made, key=lambda one: -one.number)

    async def offer(self, mandate: Mandate, number: int, *, by: str) -> int:
        now = (await self._store.draft_of(mandate.name, mandate.org_id)).version
        content = {**now.content, "clone": {**now.content["clone"], "adapter": number}}
        notes = f"第 {number} 版适配器 Adapter {number}"
        await self._store.draft(mandate.name, content, now.terms, owner=mandate.org_id, actor=by, notes=notes)
        return (await self._store.submit(mandate.name, owner=mandate.org_id)).n


def _beside(one: Comparison, standing: Made) -> tuple[UUID, Compared]:
    """The other model of a comparison, and how it does beside the one in service."""
    turned = one.model_id == standing.id
    gained, lost = (one.lost, one.gained) if turned else (one.gained, one.lost)
    right, other = (one.against_right, one.model_right) if turned else (one.model_right, one.against_right)
    return one.against_id if turned else one.model_id, Compared(
        standing.number, one.asked, right, one.base_right, other, *gain_of(one.asked, gained, lost)
    )


def removals(store: Store, studio: Studio, knowledge: Knowledge, datasets: Datasets) -> Sequence[Remove]:
    """What deletes a clone, in order: what answers first, the definition that names the rest last."""

    async def models(mandate: Mandate) -> dict[str, int]:
        files, learnt = await studio.destroy(mandate.model, mandate.org_id, by=ACTOR)
        for dataset_id in learnt:
            try:
                await datasets.archive(await datasets.dataset(str(dataset_id), mandate.org_id))
            except NotFound:
                continue
        return {"files": files, "data_sets": len(learnt)}

    async def bases(mandate: Mandate) -> dict[str, int]:
        try:
            contents = await store.contents(mandate.name)
        except NotFound:
            return {}
        names = {str(name) for content in contents for name in content.get("knowledge", ())}
        gone = 0
        for name in sorted(names):
            try:
                await knowledge.destroy(await knowledge.named(mandate.org_id, name))
            except UnknownBase:  # the city's, or gone already
                continue
            gone += 1
        return {"knowledge_bases": gone}

    async def definition(mandate: Mandate) -> dict[str, int]:
        try:
            await store.erase(mandate.name, actor=ACTOR)
        except NotFound:
            return {}
        return {"definitions": 1}

    return (models, bases, definition)
