-- Quotes, purchases and the benefit they draw; automatic top-up; spend alerts.
CREATE SCHEMA credits;

-- One row a beneficiary and calendar year: locking it puts that beneficiary's purchases in a line.
CREATE TABLE credits.benefit (
  beneficiary  uuid NOT NULL,
  year         integer NOT NULL,
  reserved_fen bigint NOT NULL DEFAULT 0 CHECK (reserved_fen >= 0),
  given_fen    bigint NOT NULL DEFAULT 0 CHECK (given_fen >= 0),
  PRIMARY KEY (beneficiary, year)
);

CREATE TABLE credits.quote (
  id               uuid PRIMARY KEY,
  org_id           uuid NOT NULL,
  beneficiary      uuid NOT NULL,
  year             integer NOT NULL,
  value_fen        bigint NOT NULL CHECK (value_fen > 0),
  benefit_fen      bigint NOT NULL CHECK (benefit_fen >= 0),
  paid_fen         bigint NOT NULL CHECK (paid_fen >= 0),
  purchased_micro  bigint NOT NULL CHECK (purchased_micro >= 0),
  subsidy_micro    bigint NOT NULL CHECK (subsidy_micro >= 0),
  list_price_fen   bigint NOT NULL CHECK (list_price_fen > 0),
  category         text NOT NULL,
  rule_version     text NOT NULL,
  trace            jsonb NOT NULL,
  benefit_left_fen bigint NOT NULL CHECK (benefit_left_fen >= 0),
  created_at       timestamptz NOT NULL,
  expires_at       timestamptz NOT NULL,
  CHECK (paid_fen + benefit_fen = value_fen)
);
CREATE INDEX quote_expiry ON credits.quote (expires_at);

CREATE TABLE credits.purchase (
  id              uuid PRIMARY KEY,
  org_id          uuid NOT NULL,
  client_ref      text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  source          text NOT NULL CHECK (source IN ('payer', 'auto', 'operator')),
  method          text NOT NULL,
  actor           text NOT NULL,
  reason          text NOT NULL DEFAULT '',
  beneficiary     uuid NOT NULL,
  year            integer NOT NULL,
  value_fen       bigint NOT NULL CHECK (value_fen >= 0),
  benefit_fen     bigint NOT NULL CHECK (benefit_fen >= 0),
  paid_fen        bigint NOT NULL CHECK (paid_fen >= 0),
  purchased_micro bigint NOT NULL CHECK (purchased_micro >= 0),
  subsidy_micro   bigint NOT NULL CHECK (subsidy_micro >= 0),
  list_price_fen  bigint NOT NULL CHECK (list_price_fen > 0),
  category        text NOT NULL,
  rule_version    text NOT NULL,
  trace           jsonb NOT NULL,
  state           text NOT NULL CHECK (state IN ('open', 'posted', 'closed')),
  order_id        uuid UNIQUE,
  posting_id      uuid NOT NULL UNIQUE,
  created_at      timestamptz NOT NULL,
  checked_at      timestamptz NOT NULL,
  decided_at      timestamptz,
  UNIQUE (org_id, client_ref),
  CHECK (paid_fen + benefit_fen = value_fen),
  CHECK (purchased_micro + subsidy_micro > 0),
  CHECK ((state = 'open') = (decided_at IS NULL))
);
CREATE INDEX purchase_open ON credits.purchase (checked_at) WHERE state = 'open';
CREATE INDEX purchase_org ON credits.purchase (org_id, id);
CREATE INDEX purchase_auto ON credits.purchase (org_id, created_at) WHERE source = 'auto' AND state <> 'closed';
-- Never two automatic top-ups of one organisation under way.
CREATE UNIQUE INDEX purchase_one_auto ON credits.purchase (org_id) WHERE source = 'auto' AND state = 'open';

CREATE TABLE credits.auto_top_up (
  org_id          uuid PRIMARY KEY,
  threshold_micro bigint NOT NULL CHECK (threshold_micro > 0),
  value_fen       bigint NOT NULL CHECK (value_fen > 0),
  monthly_cap_fen bigint NOT NULL CHECK (monthly_cap_fen > 0),
  provider        text NOT NULL,
  mandate_id      uuid NOT NULL,
  enabled         boolean NOT NULL,
  epoch           bigint NOT NULL DEFAULT 0,
  purchase_id     uuid REFERENCES credits.purchase,
  failures        integer NOT NULL DEFAULT 0,
  not_before      timestamptz,
  checked_at      timestamptz NOT NULL,
  actor           text NOT NULL,
  created_at      timestamptz NOT NULL,
  updated_at      timestamptz NOT NULL
);
CREATE INDEX auto_top_up_due ON credits.auto_top_up (checked_at) WHERE enabled AND purchase_id IS NULL;

CREATE TABLE credits.alert (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  name         text NOT NULL,
  time_window  text NOT NULL CHECK (time_window IN ('day', 'month')),
  amount_micro bigint NOT NULL CHECK (amount_micro > 0),
  percent      integer NOT NULL CHECK (percent BETWEEN 1 AND 100),
  key_id       uuid,
  enabled      boolean NOT NULL,
  fired_for    date,
  checked_at   timestamptz NOT NULL,
  created_at   timestamptz NOT NULL,
  actor        text NOT NULL
);
CREATE INDEX alert_org ON credits.alert (org_id, id);
CREATE INDEX alert_due ON credits.alert (checked_at) WHERE enabled;

CREATE TABLE credits.alert_firing (
  alert_id        uuid NOT NULL REFERENCES credits.alert ON DELETE CASCADE,
  window_start    date NOT NULL,
  threshold_micro bigint NOT NULL,
  spent_micro     bigint NOT NULL,
  fired_at        timestamptz NOT NULL,
  PRIMARY KEY (alert_id, window_start)
);
