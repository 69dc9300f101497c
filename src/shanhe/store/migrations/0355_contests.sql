-- Contests (P8): a call, entries without names, a jury, places. Prizes are paid by programmes; here is which application pays.
CREATE TABLE store.contest (
  id            uuid PRIMARY KEY,
  title_zh      text NOT NULL CHECK (length(title_zh) BETWEEN 1 AND 60),
  title_en      text NOT NULL CHECK (length(title_en) BETWEEN 1 AND 60),
  call_zh       text NOT NULL CHECK (length(call_zh) BETWEEN 1 AND 2000),
  call_en       text NOT NULL CHECK (length(call_en) BETWEEN 1 AND 2000),
  pool_fen      bigint NOT NULL CHECK (pool_fen BETWEEN 0 AND 1000000000000),
  opens_on      date NOT NULL,
  entries_until date NOT NULL,
  judged_until  date NOT NULL,
  created_at    timestamptz NOT NULL,
  created_by    text NOT NULL,
  decided_at    timestamptz,
  decided_by    text NOT NULL DEFAULT '',
  paid_at       timestamptz,
  CHECK (opens_on <= entries_until AND entries_until < judged_until),
  CHECK (paid_at IS NULL OR decided_at IS NOT NULL)
);
CREATE INDEX contest_unpaid ON store.contest (decided_at) WHERE decided_at IS NOT NULL AND paid_at IS NULL;

CREATE TABLE store.contest_juror (
  contest  uuid NOT NULL REFERENCES store.contest,
  person   uuid NOT NULL,
  named_at timestamptz NOT NULL,
  named_by text NOT NULL,
  PRIMARY KEY (contest, person)
);

CREATE TABLE store.entry (
  id           uuid PRIMARY KEY,
  contest      uuid NOT NULL REFERENCES store.contest,
  n            int NOT NULL CHECK (n > 0),     -- all that a jury knows it by
  org_id       uuid NOT NULL,
  listing      uuid NOT NULL REFERENCES store.listing,
  work         text NOT NULL CHECK (length(work) BETWEEN 1 AND 40000),
  entered_at   timestamptz NOT NULL,
  entered_by   text NOT NULL,
  withdrawn_at timestamptz,
  place        int CHECK (place BETWEEN 1 AND 100),
  mean_bps     int CHECK (mean_bps BETWEEN 0 AND 10000),
  application  uuid,                           -- of the prize
  UNIQUE (contest, n),
  UNIQUE (contest, org_id),                    -- one organisation, one entry
  CHECK (place IS NULL OR (mean_bps IS NOT NULL AND withdrawn_at IS NULL)),
  CHECK (application IS NULL OR place IS NOT NULL)
);
CREATE UNIQUE INDEX entry_place ON store.entry (contest, place) WHERE place IS NOT NULL;
CREATE INDEX entry_honours ON store.entry (listing) WHERE place IS NOT NULL;
CREATE INDEX entry_org ON store.entry (org_id);

CREATE TABLE store.entry_score (
  entry     uuid NOT NULL REFERENCES store.entry,
  juror     uuid NOT NULL,
  score_bps int NOT NULL CHECK (score_bps BETWEEN 0 AND 10000),
  note      text NOT NULL CHECK (length(note) BETWEEN 1 AND 5000),
  scored_at timestamptz NOT NULL,
  PRIMARY KEY (entry, juror)
);

-- What a contest came to stays: a place is given once, with the decision, and points end with it.
CREATE FUNCTION store.contest_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.decided_at IS NOT NULL AND (NEW.decided_at, NEW.pool_fen, NEW.id) IS DISTINCT FROM (OLD.decided_at, OLD.pool_fen, OLD.id)
  THEN RAISE EXCEPTION 'a decided contest does not change' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER contest_stands BEFORE UPDATE ON store.contest FOR EACH ROW EXECUTE FUNCTION store.contest_stands();

CREATE FUNCTION store.entry_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.place IS NOT NULL AND (NEW.place, NEW.mean_bps, NEW.org_id, NEW.listing) IS DISTINCT FROM (OLD.place, OLD.mean_bps, OLD.org_id, OLD.listing)
  THEN RAISE EXCEPTION 'a place that was given stays' USING ERRCODE = 'restrict_violation'; END IF;
  IF OLD.application IS NOT NULL AND NEW.application IS DISTINCT FROM OLD.application
  THEN RAISE EXCEPTION 'a prize is applied for once' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER entry_stands BEFORE UPDATE ON store.entry FOR EACH ROW EXECUTE FUNCTION store.entry_stands();

CREATE FUNCTION store.score_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM store.entry e JOIN store.contest c ON c.id = e.contest WHERE e.id = NEW.entry AND c.decided_at IS NOT NULL)
    AND (TG_OP = 'INSERT' OR NEW.score_bps <> OLD.score_bps)
  THEN RAISE EXCEPTION 'the contest is decided' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER score_stands BEFORE INSERT OR UPDATE ON store.entry_score FOR EACH ROW EXECUTE FUNCTION store.score_stands();
