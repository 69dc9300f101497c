-- When the bytes of a deleted file, and the answers that a batch's results hold, are gone: whoever deletes a row may end before
-- its bytes are deleted. What was deleted before this is looked at once more.
ALTER TABLE batches.file ADD COLUMN bytes_gone_at timestamptz;
ALTER TABLE batches.batch ADD COLUMN answers_gone_at timestamptz;
CREATE INDEX file_bytes_to_go ON batches.file (id) WHERE deleted_at IS NOT NULL AND bytes_gone_at IS NULL;
CREATE INDEX batch_answers_to_go ON batches.batch (id) WHERE ended_at IS NOT NULL AND answers_gone_at IS NULL;
