-- A contest is decided by somebody who neither called it nor chose its jury, and it stays known whose points counted.
ALTER TABLE store.contest_juror
  ADD COLUMN dismissed_at timestamptz,
  ADD COLUMN dismissed_by text NOT NULL DEFAULT '';

ALTER TABLE store.entry_score ADD COLUMN counted boolean;   -- since the decision: whether the juror still was one, and apart

-- Contests that were decided before keep who decided them; the rule holds for the step from open to decided.
CREATE OR REPLACE FUNCTION store.contest_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.decided_at IS NOT NULL AND (NEW.decided_at, NEW.pool_fen, NEW.id) IS DISTINCT FROM (OLD.decided_at, OLD.pool_fen, OLD.id)
  THEN RAISE EXCEPTION 'a decided contest does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF NEW.created_by <> OLD.created_by
  THEN RAISE EXCEPTION 'who called a contest does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF OLD.decided_at IS NULL AND NEW.decided_at IS NOT NULL AND (NEW.decided_by = NEW.created_by OR EXISTS (
       SELECT FROM store.contest_juror j WHERE j.contest = NEW.id AND NEW.decided_by IN (j.named_by, j.dismissed_by)))
  THEN RAISE EXCEPTION 'who called a contest or chose its jury does not decide it' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
