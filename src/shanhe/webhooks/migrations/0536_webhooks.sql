-- Where organisations want to be told what happens to them, and what is on its way there.
CREATE SCHEMA webhooks;

CREATE TABLE webhooks.endpoint (
  id             uuid        PRIMARY KEY,
  org_id         uuid        NOT NULL,
  form           text        NOT NULL CHECK (form IN ('standard', 'wecom', 'dingtalk', 'feishu')),
  address        jsonb       NOT NULL,
  kinds          text[]      NOT NULL,
  state          text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'stopped', 'removed')),
  made_by        text        NOT NULL,
  made_at        timestamptz NOT NULL,
  failing_since  timestamptz
);
CREATE INDEX endpoint_org ON webhooks.endpoint (org_id) WHERE state <> 'removed';

CREATE TABLE webhooks.delivery (
  id         uuid        PRIMARY KEY,
  endpoint   uuid        NOT NULL REFERENCES webhooks.endpoint (id),
  notice_id  uuid        NOT NULL,
  kind       text        NOT NULL,
  notice     jsonb       NOT NULL,
  state      text        NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
  attempts   integer     NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  due_at     timestamptz NOT NULL,
  made_at    timestamptz NOT NULL,
  status     integer,
  error      text,
  done_at    timestamptz,
  UNIQUE (endpoint, notice_id),
  CHECK ((state = 'pending') = (done_at IS NULL))
);
CREATE INDEX delivery_due ON webhooks.delivery (due_at) WHERE state = 'pending';
CREATE INDEX delivery_made ON webhooks.delivery (made_at);

COMMENT ON COLUMN webhooks.endpoint.address IS 'The address and the robot''s secret, sealed with a key outside of the database; a person''s with theirs, too.';
