-- Rights of people: who read their facts and why, what they asked, and assessments of what the city does with data.
CREATE SCHEMA privacy;

CREATE TABLE privacy.reading (
  id        uuid PRIMARY KEY,
  at        timestamptz NOT NULL,
  person_id uuid NOT NULL,
  purpose   text NOT NULL CHECK (length(purpose) BETWEEN 1 AND 200),
  ground    text NOT NULL,                  -- the basis, or consent:<id>
  by        text NOT NULL CHECK (length(by) BETWEEN 1 AND 200),
  about     text NOT NULL DEFAULT '',       -- a case, never personal
  names     text[] NOT NULL CHECK (cardinality(names) > 0)
);
CREATE INDEX reading_person ON privacy.reading (person_id, id DESC);
CREATE INDEX reading_at ON privacy.reading (at);

CREATE TABLE privacy.request (
  id         uuid PRIMARY KEY,
  person_id  uuid NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('correction', 'explanation', 'restriction', 'other')),
  state      text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'refused')),
  asked      bytea NOT NULL,                -- sealed with the person's key
  answer     bytea,
  asked_at   timestamptz NOT NULL,
  due_at     timestamptz NOT NULL,
  told_at    timestamptz,                   -- when operators were told that it is overdue
  decided_by text,
  decided_at timestamptz,
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK ((answer IS NULL) = (decided_at IS NULL))
);
CREATE INDEX request_person ON privacy.request (person_id, id DESC);
CREATE INDEX request_open ON privacy.request (due_at) WHERE state = 'open';

CREATE TABLE privacy.assessment (
  id         uuid PRIMARY KEY,
  purpose    text NOT NULL CHECK (length(purpose) BETWEEN 1 AND 200),
  grounds    text[] NOT NULL CHECK (cardinality(grounds) > 0
                                    AND grounds <@ ARRAY['sensitive', 'automated', 'entrusted', 'abroad', 'other']),
  necessity  text NOT NULL CHECK (length(necessity) BETWEEN 1 AND 4000),
  impact     text NOT NULL CHECK (length(impact) BETWEEN 1 AND 4000),
  safeguards text NOT NULL CHECK (length(safeguards) BETWEEN 1 AND 4000),
  conclusion text NOT NULL CHECK (conclusion IN ('acceptable', 'with_measures', 'not_acceptable')),
  made_by    text NOT NULL,
  made_at    timestamptz NOT NULL,
  keep_until date NOT NULL                  -- the last day it must be kept
);
CREATE INDEX assessment_purpose ON privacy.assessment (purpose, id DESC);

CREATE FUNCTION privacy.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'privacy.% is never changed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER never_changed BEFORE UPDATE OR TRUNCATE ON privacy.reading
  FOR EACH STATEMENT EXECUTE FUNCTION privacy.refuse_change();
CREATE TRIGGER never_changed BEFORE UPDATE OR TRUNCATE ON privacy.assessment
  FOR EACH STATEMENT EXECUTE FUNCTION privacy.refuse_change();
