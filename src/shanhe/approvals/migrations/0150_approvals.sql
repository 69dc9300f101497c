-- Approvals of authorities, and requests that a second person decides.
CREATE SCHEMA approvals;

CREATE TABLE approvals.licence (
  id          uuid PRIMARY KEY,
  scope       text NOT NULL CHECK (scope IN ('exchange', 'loans', 'securities')),
  authority   text NOT NULL CHECK (length(authority) BETWEEN 1 AND 200),
  number      text NOT NULL CHECK (length(number) BETWEEN 1 AND 100),
  valid_from  date NOT NULL,
  valid_to    date NOT NULL,                 -- the last day
  sample      boolean NOT NULL,              -- counts in a demo city only
  recorded_by text NOT NULL,
  recorded_at timestamptz NOT NULL,
  revoked_by  text,
  revoked_at  timestamptz,
  reason      text NOT NULL DEFAULT '',      -- why it was revoked
  UNIQUE (scope, authority, number),
  CHECK (valid_from <= valid_to),
  CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
CREATE INDEX licence_scope ON approvals.licence (scope, valid_to);

CREATE TABLE approvals.request (
  id           uuid PRIMARY KEY,
  kind         text NOT NULL CHECK (kind ~ '^[a-z][a-z0-9_.]{1,62}$'),
  subject      text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
  payload      jsonb NOT NULL,
  state        text NOT NULL CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'expired')),
  requested_by text NOT NULL,
  requested_at timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  decided_by   text,
  decided_at   timestamptz,
  reason       text NOT NULL DEFAULT '',
  CHECK ((state = 'open') = (decided_at IS NULL)),
  CHECK (state NOT IN ('approved', 'rejected') OR (decided_by IS NOT NULL AND decided_by <> requested_by)),
  CHECK (state <> 'withdrawn' OR decided_by = requested_by)
);
CREATE INDEX request_open ON approvals.request (kind, id) WHERE state = 'open';
CREATE INDEX request_due ON approvals.request (expires_at) WHERE state = 'open';
