"""Proposals, scores, projects and duties as plain data, with words in both languages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shanhe.governance.model import Duty, File, Project, Proposal, Score, duties
from shanhe.governance.sampling import Sample


def _words(text: Any) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def proposal_view(one: Proposal) -> dict[str, Any]:
    """A proposal with who decides it now; who proposed stays an id."""
    known = duties()
    voting = one.state == "voting"
    return {
        "id": one.id, "matter": one.matter, "matter_title": _words(known.matters[one.matter]), "title": one.title,
        "why": one.why, "rule": one.rule_id, "department": _words(known.departments[one.department]),
        "state": one.state, "step": one.step + 1 if voting else None, "steps": len(one.path),
        "path": [{"by": _words(known.departments[one.at(i)]), "eyes": step.eyes, "days": step.days}
                 for i, step in enumerate(one.path)],
        "with": _words(known.departments[one.at(one.step)]) if voting else None, "due": one.step_due,
        "veto": one.veto, "discuss_until": one.discuss_until, "announced_on": one.announced_on,
        "veto_until": one.veto_until, "effective_on": one.effective_on, "proposed_at": one.proposed_at,
        "reason": one.reason,
    }  # fmt: skip


def file_view(file: File) -> dict[str, Any]:
    """A proposal with everything about it."""
    return {
        **proposal_view(file.proposal), "content": file.proposal.content, "changes": list(file.changes),
        "votes": [{"step": one.step + 1, "vote": one.vote, "reason": one.reason, "at": one.at} for one in file.votes],
        "comments": [{"text": one.text, "at": one.at} for one in file.comments], "comments_next": file.following,
        "history": [{"at": row["at"], "event": row["event"], "details": row["details"]} for row in file.history],
    }  # fmt: skip


def score_view(score: Score) -> dict[str, Any]:
    return asdict(score) | {"behind": score.behind}


def project_view(project: Project) -> dict[str, Any]:
    return asdict(project) | {"department": _words(duties().departments[project.department])}


def duty_view(duty: Duty) -> dict[str, Any]:
    return asdict(duty)


def sample_view(sample: Sample, *, named: bool = False) -> dict[str, Any]:
    """What an experiment is judged by. Which organisations were drawn is for operators; their figures are for all."""
    cases = [
        {"treated": one.treated, "before": one.before, "during": one.during, "change": one.change}
        | ({"org_id": one.org_id} if named else {})
        for one in sample.cases
    ]
    return asdict(sample) | {"cases": cases}
