-- A lease has a lot twice where another one, granted later, burns before what was granted next of it. Of such a lot only one part
-- was let go when the lease was given back: an UPDATE takes one row of several that fit. What was left counted as held for good, and
-- could be neither spent nor lapse.
DO $$
DECLARE
  v_function text; v_changed text;
  v_old text := 'UPDATE ledger.lot l SET held = l.held - b.amount FROM unnest(b_lot, b_amount) b(lot, amount) WHERE l.id = b.lot;';
  v_new text := 'UPDATE ledger.lot l SET held = l.held - b.amount
    FROM (SELECT u.lot, sum(u.amount)::bigint AS amount FROM unnest(b_lot, b_amount) u(lot, amount) GROUP BY u.lot) b
    WHERE l.id = b.lot;';
BEGIN
  SELECT pg_get_functiondef(p.oid) INTO STRICT v_function FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'ledger' AND p.proname = 'lease_shrink';
  v_changed := replace(v_function, v_old, v_new);
  IF v_changed = v_function THEN RAISE EXCEPTION 'ledger.lease_shrink is not what it was'; END IF;
  EXECUTE v_changed;
END $$;

-- Lots of before hold what holds and leases have of them. Each account is locked before it is looked at again, as everywhere.
CREATE VIEW ledger.set_aside AS
  SELECT u.lot, sum(u.amount)::bigint AS amount
  FROM (SELECT lot, amount FROM ledger.hold_lot WHERE state = 'open' UNION ALL SELECT lot, amount FROM ledger.lease_lot) u GROUP BY u.lot;
DO $$
DECLARE v_account uuid;
BEGIN
  FOR v_account IN
    SELECT a.id FROM ledger.account a WHERE a.id IN (
      SELECT l.account FROM ledger.lot l LEFT JOIN ledger.set_aside s ON s.lot = l.id
      WHERE l.held > 0 AND l.held <> coalesce(s.amount, 0))
    ORDER BY a.id FOR NO KEY UPDATE
  LOOP
    UPDATE ledger.lot l SET held = coalesce(s.amount, 0)
      FROM ledger.lot o LEFT JOIN ledger.set_aside s ON s.lot = o.id
      WHERE o.account = v_account AND o.held <> coalesce(s.amount, 0) AND l.id = o.id;
  END LOOP;
END $$;
