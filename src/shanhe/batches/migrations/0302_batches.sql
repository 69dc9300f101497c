-- Files of requests, the batches made of them, and each of their lines. Contents are blobs, not rows.
CREATE SCHEMA batches;

CREATE TABLE batches.file (
  id          uuid PRIMARY KEY,
  org_id      uuid NOT NULL,
  purpose     text NOT NULL CHECK (purpose IN ('batch', 'batch_output', 'fine-tune', 'user_data')),
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  size_bytes  bigint NOT NULL CHECK (size_bytes >= 0),
  sha256      bytea NOT NULL CHECK (length(sha256) = 32),
  made_by     text NOT NULL,
  made_at     timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL CHECK (expires_at > made_at),
  deleted_at  timestamptz                          -- the bytes are gone; the row stays for the batches that name it
);
CREATE INDEX file_org ON batches.file (org_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX file_expiry ON batches.file (expires_at) WHERE deleted_at IS NULL;

CREATE TABLE batches.batch (
  id             uuid PRIMARY KEY,
  org_id         uuid NOT NULL,
  key_id         uuid NOT NULL,                    -- whose budgets and models hold
  endpoint       text NOT NULL,
  input_file     uuid NOT NULL REFERENCES batches.file,
  output_file    uuid REFERENCES batches.file,
  error_file     uuid REFERENCES batches.file,
  state          text NOT NULL CHECK (state IN ('failed', 'in_progress', 'finalizing', 'completed', 'cancelling',
                   'cancelled', 'expired')),
  request_key    text,                             -- the client's idempotency key
  metadata       jsonb,
  errors         jsonb,
  total          integer NOT NULL CHECK (total >= 0),
  made_at        timestamptz NOT NULL,
  expires_at     timestamptz NOT NULL CHECK (expires_at > made_at),
  turn_at        timestamptz,                      -- when it last had its turn
  finalizing_at  timestamptz,
  cancelling_at  timestamptz,
  ended_at       timestamptz,
  UNIQUE (org_id, request_key),
  CHECK ((ended_at IS NOT NULL) = (state IN ('failed', 'completed', 'cancelled', 'expired')))
);
CREATE INDEX batch_org ON batches.batch (org_id, id DESC);
CREATE INDEX batch_open ON batches.batch (id) WHERE ended_at IS NULL;

-- One request. Where its body stands in the input file; its answer is a blob under the receipt's id.
CREATE TABLE batches.line (
  batch_id    uuid NOT NULL REFERENCES batches.batch,
  at          integer NOT NULL CHECK (at >= 0),
  custom_id   text NOT NULL,
  model       text NOT NULL,
  body_start  bigint NOT NULL CHECK (body_start >= 0),
  body_bytes  integer NOT NULL CHECK (body_bytes > 0),
  state       text NOT NULL CHECK (state IN ('waiting', 'running', 'answered', 'done', 'failed', 'dropped')),
  tries       integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
  due_at      timestamptz NOT NULL,
  receipt_id  uuid UNIQUE,                         -- a new one for each try; what was charged has it for good
  worker      text,
  taken_at    timestamptz,
  status      integer,
  PRIMARY KEY (batch_id, at),
  CHECK (state <> 'waiting' OR (worker IS NULL AND taken_at IS NULL)),
  CHECK (state NOT IN ('running', 'answered') OR (worker IS NOT NULL AND taken_at IS NOT NULL)),
  CHECK (state NOT IN ('running', 'answered', 'done', 'failed') OR receipt_id IS NOT NULL),
  CHECK ((state IN ('done', 'failed')) = (status IS NOT NULL))
);
CREATE INDEX line_waiting ON batches.line (model, batch_id, due_at) WHERE state = 'waiting';
CREATE INDEX line_taken ON batches.line (taken_at) WHERE state IN ('running', 'answered');
CREATE INDEX line_open ON batches.line (batch_id) WHERE state IN ('waiting', 'running', 'answered');
