-- The feed once more: each posting looks its own transfers up. Joined to the page as a set, a planner that knew no statistics
-- of it could choose a loop over a loop, and a page of thousands after a bulk settlement took minutes.

CREATE OR REPLACE FUNCTION ledger.feed(p_born bigint, p_id uuid, p_until bigint, p_limit int)
RETURNS TABLE (born bigint, id uuid, at timestamptz, day date, kind text, actor text, memo text, reverses uuid,
               evidence bytea, lots uuid[], lot_deltas bigint[],
               transfers uuid[], debits uuid[], credits uuid[], amounts bigint[]) LANGUAGE sql STABLE AS $$
  WITH page AS MATERIALIZED (
    SELECT u.place, u.id FROM (
      (SELECT 0::bigint AS place, p.id FROM ledger.posting p
       WHERE p_born = 0 AND p.born IS NULL AND p.id > p_id ORDER BY p.id LIMIT p_limit)
      UNION ALL
      (SELECT p.born, p.id FROM ledger.posting p
       WHERE p.born >= p_born AND p.born < p_until AND (p.born, p.id) > (p_born, p_id) ORDER BY p.born, p.id LIMIT p_limit)
    ) u ORDER BY u.place, u.id LIMIT p_limit
  )
  SELECT page.place, p.id, p.at, p.day, p.kind, p.actor, p.memo, p.reverses, p.evidence, p.lots, p.lot_deltas,
         legs.ids, legs.debits, legs.credits, legs.amounts
  FROM page JOIN ledger.posting p ON p.id = page.id
  LEFT JOIN LATERAL (
    SELECT array_agg(l.id ORDER BY l.n) AS ids, array_agg(l.debit ORDER BY l.n) AS debits,
           array_agg(l.credit ORDER BY l.n) AS credits, array_agg(l.amount ORDER BY l.n) AS amounts
    FROM (SELECT 0 AS n, t.id, t.debit, t.credit, t.amount
          FROM ledger.transfer t WHERE t.id = page.id AND t.posting = page.id
          UNION ALL
          SELECT pt.ordinal, t.id, t.debit, t.credit, t.amount
          FROM ledger.posting_transfer pt JOIN ledger.transfer t ON t.id = pt.transfer WHERE pt.posting = page.id) l
  ) legs ON true
  ORDER BY page.place, page.id
$$;
