-- Clones and alliances are ranked too: a month in which one was used could not be fixed, nor any after it.
ALTER TABLE store.rank DROP CONSTRAINT rank_kind_check;
ALTER TABLE store.rank ADD CONSTRAINT rank_kind_check
  CHECK (kind IN ('agent', 'mcp', 'model', 'data', 'prompt', 'clone', 'alliance'));

-- How many unrelated organisations paid for it in the days that count; months before had at least one.
ALTER TABLE store.rank ADD COLUMN payers int NOT NULL DEFAULT 1 CHECK (payers >= 0);

CREATE OR REPLACE FUNCTION store.rank_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.month, NEW.kind, NEW.place, NEW.listing, NEW.owner, NEW.score, NEW.payers) IS DISTINCT FROM
     (OLD.month, OLD.kind, OLD.place, OLD.listing, OLD.owner, OLD.score, OLD.payers)
    OR (OLD.application IS NOT NULL AND NEW.application IS DISTINCT FROM OLD.application)
  THEN RAISE EXCEPTION 'a month''s rank stays as it was fixed' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
