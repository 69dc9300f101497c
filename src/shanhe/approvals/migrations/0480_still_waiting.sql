-- 0465 took all that was agreed to before it as done, also payments out of the fund, estates and reversals of trades
-- whose deed was still waiting. Those are agreed to and not done, and are tried again as the others are.
ALTER TABLE approvals.request DISABLE TRIGGER stays_as_decided;
UPDATE approvals.request SET state = 'approved', ended_at = NULL, next_at = decided_at
 WHERE state = 'done'
   AND (id IN (SELECT id FROM exchange.fund_payment WHERE state = 'open')
        OR id IN (SELECT id FROM exchange.remedy WHERE state = 'open')
        OR id IN (SELECT id FROM credits.estate WHERE state = 'open'));
ALTER TABLE approvals.request ENABLE TRIGGER stays_as_decided;
