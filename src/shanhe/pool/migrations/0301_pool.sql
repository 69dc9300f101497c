-- Nodes that contributors lend to the city: who owns them, what they said, what the city measured and found.
CREATE SCHEMA pool;

CREATE TABLE pool.node (
  id          uuid PRIMARY KEY,
  name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,39}$'),
  owner       uuid NOT NULL,                       -- organisation that lends it and is paid
  local       boolean NOT NULL,                    -- on the city's premises: may see government and citizen data
  new_models  boolean NOT NULL,                    -- may bring models that the city does not know
  city_owned  boolean NOT NULL,                    -- the city's own: nobody is paid
  public_key  bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
  state       text NOT NULL CHECK (state IN ('joining', 'active', 'draining', 'quarantined', 'gone')),
  cause       text NOT NULL DEFAULT '',
  flag        text NOT NULL DEFAULT '',
  report      jsonb NOT NULL,
  joined_at   timestamptz NOT NULL,
  seen_at     timestamptz,
  session     uuid,
  instance    text NOT NULL DEFAULT '',
  worker      text NOT NULL DEFAULT ''
);
CREATE INDEX node_owner ON pool.node (owner);

-- Leave to join, once. Only the hash is kept.
CREATE TABLE pool.token (
  hash        bytea PRIMARY KEY CHECK (length(hash) = 32),
  name        text NOT NULL,
  owner       uuid NOT NULL,
  local       boolean NOT NULL,
  new_models  boolean NOT NULL,
  city_owned  boolean NOT NULL,
  made_by     text NOT NULL,
  made_at     timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL,
  used_by     uuid REFERENCES pool.node,
  CHECK (expires_at > made_at)
);

CREATE TABLE pool.event (
  id       uuid PRIMARY KEY,
  node_id  uuid NOT NULL REFERENCES pool.node ON DELETE CASCADE,
  event    text NOT NULL,
  cause    text NOT NULL DEFAULT '',
  actor    text NOT NULL,
  at       timestamptz NOT NULL,
  detail   jsonb
);
CREATE INDEX event_node ON pool.event (node_id, at DESC);

-- How fast the city found a node to be, whatever it says of itself.
CREATE TABLE pool.speed (
  node_id      uuid NOT NULL REFERENCES pool.node ON DELETE CASCADE,
  model        text NOT NULL,
  prefill_tps  double precision NOT NULL CHECK (prefill_tps > 0),
  decode_tps   double precision NOT NULL CHECK (decode_tps > 0),
  base_ms      double precision NOT NULL CHECK (base_ms >= 0),
  call_ms      double precision NOT NULL CHECK (call_ms > 0),
  at           timestamptz NOT NULL,
  PRIMARY KEY (node_id, model)
);

-- Sums by hour: what pages and the forecast read. Money is in the ledger.
CREATE TABLE pool.hour (
  node_id            uuid NOT NULL REFERENCES pool.node ON DELETE CASCADE,
  hour               timestamptz NOT NULL,
  model              text NOT NULL,
  calls              bigint NOT NULL CHECK (calls >= 0),
  failed             bigint NOT NULL CHECK (failed >= 0),
  prompt_tokens      bigint NOT NULL CHECK (prompt_tokens >= 0),
  completion_tokens  bigint NOT NULL CHECK (completion_tokens >= 0),
  busy_ms            bigint NOT NULL CHECK (busy_ms >= 0),
  ttft_ms            bigint NOT NULL CHECK (ttft_ms >= 0),
  PRIMARY KEY (node_id, hour, model)
);
CREATE INDEX hour_hour ON pool.hour (hour);

-- Where each test against a node stands; see docs/pool.md for the rule.
CREATE TABLE pool.suspicion (
  node_id   uuid NOT NULL REFERENCES pool.node ON DELETE CASCADE,
  kind      text NOT NULL CHECK (kind IN ('count', 'answer', 'replay', 'refusal')),
  checks    bigint NOT NULL CHECK (checks >= 0),
  failures  bigint NOT NULL CHECK (failures BETWEEN 0 AND checks),
  score     double precision NOT NULL CHECK (score >= 0),
  PRIMARY KEY (node_id, kind)
);

-- Income of calls that a quarantined node served lately, taken back until somebody decides.
CREATE TABLE pool.withheld (
  receipt_id    uuid PRIMARY KEY,
  node_id       uuid NOT NULL REFERENCES pool.node,
  posting_id    uuid NOT NULL UNIQUE,
  amount_micro  bigint NOT NULL CHECK (amount_micro > 0),
  at            timestamptz NOT NULL,
  restored_by   uuid
);
CREATE INDEX withheld_node ON pool.withheld (node_id);
