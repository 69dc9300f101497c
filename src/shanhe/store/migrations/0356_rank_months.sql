-- Who stood where at a month's end (P7), as it was fixed once; rewards are paid by programmes, here is which application pays.
CREATE TABLE store.rank_month (
  month    date PRIMARY KEY CHECK (extract(day FROM month) = 1),
  fixed_at timestamptz NOT NULL,
  paid_at  timestamptz
);

CREATE TABLE store.rank (
  month       date NOT NULL REFERENCES store.rank_month,
  kind        text NOT NULL CHECK (kind IN ('agent', 'mcp', 'model', 'data', 'prompt')),
  place       int NOT NULL CHECK (place BETWEEN 1 AND 100),
  listing     uuid NOT NULL REFERENCES store.listing,
  owner       uuid NOT NULL,
  score       int NOT NULL CHECK (score BETWEEN 0 AND 10000),
  application uuid,
  PRIMARY KEY (month, kind, place)
);
CREATE INDEX rank_listing ON store.rank (listing, month);
CREATE INDEX rank_owner ON store.rank (owner, month);

CREATE FUNCTION store.rank_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.month, NEW.kind, NEW.place, NEW.listing, NEW.owner, NEW.score) IS DISTINCT FROM
     (OLD.month, OLD.kind, OLD.place, OLD.listing, OLD.owner, OLD.score)
    OR (OLD.application IS NOT NULL AND NEW.application IS DISTINCT FROM OLD.application)
  THEN RAISE EXCEPTION 'a month''s rank stays as it was fixed' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER rank_stands BEFORE UPDATE ON store.rank FOR EACH ROW EXECUTE FUNCTION store.rank_stands();
