"""Content as it is shown over HTTP and on the command line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shanhe.content.kinds import everything, required
from shanhe.content.model import Draft, Finding, Job, Profile, Standing

HIDDEN = ("written", "key_id", "decision")


def kinds_view() -> dict[str, Any]:
    """What the hub writes and what each form asks."""
    known = everything()
    return {
        "kinds": [
            {"id": name, "zh": kind.zh, "en": kind.en, "about": msgspec.to_builtins(kind.about),
             "fields": [msgspec.to_builtins(known.fields[field]) | {
                 "id": field, "required": required(kind, field, known.fields[field])} for field in kind.fields]}
            for name, kind in known.kinds.items()
        ],
        "tones": msgspec.to_builtins(known.tones), "lengths": msgspec.to_builtins(known.lengths),
    }  # fmt: skip


def standing_view(one: Standing) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(one, enc_hook=str)
    return found


def profile_view(one: Profile) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(one, enc_hook=str)
    return found


def draft_view(one: Draft, found: Sequence[Finding] = ()) -> dict[str, Any]:
    """A draft with what was found in it; what the model said word for word and whose key it was stay inside."""
    shown: dict[str, Any] = msgspec.to_builtins(one, enc_hook=str)
    kind = everything().kinds.get(one.kind)  # one that is no longer written keeps its drafts
    title = {"zh": kind.zh, "en": kind.en} if kind is not None else {"zh": one.kind, "en": one.kind}
    return {key: value for key, value in shown.items() if key not in HIDDEN} | {
        "kind_title": title, "edited": one.edited_at is not None,
        "findings": msgspec.to_builtins(list(found)),
    }  # fmt: skip


def job_view(one: Job, drafts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(one, enc_hook=str)
    return found | {"open": any(draft["state"] in ("waiting", "writing") for draft in drafts), "drafts": list(drafts)}
