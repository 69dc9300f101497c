-- What the last check of an account said stays with it when its maker names another one: a payout may still go there.
ALTER TABLE payments.payee ADD COLUMN passed boolean NOT NULL DEFAULT false;
UPDATE payments.payee SET passed = true WHERE state = 'passed' OR (state = 'retired' AND checked_by IS NOT NULL);
ALTER TABLE payments.payee ADD CONSTRAINT payee_passed CHECK (state = 'retired' OR passed = (state = 'passed'));
