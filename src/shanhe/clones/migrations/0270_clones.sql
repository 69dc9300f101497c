-- Digital clones: whose likeness may be used by whom, for what and until when; and what users say of a clone's answers.
CREATE SCHEMA clones;

CREATE TABLE clones.mandate (
  id          uuid PRIMARY KEY,
  name        text NOT NULL CHECK (name ~ '^clone/[a-z0-9][a-z0-9-]{1,33}$'),
  org_id      uuid NOT NULL,                     -- who makes the clone
  code_sha256 bytea NOT NULL UNIQUE CHECK (length(code_sha256) = 32),   -- of the link that the person gets
  asked       text[] NOT NULL CHECK (cardinality(asked) > 0),
  asked_until date NOT NULL,
  asked_at    timestamptz NOT NULL,
  asked_by    text NOT NULL,
  state       text NOT NULL CHECK (state IN ('asked', 'granted', 'declined', 'revoked', 'expired', 'dropped')),
  person_id   uuid,                              -- whoever decided, with their own account
  consent_id  uuid,                              -- the row of the ledger of consents
  called      bytea,                             -- how the person wants to be called; sealed with their key
  purposes    text[] NOT NULL DEFAULT '{}',
  until       date,
  decided_at  timestamptz,
  ended_at    timestamptz,
  cleared_at  timestamptz,                       -- everything that was made is deleted
  cleared     jsonb NOT NULL DEFAULT '{}',       -- how many of what
  CHECK (state <> 'granted' OR (person_id IS NOT NULL AND consent_id IS NOT NULL AND until IS NOT NULL
                                AND cardinality(purposes) > 0 AND called IS NOT NULL)),
  CHECK ((state IN ('asked', 'granted')) = (ended_at IS NULL)),
  CHECK (purposes <@ asked AND (until IS NULL OR until <= asked_until)),
  CHECK (cleared_at IS NULL OR ended_at IS NOT NULL)
);
CREATE UNIQUE INDEX mandate_open ON clones.mandate (name) WHERE state IN ('asked', 'granted');
CREATE INDEX mandate_org ON clones.mandate (org_id, id DESC);
CREATE INDEX mandate_person ON clones.mandate (person_id, id DESC);
CREATE INDEX mandate_work ON clones.mandate (id) WHERE cleared_at IS NULL;

CREATE TABLE clones.feedback (
  id         uuid PRIMARY KEY,
  name       text NOT NULL,
  mandate    uuid NOT NULL REFERENCES clones.mandate,
  run_id     uuid NOT NULL,                      -- the answer it is about
  person_id  uuid NOT NULL,                      -- who gave it; the texts are sealed with their key
  org_id     uuid NOT NULL,
  good       boolean NOT NULL,
  question   bytea,
  answer     bytea,
  correction bytea,
  state      text NOT NULL CHECK (state IN ('new', 'accepted', 'rejected', 'taken', 'deleted')),
  given_at   timestamptz NOT NULL,
  decided_at timestamptz,
  decided_by text,
  version_id uuid,                               -- of the data set that it went into
  UNIQUE (run_id, person_id),
  CHECK ((state = 'new') = (decided_at IS NULL) OR state = 'deleted'),
  CHECK ((state = 'taken') = (version_id IS NOT NULL) OR state = 'deleted'),
  CHECK ((state = 'deleted') = (question IS NULL))
);
CREATE INDEX feedback_name ON clones.feedback (name, id DESC);
CREATE INDEX feedback_person ON clones.feedback (person_id, id DESC);
