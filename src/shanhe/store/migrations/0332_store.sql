-- The store: listings, their versions with terms and review, ratings by users, and what juries said.
CREATE SCHEMA store;

CREATE TABLE store.listing (
  id         uuid PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('agent', 'mcp', 'model', 'data', 'prompt')),
  slug       text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{1,62}$'),
  owner      uuid NOT NULL,
  title_zh   text NOT NULL CHECK (length(title_zh) BETWEEN 1 AND 60),
  title_en   text NOT NULL CHECK (length(title_en) BETWEEN 1 AND 60),
  summary_zh text NOT NULL CHECK (length(summary_zh) <= 1000),
  summary_en text NOT NULL CHECK (length(summary_en) <= 1000),
  category   text NOT NULL CHECK (category ~ '^[a-z][a-z_]{0,30}$'),
  state      text NOT NULL CHECK (state IN ('draft', 'listed', 'deprecated', 'withdrawn')),
  created_at timestamptz NOT NULL,
  created_by text NOT NULL,
  UNIQUE (kind, slug)
);
CREATE INDEX listing_owner ON store.listing (owner, id);
CREATE INDEX listing_shown ON store.listing (kind, id) WHERE state = 'listed';

CREATE TABLE store.version (
  id           uuid PRIMARY KEY,
  listing      uuid NOT NULL REFERENCES store.listing,
  n            int NOT NULL CHECK (n > 0),
  content      jsonb NOT NULL,                  -- what is offered, in the form its kind defines
  terms        jsonb NOT NULL,                  -- markup, fee, makers' shares, holders' rates
  notes        text NOT NULL CHECK (length(notes) <= 500),
  state        text NOT NULL CHECK (state IN ('draft', 'submitted', 'approved', 'rejected', 'retired')),
  checks       jsonb NOT NULL DEFAULT '[]',
  created_at   timestamptz NOT NULL,
  created_by   text NOT NULL,
  submitted_at timestamptz,
  decided_at   timestamptz,
  decided_by   text NOT NULL DEFAULT '',
  decision     text NOT NULL DEFAULT '' CHECK (length(decision) <= 500),
  UNIQUE (listing, n),
  CHECK (state = 'draft' OR submitted_at IS NOT NULL),
  CHECK ((state IN ('approved', 'rejected', 'retired')) = (decided_at IS NOT NULL))
);
CREATE UNIQUE INDEX version_offered ON store.version (listing) WHERE state = 'approved';
CREATE UNIQUE INDEX version_open ON store.version (listing) WHERE state IN ('draft', 'submitted');
CREATE INDEX version_queue ON store.version (submitted_at) WHERE state = 'submitted';

-- What was decided stays as it was decided: only a draft may change its content and terms.
CREATE FUNCTION store.version_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'draft' AND (NEW.content, NEW.terms, NEW.n, NEW.listing) IS DISTINCT FROM (OLD.content, OLD.terms, OLD.n, OLD.listing)
  THEN RAISE EXCEPTION 'a version that was submitted does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF (OLD.state, NEW.state) NOT IN (('draft', 'draft'), ('draft', 'submitted'), ('submitted', 'draft'), ('submitted', 'approved'),
    ('submitted', 'rejected'), ('approved', 'retired'))
  THEN RAISE EXCEPTION 'a version can''t go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER version_stands BEFORE UPDATE ON store.version FOR EACH ROW EXECUTE FUNCTION store.version_stands();

CREATE TABLE store.rating (
  listing  uuid NOT NULL REFERENCES store.listing,
  org_id   uuid NOT NULL,
  stars    int NOT NULL CHECK (stars >= 1),
  text     text NOT NULL CHECK (length(text) <= 500),
  rated_at timestamptz NOT NULL,
  rated_by text NOT NULL,
  PRIMARY KEY (listing, org_id)               -- one organisation, one voice; it may change its mind
);

CREATE TABLE store.jury (
  listing   uuid NOT NULL REFERENCES store.listing,
  juror     text NOT NULL,
  score_bps int NOT NULL CHECK (score_bps BETWEEN 0 AND 10000),
  note      text NOT NULL CHECK (length(note) <= 500),
  judged_at timestamptz NOT NULL,
  PRIMARY KEY (listing, juror)
);
