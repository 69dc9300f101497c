-- Escrow for a whole batch at once. Where everybody has what they ask for, which is nearly always, nothing is done row by
-- row any more; only a batch with a repeated id or with too little somewhere is walked through in order, as before.

-- What of accounts may be sold now, in the order of `p_accounts`; 0 for an unknown one. See `ledger.tradeable`.
CREATE FUNCTION ledger.tradeable_of(p_accounts uuid[], p_now timestamptz) RETURNS bigint[] LANGUAGE sql STABLE
SET enable_nestloop = off AS $$
  SELECT array_agg(coalesce(CASE WHEN a.lots THEN least(a.room, coalesce(s.free, 0)) ELSE a.room END, 0) ORDER BY q.n)
  FROM unnest(p_accounts) WITH ORDINALITY q(account, n)
  LEFT JOIN (SELECT id, lots, balance - held - coalesce(floor, 0) AS room FROM ledger.account
             WHERE id = ANY(p_accounts)) a ON a.id = q.account
  LEFT JOIN (SELECT l.account, sum(l.remaining - l.held)::bigint AS free FROM ledger.lot l
             WHERE l.account = ANY(p_accounts) AND l.open AND l.provenance <> 'subsidy' AND l.earmark IS NULL
               AND (l.unlock_at IS NULL OR l.unlock_at <= p_now) AND (l.spendable_at IS NULL OR l.spendable_at <= p_now)
               AND (l.expires_at IS NULL OR l.expires_at > p_now)
             GROUP BY l.account) s ON s.account = q.account
$$;

-- Of requests in order: those that are known or do not fit, as verdicts. What comes after one that does not fit may fit.
CREATE FUNCTION ledger.escrow_refused(
  p_purpose text, p_id uuid[], p_account uuid[], p_amount bigint[], p_known int[], p_accounts uuid[], p_left bigint[]
) RETURNS TABLE (ord int, verdict text, available bigint, leased bigint) LANGUAGE plpgsql AS $$
DECLARE r record; v_at int; v_left bigint[] := p_left;
BEGIN
  FOR r IN SELECT q.n::int AS n, q.id, q.account, q.amount FROM unnest(p_id, p_account, p_amount)
           WITH ORDINALITY q(id, account, amount, n) ORDER BY q.n LOOP
    IF r.n = ANY(p_known) THEN
      ord := r.n; available := NULL; leased := NULL;
      SELECT CASE WHEN h.account = r.account AND h.purpose = p_purpose THEN 'known' ELSE 'conflict' END INTO verdict
        FROM ledger.hold h WHERE h.id = r.id;
      RETURN NEXT; CONTINUE;
    END IF;
    v_at := array_position(p_accounts, r.account);
    IF v_left[v_at] < r.amount THEN
      ord := r.n; verdict := 'short'; available := greatest(v_left[v_at], 0);
      SELECT coalesce(sum(ll.amount), 0) INTO leased FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)
        WHERE l.account = r.account;
      IF leased > 0 THEN PERFORM pg_notify('ledger_recall', r.account::text); END IF;
      RETURN NEXT; CONTINUE;
    END IF;
    v_left[v_at] := v_left[v_at] - r.amount;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ledger.escrow(
  p_now timestamptz, p_order text[], p_purpose text, p_expires timestamptz,
  p_id uuid[], p_account uuid[], p_amount bigint[]
) RETURNS TABLE (ord int, verdict text, available bigint, leased bigint, expiry timestamptz) LANGUAGE plpgsql AS $$
DECLARE
  v_accounts uuid[]; v_needs bigint[]; v_left bigint[]; v_known int[]; v_refused int[] := '{}'; v_amounts bigint[];
  v_h_owner uuid[]; v_h_lot uuid[]; v_h_amount bigint[]; v_n int[]; v_lot uuid[]; v_amount bigint[]; r record;
BEGIN
  SELECT array_agg(s.account ORDER BY s.account), array_agg(s.need ORDER BY s.account) INTO v_accounts, v_needs
    FROM (SELECT q.account, sum(q.amount)::bigint AS need FROM unnest(p_account, p_amount) q(account, amount) GROUP BY 1) s;
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  PERFORM ledger.reclaim_account(late.account, p_now)
    FROM (SELECT DISTINCT l.account FROM ledger.lease l WHERE l.account = ANY(v_accounts) AND l.expires_at <= p_now) late;
  SELECT coalesce(array_agg(q.n::int), '{}') INTO v_known FROM unnest(p_id) WITH ORDINALITY q(id, n)
    JOIN ledger.hold h ON h.id = q.id;
  v_left := ledger.tradeable_of(v_accounts, p_now);
  v_amounts := p_amount;
  IF cardinality(v_known) > 0 OR EXISTS (SELECT FROM unnest(v_needs, v_left) x(need, room) WHERE x.need > x.room) THEN
    FOR r IN SELECT * FROM ledger.escrow_refused(p_purpose, p_id, p_account, p_amount, v_known, v_accounts, v_left) LOOP
      ord := r.ord; verdict := r.verdict; available := r.available; leased := r.leased; expiry := NULL;
      v_refused := v_refused || r.ord;
      v_amounts[r.ord] := 0;
      RETURN NEXT;
    END LOOP;
    IF cardinality(v_refused) = cardinality(p_id) THEN RETURN; END IF;
  END IF;

  SELECT coalesce(array_agg(l.account), '{}'), coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.free), '{}')
    INTO v_h_owner, v_h_lot, v_h_amount
    FROM (SELECT l.account, l.id, l.remaining - l.held AS free FROM ledger.lot l
          WHERE l.account = ANY(v_accounts) AND l.open AND l.remaining > l.held AND l.provenance <> 'subsidy'
            AND l.earmark IS NULL AND (l.unlock_at IS NULL OR l.unlock_at <= p_now)
            AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
          ORDER BY l.account, l.expires_at NULLS LAST, ledger.burn_rank(p_order, l.provenance), l.issued_at, l.id) l;
  SELECT coalesce(array_agg(y.n), '{}'), coalesce(array_agg(y.lot), '{}'), coalesce(array_agg(y.amount), '{}')
    INTO v_n, v_lot, v_amount FROM ledger.lay(p_account, v_amounts, v_h_owner, v_h_lot, v_h_amount) y;
  UPDATE ledger.lot l SET held = l.held + s.amount
    FROM (SELECT u.lot, sum(u.amount)::bigint AS amount FROM unnest(v_lot, v_amount) u(lot, amount) GROUP BY u.lot) s
    WHERE l.id = s.lot;
  UPDATE ledger.account a SET held = a.held + s.amount
    FROM (SELECT q.account, sum(q.amount)::bigint AS amount FROM unnest(p_account, v_amounts) q(account, amount)
          GROUP BY q.account HAVING sum(q.amount) > 0) s
    WHERE a.id = s.account;
  -- Each request once: with the lots that it got, or without any where the account bears none.
  RETURN QUERY
    WITH laid AS (
      SELECT u.n, array_agg(u.lot ORDER BY u.k) AS lots, array_agg(u.amount ORDER BY u.k) AS amounts
      FROM unnest(v_n, v_lot, v_amount) WITH ORDINALITY u(n, lot, amount, k) GROUP BY u.n
    ), plain AS (
      SELECT generate_subscripts(p_id, 1) AS n EXCEPT SELECT unnest(v_n || v_refused)
    ), kept AS (
      INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
      SELECT p_id[x.n], p_account[x.n], p_amount[x.n], p_purpose, p_now, p_expires, x.lots, x.amounts
      FROM (SELECT n, lots, amounts FROM laid UNION ALL SELECT n, '{}', '{}' FROM plain) x
    )
    SELECT u.n, 'held'::text, NULL::bigint, NULL::bigint, min(l.expires_at)
    FROM unnest(v_n, v_lot) u(n, lot) JOIN ledger.lot l ON l.id = u.lot GROUP BY u.n
    UNION ALL SELECT plain.n, 'held'::text, NULL::bigint, NULL::bigint, NULL::timestamptz FROM plain;
END $$;
