"""`shanhe bench knowledge`: a city of its own, its documents in a knowledge base, and labelled questions about them.

Everything goes over HTTP with an API key, as anybody's would: uploaded, read, embedded by the built-in model, asked.
The threshold below which nothing is answered is chosen on every second question; the others are judged.
"""

from __future__ import annotations

import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from shanhe.bench import corpus
from shanhe.bench.city import City, running_city
from shanhe.bench.errors import BenchError
from shanhe.kernel.money import format_credits
from shanhe.programmes.api import load_catalogue
from shanhe.rulebook.api import Rulebook

ORG: Final = "knowledge bench"
WAIT_MAX_S: Final = 900.0
ANSWER_MAX_S: Final = 600.0
TARGETS: Final = {"recall_at_5": 0.9, "declined": 0.8}
Q = dict[str, str]


def questions() -> list[Q]:
    """The labelled questions; those without a document have no answer."""
    given = yaml.safe_load((files("shanhe.bench") / "questions.yaml").read_text(encoding="utf-8"))
    names = {"policies": corpus.POLICIES, "services": corpus.SERVICES}
    found = [
        {"asked": asked, "document": names[part], "contains": said} for part in names for asked, said in given[part]
    ]
    found += [
        {"asked": asked, "document": name, "contains": said}
        for part in ("pages", "notices")
        for name, asked, said in given[part]
    ]
    return spread(found, [{"asked": asked, "document": "", "contains": ""} for asked in given["nothing"]])


def spread(able: list[Q], unable: list[Q]) -> list[Q]:
    """The unanswerable in pairs among the others, so that every second question is a fair half of both."""
    found: list[Q] = []
    step = max(1, len(able) * 2 // max(1, len(unable)))
    for at in range(0, len(able), step):
        found += able[at : at + step]
        found += unable[at // step * 2 : at // step * 2 + 2]
    return found + unable[-(-len(able) // step) * 2 :]


def main(pages: Path, model: str = "") -> dict[str, Any]:
    """Start a city in a temporary folder, fill it, ask, remove it. `model`: also let this one write answers."""
    rulebook = Rulebook.load()
    documents = corpus.documents(rulebook, load_catalogue(rulebook), pages)
    with (
        tempfile.TemporaryDirectory(prefix="shanhe-bench-") as folder,
        running_city(Path(folder) / "city", with_model=True) as city,
        client(city) as http,
    ):
        return measured(http, documents, model)


def client(city: City) -> httpx.Client:
    """An organisation with a key of its own."""
    city.command("orgs", "create", ORG)
    key = city.command("keys", "create", "--org", ORG, "--permission", "publish", "--permission", "receipts")
    city.command("credits", "top-up", ORG, "1000")
    return httpx.Client(
        base_url=city.url, headers={"authorization": f"Bearer {key['token']}"}, timeout=ANSWER_MAX_S, trust_env=False
    )


def measured(http: httpx.Client, documents: dict[str, bytes], model: str) -> dict[str, Any]:
    base = asked(http.post("/api/knowledge", json={"name": "山河市资料"}))["id"]
    began = time.monotonic()
    for name, data in documents.items():
        asked(http.post("/api/knowledge/documents", params={"base": base, "file": name}, content=data))
    filled = waited(http, base)
    seconds = time.monotonic() - began
    labelled = questions()
    asked(http.put(f"/api/knowledge/{base}/questions", json={"questions": labelled}))
    judged = asked(http.post(f"/api/knowledge/{base}/evaluations", json={"calibrate": True}))
    whole = asked(http.post(f"/api/knowledge/{base}/evaluations", json={"model": model}))
    wrong = [
        one["asked"]
        for one, row in zip(labelled, whole["result"]["questions"], strict=True)
        if (one["document"] and not row["rank"]) or (not one["document"] and not row["declined"])
    ]
    return {
        "documents": len(documents), "pages": filled["pages"], "passages": filled["passages"],
        "index_s": round(seconds, 1), "index_credits": format_credits(filled["paid_micro"]),
        "model": model or "quotes", "support_bps": whole["result"]["support_bps"], "targets": TARGETS,
        "held_out": figures(judged), "all": figures(whole), "missed": wrong,
    }  # fmt: skip


def figures(made: dict[str, Any]) -> dict[str, Any]:
    """An evaluation in parts of one."""
    rows = made["result"]["questions"]
    answered = [row for row in rows if row["answerable"] and not row["declined"]]
    return {
        "questions": made["asked"], "answerable": made["answerable"], "recall_at_5": made["found_bps"] / 10_000,
        "declined": made["declined_bps"] / 10_000, "citation_precision": made["cited_bps"] / 10_000,
        "answered": round(len(answered) / max(1, made["answerable"]), 4),
        "with_page_and_box": all(one["page"] > 0 and len(one["box"]) == 4 for row in answered for one in row["cited"])
        and all(row["cited"] for row in answered),
        "credits": format_credits(made["paid_micro"]),
    }  # fmt: skip


def waited(http: httpx.Client, base: str) -> dict[str, Any]:
    """The base when all its documents are ready; BenchError when one failed, or it takes too long."""
    until = time.monotonic() + WAIT_MAX_S
    while time.monotonic() < until:
        found: dict[str, Any] = asked(http.get(f"/api/knowledge/{base}"))
        failed = [one for one in found["documents_list"] if one["state"] == "failed"]
        if failed:
            raise BenchError(f"{failed[0]['name']} could not be read: {failed[0]['error']}")
        if not found["open"]:
            return found
        time.sleep(1.0)
    raise BenchError(f"the documents were not ready within {WAIT_MAX_S:.0f} s")


def asked(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise BenchError(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text[:500]}")
    return answer.json()


def shown(found: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{found['documents']} documents, {found['pages']} pages, {found['passages']} passages; indexed in "
        f"{found['index_s']} s for {found['index_credits']} credits; answers: {found['model']}"
    ]
    for name, title in (("held_out", "questions the threshold was not chosen on"), ("all", "all questions")):
        one = found[name]
        lines.append(
            f"{title}: {one['questions']} ({one['answerable']} answerable)  recall@5 {one['recall_at_5']:.3f}  "
            f"unanswerable declined {one['declined']:.3f}  answerable answered {one['answered']:.3f}  "
            f"citation precision {one['citation_precision']:.3f}  each with page and box: {one['with_page_and_box']}"
        )
    return "\n".join([*lines, f"missed: {'、'.join(found['missed']) or 'none'}"])
