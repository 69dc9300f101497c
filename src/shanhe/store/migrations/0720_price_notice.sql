-- A version that costs its users more is approved, told of, and offered when its notice is over; until then they pay the price before.
ALTER TABLE store.version
  ADD COLUMN starts_on  date,                   -- of a version that is announced: the day from which it is offered
  ADD COLUMN offered_at timestamptz;            -- since when callers got it; what they paid last is known by it
ALTER TABLE store.version DROP CONSTRAINT version_state_check, DROP CONSTRAINT version_check1;
ALTER TABLE store.version
  ADD CONSTRAINT version_state_check
    CHECK (state IN ('draft', 'submitted', 'announced', 'approved', 'rejected', 'retired')),
  ADD CONSTRAINT version_decided
    CHECK ((state IN ('announced', 'approved', 'rejected', 'retired')) = (decided_at IS NOT NULL)),
  ADD CONSTRAINT version_announced CHECK (state <> 'announced' OR (starts_on IS NOT NULL AND offered_at IS NULL));
CREATE UNIQUE INDEX version_announced_one ON store.version (listing) WHERE state = 'announced';
CREATE INDEX version_due ON store.version (starts_on) WHERE state = 'announced';

CREATE OR REPLACE FUNCTION store.version_goes(was text, becomes text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT was = becomes OR (was, becomes) IN (('draft', 'submitted'), ('submitted', 'draft'), ('submitted', 'approved'),
    ('submitted', 'announced'), ('submitted', 'rejected'), ('announced', 'approved'), ('announced', 'retired'), ('approved', 'retired'))
$$;

CREATE OR REPLACE FUNCTION store.version_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'draft' AND NOT (NEW.content ? E'\x1e' AND NOT OLD.content ? E'\x1e')
    AND (NEW.content, NEW.terms, NEW.n, NEW.listing) IS DISTINCT FROM (OLD.content, OLD.terms, OLD.n, OLD.listing)
  THEN RAISE EXCEPTION 'a version that was submitted does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF NOT store.version_goes(OLD.state, NEW.state)
  THEN RAISE EXCEPTION 'a version can''t go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation'; END IF;
  IF OLD.state = 'announced' AND NEW.state = 'announced' AND NEW.starts_on < OLD.starts_on
  THEN RAISE EXCEPTION 'a notice does not get shorter' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION store.version_is_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'draft' AND OLD.content <> '{}'
    AND NOT EXISTS (SELECT FROM store.listing l WHERE l.id = OLD.listing AND l.state = 'withdrawn')
    OR (NEW.n, NEW.listing) IS DISTINCT FROM (OLD.n, OLD.listing)
    OR OLD.state <> 'draft' AND NEW.terms IS DISTINCT FROM OLD.terms
  THEN RAISE EXCEPTION 'a version that was submitted does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF NOT store.version_goes(OLD.state, NEW.state)
  THEN RAISE EXCEPTION 'a version can''t go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;

-- What a version changes is read by everybody from now on; what was written before that was said stays between maker and reviewer.
ALTER TABLE store.version ADD COLUMN notes_public boolean NOT NULL DEFAULT false;
ALTER TABLE store.version ALTER COLUMN notes_public SET DEFAULT true;

UPDATE store.version SET offered_at = decided_at WHERE state IN ('approved', 'retired');
ALTER TABLE store.version ADD CONSTRAINT version_offered_at CHECK (state <> 'approved' OR offered_at IS NOT NULL);
