-- Runs of agents and their steps: what was called, how it went, what it cost. No prompt, answer or tool text is kept.
CREATE SCHEMA agents;

CREATE TABLE agents.run (
  id           uuid PRIMARY KEY,
  agent        text NOT NULL,
  version      int NOT NULL,
  org_id       uuid NOT NULL,                    -- who pays
  key_id       uuid NOT NULL,
  face         text NOT NULL CHECK (face IN ('openai', 'a2a', 'try')),
  state        text NOT NULL CHECK (state IN ('running', 'done', 'failed')),
  budget_micro bigint NOT NULL CHECK (budget_micro > 0),
  paid_micro   bigint NOT NULL DEFAULT 0 CHECK (paid_micro BETWEEN 0 AND budget_micro),
  started_at   timestamptz NOT NULL,
  ended_at     timestamptz,
  error        text NOT NULL DEFAULT '',
  CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE INDEX run_org ON agents.run (org_id, id DESC);
CREATE INDEX run_open ON agents.run (started_at) WHERE state = 'running';

CREATE TABLE agents.step (
  run        uuid NOT NULL REFERENCES agents.run,
  n          int NOT NULL CHECK (n BETWEEN 1 AND 200),
  kind       text NOT NULL CHECK (kind IN ('model', 'tool')),
  name       text NOT NULL,
  state      text NOT NULL CHECK (state IN ('done', 'refused', 'failed')),
  paid_micro bigint NOT NULL CHECK (paid_micro >= 0),
  receipt_id uuid,
  tokens     bigint NOT NULL CHECK (tokens >= 0),
  sent_bytes bigint NOT NULL CHECK (sent_bytes >= 0),
  got_bytes  bigint NOT NULL CHECK (got_bytes >= 0),
  took_ms    bigint NOT NULL CHECK (took_ms >= 0),
  error      text NOT NULL DEFAULT '',
  PRIMARY KEY (run, n)
);
