-- Events written in the transaction that caused them, and the notices people read.

CREATE TABLE kernel.event (
  seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id          uuid NOT NULL UNIQUE,
  topic       text NOT NULL CHECK (topic <> ''),
  key         text NOT NULL,                       -- events of one (topic, key) are delivered in order
  payload     jsonb NOT NULL,
  created_at  timestamptz NOT NULL,
  state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
  attempts    integer NOT NULL DEFAULT 0,
  due_at      timestamptz NOT NULL,
  done        text[] NOT NULL DEFAULT '{}',        -- subscribers that have had it, so a retry skips them
  error       text
);
CREATE INDEX event_pending ON kernel.event (topic, key, seq) WHERE state = 'pending';
CREATE INDEX event_due ON kernel.event (due_at) WHERE state = 'pending';
CREATE INDEX event_old ON kernel.event (created_at) WHERE state <> 'pending';

CREATE TABLE kernel.notice (
  id          uuid PRIMARY KEY,
  org_id      uuid,                                -- to everybody of an organisation, or
  person_id   uuid,                                -- to one person, or to the operators when both are null
  kind        text NOT NULL,
  severity    text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
  title_zh    text NOT NULL,
  title_en    text NOT NULL,
  body_zh     text NOT NULL,
  body_en     text NOT NULL,
  link        text NOT NULL DEFAULT '',
  dedupe      text UNIQUE,                         -- the same notice is written once
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL
);
CREATE INDEX notice_org ON kernel.notice (org_id, created_at DESC);
CREATE INDEX notice_person ON kernel.notice (person_id, created_at DESC);

CREATE TABLE kernel.notice_read (
  notice_id   uuid NOT NULL REFERENCES kernel.notice ON DELETE CASCADE,
  person_id   uuid NOT NULL,
  read_at     timestamptz NOT NULL,
  PRIMARY KEY (notice_id, person_id)
);

CREATE TABLE kernel.dispatch (
  notice_id   uuid NOT NULL REFERENCES kernel.notice ON DELETE CASCADE,
  channel     text NOT NULL,                       -- 'email', 'webhook', ...; addresses are looked up when sending
  state       text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed', 'none')),
  attempts    integer NOT NULL DEFAULT 0,
  due_at      timestamptz NOT NULL,
  error       text,
  PRIMARY KEY (notice_id, channel)
);
CREATE INDEX dispatch_due ON kernel.dispatch (due_at) WHERE state = 'pending';

-- Each process's metrics as of a few seconds ago, so that any process can answer a scrape for all.
CREATE UNLOGGED TABLE kernel.metric_snapshot (
  worker      text PRIMARY KEY,
  taken_at    timestamptz NOT NULL,
  families    jsonb NOT NULL
);
