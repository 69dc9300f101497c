-- Mandates that a rule for automatic top-up had and needs no more, until the payer's provider knows it: whoever replaces or
-- disables a rule may end before it is told.
ALTER TABLE credits.auto_top_up ADD COLUMN withdrawn uuid[] NOT NULL DEFAULT '{}';
CREATE INDEX auto_top_up_withdrawn ON credits.auto_top_up (org_id) WHERE withdrawn <> '{}';

-- A try is counted before it is looked at, and given back where the code was right: guesses that come at once are as few.
ALTER TABLE credits.code_try DROP CONSTRAINT code_try_failures_check;
ALTER TABLE credits.code_try ADD CONSTRAINT code_try_failures_check CHECK (failures >= 0);
