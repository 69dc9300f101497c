-- Holds, leases and counters. Every function locks accounts in id order first, then their lots: no two can deadlock.

-- Gives an expired lease's unused part back. The caller holds the account's lock.
CREATE FUNCTION ledger.reclaim(p_epochs bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_total bigint;
BEGIN
  WITH gone AS (
    DELETE FROM ledger.lease_lot WHERE epoch = ANY(p_epochs) RETURNING lot, amount
  ), sums AS (
    SELECT lot, sum(amount)::bigint AS amount FROM gone GROUP BY lot
  ), freed AS (
    UPDATE ledger.lot l SET held = l.held - s.amount FROM sums s WHERE l.id = s.lot RETURNING l.account, s.amount
  ), back AS (
    UPDATE ledger.account a SET held = a.held - f.amount
    FROM (SELECT account, sum(amount)::bigint AS amount FROM freed GROUP BY account) f WHERE a.id = f.account
    RETURNING f.amount
  )
  SELECT coalesce(sum(amount), 0) INTO v_total FROM back;
  DELETE FROM ledger.lease WHERE epoch = ANY(p_epochs);
  RETURN v_total;
END $$;

CREATE FUNCTION ledger.reclaim_account(p_account uuid, p_now timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_epochs bigint[];
BEGIN
  SELECT array_agg(epoch) INTO v_epochs FROM ledger.lease WHERE account = p_account AND expires_at <= p_now;
  IF v_epochs IS NULL THEN RETURN 0; END IF;
  RETURN ledger.reclaim(v_epochs);
END $$;

-- Lends a block to a worker, or says 'direct': then only database holds admit. See leases.py for the rules.
CREATE FUNCTION ledger.lease_grant(
  p_now timestamptz, p_account uuid, p_worker text, p_epoch bigint, p_block bigint, p_low bigint, p_parts bigint,
  p_expires timestamptz, p_soon timestamptz, p_order text[],
  OUT verdict text, OUT epoch bigint, OUT lots uuid[], OUT amounts bigint[], OUT provenances text[],
  OUT expiries timestamptz[]
) LANGUAGE plpgsql AS $$
DECLARE v_room bigint; v_free bigint; v_special boolean; v_block bigint;
BEGIN
  SELECT a.balance - a.held - coalesce(a.floor, 0) INTO v_room FROM ledger.account a
    WHERE a.id = p_account AND a.lots FOR NO KEY UPDATE;
  IF NOT FOUND THEN verdict := 'direct'; RETURN; END IF;
  v_room := v_room + ledger.reclaim_account(p_account, p_now);
  IF p_epoch IS NOT NULL AND NOT EXISTS (SELECT FROM ledger.lease l WHERE l.epoch = p_epoch) THEN
    verdict := 'reclaimed'; RETURN;
  END IF;
  -- Earmarked and soon-expiring lots burn first by C12 but must not be lent: holds spend them.
  SELECT coalesce(sum(l.remaining - l.held) FILTER (WHERE NOT x.special), 0), coalesce(bool_or(x.special), false)
    INTO v_free, v_special
    FROM ledger.lot l, LATERAL (SELECT l.earmark IS NOT NULL OR coalesce(l.expires_at <= p_soon, false) AS special) x
    WHERE l.account = p_account AND l.open AND l.remaining > l.held
      AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now);
  v_room := least(v_room, v_free);
  v_block := least(p_block, v_room / p_parts);
  IF v_special OR v_room < p_low OR v_block <= 0 THEN
    IF EXISTS (SELECT FROM ledger.lease l WHERE l.account = p_account) THEN
      PERFORM pg_notify('ledger_recall', p_account::text);
    END IF;
    verdict := 'direct'; RETURN;
  END IF;
  verdict := 'leased';
  epoch := p_epoch;
  IF epoch IS NULL THEN
    INSERT INTO ledger.lease AS l (account, worker, granted_at, expires_at)
      VALUES (p_account, p_worker, p_now, p_expires) RETURNING l.epoch INTO epoch;
  ELSE
    UPDATE ledger.lease l SET expires_at = greatest(l.expires_at, p_expires) WHERE l.epoch = p_epoch;
  END IF;
  WITH have AS (
    SELECT l.id, l.remaining - l.held AS free, sum(l.remaining - l.held) OVER w AS hi, row_number() OVER w AS n,
           l.provenance, l.expires_at
    FROM ledger.lot l
    WHERE l.account = p_account AND l.open AND l.remaining > l.held AND l.earmark IS NULL
      AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
    WINDOW w AS (ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance), l.issued_at, l.id)
  ), piece AS (
    SELECT h.*, least(h.free, v_block - (h.hi - h.free))::bigint AS amount FROM have h WHERE h.hi - h.free < v_block
  )
  SELECT array_agg(p.id ORDER BY p.n), array_agg(p.amount ORDER BY p.n), array_agg(p.provenance ORDER BY p.n),
         array_agg(p.expires_at ORDER BY p.n)
    INTO lots, amounts, provenances, expiries FROM piece p;
  UPDATE ledger.lot l SET held = l.held + p.amount FROM unnest(lots, amounts) p(lot, amount) WHERE l.id = p.lot;
  UPDATE ledger.account a SET held = a.held + v_block WHERE a.id = p_account;
  INSERT INTO ledger.lease_lot AS ll SELECT epoch, p.lot, p.amount FROM unnest(lots, amounts) p(lot, amount)
    ON CONFLICT ON CONSTRAINT lease_lot_pkey DO UPDATE SET amount = ll.amount + excluded.amount;
END $$;

-- Turns running reservations of a lease into holds and gives a part back. False when the epoch was reclaimed.
CREATE FUNCTION ledger.lease_shrink(
  p_now timestamptz, p_account uuid, p_epoch bigint, p_expires timestamptz,
  b_lot uuid[], b_amount bigint[],                                        -- given back
  h_id uuid[], h_amount bigint[], h_expires timestamptz[], h_end int[], hl_lot uuid[], hl_amount bigint[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE v_back bigint; v_rows int; v_lots int;
BEGIN
  PERFORM FROM ledger.account WHERE id = p_account FOR NO KEY UPDATE;
  UPDATE ledger.lease SET expires_at = greatest(expires_at, p_expires) WHERE epoch = p_epoch;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE ledger.lease_lot ll SET amount = ll.amount - d.amount
    FROM (SELECT lot, sum(amount)::bigint AS amount
          FROM (SELECT * FROM unnest(b_lot, b_amount) UNION ALL SELECT * FROM unnest(hl_lot, hl_amount)) u(lot, amount)
          GROUP BY lot) d
    WHERE ll.epoch = p_epoch AND ll.lot = d.lot;
  UPDATE ledger.lot l SET held = l.held - b.amount FROM unnest(b_lot, b_amount) b(lot, amount) WHERE l.id = b.lot;
  SELECT coalesce(sum(x), 0) INTO v_back FROM unnest(b_amount) x;
  UPDATE ledger.account SET held = held - v_back WHERE id = p_account AND v_back > 0;
  INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
    SELECT h.id, p_account, h.amount, 'call', p_now, h.expires,
           hl_lot[lag(h.stop, 1, 0) OVER w + 1 : h.stop], hl_amount[lag(h.stop, 1, 0) OVER w + 1 : h.stop]
    FROM unnest(h_id, h_amount, h_expires, h_end) WITH ORDINALITY h(id, amount, expires, stop, n)
    WINDOW w AS (ORDER BY h.n);
  DELETE FROM ledger.lease_lot WHERE epoch = p_epoch AND amount = 0;
  DELETE FROM ledger.lease l WHERE l.epoch = p_epoch
    AND NOT EXISTS (SELECT FROM ledger.lease_lot ll WHERE ll.epoch = p_epoch);
  RETURN true;
END $$;

CREATE FUNCTION ledger.available(p_account uuid, p_now timestamptz, p_facts jsonb) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN a.lots THEN least(a.balance - a.held - coalesce(a.floor, 0), (
      SELECT coalesce(sum(l.remaining - l.held), 0) FROM ledger.lot l
      WHERE l.account = a.id AND l.open AND (l.spendable_at IS NULL OR l.spendable_at <= p_now)
        AND (l.expires_at IS NULL OR l.expires_at > p_now)
        AND (l.earmark IS NULL OR coalesce(p_facts, '{}') @> l.earmark)))
    WHEN a.floor IS NULL THEN 4611686018427387904
    ELSE a.balance - a.held - a.floor END
  FROM ledger.account a WHERE a.id = p_account
$$;

-- Holds for a batch, a verdict a row in order: 'held', 'known', 'conflict', 'short'. Where an account's sum fits and
-- none of its lots is earmarked the lots are laid out set-based: requests and lots end to end, pieces = overlaps.
CREATE FUNCTION ledger.hold(
  p_now timestamptz, p_order text[],
  p_id uuid[], p_account uuid[], p_amount bigint[], p_purpose text[], p_expires timestamptz[], p_facts jsonb[]
) RETURNS TABLE (ord int, verdict text, available bigint, leased bigint, lots uuid[], amounts bigint[],
                 provenances text[], expiries timestamptz[])
LANGUAGE plpgsql AS $$
DECLARE
  v_accounts uuid[]; v_tight uuid[]; v_known int[]; v_account uuid; r record; v_leased bigint; v_available bigint;
  v_lots uuid[]; v_amounts bigint[];
BEGIN
  SELECT array_agg(DISTINCT a ORDER BY a) INTO v_accounts FROM unnest(p_account) a;
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  FOREACH v_account IN ARRAY v_accounts LOOP
    PERFORM ledger.reclaim_account(v_account, p_now);
  END LOOP;
  SELECT coalesce(array_agg(q.n::int), '{}') INTO v_known FROM unnest(p_id) WITH ORDINALITY q(id, n)
    JOIN ledger.hold h ON h.id = q.id;
  SELECT coalesce(array_agg(w.account), '{}') INTO v_tight FROM (
      SELECT q.account, sum(q.amount) AS amount FROM unnest(p_account, p_amount) q(account, amount) GROUP BY q.account) w
    WHERE w.amount > ledger.available(w.account, p_now, NULL) OR EXISTS (
      SELECT FROM ledger.lot l WHERE l.account = w.account AND l.open AND l.remaining > l.held AND l.earmark IS NOT NULL);

  FOR r IN SELECT q.n::int AS n, q.id, q.account, q.amount, q.purpose, q.expires, q.facts
           FROM unnest(p_id, p_account, p_amount, p_purpose, p_expires, p_facts)
             WITH ORDINALITY q(id, account, amount, purpose, expires, facts, n)
           WHERE q.account = ANY(v_tight) OR q.n = ANY(v_known) ORDER BY q.n LOOP
    ord := r.n; available := NULL; leased := NULL; lots := NULL; amounts := NULL; provenances := NULL;
    expiries := NULL;
    IF r.n = ANY(v_known) THEN
      SELECT CASE WHEN h.account = r.account AND h.amount = r.amount AND h.purpose = r.purpose AND h.state = 'open'
             THEN 'known' ELSE 'conflict' END, h.lots, h.lot_amounts INTO verdict, lots, amounts
        FROM ledger.hold h WHERE h.id = r.id;
      SELECT array_agg(l.provenance ORDER BY u.n), array_agg(l.expires_at ORDER BY u.n) INTO provenances, expiries
        FROM unnest(lots) WITH ORDINALITY u(lot, n) JOIN ledger.lot l ON l.id = u.lot;
      RETURN NEXT; CONTINUE;
    END IF;
    v_available := ledger.available(r.account, p_now, r.facts);
    IF v_available < r.amount THEN
      SELECT coalesce(sum(ll.amount), 0) INTO v_leased FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)
        WHERE l.account = r.account;
      verdict := 'short'; available := v_available; leased := v_leased;
      IF v_leased > 0 THEN PERFORM pg_notify('ledger_recall', r.account::text); END IF;
      RETURN NEXT; CONTINUE;
    END IF;
    SELECT array_agg(p.id ORDER BY p.n), array_agg(p.amount ORDER BY p.n), array_agg(p.provenance ORDER BY p.n),
           array_agg(p.expires_at ORDER BY p.n)
      INTO lots, amounts, provenances, expiries
      FROM (SELECT h.id, h.n, h.provenance, h.expires_at, least(h.free, r.amount - (h.hi - h.free))::bigint AS amount
            FROM (SELECT l.id, l.provenance, l.expires_at, l.remaining - l.held AS free, row_number() OVER w AS n,
                         sum(l.remaining - l.held) OVER w AS hi
                  FROM ledger.lot l
                  WHERE l.account = r.account AND l.open AND l.remaining > l.held
                    AND (l.spendable_at IS NULL OR l.spendable_at <= p_now)
                    AND (l.expires_at IS NULL OR l.expires_at > p_now)
                    AND (l.earmark IS NULL OR coalesce(r.facts, '{}') @> l.earmark)
                  WINDOW w AS (ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance),
                               l.issued_at, l.id)) h
            WHERE h.hi - h.free < r.amount) p;
    UPDATE ledger.lot l SET held = l.held + u.amount FROM unnest(lots, amounts) u(lot, amount) WHERE l.id = u.lot;
    UPDATE ledger.account a SET held = a.held + r.amount WHERE a.id = r.account;
    INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
      VALUES (r.id, r.account, r.amount, r.purpose, p_now, r.expires, coalesce(lots, '{}'), coalesce(amounts, '{}'));
    verdict := 'held';
    RETURN NEXT;
  END LOOP;

  RETURN QUERY
  WITH need AS (
    SELECT q.n::int AS n, q.id, q.account, q.amount, q.purpose, q.expires,
           sum(q.amount) OVER w - q.amount AS lo, sum(q.amount) OVER w AS hi
    FROM unnest(p_id, p_account, p_amount, p_purpose, p_expires)
      WITH ORDINALITY q(id, account, amount, purpose, expires, n)
    WHERE q.account <> ALL(v_tight) AND q.n <> ALL(v_known)
    WINDOW w AS (PARTITION BY q.account ORDER BY q.n)
  ), have AS (
    SELECT l.id, l.account, l.provenance, l.expires_at, row_number() OVER w AS n,
           sum(l.remaining - l.held) OVER w - (l.remaining - l.held) AS lo, sum(l.remaining - l.held) OVER w AS hi
    FROM ledger.lot l
    WHERE l.account = ANY(v_accounts) AND l.open AND l.remaining > l.held AND l.earmark IS NULL
      AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
    WINDOW w AS (PARTITION BY l.account ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance),
                 l.issued_at, l.id)
  ), piece AS (
    SELECT d.*, h.n AS k, h.id AS lot, h.provenance, h.expires_at AS expiry,
           (least(d.hi, h.hi) - greatest(d.lo, h.lo))::bigint AS part
    FROM need d LEFT JOIN have h ON h.account = d.account AND h.lo < d.hi AND d.lo < h.hi
  ), laid AS (  -- one row a hold; joined by nothing later, because CTEs have no statistics and would join quadratically
    SELECT p.n, p.id, p.account, p.amount, p.purpose, p.expires,
           coalesce(array_agg(p.lot ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS lots,
           coalesce(array_agg(p.part ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS amounts,
           coalesce(array_agg(p.provenance ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS provenances,
           coalesce(array_agg(p.expiry ORDER BY p.k) FILTER (WHERE p.lot IS NOT NULL), '{}') AS expiries
    FROM piece p GROUP BY p.n, p.id, p.account, p.amount, p.purpose, p.expires
  ), lots_held AS (
    UPDATE ledger.lot l SET held = l.held + s.amount
    FROM (SELECT p.lot, sum(p.part)::bigint AS amount FROM piece p WHERE p.lot IS NOT NULL GROUP BY p.lot) s
    WHERE l.id = s.lot
  ), accounts_held AS (
    UPDATE ledger.account a SET held = a.held + s.amount
    FROM (SELECT d.account, sum(d.amount)::bigint AS amount FROM need d GROUP BY d.account) s WHERE a.id = s.account
  ), booked AS (
    INSERT INTO ledger.hold (id, account, amount, purpose, created_at, expires_at, lots, lot_amounts)
    SELECT g.id, g.account, g.amount, g.purpose, p_now, g.expires, g.lots, g.amounts FROM laid g
  )
  SELECT g.n, 'held'::text, NULL::bigint, NULL::bigint, g.lots, g.amounts, g.provenances, g.expiries FROM laid g;
END $$;

-- Ends holds whose time is over. Their lots' value is free again (or swept as breakage when the lot has expired).
CREATE FUNCTION ledger.sweep_holds(p_now timestamptz, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE v_ids uuid[]; v_accounts uuid[]; v_rows int;
BEGIN
  SELECT array_agg(h.id), array_agg(DISTINCT h.account) INTO v_ids, v_accounts
    FROM (SELECT id, account FROM ledger.hold WHERE state = 'open' AND expires_at <= p_now LIMIT p_limit) h;
  IF v_ids IS NULL THEN RETURN 0; END IF;
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) ORDER BY a.id FOR NO KEY UPDATE;
  WITH ended AS (
    UPDATE ledger.hold SET state = 'expired' WHERE id = ANY(v_ids) AND state = 'open'
    RETURNING account, amount, lots, lot_amounts
  ), freed AS (
    UPDATE ledger.lot l SET held = l.held - s.amount
    FROM (SELECT u.lot, sum(u.amount)::bigint AS amount FROM ended e, unnest(e.lots, e.lot_amounts) u(lot, amount)
          GROUP BY u.lot) s
    WHERE l.id = s.lot
  ), back AS (
    UPDATE ledger.account a SET held = a.held - s.amount
    FROM (SELECT account, sum(amount)::bigint AS amount FROM ended GROUP BY account) s WHERE a.id = s.account
  )
  SELECT count(*) INTO v_rows FROM ended;
  RETURN v_rows;
END $$;

CREATE FUNCTION ledger.sweep_leases(p_now timestamptz, p_worker text, p_limit int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE v_account uuid; v_count int := 0;
BEGIN  -- one account at a time, in id order
  FOR v_account IN
    SELECT a.id FROM ledger.account a
    WHERE a.id IN (SELECT l.account FROM ledger.lease l WHERE l.expires_at <= p_now OR l.worker = p_worker LIMIT p_limit)
    ORDER BY a.id FOR NO KEY UPDATE
  LOOP
    PERFORM ledger.reclaim(coalesce(array_agg(l.epoch), '{}')) FROM ledger.lease l
      WHERE l.account = v_account AND (l.expires_at <= p_now OR l.worker = p_worker);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$;

-- Lends blocks of counters: per row the grant (0 when the window has no room for `p_need`) and what is used now.
-- Below the low-water mark only what is needed is lent, and others are asked to give theirs back.
CREATE FUNCTION ledger.counter_take(
  p_now timestamptz, p_scope uuid[], p_name text[], p_win text[], p_cap bigint[], p_need bigint[], p_parts bigint
) RETURNS TABLE (ord int, granted bigint, used_now bigint) LANGUAGE plpgsql AS $$
DECLARE r record; v_used bigint; v_room bigint;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);  -- a crash may forget a second of counting, never money
  FOR r IN SELECT q.* FROM unnest(p_scope, p_name, p_win, p_cap, p_need)
           WITH ORDINALITY q(scope, name, win, cap, need, n) ORDER BY q.scope, q.name, q.win LOOP
    INSERT INTO ledger.counter AS c VALUES (r.scope, r.name, r.win, 0, p_now)
      ON CONFLICT (scope, name, win) DO UPDATE SET touched = p_now RETURNING c.used INTO v_used;
    v_room := r.cap - v_used;
    ord := r.n;
    IF v_room < r.need THEN
      granted := 0;
      PERFORM pg_notify('ledger_counter', concat_ws(chr(31), r.scope, r.name, r.win));
    ELSE
      granted := greatest(r.need, v_room / p_parts);
      UPDATE ledger.counter c SET used = c.used + granted WHERE (c.scope, c.name, c.win) = (r.scope, r.name, r.win);
      v_used := v_used + granted;
    END IF;
    used_now := v_used;
    RETURN NEXT;
  END LOOP;
END $$;

CREATE FUNCTION ledger.counter_return(p_scope uuid[], p_name text[], p_win text[], p_back bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  FOR r IN SELECT * FROM unnest(p_scope, p_name, p_win, p_back) q(scope, name, win, back) ORDER BY 1, 2, 3 LOOP
    UPDATE ledger.counter c SET used = greatest(0, c.used - r.back)
      WHERE (c.scope, c.name, c.win) = (r.scope, r.name, r.win);
  END LOOP;
END $$;
