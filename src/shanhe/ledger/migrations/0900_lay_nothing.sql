-- A request for nothing, laid within a lot, overlapped it by nothing, and that was a piece. What did not fit into an escrow is laid as
-- nothing: so behind another request of its account it was held after all, with nothing behind it, and no trade of it could be settled.
-- A lot now gives something to every hold that names it, and the database says so.
CREATE OR REPLACE FUNCTION ledger.lay(n_owner uuid[], n_amount bigint[], h_owner uuid[], h_lot uuid[], h_amount bigint[])
RETURNS TABLE (n int, k int, owner uuid, lot uuid, amount bigint) LANGUAGE sql STABLE
SET enable_nestloop = off AS $$
  WITH need AS (
    SELECT q.n::int AS n, q.owner, (sum(q.amount) OVER w - q.amount)::bigint AS lo, (sum(q.amount) OVER w)::bigint AS hi
    FROM unnest(n_owner, n_amount) WITH ORDINALITY q(owner, amount, n) WHERE q.amount > 0
    WINDOW w AS (PARTITION BY q.owner ORDER BY q.n)
  ), have AS (
    SELECT u.k::int AS k, u.owner, u.lot, (sum(u.amount) OVER w - u.amount)::bigint AS lo,
           (sum(u.amount) OVER w)::bigint AS hi
    FROM unnest(h_owner, h_lot, h_amount) WITH ORDINALITY u(owner, lot, amount, k) WHERE u.amount > 0
    WINDOW w AS (PARTITION BY u.owner ORDER BY u.k)
  )
  SELECT d.n, h.k, d.owner, h.lot, least(d.hi, h.hi) - greatest(d.lo, h.lo)
  FROM need d JOIN have h ON h.owner = d.owner AND h.lo < d.hi AND d.lo < h.hi ORDER BY d.n, h.k
$$;

DO $$
DECLARE
  v_function text; v_changed text;
  v_old text := 'LEFT JOIN have h ON h.account = d.account AND h.lo < d.hi AND d.lo < h.hi';
BEGIN
  SELECT pg_get_functiondef(p.oid) INTO STRICT v_function FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'ledger' AND p.proname = 'hold';
  v_changed := replace(v_function, v_old, v_old || ' AND d.amount > 0');
  IF v_changed = v_function THEN RAISE EXCEPTION 'ledger.hold is not what it was'; END IF;
  EXECUTE v_changed;
END $$;

-- Holds of before are of what they have, so that the end of an open one frees no more; accounts hold what their lots do.
WITH mended AS (
  UPDATE ledger.hold h SET lots = x.lots, lot_amounts = x.amounts, amount = x.amount
  FROM (SELECT o.id, coalesce(array_agg(u.lot ORDER BY u.k) FILTER (WHERE u.amount > 0), '{}') AS lots,
               coalesce(array_agg(u.amount ORDER BY u.k) FILTER (WHERE u.amount > 0), '{}') AS amounts,
               sum(u.amount)::bigint AS amount
        FROM ledger.hold o, unnest(o.lots, o.lot_amounts) WITH ORDINALITY u(lot, amount, k)
        WHERE 0 = ANY(o.lot_amounts) GROUP BY o.id) x
  WHERE h.id = x.id RETURNING h.account
)
UPDATE ledger.account a SET held = s.held
  FROM (SELECT l.account, sum(l.held)::bigint AS held FROM ledger.lot l
        WHERE l.account IN (SELECT m.account FROM mended m) GROUP BY l.account) s
  WHERE a.id = s.account AND a.held <> s.held;
ALTER TABLE ledger.hold ADD CONSTRAINT hold_lots_give CHECK (0 < ALL (lot_amounts)) NOT VALID;
