-- Workflows, their versions, runs with each step, what waits for a person, and what starts runs by itself.
CREATE SCHEMA workflows;

CREATE TABLE workflows.workflow (
  id       uuid PRIMARY KEY,
  org_id   uuid NOT NULL,
  slug     text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{1,39}$'),
  title    text NOT NULL CHECK (length(title) BETWEEN 1 AND 4000),
  made_by  text NOT NULL,
  made_at  timestamptz NOT NULL,
  UNIQUE (org_id, slug)
);

CREATE TABLE workflows.version (
  workflow     uuid NOT NULL REFERENCES workflows.workflow,
  n            int NOT NULL CHECK (n >= 1),
  state        text NOT NULL CHECK (state IN ('draft', 'published', 'retired')),
  definition   jsonb NOT NULL,
  made_by      text NOT NULL,
  made_at      timestamptz NOT NULL,
  published_at timestamptz,
  PRIMARY KEY (workflow, n),
  CHECK ((state = 'draft') = (published_at IS NULL))
);
CREATE UNIQUE INDEX version_draft ON workflows.version (workflow) WHERE state = 'draft';
CREATE UNIQUE INDEX version_published ON workflows.version (workflow) WHERE state = 'published';

-- `ref` is what started it: the same start again is the same run. `course` is where it stands.
CREATE TABLE workflows.run (
  id           uuid PRIMARY KEY,
  workflow     uuid NOT NULL,
  version      int NOT NULL,
  org_id       uuid NOT NULL,                        -- who pays
  key_id       uuid NOT NULL,                        -- by which key
  source       text NOT NULL CHECK (source IN ('hand', 'schedule', 'webhook')),
  ref          text NOT NULL,
  state        text NOT NULL CHECK (state IN ('waiting', 'running', 'paused', 'done', 'refused', 'failed', 'cancelled')),
  course       jsonb NOT NULL,
  result       jsonb,
  why          jsonb,                                -- of an end that is none: what happened, zh and en
  error        text NOT NULL DEFAULT '',
  steps        int NOT NULL DEFAULT 0 CHECK (steps >= 0),
  budget_micro bigint NOT NULL CHECK (budget_micro > 0),
  paid_micro   bigint NOT NULL DEFAULT 0 CHECK (paid_micro >= 0),
  made_at      timestamptz NOT NULL,
  due_at       timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL CHECK (expires_at > made_at),
  worker       text,
  taken_at     timestamptz,
  cancel_at    timestamptz,                          -- when somebody asked for its end
  ended_at     timestamptz,
  UNIQUE (workflow, ref),
  FOREIGN KEY (workflow, version) REFERENCES workflows.version,
  CHECK ((state = 'running') = (worker IS NOT NULL AND taken_at IS NOT NULL)),
  CHECK ((ended_at IS NOT NULL) = (state IN ('done', 'refused', 'failed', 'cancelled')))
);
CREATE INDEX run_org ON workflows.run (org_id, id DESC);
CREATE INDEX run_of ON workflows.run (workflow, id DESC);
CREATE INDEX run_due ON workflows.run (due_at) WHERE state = 'waiting';
CREATE INDEX run_taken ON workflows.run (taken_at) WHERE state = 'running';
CREATE INDEX run_open ON workflows.run (expires_at) WHERE ended_at IS NULL;

-- A step is begun under its receipt, its answer is kept before it is charged, and it is booked with its run's course.
CREATE TABLE workflows.step (
  run        uuid NOT NULL REFERENCES workflows.run,
  n          int NOT NULL CHECK (n BETWEEN 1 AND 1000),
  node       text NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('ask', 'branch', 'loop', 'approval', 'code', 'http', 'set', 'output')),
  state      text NOT NULL CHECK (state IN ('begun', 'answered', 'done', 'failed')),
  receipt_id uuid UNIQUE,
  paid_micro bigint NOT NULL DEFAULT 0 CHECK (paid_micro >= 0),
  tokens     bigint NOT NULL DEFAULT 0 CHECK (tokens >= 0),
  took_ms    bigint NOT NULL DEFAULT 0 CHECK (took_ms >= 0),
  error      text NOT NULL DEFAULT '',
  answer     jsonb,
  begun_at   timestamptz NOT NULL,
  PRIMARY KEY (run, n)
);

CREATE TABLE workflows.approval (
  id         uuid PRIMARY KEY,
  run        uuid NOT NULL REFERENCES workflows.run,
  n          int NOT NULL,
  node       text NOT NULL,
  org_id     uuid NOT NULL,
  who        text NOT NULL,                          -- owner, member, or a person's id
  shows      text NOT NULL,
  asked_at   timestamptz NOT NULL,
  expires_at timestamptz NOT NULL CHECK (expires_at > asked_at),
  verdict    text NOT NULL DEFAULT '' CHECK (verdict IN ('', 'approved', 'refused', 'expired', 'dropped')),
  note       text NOT NULL DEFAULT '',
  decided_by text NOT NULL DEFAULT '',
  decided_at timestamptz,
  UNIQUE (run, n),
  CHECK ((verdict = '') = (decided_at IS NULL))
);
CREATE INDEX approval_open ON workflows.approval (org_id, id) WHERE verdict = '';
CREATE INDEX approval_due ON workflows.approval (expires_at) WHERE verdict = '';

CREATE TABLE workflows.schedule (
  workflow uuid PRIMARY KEY REFERENCES workflows.workflow,
  form     jsonb NOT NULL,
  given    jsonb NOT NULL,
  key_id   uuid NOT NULL,
  next_at  timestamptz,                              -- empty: stopped
  error    text NOT NULL DEFAULT '',                 -- why the last start failed
  made_by  text NOT NULL,
  made_at  timestamptz NOT NULL
);
CREATE INDEX schedule_due ON workflows.schedule (next_at) WHERE next_at IS NOT NULL;

-- A webhook's secret is made from its id and the city's key, and stands nowhere.
CREATE TABLE workflows.hook (
  id         uuid PRIMARY KEY,
  workflow   uuid NOT NULL REFERENCES workflows.workflow,
  key_id     uuid NOT NULL,
  made_by    text NOT NULL,
  made_at    timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX hook_of ON workflows.hook (workflow, id);
