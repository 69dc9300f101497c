-- How a refund is paid out is written down before it is booked, so that nobody pays it another way meanwhile, and a crash in
-- between leaves a row that goes on.
ALTER TABLE credits.refund ADD COLUMN payout_method text NOT NULL DEFAULT '';
ALTER TABLE credits.refund DROP CONSTRAINT refund_state_check;
ALTER TABLE credits.refund ADD CONSTRAINT refund_state_check
  CHECK (state IN ('open', 'posted', 'sent', 'paying', 'paid', 'failed', 'void'));
ALTER TABLE credits.refund ADD CONSTRAINT refund_paying_says_how CHECK (state <> 'paying' OR payout_method <> '');

DROP INDEX credits.refund_due;
CREATE INDEX refund_due ON credits.refund (checked_at) WHERE state IN ('open', 'posted', 'sent', 'paying');
