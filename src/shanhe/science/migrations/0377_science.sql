-- Open science: deposits with versions and authors, and who reused them. Nothing is unsaid: a retraction is a state.
CREATE SCHEMA science;

CREATE TABLE science.deposit (
  id           uuid PRIMARY KEY,
  n            bigint GENERATED ALWAYS AS IDENTITY UNIQUE,   -- what it is called for good: os/000001
  org_id       uuid NOT NULL,                                -- who deposits it
  kind         text NOT NULL CHECK (kind IN ('dataset', 'intermediate', 'negative', 'code', 'protocol')),
  state        text NOT NULL CHECK (state IN ('draft', 'published', 'retracted')),
  dataset      uuid,                                         -- the data set of this city that it describes
  created_by   text NOT NULL,
  created_at   timestamptz NOT NULL,
  retracted_at timestamptz,
  retraction   text NOT NULL DEFAULT '',
  CHECK ((state = 'retracted') = (retracted_at IS NOT NULL))
);
CREATE INDEX deposit_org ON science.deposit (org_id, n);
CREATE INDEX deposit_shown ON science.deposit (n) WHERE state = 'published';

CREATE TABLE science.version (
  deposit      uuid NOT NULL REFERENCES science.deposit,
  n            int NOT NULL CHECK (n > 0),
  title        text NOT NULL CHECK (title <> ''),
  abstract     text NOT NULL,
  licence      text NOT NULL CHECK (licence ~ '^[A-Za-z0-9.+-]{2,40}$'),
  sha256       text NOT NULL CHECK (sha256 ~ '^([0-9a-f]{64})?$'),
  link         text NOT NULL,
  created_at   timestamptz NOT NULL,
  published_at timestamptz,
  PRIMARY KEY (deposit, n)
);
CREATE UNIQUE INDEX version_draft ON science.version (deposit) WHERE published_at IS NULL;

CREATE FUNCTION science.version_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.published_at IS NOT NULL AND (NEW.licence, NEW.sha256, NEW.published_at) IS DISTINCT FROM (OLD.licence, OLD.sha256, OLD.published_at)
  THEN RAISE EXCEPTION 'a version that was published does not change' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER version_stands BEFORE UPDATE ON science.version FOR EACH ROW EXECUTE FUNCTION science.version_stands();

CREATE TABLE science.author (
  deposit   uuid NOT NULL,
  n         int NOT NULL,
  at        int NOT NULL CHECK (at BETWEEN 1 AND 32),
  party     uuid NOT NULL,
  share_ppm int NOT NULL CHECK (share_ppm BETWEEN 1 AND 1000000),
  agreed_at timestamptz,                                     -- nobody is an author without their word
  PRIMARY KEY (deposit, n, party),
  UNIQUE (deposit, n, at),
  FOREIGN KEY (deposit, n) REFERENCES science.version
);
CREATE INDEX author_party ON science.author (party);

CREATE FUNCTION science.authors_are_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.published_at IS NOT NULL AND (SELECT sum(a.share_ppm) FILTER (WHERE a.agreed_at IS NOT NULL) FROM science.author a
     WHERE a.deposit = NEW.deposit AND a.n = NEW.n) IS DISTINCT FROM 1000000 THEN
    RAISE EXCEPTION 'the authors of % are not a whole', NEW.deposit USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER authors_are_whole AFTER INSERT OR UPDATE ON science.version
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION science.authors_are_whole();

CREATE TABLE science.reuse (
  id          uuid PRIMARY KEY,
  deposit     uuid NOT NULL REFERENCES science.deposit,
  n           int NOT NULL,                                  -- the version that was reused
  org_id      uuid NOT NULL,                                 -- who reused it
  how         text NOT NULL CHECK (how IN ('deposit', 'listing', 'model', 'dataset', 'paper')),
  ref         text NOT NULL CHECK (ref <> ''),               -- what reused it: a name, an id, a DOI
  ref_key     bytea NOT NULL,                                -- keyed hash of how and ref
  source      text NOT NULL CHECK (source IN ('declared', 'measured')),
  state       text NOT NULL CHECK (state IN ('declared', 'confirmed', 'refused')),
  earns       boolean,                                       -- whether points are due; NULL until it is decided
  why_not     text NOT NULL DEFAULT '' CHECK (why_not IN ('', 'related', 'mutual', 'retracted')),
  declared_by text NOT NULL,
  declared_at timestamptz NOT NULL,
  decided_by  text NOT NULL DEFAULT '',
  decided_at  timestamptz,
  reason      text NOT NULL DEFAULT '',
  paid_at     timestamptz,
  FOREIGN KEY (deposit, n) REFERENCES science.version,
  CHECK ((state = 'declared') = (decided_at IS NULL)),
  CHECK ((state = 'confirmed') = (earns IS NOT NULL)),
  CHECK (paid_at IS NULL OR earns)
);
-- One thing reuses one deposit once, whoever says so first.
CREATE UNIQUE INDEX reuse_once ON science.reuse (deposit, ref_key) WHERE state <> 'refused';
CREATE INDEX reuse_org ON science.reuse (org_id, declared_at);
CREATE INDEX reuse_waiting ON science.reuse (declared_at) WHERE state = 'declared';
CREATE INDEX reuse_unpaid ON science.reuse (decided_at) WHERE earns AND paid_at IS NULL;

CREATE TABLE science.history (
  id      uuid PRIMARY KEY,                                  -- of its entry in the transparency log
  seq     bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  deposit uuid NOT NULL REFERENCES science.deposit,
  event   text NOT NULL,
  n       int,
  actor   text NOT NULL,
  at      timestamptz NOT NULL
);
CREATE INDEX history_deposit ON science.history (deposit, seq);

CREATE FUNCTION science.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'science.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON science.history
  FOR EACH STATEMENT EXECUTE FUNCTION science.refuse_change();
