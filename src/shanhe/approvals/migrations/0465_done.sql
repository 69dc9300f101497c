-- What two people agreed to is done, or refused with its reason; until then it is tried again and shows why it waits.
ALTER TABLE approvals.request
  ADD COLUMN tries      integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
  ADD COLUMN next_at    timestamptz,             -- when it is tried again by itself; none: only when somebody asks for it
  ADD COLUMN held_until timestamptz,             -- somebody is at it; after this they are not any more
  ADD COLUMN fault      text NOT NULL DEFAULT '', -- code of what stood in its way the last time
  ADD COLUMN fault_zh   text NOT NULL DEFAULT '', -- said in words; sealed where the request is a person's matter
  ADD COLUMN fault_en   text NOT NULL DEFAULT '',
  ADD COLUMN ended_at   timestamptz;

DO $$
DECLARE found text;
BEGIN
  SELECT conname INTO STRICT found FROM pg_constraint
   WHERE conrelid = 'approvals.request'::regclass AND contype = 'c'
     AND pg_get_constraintdef(oid) LIKE '%expired%' AND pg_get_constraintdef(oid) NOT LIKE '%decided%';
  EXECUTE format('ALTER TABLE approvals.request DROP CONSTRAINT %I', found);
END $$;
ALTER TABLE approvals.request DROP CONSTRAINT request_decided_by_another;

-- What was agreed to before this had its deed at once; a reversal that still waits for its own is tried now.
UPDATE approvals.request SET state = 'done', ended_at = decided_at
 WHERE state = 'approved'
   AND id NOT IN (SELECT request_id FROM approvals.glass_reversal WHERE state = 'open');
UPDATE approvals.request SET next_at = decided_at WHERE state = 'approved';

ALTER TABLE approvals.request
  ADD CONSTRAINT request_state
    CHECK (state IN ('open', 'approved', 'done', 'refused', 'rejected', 'withdrawn', 'expired')),
  ADD CONSTRAINT request_decided_by_another
    CHECK (state NOT IN ('approved', 'done', 'refused', 'rejected') OR (decided_by IS NOT NULL
           AND (decided_by <> requested_by OR (state <> 'rejected' AND glass IS NOT NULL)))),
  ADD CONSTRAINT request_ended CHECK ((state IN ('done', 'refused')) = (ended_at IS NOT NULL)),
  ADD CONSTRAINT request_refused_says_why CHECK (state <> 'refused' OR fault <> ''),
  ADD CONSTRAINT request_waits_while_agreed
    CHECK (state = 'approved' OR (next_at IS NULL AND held_until IS NULL));

CREATE INDEX request_undone ON approvals.request (next_at) WHERE state = 'approved';

-- What was asked stays as it was asked, what was decided as it was decided, and an end is an end.
CREATE FUNCTION approvals.guard_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.kind, NEW.subject, NEW.payload, NEW.requested_by, NEW.requested_at)
     IS DISTINCT FROM (OLD.id, OLD.kind, OLD.subject, OLD.payload, OLD.requested_by, OLD.requested_at)
     OR OLD.state <> 'open' AND (NEW.decided_by, NEW.decided_at, NEW.glass)
        IS DISTINCT FROM (OLD.decided_by, OLD.decided_at, OLD.glass)
     OR NEW.state <> OLD.state AND NOT (OLD.state = 'open' AND NEW.state <> 'refused'
        OR OLD.state = 'approved' AND NEW.state IN ('done', 'refused'))
  THEN
    RAISE EXCEPTION 'a request stays as it was asked and decided' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stays_as_decided BEFORE UPDATE ON approvals.request
  FOR EACH ROW EXECUTE FUNCTION approvals.guard_request();
