-- A withdrawal and what it sets aside are one transaction now. Cash that an interrupted request left set aside for nothing is free again.
SELECT ledger.trim_holds(array_agg(h.id ORDER BY h.id), array_agg(0::bigint))
FROM ledger.hold h
WHERE h.purpose = 'withdrawal' AND h.state = 'open'
  AND NOT EXISTS (SELECT FROM exchange.withdrawal w WHERE w.id = h.id);
