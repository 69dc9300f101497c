-- Evidence of a person's facts is sealed with their key, in the same column.
ALTER TABLE facts.fact DROP CONSTRAINT fact_evidence_check;
ALTER TABLE facts.fact ADD CONSTRAINT fact_evidence_check CHECK (length(evidence) <= 4000);

-- Sealing what was written before says nothing new: the one change that is let through, and it says so in its transaction.
CREATE OR REPLACE FUNCTION facts.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND current_setting('shanhe.resealing', true) = 'on' THEN RETURN NULL; END IF;
  RAISE EXCEPTION 'facts.fact is append-only: publish a correction' USING ERRCODE = 'restrict_violation';
END $$;
