-- When something of a base was read last.
CREATE INDEX CONCURRENTLY document_seen ON retrieval.document (base_id, seen_at) WHERE seen_at IS NOT NULL;
