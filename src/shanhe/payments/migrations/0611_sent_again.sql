-- What the bank returns of a refund or payout is sent again under a new reference, with what the bank kept of it; what a
-- bank charges or pays as interest is booked as such; and a payer says what becomes of money that waits for them.
ALTER TABLE payments.suspense ADD COLUMN fee_fen bigint NOT NULL DEFAULT 0,
  ADD COLUMN wanted_back_by text, ADD COLUMN wanted_back_at timestamptz;
ALTER TABLE payments.suspense DROP CONSTRAINT suspense_kind_check, DROP CONSTRAINT suspense_state_check;
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_kind_check
  CHECK (kind IN ('unknown_reference', 'late', 'over', 'under', 'outgoing', 'came_back'));
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_state_check
  CHECK (state IN ('open', 'applied', 'returned', 'explained', 'resent', 'booked'));
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_fee
  CHECK (fee_fen >= 0 AND (fee_fen = 0 OR state = 'resent') AND (state <> 'resent' OR NOT outgoing));
ALTER TABLE payments.suspense ADD CONSTRAINT suspense_wanted_back
  CHECK ((wanted_back_by IS NULL) = (wanted_back_at IS NULL));
ALTER TABLE payments.bank_outgoing DROP CONSTRAINT bank_outgoing_kind_check;
ALTER TABLE payments.bank_outgoing ADD CONSTRAINT bank_outgoing_kind_check
  CHECK (kind IN ('refund', 'payout', 'resend'));
CREATE INDEX suspense_order ON payments.suspense (order_id) WHERE state = 'open';
