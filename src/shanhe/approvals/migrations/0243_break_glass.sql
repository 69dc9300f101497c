-- Break-glass: one person does alone, in an emergency, what takes two. The opening is written before anything is done under
-- it; each act, its review and what follows from it stay. Reason and findings are sealed with the opener's key.
CREATE TABLE approvals.glass (
  id          uuid PRIMARY KEY,
  person_id   uuid NOT NULL,                 -- who opened it: always a person, never a key
  class       text NOT NULL CHECK (class ~ '^[a-z][a-z0-9_.]{1,62}$'),
  object      text NOT NULL CHECK (object ~ '^[A-Za-z0-9_.:-]{1,80}$'),
  reason      text NOT NULL CHECK (length(reason) >= 1),
  factor      text NOT NULL CHECK (factor IN ('totp', 'passkey')),
  opened_at   timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL,
  cap_fen     bigint NOT NULL CHECK (cap_fen >= 0),
  spent_fen   bigint NOT NULL DEFAULT 0,
  review_due  timestamptz NOT NULL,
  rule_version text NOT NULL,
  ended_at    timestamptz,
  reviewed_by uuid,
  reviewed_at timestamptz,
  justified   boolean,
  follow_up   text CHECK (follow_up IN ('none', 'procedure', 'staffing', 'rights', 'reversal')),
  findings    text NOT NULL DEFAULT '',
  overdue_told_at timestamptz,
  CHECK (expires_at > opened_at AND review_due > opened_at),
  CHECK (spent_fen BETWEEN 0 AND cap_fen),
  CHECK (reviewed_by <> person_id),
  CHECK (num_nonnulls(reviewed_by, reviewed_at, justified, follow_up) IN (0, 4)),
  CHECK (reviewed_at IS NULL OR ended_at IS NOT NULL)
);
-- Nobody has two of them, and nobody opens one while an earlier one waits for its review.
CREATE UNIQUE INDEX glass_unreviewed ON approvals.glass (person_id) WHERE reviewed_at IS NULL;
CREATE INDEX glass_opened ON approvals.glass (person_id, opened_at);
CREATE INDEX glass_open ON approvals.glass (expires_at) WHERE ended_at IS NULL;

CREATE TABLE approvals.glass_act (
  id        uuid PRIMARY KEY,                -- the request agreed to, the payout, or the reading
  glass_id  uuid NOT NULL REFERENCES approvals.glass,
  n         integer NOT NULL CHECK (n >= 1),
  class     text NOT NULL,
  object    text NOT NULL,
  value_fen bigint NOT NULL CHECK (value_fen >= 0),
  posting   uuid,                            -- where it is booked; none of a reading
  trace     jsonb NOT NULL,
  at        timestamptz NOT NULL,
  UNIQUE (glass_id, n)
);

CREATE FUNCTION approvals.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'approvals.% is append-only: % is refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON approvals.glass_act
  FOR EACH STATEMENT EXECUTE FUNCTION approvals.refuse_change();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON approvals.glass
  FOR EACH STATEMENT EXECUTE FUNCTION approvals.refuse_change();

-- What was opened stays as it was: only its end, what was spent, and one review are written later.
CREATE FUNCTION approvals.guard_glass() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.person_id, NEW.class, NEW.object, NEW.factor, NEW.opened_at, NEW.expires_at, NEW.cap_fen, NEW.review_due)
     IS DISTINCT FROM
     (OLD.id, OLD.person_id, OLD.class, OLD.object, OLD.factor, OLD.opened_at, OLD.expires_at, OLD.cap_fen, OLD.review_due)
     OR NEW.spent_fen < OLD.spent_fen OR OLD.ended_at IS NOT NULL AND NEW.ended_at IS DISTINCT FROM OLD.ended_at
     OR OLD.reviewed_at IS NOT NULL AND (NEW.reviewed_by, NEW.reviewed_at, NEW.justified, NEW.follow_up)
        IS DISTINCT FROM (OLD.reviewed_by, OLD.reviewed_at, OLD.justified, OLD.follow_up)
  THEN
    RAISE EXCEPTION 'what was opened stays as it was' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stays_as_opened BEFORE UPDATE ON approvals.glass FOR EACH ROW EXECUTE FUNCTION approvals.guard_glass();

-- What a review wants undone; a second person agrees to each (a request of that id), then the books are corrected.
CREATE TABLE approvals.glass_reversal (
  act_id   uuid PRIMARY KEY REFERENCES approvals.glass_act,
  request_id uuid NOT NULL UNIQUE REFERENCES approvals.request,
  state    text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'ended')),
  ended_at timestamptz,
  CHECK ((state = 'open') = (ended_at IS NULL))
);

-- A request may be agreed to by who asked for it under an opening, and says so for ever.
ALTER TABLE approvals.request ADD COLUMN glass uuid REFERENCES approvals.glass;
DO $$
DECLARE found text;
BEGIN
  SELECT conname INTO STRICT found FROM pg_constraint
   WHERE conrelid = 'approvals.request'::regclass AND contype = 'c'
     AND pg_get_constraintdef(oid) LIKE '%decided_by <> requested_by%';
  EXECUTE format('ALTER TABLE approvals.request DROP CONSTRAINT %I', found);
END $$;
ALTER TABLE approvals.request ADD CONSTRAINT request_decided_by_another
  CHECK (state NOT IN ('approved', 'rejected') OR (decided_by IS NOT NULL
         AND (decided_by <> requested_by OR (state = 'approved' AND glass IS NOT NULL))));
