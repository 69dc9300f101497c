-- What the last check of an account said stays with it when its maker names another one: a payout may still go there.
ALTER TABLE payments.payee ADD COLUMN passed boolean NOT NULL DEFAULT false;
-- Of one retired before, only money that arrived there says so: its check may have failed.
UPDATE payments.payee y SET passed = true
 WHERE state = 'passed' OR (state = 'retired' AND EXISTS (
         SELECT FROM payments.payout p WHERE p.payee_id = y.id AND p.state = 'confirmed'));
ALTER TABLE payments.payee ADD CONSTRAINT payee_passed CHECK (state = 'retired' OR passed = (state = 'passed'));
