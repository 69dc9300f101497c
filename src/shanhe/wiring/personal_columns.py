"""Every column in which a text of a person may stand, and as what it is sealed: the one list of them.

New rows are sealed by the module that writes them; what stood there before is sealed once, from this list.
"""

from __future__ import annotations

from typing import Final

from shanhe.kernel.resealing import Place

ID: Final = {"id": "uuid"}
ORG: Final = "t.org_id"
LISTING_OWNER: Final = "(SELECT l.owner FROM store.listing l WHERE l.id = t.listing)"
BASE_OWNER: Final = "(SELECT b.org_id FROM retrieval.base b WHERE b.id = t.base_id)"
WORKFLOW_OWNER: Final = "(SELECT w.org_id FROM workflows.workflow w WHERE w.id = t.workflow)"
PLACES: Final = (
    Place("agents.thumb", {"run": "uuid"}, ORG, {
        "word": "agents.thumb.word", "question": "agents.thumb.question", "answer": "agents.thumb.answer",
    }),
    Place("credits.alert", ID, ORG, {"name": "alert.name"}),
    Place("content.profile", ID, ORG, {"name": "content.profile.name"}, {"fields": "content.profile.fields"}),
    Place("content.job", ID, ORG, {}, {"form": "content.job.form"}),
    Place("content.draft", ID, ORG, {"title": "content.draft.title", "text": "content.draft.text"},
          {"written": "content.draft.written"}),
    Place("credits.purchase", ID, ORG, {"reason": "purchase.reason"}),
    Place("credits.refund", ID, ORG, {"reason": "refund.reason"}),
    Place("credits.invoice", ID, ORG, {
        "title": "invoice.title", "tax_number": "invoice.tax_number", "email": "invoice.email",
        "reason": "invoice.reason",
    }),
    Place("credits.dispute", ID, ORG, {
        "reason": "dispute.reason", "evidence": "dispute.evidence", "answer": "dispute.answer",
    }),
    Place("credits.estate", ID, ORG, {"reason": "estate.reason"}, {"documents": "estate.documents"}),
    Place("exchange.withdrawal", ID, ORG, {
        "payee": "exchange.withdrawal.payee", "reference": "exchange.withdrawal.reference",
    }),
    Place("exchange.dispute", ID, ORG, {"text": "exchange.dispute.text", "answer": "exchange.dispute.answer"}),
    Place("exchange.remedy", ID, "(SELECT d.org_id FROM exchange.dispute d WHERE d.id = t.dispute_id)",
          {"reason": "exchange.remedy.reason"}),
    Place("approvals.request", ID, "t.about", {
        "reason": "approvals.request.reason", "fault_zh": "approvals.request.fault",
        "fault_en": "approvals.request.fault",
    }),
    Place("approvals.glass", ID, "t.person_id", {
        "reason": "approvals.glass.reason", "findings": "approvals.glass.findings",
    }, of_person=True),
    Place("filings.complaint", ID, ORG, {
        "text": "filings.complaint.text", "answer": "filings.complaint.answer",
        "appeal": "filings.complaint.appeal", "final_answer": "filings.complaint.final_answer",
    }),
    Place("filings.event", ID, ORG, {"text": "filings.event.text"}),
    Place("identity.api_key", ID, ORG, {"name": "key.name", "revoked_reason": "api_key.revoked_reason"}),
    Place("identity.leak", ID, "(SELECT k.org_id FROM identity.api_key k WHERE k.id = t.key_id)",
          {"note": "leak.note"}),
    Place("identity.organisation", ID, "t.id", {"frozen_reason": "organisation.frozen_reason"}),
    Place("identity.passkey", ID, "t.person_id", {"name": "passkey.name"}, of_person=True),
    Place("credentials.credential", ID, "t.person_id", {"reason": "credential.reason"}, of_person=True),
    Place("payments.payout", ID, ORG, {"reason": "payout.reason"}),
    Place("payments.payee", ID, "t.person_id", {"check_ref": "payee.check_ref"}, of_person=True),
    Place("facts.fact", ID, "t.subject", {"evidence": "fact.evidence"}, of_person=True),
    Place("nomads.venue", ID, ORG, {"name": "nomads.venue.name", "address": "nomads.venue.address"}),
    Place("ip.entry", ID, ORG, {
        "number": "ip.entry.number", "title": "ip.entry.title", "abstract": "ip.entry.abstract",
        "office": "ip.entry.office", "reason": "ip.entry.reason",
    }),
    Place("science.deposit", ID, ORG, {"retraction": "science.deposit.retraction"}),
    Place("science.version", {"deposit": "uuid", "n": "int"},
          "(SELECT d.org_id FROM science.deposit d WHERE d.id = t.deposit)", {
        "title": "science.version.title", "abstract": "science.version.abstract", "link": "science.version.link",
    }),
    Place("science.reuse", ID, ORG, {"ref": "science.reuse.ref", "reason": "science.reuse.reason"}),
    Place("store.listing", ID, "t.owner", {
        "title_zh": "store.listing.title_zh", "title_en": "store.listing.title_en",
        "summary_zh": "store.listing.summary_zh", "summary_en": "store.listing.summary_en",
    }),
    Place("store.version", ID, LISTING_OWNER, {
        "notes": "store.version.notes", "decision": "store.version.decision",
    }, {"content": "store.version.content", "checks": "store.version.checks", "words": "store.version.words"}),
    Place("store.move", ID, LISTING_OWNER, {"reason": "store.move.reason"}),
    Place("store.rating", {"listing": "uuid", "org_id": "uuid"}, ORG, {"text": "store.rating.text"}),
    Place("store.reply", {"rating": "uuid"}, ORG, {"text": "store.reply.text"}),
    Place("store.jury", {"listing": "uuid", "juror": "text"}, LISTING_OWNER, {"note": "store.jury.note"}),
    Place("board.post", ID, ORG, {
        "title": "board.post.title", "text": "board.post.text", "asks": "board.post.asks",
        "removed_why": "board.post.removed_why",
    }),
    Place("board.vector", {"post": "uuid"}, "(SELECT p.org_id FROM board.post p WHERE p.id = t.post)",
          {"vector": "board.vector.vector"}),
    Place("board.word", {"match": "uuid", "n": "int"}, ORG, {"text": "board.word.text"}),
    Place("store.entry", ID, ORG, {"work": "store.entry.work"}),
    Place("store.entry_score", {"entry": "uuid", "juror": "uuid"},
          "(SELECT e.org_id FROM store.entry e WHERE e.id = t.entry)", {"note": "store.entry_score.note"}),
    Place("mcp.tool", {"server": "text", "version": "int", "name": "text"},
          "(SELECT l.owner FROM store.listing l WHERE l.kind = 'mcp' AND l.slug = t.server)",
          {"description": "mcp.tool.description"}, {"schema": "mcp.tool.schema", "about": "mcp.tool.about"}),
    Place("trials.cases", {"org_id": "uuid", "agent": "text"}, ORG, {}, {"cases": "trials.cases"}),
    Place("trials.report", ID, ORG, {"reason": "trials.report.reason"}, {"answers": "trials.report.answers"}),
    Place("gateway.tag", {"org_id": "uuid", "id": "uuid"}, ORG, {"name": "gateway.tag.name"}),
    Place("webhooks.endpoint", ID, ORG, {}, {"address": "webhooks.endpoint.address"}),
    Place("workflows.workflow", ID, ORG, {"title": "workflows.workflow.title"}),
    Place("workflows.version", {"workflow": "uuid", "n": "int"}, WORKFLOW_OWNER, {},
          {"definition": "workflows.version.definition"}),
    Place("workflows.run", ID, ORG, {}, {
        "course": "workflows.run.course", "result": "workflows.run.result", "why": "workflows.run.why",
    }),
    Place("workflows.step", {"run": "uuid", "n": "int"},
          "(SELECT r.org_id FROM workflows.run r WHERE r.id = t.run)", {}, {"answer": "workflows.answer"}),
    Place("workflows.approval", ID, ORG, {
        "shows": "workflows.approval.shows", "note": "workflows.approval.note",
    }),
    Place("workflows.schedule", {"workflow": "uuid"}, WORKFLOW_OWNER, {}, {"given": "workflows.schedule.given"}),
    Place("studio.job", ID, ORG, {"rubric": "studio.job.rubric"}),
    Place("datasets.dataset", ID, ORG, {
        "name": "datasets.name", "licence": "datasets.licence", "note": "datasets.note",
    }),
    Place("datasets.version", ID, "(SELECT d.org_id FROM datasets.dataset d WHERE d.id = t.dataset_id)", {},
          {"recipe": "datasets.recipe", "report": "datasets.report"}),
    Place("batches.file", ID, ORG, {"name": "batches.file.name"}),
    Place("batches.batch", ID, ORG, {}, {"metadata": "batches.metadata", "errors": "batches.errors"}),
    Place("batches.line", {"batch_id": "uuid", "at": "int"},
          "(SELECT b.org_id FROM batches.batch b WHERE b.id = t.batch_id)", {"custom_id": "batches.line.custom_id"}),
    Place("retrieval.base", ID, ORG, {"name": "retrieval.name", "secret": "retrieval.secret"}),
    Place("retrieval.document", ID, BASE_OWNER, {"name": "retrieval.file_name"}),
    Place("retrieval.chunk", ID, BASE_OWNER, {
        "place": "retrieval.place", "heading": "retrieval.heading", "text": "retrieval.text",
        "sealed": "retrieval.vector",
    }),
    Place("retrieval.embedded", {"document_id": "uuid", "source": "bytea"},
          "(SELECT b.org_id FROM retrieval.base b JOIN retrieval.document d ON d.base_id = b.id"
          " WHERE d.id = t.document_id)", {"sealed": "retrieval.vector"}),
    Place("retrieval.question", ID, BASE_OWNER, {
        "asked": "retrieval.question", "document": "retrieval.question", "contains": "retrieval.question",
    }),
)  # fmt: skip
