-- What moved on each account up to a close, so that a trial balance counts only what came after it. Closes of before have none.
ALTER TABLE ledger.period_balance ADD COLUMN debits bigint, ADD COLUMN credits bigint,
  ADD CONSTRAINT turnover CHECK (balance = credits - debits AND (debits IS NULL) = (credits IS NULL));
