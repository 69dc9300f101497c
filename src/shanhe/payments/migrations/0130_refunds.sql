-- Whoever asked for a refund is told how it ended, and acknowledges; a lost notification is found by asking.
ALTER TABLE payments.refund
  ADD COLUMN checked_at  timestamptz,
  ADD COLUMN settled_at  timestamptz,
  ADD COLUMN settled_ref uuid,
  ADD CONSTRAINT refund_settled_after_its_end CHECK (settled_at IS NULL OR state <> 'requested');
UPDATE payments.refund SET settled_at = decided_at WHERE state <> 'requested';
CREATE INDEX refund_open ON payments.refund (id) WHERE state = 'requested';
CREATE INDEX refund_unsettled ON payments.refund (id) WHERE state <> 'requested' AND settled_at IS NULL;

-- A refund that ended never changes again, and its content never does.
CREATE FUNCTION payments.guard_refund() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (OLD.state <> 'requested' AND NEW.state <> OLD.state)
     OR (NEW.order_id, NEW.client_ref, NEW.amount_fen) IS DISTINCT FROM (OLD.order_id, OLD.client_ref, OLD.amount_fen) THEN
    RAISE EXCEPTION 'refund % cannot be changed so', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE UPDATE ON payments.refund FOR EACH ROW EXECUTE FUNCTION payments.guard_refund();

-- Verified messages about money that could not be booked: for a closed order, over another amount, for no order of ours.
-- The message stays refused; this row keeps the money visible until somebody has decided.
CREATE TABLE payments.stray (
  id           uuid PRIMARY KEY,
  provider     text NOT NULL,
  event_id     text NOT NULL,
  why          text NOT NULL CHECK (why IN ('late', 'other_amount', 'unknown_order')),
  order_id     uuid,
  provider_ref text NOT NULL,
  amount_fen   bigint NOT NULL CHECK (amount_fen > 0),
  seen_at      timestamptz NOT NULL,
  UNIQUE (provider, provider_ref, why, amount_fen)
);
