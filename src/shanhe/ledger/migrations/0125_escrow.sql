-- Escrow that is drawn in parts, and delivery against payment: what the exchange settles with. Everything is set-based: one
-- call books a batch. Accounts are locked in id order first, as everywhere.

-- What of an account may be sold now: neither subsidy nor locked, earmarked, pending or expired.
CREATE FUNCTION ledger.tradeable(p_account uuid, p_now timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN a.lots THEN least(a.balance - a.held - coalesce(a.floor, 0), (
      SELECT coalesce(sum(l.remaining - l.held), 0) FROM ledger.lot l
      WHERE l.account = a.id AND l.open AND l.provenance <> 'subsidy' AND (l.unlock_at IS NULL OR l.unlock_at <= p_now)
        AND l.earmark IS NULL AND (l.spendable_at IS NULL OR l.spendable_at <= p_now)
        AND (l.expires_at IS NULL OR l.expires_at > p_now)))
    ELSE a.balance - a.held - coalesce(a.floor, 0) END
  FROM ledger.account a WHERE a.id = p_account
$$;

-- Requests and lots of one owner laid end to end: the overlaps are what each request gets. Hash joins, because arrays
-- have no statistics and a nested loop over them would be quadratic.
CREATE FUNCTION ledger.lay(n_owner uuid[], n_amount bigint[], h_owner uuid[], h_lot uuid[], h_amount bigint[])
RETURNS TABLE (n int, k int, owner uuid, lot uuid, amount bigint) LANGUAGE sql STABLE SET enable_nestloop = off AS $$
  WITH need AS (
    SELECT q.n::int AS n, q.owner, (sum(q.amount) OVER w - q.amount)::bigint AS lo, (sum(q.amount) OVER w)::bigint AS hi
    FROM unnest(n_owner, n_amount) WITH ORDINALITY q(owner, amount, n) WINDOW w AS (PARTITION BY q.owner ORDER BY q.n)
  ), have AS (
    SELECT u.k::int AS k, u.owner, u.lot, (sum(u.amount) OVER w - u.amount)::bigint AS lo,
           (sum(u.amount) OVER w)::bigint AS hi
    FROM unnest(h_owner, h_lot, h_amount) WITH ORDINALITY u(owner, lot, amount, k)
    WINDOW w AS (PARTITION BY u.owner ORDER BY u.k)
  )
  SELECT d.n, h.k, d.owner, h.lot, least(d.hi, h.hi) - greatest(d.lo, h.lo)
  FROM need d JOIN have h ON h.owner = d.owner AND h.lo < d.hi AND d.lo < h.hi ORDER BY d.n, h.k
$$;

-- Sets concrete tradeable lots (or money) aside, a verdict a row: 'held', 'known', 'conflict', 'short'. `expiry`: when
-- the first of the lots expires.
CREATE FUNCTION ledger.escrow(
  p_now timestamptz, p_order text[], p_purpose text, p_expires timestamptz,
  p_id uuid[], p_account uuid[], p_amount bigint[]
) RETURNS TABLE (ord int, verdict text, available bigint, leased bigint, expiry timestamptz) LANGUAGE plpgsql AS $$
DECLARE
  v_accounts uuid[]; v_account uuid; v_fits boolean[]; v_known int[]; v_left bigint; r record; v_bad int[] := '{}';
  v_left_of bigint[]; v_at int; v_h_owner uuid[]; v_h_lot uuid[]; v_h_amount bigint[];
  v_n int[]; v_lot uuid[]; v_amount bigint[]; v_lease bigint;
BEGIN
  SELECT array_agg(DISTINCT a ORDER BY a) INTO v_accounts FROM unnest(p_account) a;
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  FOREACH v_account IN ARRAY v_accounts LOOP
    PERFORM ledger.reclaim_account(v_account, p_now);
  END LOOP;
  SELECT coalesce(array_agg(q.n::int), '{}') INTO v_known FROM unnest(p_id) WITH ORDINALITY q(id, n)
    JOIN ledger.hold h ON h.id = q.id;
  SELECT array_agg(coalesce(ledger.tradeable(a, p_now), 0) ORDER BY a) INTO v_left_of FROM unnest(v_accounts) a;
  -- In order: what does not fit is refused, what comes later may still fit.
  FOR r IN SELECT q.n::int AS n, q.id, q.account, q.amount FROM unnest(p_id, p_account, p_amount)
           WITH ORDINALITY q(id, account, amount, n) ORDER BY q.n LOOP
    IF r.n = ANY(v_known) THEN
      ord := r.n; available := NULL; leased := NULL; expiry := NULL;
      SELECT CASE WHEN h.account = r.account AND h.purpose = p_purpose THEN 'known' ELSE 'conflict' END INTO verdict
        FROM ledger.hold h WHERE h.id = r.id;
      v_bad := v_bad || r.n;
      RETURN NEXT; CONTINUE;
    END IF;
    v_at := array_position(v_accounts, r.account);
    IF v_left_of[v_at] < r.amount THEN
      ord := r.n; verdict := 'short'; available := greatest(v_left_of[v_at], 0); expiry := NULL;
      SELECT coalesce(sum(ll.amount), 0) INTO leased FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)
        WHERE l.account = r.account;
      IF leased > 0 THEN PERFORM pg_notify('ledger_recall', r.account::text); END IF;
      v_bad := v_bad || r.n;
      RETURN NEXT; CONTINUE;
    END IF;
    v_left_of[v_at] := v_left_of[v_at] - r.amount;
  END LOOP;
  IF cardinality(v_bad) = cardinality(p_id) THEN RETURN; END IF;

  SELECT coalesce(array_agg(l.account), '{}'), coalesce(array_agg(l.id), '{}'), coalesce(array_agg(l.free), '{}')
    INTO v_h_owner, v_h_lot, v_h_amount
    FROM (SELECT l.account, l.id, l.remaining - l.held AS free FROM ledger.lot l
          WHERE l.account = ANY(v_accounts) AND l.open AND l.remaining > l.held AND l.provenance <> 'subsidy'
            AND l.earmark IS NULL AND (l.unlock_at IS NULL OR l.unlock_at <= p_now)
            AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
          ORDER BY l.account, l.expires_at NULLS LAST, array_position(p_order, l.provenance), l.issued_at, l.id) l;
  SELECT coalesce(array_agg(y.n), '{}'), coalesce(array_agg(y.lot), '{}'), coalesce(array_agg(y.amount), '{}')
    INTO v_n, v_lot, v_amount
    FROM ledger.lay(
      (SELECT array_agg(q.account ORDER BY q.n) FROM unnest(p_account) WITH ORDINALITY q(account, n)),
      (SELECT array_agg(CASE WHEN q.n = ANY(v_bad) THEN 0 ELSE q.amount END ORDER BY q.n)
       FROM unnest(p_amount) WITH ORDINALITY q(amount, n)),
      v_h_owner, v_h_lot, v_h_amount) y;
  UPDATE ledger.lot l SET held = l.held + s.amount
    FROM (SELECT u.lot, sum(u.amount)::bigint AS amount FROM unnest(v_lot, v_amount) u(lot, amount) GROUP BY u.lot) s
    WHERE l.id = s.lot;
  UPDATE ledger.account a SET held = a.held + s.amount
    FROM (SELECT q.account, sum(q.amount)::bigint AS amount FROM unnest(p_account, p_amount)
            WITH ORDINALITY q(account, amount, n) WHERE q.n <> ALL(v_bad) GROUP BY q.account) s
    WHERE a.id = s.account;
  INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
    SELECT q.id, q.account, q.amount, p_purpose, p_now, p_expires, coalesce(g.lots, '{}'), coalesce(g.amounts, '{}')
    FROM unnest(p_id, p_account, p_amount) WITH ORDINALITY q(id, account, amount, n)
    LEFT JOIN (SELECT u.n, array_agg(u.lot ORDER BY u.k) AS lots, array_agg(u.amount ORDER BY u.k) AS amounts
               FROM unnest(v_n, v_lot, v_amount) WITH ORDINALITY u(n, lot, amount, k) GROUP BY u.n) g ON g.n = q.n
    WHERE q.n <> ALL(v_bad);
  RETURN QUERY
    SELECT q.n::int, 'held'::text, NULL::bigint, NULL::bigint, e.expiry
    FROM unnest(p_id) WITH ORDINALITY q(id, n)
    LEFT JOIN (SELECT u.n, min(l.expires_at) AS expiry FROM unnest(v_n, v_lot) u(n, lot)
               JOIN ledger.lot l ON l.id = u.lot GROUP BY u.n) e ON e.n = q.n
    WHERE q.n <> ALL(v_bad) ORDER BY q.n;
END $$;

-- Puts one hold's content into another of the same account; nothing moves.
CREATE FUNCTION ledger.merge_holds(p_into uuid, p_from uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_from ledger.hold; v_account uuid;
BEGIN
  SELECT account INTO v_account FROM ledger.hold WHERE id = p_into;
  PERFORM FROM ledger.account WHERE id = v_account FOR NO KEY UPDATE;
  DELETE FROM ledger.hold WHERE id = p_from AND state = 'open' AND account = v_account RETURNING * INTO v_from;
  IF NOT FOUND THEN RAISE EXCEPTION 'hold % is closed', p_from USING ERRCODE = 'SH001'; END IF;
  UPDATE ledger.hold SET amount = amount + v_from.amount, lots = lots || v_from.lots,
                         lot_amounts = lot_amounts || v_from.lot_amounts
    WHERE id = p_into AND state = 'open';
  IF NOT FOUND THEN RAISE EXCEPTION 'hold % is closed', p_into USING ERRCODE = 'SH001'; END IF;
END $$;

-- Cuts open holds down to what they are to keep; a hold that keeps nothing ends.
CREATE FUNCTION ledger.trim_holds(p_hold uuid[], p_keep bigint[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE v_accounts uuid[]; v_rows int;
BEGIN
  SELECT array_agg(DISTINCT h.account ORDER BY h.account) INTO v_accounts FROM ledger.hold h WHERE h.id = ANY(p_hold);
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  WITH cut AS (
    SELECT h.id, h.account, h.amount - k.keep AS freed, k.keep, h.lots, h.lot_amounts
    FROM unnest(p_hold, p_keep) k(hold, keep) JOIN ledger.hold h ON h.id = k.hold
    WHERE h.state = 'open' AND h.amount >= k.keep
  ), part AS (
    SELECT c.id, u.lot, u.k, u.amount,
           least(u.amount, greatest(0, c.keep - (sum(u.amount) OVER w - u.amount)))::bigint AS rest
    FROM cut c, unnest(c.lots, c.lot_amounts) WITH ORDINALITY u(lot, amount, k)
    WINDOW w AS (PARTITION BY c.id ORDER BY u.k)
  ), lots_freed AS (
    UPDATE ledger.lot l SET held = l.held - s.freed
    FROM (SELECT p.lot, sum(p.amount - p.rest)::bigint AS freed FROM part p GROUP BY p.lot) s
    WHERE l.id = s.lot AND s.freed > 0
  ), accounts_freed AS (
    UPDATE ledger.account a SET held = a.held - s.freed
    FROM (SELECT c.account, sum(c.freed)::bigint AS freed FROM cut c GROUP BY c.account) s
    WHERE a.id = s.account AND s.freed > 0
  ), kept AS (
    SELECT p.id, array_agg(p.lot ORDER BY p.k) FILTER (WHERE p.rest > 0) AS lots,
           array_agg(p.rest ORDER BY p.k) FILTER (WHERE p.rest > 0) AS amounts FROM part p GROUP BY p.id
  ), done AS (
    UPDATE ledger.hold h SET amount = x.keep, lots = coalesce(x.lots, '{}'), lot_amounts = coalesce(x.amounts, '{}'),
      state = CASE WHEN x.keep > 0 THEN 'open' WHEN h.posting IS NULL THEN 'voided' ELSE 'captured' END
    FROM (SELECT c.id, c.keep, k.lots, k.amounts FROM cut c LEFT JOIN kept k ON k.id = c.id) x
    WHERE h.id = x.id RETURNING h.id
  )
  SELECT count(*) INTO v_rows FROM done;
  RETURN v_rows;
END $$;

-- Delivery against payment: each row draws a quantity from a hold on lots for a receiver and a price from a hold on money
-- for a payee, whose fee goes to a fund; one balanced posting a row. The receiver's lots are children of what was drawn:
-- provenance exchange, the seller's expiry, a new lock. `guard_lineage` refuses subsidy and locked lots once more.
CREATE FUNCTION ledger.deliver(
  p_now timestamptz, p_day date, p_kind text, p_unlock timestamptz, p_fund uuid,
  p_id uuid[], p_pay_id uuid[], p_fee_id uuid[], p_evidence bytea[],
  p_source uuid[], p_receiver uuid[], p_quantity bigint[],
  p_payment uuid[], p_payee uuid[], p_price bigint[], p_fee bigint[], p_cost bigint[]
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  v_accounts uuid[]; v_h_hold uuid[]; v_h_lot uuid[]; v_h_amount bigint[]; v_n int[]; v_lot uuid[]; v_child uuid[];
  v_amount bigint[]; v_seller uuid[]; v_buyer uuid[]; v_rows int; v_closed date;
BEGIN
  SELECT max(closed_through) INTO v_closed FROM ledger.period;
  IF p_day <= v_closed THEN
    RAISE EXCEPTION 'the period through % is closed', v_closed USING ERRCODE = 'SH005';
  END IF;
  SELECT array_agg(u.a ORDER BY u.a) INTO v_accounts FROM (
    SELECT h.account FROM ledger.hold h WHERE h.id = ANY(p_source || p_payment)
    UNION SELECT unnest(p_receiver || p_payee || p_fund)) u(a);
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  SELECT array_agg(h.account ORDER BY q.n) INTO v_seller
    FROM unnest(p_source) WITH ORDINALITY q(hold, n) JOIN ledger.hold h ON h.id = q.hold AND h.state = 'open';
  SELECT array_agg(h.account ORDER BY q.n) INTO v_buyer
    FROM unnest(p_payment) WITH ORDINALITY q(hold, n) JOIN ledger.hold h ON h.id = q.hold AND h.state = 'open';
  IF cardinality(v_seller) IS DISTINCT FROM cardinality(p_id) OR cardinality(v_buyer) IS DISTINCT FROM cardinality(p_id)
  THEN RAISE EXCEPTION 'a hold is closed' USING ERRCODE = 'SH001'; END IF;

  SELECT array_agg(h.id), array_agg(u.lot), array_agg(u.amount) INTO v_h_hold, v_h_lot, v_h_amount
    FROM ledger.hold h CROSS JOIN LATERAL unnest(h.lots, h.lot_amounts) u(lot, amount) WHERE h.id = ANY(p_source);
  SELECT array_agg(y.n), array_agg(y.lot), array_agg(y.amount), array_agg(md5(p_id[y.n]::text || y.k)::uuid)
    INTO v_n, v_lot, v_amount, v_child FROM ledger.lay(p_source, p_quantity, v_h_hold, v_h_lot, v_h_amount) y;
  IF (SELECT sum(a) FROM unnest(v_amount) a) IS DISTINCT FROM (SELECT sum(q) FROM unnest(p_quantity) q) THEN
    RAISE EXCEPTION 'a hold has less than is to be delivered' USING ERRCODE = 'SH001';
  END IF;
  UPDATE ledger.lot l SET remaining = l.remaining - s.amount, held = l.held - s.amount, open = l.remaining > s.amount
    FROM (SELECT u.lot, sum(u.amount)::bigint AS amount FROM unnest(v_lot, v_amount) u(lot, amount) GROUP BY u.lot) s
    WHERE l.id = s.lot;
  INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, unlock_at, expires_at,
                          unit_cost_fen, open)
    SELECT v.child, p_receiver[v.n], 'exchange', v.lot, v.amount, v.amount, p_now, p_unlock, l.expires_at, p_cost[v.n],
           true
    FROM unnest(v_n, v_lot, v_amount, v_child) v(n, lot, amount, child) JOIN ledger.lot l ON l.id = v.lot;

  UPDATE ledger.hold h SET amount = h.amount - x.drawn, lots = coalesce(x.lots, '{}'),
                           lot_amounts = coalesce(x.amounts, '{}'), posting = x.last
    FROM (SELECT r.hold, r.drawn, r.last, array_agg(r.lot ORDER BY r.k) FILTER (WHERE r.rest > 0) AS lots,
                 array_agg(r.rest ORDER BY r.k) FILTER (WHERE r.rest > 0) AS amounts
          FROM (SELECT d.hold, d.drawn, d.last, u.lot, u.k,
                       u.amount - least(u.amount, greatest(0, d.drawn - (sum(u.amount) OVER w - u.amount)))::bigint AS rest
                FROM (SELECT q.hold, sum(q.quantity)::bigint AS drawn, (array_agg(q.id))[1] AS last
                      FROM unnest(p_source, p_quantity, p_id) q(hold, quantity, id) GROUP BY q.hold) d
                JOIN ledger.hold o ON o.id = d.hold, unnest(o.lots, o.lot_amounts) WITH ORDINALITY u(lot, amount, k)
                WINDOW w AS (PARTITION BY d.hold ORDER BY u.k)) r
          GROUP BY r.hold, r.drawn, r.last) x
    WHERE h.id = x.hold;
  UPDATE ledger.hold h SET amount = h.amount - x.drawn, posting = x.last  -- CHECK (amount >= 0) refuses more than it has
    FROM (SELECT q.hold, sum(q.price)::bigint AS drawn, (array_agg(q.id))[1] AS last
          FROM unnest(p_payment, p_price, p_id) q(hold, price, id) GROUP BY q.hold) x
    WHERE h.id = x.hold;
  UPDATE ledger.account a SET balance = a.balance + s.balance, held = a.held + s.held
    FROM (SELECT u.account, sum(u.balance)::bigint AS balance, sum(u.held)::bigint AS held FROM (
            SELECT x.account, -x.amount AS balance, -x.amount AS held FROM unnest(v_seller, p_quantity) x(account, amount)
            UNION ALL SELECT x.account, x.amount, 0 FROM unnest(p_receiver, p_quantity) x(account, amount)
            UNION ALL SELECT x.account, -x.amount, -x.amount FROM unnest(v_buyer, p_price) x(account, amount)
            UNION ALL SELECT x.account, x.amount - x.fee, 0 FROM unnest(p_payee, p_price, p_fee) x(account, amount, fee)
            UNION ALL SELECT p_fund, x.fee, 0 FROM unnest(p_fee) x(fee)) u(account, balance, held)
          GROUP BY u.account) s
    WHERE a.id = s.account;
  GET DIAGNOSTICS v_rows = ROW_COUNT;
  IF v_rows <> cardinality(v_accounts) THEN RAISE EXCEPTION 'an account is unknown' USING ERRCODE = 'SH002'; END IF;

  INSERT INTO ledger.posting (id, at, day, kind, actor, evidence, lots, lot_deltas)
    SELECT p_id[b.n], p_now, p_day, p_kind, 'exchange', p_evidence[b.n], b.lots, b.deltas
    FROM (SELECT u.n, array_agg(u.lot) AS lots, array_agg(u.delta) AS deltas FROM (
            SELECT v.n, v.lot, -v.amount FROM unnest(v_n, v_lot, v_amount) v(n, lot, amount)
            UNION ALL SELECT v.n, v.child, v.amount FROM unnest(v_n, v_child, v_amount) v(n, child, amount)
          ) u(n, lot, delta) GROUP BY u.n) b;
  INSERT INTO ledger.transfer (id, posting, debit, credit, amount, at)
    SELECT q.id, q.id, q.seller, q.receiver, q.quantity, p_now
    FROM unnest(p_id, v_seller, p_receiver, p_quantity) q(id, seller, receiver, quantity)
    UNION ALL SELECT q.pay_id, q.id, q.buyer, q.payee, q.price, p_now
    FROM unnest(p_pay_id, p_id, v_buyer, p_payee, p_price) q(pay_id, id, buyer, payee, price) WHERE q.price > 0
    UNION ALL SELECT q.fee_id, q.id, q.payee, p_fund, q.fee, p_now
    FROM unnest(p_fee_id, p_id, p_payee, p_fee) q(fee_id, id, payee, fee) WHERE q.fee > 0;
  INSERT INTO ledger.posting_transfer (posting, ordinal, transfer)
    SELECT q.id, 2, q.pay_id FROM unnest(p_id, p_pay_id, p_price) q(id, pay_id, price) WHERE q.price > 0
    UNION ALL SELECT q.id, 3, q.fee_id FROM unnest(p_id, p_fee_id, p_fee) q(id, fee_id, fee) WHERE q.fee > 0;
END $$;
