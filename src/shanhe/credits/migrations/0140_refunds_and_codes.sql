-- Money back (R3) and redeem codes.
CREATE TABLE credits.refund (
  id                uuid PRIMARY KEY,
  purchase_id       uuid NOT NULL REFERENCES credits.purchase,
  org_id            uuid NOT NULL,
  client_ref        text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  state             text NOT NULL CHECK (state IN ('open', 'posted', 'sent', 'paid', 'failed', 'void')),
  refund_fen        bigint NOT NULL CHECK (refund_fen > 0),
  consumed_micro    bigint NOT NULL CHECK (consumed_micro >= 0),
  taken_micro       bigint NOT NULL CHECK (taken_micro >= 0),
  cancelled_micro   bigint NOT NULL CHECK (cancelled_micro >= 0),
  restored_fen      bigint NOT NULL CHECK (restored_fen >= 0),
  lots              jsonb NOT NULL,        -- lot id → µ taken from it
  rule_version      text NOT NULL,
  trace             jsonb NOT NULL,
  posting_id        uuid NOT NULL UNIQUE,
  payout_posting_id uuid NOT NULL UNIQUE,
  attempt           integer NOT NULL DEFAULT 1 CHECK (attempt > 0),
  payout_ref        text NOT NULL DEFAULT '',
  reason            text NOT NULL,
  actor             text NOT NULL,
  created_at        timestamptz NOT NULL,
  checked_at        timestamptz NOT NULL,
  decided_at        timestamptz,
  UNIQUE (org_id, client_ref)
);
-- A purchase is refunded once; a refund that never took the credits does not count.
CREATE UNIQUE INDEX refund_once ON credits.refund (purchase_id) WHERE state <> 'void';
CREATE INDEX refund_due ON credits.refund (checked_at) WHERE state IN ('open', 'posted', 'sent');
CREATE INDEX refund_org ON credits.refund (org_id, id);

CREATE TABLE credits.code_batch (
  id              uuid PRIMARY KEY,
  client_ref      text NOT NULL UNIQUE,
  name            text NOT NULL,
  budget          text NOT NULL,
  codes           integer NOT NULL CHECK (codes > 0),
  value_micro     bigint NOT NULL CHECK (value_micro > 0),
  provenance      text NOT NULL CHECK (provenance IN ('subsidy', 'reward')),
  earmark         jsonb,
  state           text NOT NULL CHECK (state IN ('draft', 'funded', 'issued', 'ended')),
  expires_at      timestamptz NOT NULL,
  funding_posting uuid NOT NULL UNIQUE,
  return_posting  uuid NOT NULL UNIQUE,
  returned_micro  bigint NOT NULL DEFAULT 0 CHECK (returned_micro >= 0),
  returned        boolean NOT NULL DEFAULT false,
  end_reason      text NOT NULL DEFAULT '',
  actor           text NOT NULL,
  created_at      timestamptz NOT NULL,
  ended_at        timestamptz,
  CHECK ((state = 'ended') = (ended_at IS NOT NULL))
);
CREATE INDEX code_batch_live ON credits.code_batch (expires_at) WHERE state <> 'ended';

-- Only the hash of a code is kept: whoever takes the database can redeem nothing.
CREATE TABLE credits.code (
  hash       bytea PRIMARY KEY CHECK (length(hash) = 32),
  batch_id   uuid NOT NULL REFERENCES credits.code_batch,
  number     integer NOT NULL,
  org_id     uuid,
  actor      text NOT NULL DEFAULT '',
  posting_id uuid UNIQUE,
  claimed_at timestamptz,
  booked_at  timestamptz,
  UNIQUE (batch_id, number),
  CHECK ((org_id IS NULL) = (posting_id IS NULL) AND (org_id IS NULL) = (claimed_at IS NULL))
);
CREATE INDEX code_unbooked ON credits.code (claimed_at) WHERE claimed_at IS NOT NULL AND booked_at IS NULL;
CREATE INDEX code_org ON credits.code (org_id, claimed_at) WHERE org_id IS NOT NULL;

CREATE TABLE credits.code_try (
  org_id   uuid NOT NULL,
  hour     timestamptz NOT NULL,
  failures integer NOT NULL CHECK (failures > 0),
  PRIMARY KEY (org_id, hour)
);
