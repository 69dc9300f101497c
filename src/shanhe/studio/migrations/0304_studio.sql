-- Jobs of the studio, their steps and curves, and the models that came out.
CREATE SCHEMA studio;

CREATE TABLE studio.job (
  id            uuid PRIMARY KEY,
  org_id        uuid NOT NULL,
  name          text NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9-]{1,39}$'),   -- of the model that comes out
  dataset_id    uuid NOT NULL,
  version_id    uuid NOT NULL,
  recipe        jsonb NOT NULL,
  state         text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
  steps         integer NOT NULL CHECK (steps > 0),
  budget_micro  bigint NOT NULL CHECK (budget_micro > 0),
  spent_micro   bigint NOT NULL DEFAULT 0 CHECK (spent_micro BETWEEN 0 AND budget_micro),
  core_ms       bigint NOT NULL DEFAULT 0 CHECK (core_ms >= 0),
  hold_id       uuid NOT NULL UNIQUE,
  worker        text,
  cancel_asked  boolean NOT NULL DEFAULT false,
  error         jsonb,
  request_key   text,
  made_by       text NOT NULL,
  made_at       timestamptz NOT NULL,
  started_at    timestamptz,
  ended_at      timestamptz,
  settled_at    timestamptz,                       -- the hold is captured or given back
  UNIQUE (org_id, request_key),
  CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))),
  CHECK (settled_at IS NULL OR ended_at IS NOT NULL)
);
CREATE INDEX job_org ON studio.job (org_id, id DESC);
CREATE INDEX job_open ON studio.job (id) WHERE ended_at IS NULL OR settled_at IS NULL;

CREATE TABLE studio.step (
  job_id      uuid NOT NULL REFERENCES studio.job,
  at          integer NOT NULL CHECK (at >= 0),
  kind        text NOT NULL,
  title       text NOT NULL,
  state       text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'cached', 'failed')),
  hash        bytea CHECK (length(hash) = 32),     -- of kind, parameters and inputs; names the folder of its results
  core_ms     bigint NOT NULL DEFAULT 0 CHECK (core_ms >= 0),
  metrics     jsonb NOT NULL DEFAULT '{}',
  started_at  timestamptz,
  ended_at    timestamptz,
  PRIMARY KEY (job_id, at)
);

-- Loss curves.
CREATE TABLE studio.point (
  job_id  uuid NOT NULL,
  at      integer NOT NULL,
  n       integer NOT NULL CHECK (n >= 0),
  of      integer NOT NULL CHECK (of > 0),
  loss    double precision NOT NULL,
  PRIMARY KEY (job_id, at, n),
  FOREIGN KEY (job_id, at) REFERENCES studio.step
);

-- Models that came out, numbered under their name; the one that is deployed answers.
CREATE TABLE studio.model (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  name         text NOT NULL,
  number       integer NOT NULL CHECK (number > 0),
  job_id       uuid NOT NULL UNIQUE REFERENCES studio.job,
  version_id   uuid NOT NULL,
  base         text NOT NULL,
  step_hash    bytea NOT NULL CHECK (length(step_hash) = 32),
  sha256       bytea NOT NULL CHECK (length(sha256) = 32),
  size_bytes   bigint NOT NULL CHECK (size_bytes > 0),
  score_bps    integer NOT NULL CHECK (score_bps BETWEEN 0 AND 10000),
  base_bps     integer NOT NULL CHECK (base_bps BETWEEN 0 AND 10000),
  card         jsonb NOT NULL,
  engine       text,
  state        text NOT NULL CHECK (state IN ('ready', 'deployed', 'retired')),
  made_at      timestamptz NOT NULL,
  deployed_at  timestamptz,
  UNIQUE (name, number)
);
CREATE UNIQUE INDEX model_deployed ON studio.model (name) WHERE state = 'deployed';
