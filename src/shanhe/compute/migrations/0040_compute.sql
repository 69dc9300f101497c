-- Models, the engines that serve them, and what their tokens cost. Amounts in micro-credits per million tokens.
CREATE SCHEMA compute;

CREATE TABLE compute.engine (
  id                     uuid PRIMARY KEY,
  name                   text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
  kind                   text NOT NULL CHECK (kind IN ('llama', 'openai')),
  url                    text NOT NULL,
  key_env                text NOT NULL DEFAULT '',     -- the NAME of a variable, never a key
  contributor            uuid,                         -- organisation that contributed the node; null = the city or a supplier
  local                  boolean NOT NULL,
  data_classes           text[] NOT NULL CHECK (cardinality(data_classes) > 0),
  features               text[] NOT NULL,
  enabled                boolean NOT NULL DEFAULT true,
  lazy                   boolean NOT NULL DEFAULT false,
  slots                  integer NOT NULL CHECK (slots BETWEEN 1 AND 100000),
  queue                  integer NOT NULL CHECK (queue BETWEEN 0 AND 100000),
  first_token_timeout_ms integer NOT NULL CHECK (first_token_timeout_ms BETWEEN 100 AND 3600000),
  idle_timeout_ms        integer NOT NULL CHECK (idle_timeout_ms BETWEEN 100 AND 3600000),
  created_at             timestamptz NOT NULL,
  created_by             text NOT NULL,
  -- data that must stay on local compute can't be promised to a remote engine
  CHECK (local OR data_classes = '{general}')
);

CREATE TABLE compute.model (
  id          text PRIMARY KEY,
  kind        text NOT NULL CHECK (kind IN ('chat', 'embedding')),
  title_zh    text NOT NULL,
  title_en    text NOT NULL,
  licence     text NOT NULL DEFAULT '',
  made_by     text NOT NULL DEFAULT '',
  price_class text NOT NULL,
  created_at  timestamptz NOT NULL
);

CREATE TABLE compute.engine_model (
  engine_id         uuid NOT NULL REFERENCES compute.engine ON DELETE CASCADE,
  model             text NOT NULL REFERENCES compute.model,
  upstream          text NOT NULL,
  context_tokens    integer NOT NULL CHECK (context_tokens > 0),
  cost_input        bigint NOT NULL CHECK (cost_input >= 0),
  cost_cached_input bigint NOT NULL CHECK (cost_cached_input >= 0),
  cost_output       bigint NOT NULL CHECK (cost_output >= 0),
  cost_reasoning    bigint NOT NULL CHECK (cost_reasoning >= 0),
  cost_tool         bigint NOT NULL CHECK (cost_tool >= 0),
  PRIMARY KEY (engine_id, model)
);

CREATE TABLE compute.price_version (
  id           uuid PRIMARY KEY,
  model        text NOT NULL REFERENCES compute.model,
  valid_from   date NOT NULL,
  announced_at timestamptz NOT NULL,
  rule_version text NOT NULL,
  actor        text NOT NULL
);
CREATE INDEX price_version_model ON compute.price_version (model, valid_from DESC, announced_at DESC);

CREATE TABLE compute.price (
  version_id      uuid NOT NULL REFERENCES compute.price_version ON DELETE CASCADE,
  bucket          text NOT NULL CHECK (bucket IN ('input', 'cached_input', 'output', 'reasoning', 'tool')),
  cost_micro      bigint NOT NULL CHECK (cost_micro >= 0),
  list_micro      bigint NOT NULL CHECK (list_micro >= 0),
  thin            boolean NOT NULL,
  loss            boolean NOT NULL,
  facts           jsonb NOT NULL,
  outputs         jsonb NOT NULL,
  trace           jsonb NOT NULL,
  PRIMARY KEY (version_id, bucket)
);

-- What changed an engine's standing, for the status page and for auditors.
CREATE TABLE compute.engine_event (
  id         uuid PRIMARY KEY,
  engine     text NOT NULL,
  event      text NOT NULL,
  cause      text NOT NULL DEFAULT '',
  actor      text NOT NULL,
  at         timestamptz NOT NULL
);
CREATE INDEX engine_event_at ON compute.engine_event (at DESC);
