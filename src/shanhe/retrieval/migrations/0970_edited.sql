-- Passages that were edited by hand, which a listing's public page asks for: few among all that a base has.
CREATE INDEX CONCURRENTLY chunk_edited ON retrieval.chunk (base_id, edited_at) WHERE edited_at IS NOT NULL;
