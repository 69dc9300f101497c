-- An account is approved for only while its last check says yes. So one retired before 0811 whose last check is older than
-- the second approval of a payout had passed it, also where that payout has not arrived yet.
UPDATE payments.payee y SET passed = true
 WHERE state = 'retired' AND NOT passed AND EXISTS (
         SELECT FROM payments.payout p WHERE p.payee_id = y.id AND p.decided_at > y.checked_at);
