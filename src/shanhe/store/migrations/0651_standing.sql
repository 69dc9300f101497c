-- A listing that the city takes out of the store stands apart from one that its maker withdrew, and each move says who and why.
ALTER TABLE store.listing DROP CONSTRAINT listing_state_check;
ALTER TABLE store.listing ADD CONSTRAINT listing_state_check
  CHECK (state IN ('draft', 'listed', 'deprecated', 'withdrawn', 'removed'));

CREATE TABLE store.move (
  id       uuid PRIMARY KEY,
  listing  uuid NOT NULL REFERENCES store.listing,
  was      text NOT NULL,
  becomes  text NOT NULL,
  reason   text NOT NULL CHECK (length(reason) <= 5000),   -- a person's listing: sealed, as it is about them
  moved_at timestamptz NOT NULL,
  moved_by text NOT NULL,
  CHECK (was <> becomes)
);
CREATE INDEX move_listing ON store.move (listing, moved_at);

CREATE FUNCTION store.move_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.id, NEW.listing, NEW.was, NEW.becomes, NEW.moved_at, NEW.moved_by) IS DISTINCT FROM
     (OLD.id, OLD.listing, OLD.was, OLD.becomes, OLD.moved_at, OLD.moved_by)
  THEN RAISE EXCEPTION 'what became of a listing stays on record' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER move_stands BEFORE UPDATE ON store.move FOR EACH ROW EXECUTE FUNCTION store.move_stands();
SELECT kernel.watch('store.move', 'was, becomes, moved_by');

-- Words that a listing is called by once the version is approved; none: it is called as before.
ALTER TABLE store.version ADD COLUMN words jsonb NOT NULL DEFAULT '{}';

CREATE FUNCTION store.words_stand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a version that was submitted does not change' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER words_stand BEFORE UPDATE ON store.version FOR EACH ROW
  WHEN (OLD.state <> 'draft' AND NEW.content <> '{}' AND NEW.words <> OLD.words) EXECUTE FUNCTION store.words_stand();
