-- R1: a subsidy lot pays a bounded part of a markup. A hold for such a call takes at most so much of subsidy lots, in burn order
-- otherwise, and what it takes is known before the call is split. Locks as ledger.hold: the account first, then its lots.
CREATE FUNCTION ledger.hold_bounded(
  p_now timestamptz, p_order text[], p_id uuid, p_account uuid, p_amount bigint, p_purpose text, p_expires timestamptz,
  p_facts jsonb, p_subsidy_max bigint,
  OUT verdict text, OUT available bigint, OUT leased bigint, OUT lots uuid[], OUT amounts bigint[], OUT provenances text[],
  OUT expiries timestamptz[]
) LANGUAGE plpgsql AS $$
DECLARE v_room bigint; v_usable bigint;
BEGIN
  PERFORM FROM ledger.account a WHERE a.id = p_account FOR NO KEY UPDATE;
  PERFORM ledger.reclaim_account(p_account, p_now);
  SELECT CASE WHEN h.account = p_account AND h.amount = p_amount AND h.purpose = p_purpose AND h.state = 'open'
         THEN 'known' ELSE 'conflict' END, h.lots, h.lot_amounts INTO verdict, lots, amounts
    FROM ledger.hold h WHERE h.id = p_id;
  IF FOUND THEN
    SELECT array_agg(l.provenance ORDER BY u.n), array_agg(l.expires_at ORDER BY u.n) INTO provenances, expiries
      FROM unnest(lots) WITH ORDINALITY u(lot, n) JOIN ledger.lot l ON l.id = u.lot;
    RETURN;
  END IF;
  SELECT a.balance - a.held - coalesce(a.floor, 0) INTO v_room FROM ledger.account a WHERE a.id = p_account;
  WITH lot AS (
    SELECT l.id, l.provenance, l.expires_at, l.remaining - l.held AS free, l.provenance = 'subsidy' AS subsidy,
           row_number() OVER (ORDER BY l.expires_at NULLS LAST, ledger.burn_rank(p_order, l.provenance), l.issued_at, l.id) AS n
    FROM ledger.lot l
    WHERE l.account = p_account AND l.open AND l.remaining > l.held
      AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
      AND (l.earmark IS NULL OR coalesce(p_facts, '{}') @> l.earmark)
  ), bounded AS (
    SELECT t.*, CASE WHEN t.subsidy
      THEN greatest(0, least(t.free, p_subsidy_max - (sum(t.free) FILTER (WHERE t.subsidy) OVER w - t.free)))
      ELSE t.free END::bigint AS usable
    FROM lot t WINDOW w AS (ORDER BY t.n)
  ), laid AS (
    SELECT b.*, sum(b.usable) OVER (ORDER BY b.n) AS hi FROM bounded b WHERE b.usable > 0
  ), piece AS (
    SELECT d.*, least(d.usable, p_amount - (d.hi - d.usable))::bigint AS amount FROM laid d WHERE d.hi - d.usable < p_amount
  )
  SELECT (SELECT coalesce(sum(d.usable), 0) FROM laid d),
         array_agg(p.id ORDER BY p.n), array_agg(p.amount ORDER BY p.n), array_agg(p.provenance ORDER BY p.n),
         array_agg(p.expires_at ORDER BY p.n)
    INTO v_usable, lots, amounts, provenances, expiries FROM piece p;
  available := least(v_room, v_usable);
  IF available IS NULL OR available < p_amount THEN
    SELECT coalesce(sum(ll.amount), 0) INTO leased FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)
      WHERE l.account = p_account;
    IF leased > 0 THEN PERFORM pg_notify('ledger_recall', p_account::text); END IF;
    verdict := 'short'; lots := NULL; amounts := NULL; provenances := NULL; expiries := NULL;
    RETURN;
  END IF;
  UPDATE ledger.lot l SET held = l.held + u.amount FROM unnest(lots, amounts) u(lot, amount) WHERE l.id = u.lot;
  UPDATE ledger.account a SET held = a.held + p_amount WHERE a.id = p_account;
  INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
    VALUES (p_id, p_account, p_amount, p_purpose, p_now, p_expires, lots, amounts);
  verdict := 'held';
END $$;
