-- Orders, refunds, mandates, accepted notifications; and, apart, the books of the sandbox provider.
CREATE SCHEMA payments;

CREATE TABLE payments.mandate (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  client_ref   text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  provider     text NOT NULL,
  provider_ref text,
  limit_fen    bigint NOT NULL CHECK (limit_fen > 0),
  state        text NOT NULL CHECK (state IN ('pending', 'active', 'revoked')),
  redirect_url text,
  created_at   timestamptz NOT NULL,
  decided_at   timestamptz,
  UNIQUE (org_id, client_ref),
  UNIQUE (provider, provider_ref)
);

CREATE TABLE payments.pay_order (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  client_ref   text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  purpose      text NOT NULL,
  provider     text NOT NULL,
  provider_ref text,
  mandate_id   uuid REFERENCES payments.mandate,
  amount_fen   bigint NOT NULL CHECK (amount_fen > 0),
  refunded_fen bigint NOT NULL DEFAULT 0 CHECK (refunded_fen BETWEEN 0 AND amount_fen),
  subject      text NOT NULL,
  return_path  text NOT NULL,
  redirect_url text,
  state        text NOT NULL CHECK (state IN ('created', 'pending', 'paid', 'failed', 'expired', 'refunded')),
  created_at   timestamptz NOT NULL,
  expires_at   timestamptz NOT NULL,
  paid_at      timestamptz,
  checked_at   timestamptz NOT NULL,
  settled_at   timestamptz,
  settled_ref  uuid,
  UNIQUE (org_id, client_ref),
  UNIQUE (provider, provider_ref),
  CHECK ((state IN ('paid', 'refunded')) = (paid_at IS NOT NULL)),
  CHECK (state <> 'refunded' OR refunded_fen = amount_fen),
  CHECK (settled_at IS NULL OR state IN ('paid', 'refunded', 'expired'))
);
CREATE INDEX pay_order_open ON payments.pay_order (checked_at) WHERE state IN ('created', 'pending', 'failed');
CREATE INDEX pay_order_unsettled ON payments.pay_order (purpose, id)
  WHERE settled_at IS NULL AND state IN ('paid', 'refunded', 'expired');

CREATE TABLE payments.order_event (
  order_id   uuid NOT NULL REFERENCES payments.pay_order,
  ordinal    integer NOT NULL,
  state_from text,
  state_to   text NOT NULL,
  cause      text NOT NULL,
  at         timestamptz NOT NULL,
  PRIMARY KEY (order_id, ordinal)
);

-- Whatever the code above does, an order never leaves the state machine and its content never changes.
CREATE FUNCTION payments.guard_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
    ('created', 'pending'), ('created', 'paid'), ('created', 'failed'), ('created', 'expired'),
    ('pending', 'paid'), ('pending', 'failed'), ('pending', 'expired'),
    ('failed', 'paid'), ('failed', 'expired'), ('paid', 'refunded')
  ) THEN
    RAISE EXCEPTION 'order % cannot go from % to %', OLD.id, OLD.state, NEW.state USING ERRCODE = 'check_violation';
  END IF;
  IF (NEW.org_id, NEW.client_ref, NEW.purpose, NEW.provider, NEW.amount_fen)
     IS DISTINCT FROM (OLD.org_id, OLD.client_ref, OLD.purpose, OLD.provider, OLD.amount_fen)
     OR (OLD.provider_ref IS NOT NULL AND NEW.provider_ref IS DISTINCT FROM OLD.provider_ref)
     OR (OLD.paid_at IS NOT NULL AND NEW.paid_at IS DISTINCT FROM OLD.paid_at)
     OR NEW.refunded_fen < OLD.refunded_fen THEN
    RAISE EXCEPTION 'order %: content is immutable', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON payments.pay_order FOR EACH ROW EXECUTE FUNCTION payments.guard_order();

CREATE TABLE payments.refund (
  id           uuid PRIMARY KEY,
  order_id     uuid NOT NULL REFERENCES payments.pay_order,
  client_ref   text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  amount_fen   bigint NOT NULL CHECK (amount_fen > 0),
  reason       text NOT NULL,
  actor        text NOT NULL,
  state        text NOT NULL CHECK (state IN ('requested', 'succeeded', 'failed')),
  provider_ref text,
  created_at   timestamptz NOT NULL,
  decided_at   timestamptz,
  UNIQUE (order_id, client_ref)
);

-- Accepted notifications only: a nonce is spent in the transaction that applies its effect.
CREATE TABLE payments.notification (
  provider    text NOT NULL,
  nonce       text NOT NULL,
  event_id    text NOT NULL,
  event       text NOT NULL,
  subject_id  uuid NOT NULL,
  changed     boolean NOT NULL,
  received_at timestamptz NOT NULL,
  PRIMARY KEY (provider, nonce)
);

-- The sandbox provider's own side of the counter. Nothing but the provider reads these.
CREATE TABLE payments.sandbox_payment (
  ref         text PRIMARY KEY,
  order_id    uuid NOT NULL UNIQUE,
  amount_fen  bigint NOT NULL,
  subject     text NOT NULL,
  return_path text NOT NULL,
  state       text NOT NULL CHECK (state IN ('pending', 'failed', 'paid', 'expired')),
  expires_at  timestamptz NOT NULL,
  paid_at     timestamptz
);
CREATE TABLE payments.sandbox_mandate (
  ref        text PRIMARY KEY,
  mandate_id uuid NOT NULL UNIQUE,
  limit_fen  bigint NOT NULL,
  state      text NOT NULL CHECK (state IN ('pending', 'active', 'revoked')),
  return_path text NOT NULL
);
CREATE TABLE payments.sandbox_refund (
  refund_id  uuid PRIMARY KEY,
  ref        text NOT NULL,
  amount_fen bigint NOT NULL
);
CREATE TABLE payments.sandbox_notice (
  id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  body         jsonb NOT NULL,
  due_at       timestamptz NOT NULL,
  attempts     integer NOT NULL DEFAULT 0,
  delivered_at timestamptz
);
CREATE INDEX sandbox_notice_due ON payments.sandbox_notice (due_at) WHERE delivered_at IS NULL;
