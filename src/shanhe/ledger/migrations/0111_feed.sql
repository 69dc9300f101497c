-- The ledger as a feed: postings in the order of their transactions, for whoever must not miss one.
-- `born` is the transaction that booked the posting. A reader that takes only what is below `pg_snapshot_xmin` sees a
-- transaction whole or not at all, however late it commits. Postings from before this migration have none and come first.

ALTER TABLE ledger.posting ADD COLUMN born bigint;
ALTER TABLE ledger.posting ALTER COLUMN born SET DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX posting_born ON ledger.posting USING brin (born) WITH (pages_per_range = 32, autosummarize = on);

-- Up to `p_limit` postings after (p_born, p_id) that were born before `p_until`, oldest first, with their transfers.
CREATE FUNCTION ledger.feed(p_born bigint, p_id uuid, p_until bigint, p_limit int)
RETURNS TABLE (born bigint, id uuid, at timestamptz, day date, kind text, actor text, memo text, reverses uuid,
               evidence bytea, lots uuid[], lot_deltas bigint[],
               transfers uuid[], debits uuid[], credits uuid[], amounts bigint[]) LANGUAGE sql STABLE AS $$
  WITH page AS MATERIALIZED (
    SELECT * FROM (
      (SELECT 0::bigint AS place, p.* FROM ledger.posting p
       WHERE p_born = 0 AND p.born IS NULL AND p.id > p_id ORDER BY p.id LIMIT p_limit)
      UNION ALL
      (SELECT p.born, p.* FROM ledger.posting p
       WHERE p.born >= p_born AND p.born < p_until AND (p.born, p.id) > (p_born, p_id) ORDER BY p.born, p.id LIMIT p_limit)
    ) u ORDER BY place, id LIMIT p_limit
  ), legs AS (
    SELECT l.posting, array_agg(l.id ORDER BY l.n) AS ids, array_agg(l.debit ORDER BY l.n) AS debits,
           array_agg(l.credit ORDER BY l.n) AS credits, array_agg(l.amount ORDER BY l.n) AS amounts
    FROM (SELECT t.posting, 0 AS n, t.id, t.debit, t.credit, t.amount
          FROM page JOIN ledger.transfer t ON t.id = page.id AND t.posting = page.id
          UNION ALL
          SELECT pt.posting, pt.ordinal, t.id, t.debit, t.credit, t.amount
          FROM page JOIN ledger.posting_transfer pt ON pt.posting = page.id JOIN ledger.transfer t ON t.id = pt.transfer
         ) l GROUP BY l.posting
  )
  SELECT page.place, page.id, page.at, page.day, page.kind, page.actor, page.memo, page.reverses, page.evidence,
         page.lots, page.lot_deltas, legs.ids, legs.debits, legs.credits, legs.amounts
  FROM page LEFT JOIN legs ON legs.posting = page.id ORDER BY page.place, page.id
$$;

-- One posting in the same shape.
CREATE FUNCTION ledger.feed_one(p_id uuid)
RETURNS TABLE (born bigint, id uuid, at timestamptz, day date, kind text, actor text, memo text, reverses uuid,
               evidence bytea, lots uuid[], lot_deltas bigint[],
               transfers uuid[], debits uuid[], credits uuid[], amounts bigint[]) LANGUAGE sql STABLE AS $$
  SELECT coalesce(p.born, 0), p.id, p.at, p.day, p.kind, p.actor, p.memo, p.reverses, p.evidence, p.lots, p.lot_deltas,
         (SELECT array_agg(t.id) FROM ledger.transfers_of(p.id) t),
         (SELECT array_agg(t.debit) FROM ledger.transfers_of(p.id) t),
         (SELECT array_agg(t.credit) FROM ledger.transfers_of(p.id) t),
         (SELECT array_agg(t.amount) FROM ledger.transfers_of(p.id) t)
  FROM ledger.posting p WHERE p.id = p_id
$$;
