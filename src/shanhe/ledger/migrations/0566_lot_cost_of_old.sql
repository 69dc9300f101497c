-- What lots of before cost: what one credit cost times what was issued; of a trade, what was paid for it, laid over its lots in the
-- order in which they were drawn.
UPDATE ledger.lot SET cost_fen = ledger.cost_of(unit_cost_fen, 1000000, issued) WHERE unit_cost_fen IS NOT NULL;
UPDATE ledger.lot l SET cost_fen = ledger.cost_of(b.price, b.quantity, b.got) - ledger.cost_of(b.price, b.quantity, b.got - b.amount)
  FROM (SELECT u.lot, u.delta AS amount, (sum(u.delta) OVER w)::bigint AS got, t.amount AS quantity, coalesce(pay.amount, 0) AS price
        FROM ledger.posting p JOIN ledger.transfer t ON t.id = p.id
        CROSS JOIN LATERAL unnest(p.lots, p.lot_deltas) WITH ORDINALITY u(lot, delta, k)
        LEFT JOIN ledger.posting_transfer second ON second.posting = p.id AND second.ordinal = 2
        LEFT JOIN ledger.transfer pay ON pay.id = second.transfer
        WHERE p.actor = 'exchange' AND u.delta > 0
        WINDOW w AS (PARTITION BY p.id ORDER BY u.k)) b
  WHERE l.id = b.lot AND l.provenance = 'exchange';
