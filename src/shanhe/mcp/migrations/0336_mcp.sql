-- The tool gateway: publishers' secrets (sealed), tools as they were reviewed, and who called what.
CREATE SCHEMA mcp;

CREATE TABLE mcp.secret (
  owner      uuid NOT NULL,
  name       text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{0,39}$'),
  sealed     bytea NOT NULL,                     -- the key that opens it lies outside of the database
  changed_at timestamptz NOT NULL,
  changed_by text NOT NULL,
  PRIMARY KEY (owner, name)
);

CREATE TABLE mcp.tool (
  server      text NOT NULL,
  version     int NOT NULL,
  n           int NOT NULL CHECK (n BETWEEN 1 AND 100),
  name        text NOT NULL CHECK (name ~ '^[A-Za-z0-9_.-]{1,64}$'),
  description text NOT NULL CHECK (length(description) <= 2000),
  schema      jsonb NOT NULL,
  seen_at     timestamptz NOT NULL,
  PRIMARY KEY (server, version, name)
);

CREATE TABLE mcp.call (
  id         uuid PRIMARY KEY,
  at         timestamptz NOT NULL,
  org_id     uuid NOT NULL,
  key_id     uuid NOT NULL,
  server     text NOT NULL,
  tool       text NOT NULL,
  state      text NOT NULL CHECK (state IN ('done', 'failed', 'refused')),
  error      text NOT NULL,
  sent_bytes bigint NOT NULL CHECK (sent_bytes >= 0),
  got_bytes  bigint NOT NULL CHECK (got_bytes >= 0),
  took_ms    bigint NOT NULL CHECK (took_ms >= 0),
  paid_micro bigint NOT NULL CHECK (paid_micro >= 0),
  receipt_id uuid
);
CREATE INDEX call_quota ON mcp.call (server, org_id, at DESC);
CREATE INDEX call_org ON mcp.call (org_id, id DESC);
