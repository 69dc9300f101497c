-- Who asked a provider again for a refund, who said that it was paid; who set a batch's value aside, who took its codes
-- out, who ended it. '' is from before it was recorded.
ALTER TABLE credits.refund ADD COLUMN retried_by text, ADD COLUMN paid_by text;
UPDATE credits.refund SET retried_by = '' WHERE attempt > 1;
UPDATE credits.refund SET paid_by = '' WHERE state IN ('paying', 'paid');
ALTER TABLE credits.refund
  ADD CONSTRAINT refund_retried_by_somebody CHECK (attempt = 1 OR retried_by IS NOT NULL),
  ADD CONSTRAINT refund_paid_by_somebody CHECK (state NOT IN ('paying', 'paid') OR paid_by IS NOT NULL);
ALTER TABLE credits.code_batch
  ADD COLUMN funded_by text, ADD COLUMN exported_by text, ADD COLUMN ended_by text;
UPDATE credits.code_batch SET ended_by = '' WHERE state = 'ended';
UPDATE credits.code_batch SET exported_by = '' WHERE state = 'issued';
ALTER TABLE credits.code_batch
  ADD CONSTRAINT code_batch_exported_by_somebody CHECK (state <> 'issued' OR exported_by IS NOT NULL),
  ADD CONSTRAINT code_batch_ended_by_somebody CHECK (state <> 'ended' OR ended_by IS NOT NULL);
