-- The two functions that book. Both take a whole batch in one call; sorted account locks come first.

-- Settles calls and holds. The worker that admitted them knows which lots pay (they are leased or held for it), so all
-- sums arrive ready and each row of account, lot, lease and stripe is written once per batch, whatever its size:
-- with 16 callers a batch has 5–15 calls and the statements' fixed cost dominates. A fence that does not hold raises
-- SH001 and nothing is booked; the worker then asks `settle_check` row by row.
CREATE FUNCTION ledger.settle(
  p_now timestamptz, p_day date, p_worker text,
  p_id uuid[], p_kind text[], p_actor text[], p_evidence bytea[], p_end int[], pl_lot uuid[], pl_delta bigint[],
  t_id uuid[], t_posting uuid[], t_debit uuid[], t_credit uuid[], t_amount bigint[],
  a_id uuid[], a_balance bigint[], a_held bigint[],          -- sorted by id: accounts with a floor or lots
  s_account uuid[], s_amount bigint[],                       -- sorted by account: striped accounts
  e_epoch bigint[], e_lot uuid[], e_amount bigint[],         -- taken from leases
  d_lot uuid[], d_burned bigint[], d_held bigint[],          -- off the lots' remaining and held
  h_id uuid[], h_state text[], h_captured bigint[], h_posting uuid[],
  m_id uuid[], m_account uuid[], m_provenance text[], m_parent uuid[], m_amount bigint[], m_spendable timestamptz[],
  m_unlock timestamptz[], m_expires timestamptz[]            -- income lots
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_rows int; v_from int := 1; v_i int;
BEGIN
  IF cardinality(a_id) > 1 THEN  -- one row needs no order
    PERFORM FROM ledger.account WHERE id = ANY(a_id) ORDER BY id FOR NO KEY UPDATE;
  END IF;
  UPDATE ledger.account a SET balance = a.balance + d.balance, held = a.held + d.held
    FROM unnest(a_id, a_balance, a_held) d(id, balance, held) WHERE a.id = d.id;
  IF cardinality(e_epoch) > 0 THEN
    UPDATE ledger.lease_lot l SET amount = l.amount - e.amount
      FROM unnest(e_epoch, e_lot, e_amount) e(epoch, lot, amount) WHERE l.epoch = e.epoch AND l.lot = e.lot;
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(e_epoch) THEN
      RAISE EXCEPTION 'a lease was reclaimed' USING ERRCODE = 'SH001';
    END IF;
  END IF;
  IF cardinality(h_id) > 0 THEN
    UPDATE ledger.hold h SET state = u.state, captured = u.captured, posting = u.posting
      FROM unnest(h_id, h_state, h_captured, h_posting) u(id, state, captured, posting)
      WHERE h.id = u.id AND h.state = 'open';
    GET DIAGNOSTICS v_rows = ROW_COUNT;
    IF v_rows <> cardinality(h_id) THEN
      RAISE EXCEPTION 'a hold is closed' USING ERRCODE = 'SH001';
    END IF;
  END IF;
  UPDATE ledger.lot l SET remaining = l.remaining - d.burned, held = l.held - d.held, open = l.remaining > d.burned
    FROM unnest(d_lot, d_burned, d_held) d(id, burned, held) WHERE l.id = d.id;
  IF cardinality(p_id) = 0 THEN RETURN; END IF;
  INSERT INTO ledger.posting (id, at, day, kind, actor, evidence, lots, lot_deltas)
    SELECT p.id, p_now, p_day, p.kind, p.actor, p.evidence, pl_lot[p.start:p.stop], pl_delta[p.start:p.stop]
    FROM (SELECT u.id, u.kind, u.actor, u.evidence, coalesce(p_end[u.n - 1], 0) + 1 AS start, u.stop
          FROM unnest(p_id, p_kind, p_actor, p_evidence, p_end) WITH ORDINALITY u(id, kind, actor, evidence, stop, n)) p;
  INSERT INTO ledger.transfer (id, posting, debit, credit, amount, at)
    SELECT t.id, t.posting, t.debit, t.credit, t.amount, p_now
    FROM unnest(t_id, t_posting, t_debit, t_credit, t_amount) t(id, posting, debit, credit, amount);
  IF cardinality(t_id) > cardinality(p_id) THEN
    INSERT INTO ledger.posting_transfer
      SELECT t.posting, t.n, t.id FROM unnest(t_id, t_posting) WITH ORDINALITY t(id, posting, n) WHERE t.id <> t.posting;
  END IF;
  IF cardinality(m_id) > 0 THEN
    INSERT INTO ledger.lot AS l (id, account, provenance, parent, issued, remaining, issued_at, spendable_at, unlock_at,
                                 expires_at, open)
      SELECT m.id, m.account, m.provenance, m.parent, m.amount, m.amount, p_now, m.spendable, m.unlock, m.expires, true
      FROM unnest(m_id, m_account, m_provenance, m_parent, m_amount, m_spendable, m_unlock, m_expires)
        m(id, account, provenance, parent, amount, spendable, unlock, expires)
      ON CONFLICT (id) DO UPDATE SET issued = l.issued + excluded.issued, remaining = l.remaining + excluded.remaining,
                                     open = true;
  END IF;
  IF cardinality(s_account) > 0 THEN
    INSERT INTO ledger.stripe AS s SELECT u.account, p_worker, u.amount FROM unnest(s_account, s_amount) u(account, amount)
      ON CONFLICT (account, worker) DO UPDATE SET balance = s.balance + excluded.balance;
  END IF;
END $$;

CREATE FUNCTION ledger.transfers_of(p_posting uuid) RETURNS SETOF ledger.transfer LANGUAGE sql STABLE AS $$
  SELECT * FROM ledger.transfer t WHERE t.id = p_posting AND t.posting = p_posting
  UNION ALL
  (SELECT t.* FROM ledger.posting_transfer pt JOIN ledger.transfer t ON t.id = pt.transfer
   WHERE pt.posting = p_posting ORDER BY pt.ordinal)
$$;

-- Why a batch could not be booked: per row whether it is booked already, and whether its lease or hold stands.
CREATE FUNCTION ledger.settle_check(p_id uuid[], p_epoch bigint[], p_hold uuid[])
RETURNS TABLE (ord int, booked boolean, stands boolean) LANGUAGE sql STABLE AS $$
  SELECT q.n::int, EXISTS (SELECT FROM ledger.posting p WHERE p.id = q.id),
    CASE WHEN q.hold IS NOT NULL THEN EXISTS (SELECT FROM ledger.hold h WHERE h.id = q.hold AND h.state = 'open')
         ELSE EXISTS (SELECT FROM ledger.lease l WHERE l.epoch = q.epoch) END
  FROM unnest(p_id, p_epoch, p_hold) WITH ORDINALITY q(id, epoch, hold, n)
$$;

-- Books postings, a verdict a row: 'ok', 'known', 'conflict', 'short:ACCOUNT:AVAILABLE:NEEDED:LEASED', 'closed:DAY'. The
-- accounts whose debits all fit are booked set-based; rows that touch another account are decided one by one in order.
CREATE FUNCTION ledger.post(
  p_now timestamptz, p_worker text, p_order text[], p_retry boolean, p_lots boolean,
  p_id uuid[], p_kind text[], p_day date[], p_actor text[], p_memo text[], p_evidence bytea[], p_reverses uuid[],
  t_row int[], t_id uuid[], t_debit uuid[], t_credit uuid[], t_amount bigint[],
  l_row int[], l_id uuid[], l_account uuid[], l_provenance text[], l_parent uuid[], l_amount bigint[],
  l_spendable timestamptz[], l_unlock timestamptz[], l_expires timestamptz[], l_earmark jsonb[], l_cost bigint[],
  x_row int[], x_lot uuid[], x_delta bigint[]
) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  v_accounts uuid[]; v_verdicts text[]; v_tight uuid[]; v_room bigint[]; v_closed date; v_row int; v_i int; v_bad text;
  v_open boolean; r record; v_p_ord int[]; v_p_row int[]; v_p_lot uuid[]; v_p_amount bigint[]; v_net bigint[];
BEGIN
  SELECT array_agg(u.a ORDER BY u.a) INTO v_accounts
    FROM (SELECT unnest(t_debit) UNION SELECT unnest(t_credit)) u(a);
  PERFORM FROM ledger.account a WHERE a.id = ANY(v_accounts) AND (a.floor IS NOT NULL OR a.lots)
    ORDER BY a.id FOR NO KEY UPDATE;
  IF EXISTS (SELECT FROM unnest(p_day) d WHERE d < (p_now AT TIME ZONE 'Asia/Shanghai')::date) THEN
    PERFORM pg_advisory_xact_lock_shared(x'4C454447'::int);  -- a period may be closing just now
  END IF;
  SELECT max(closed_through) INTO v_closed FROM ledger.period;
  IF p_retry OR v_closed IS NOT NULL THEN
    SELECT array_agg(CASE
        WHEN p.id IS NOT NULL THEN CASE
          WHEN p.kind = q.kind AND p.reverses IS NOT DISTINCT FROM q.reverses AND NOT EXISTS (
            (SELECT t.id, t.debit, t.credit, t.amount FROM ledger.transfers_of(q.id) t
             EXCEPT SELECT u.id, u.debit, u.credit, u.amount
               FROM unnest(t_row, t_id, t_debit, t_credit, t_amount) u(n, id, debit, credit, amount) WHERE u.n = q.n)
            UNION ALL
            (SELECT u.id, u.debit, u.credit, u.amount
               FROM unnest(t_row, t_id, t_debit, t_credit, t_amount) u(n, id, debit, credit, amount) WHERE u.n = q.n
             EXCEPT SELECT t.id, t.debit, t.credit, t.amount FROM ledger.transfers_of(q.id) t)) THEN 'known' ELSE 'conflict' END
        WHEN EXISTS (SELECT FROM unnest(t_row, t_id) u(n, id) JOIN ledger.transfer t ON t.id = u.id WHERE u.n = q.n)
          THEN 'conflict'
        WHEN EXISTS (SELECT FROM ledger.posting o WHERE o.reverses = q.reverses) THEN 'reversed'
        WHEN q.day <= v_closed THEN 'closed:' || v_closed
        ELSE 'ok' END ORDER BY q.n)
      INTO v_verdicts
      FROM unnest(p_id, p_kind, p_day, p_reverses) WITH ORDINALITY q(id, kind, day, reverses, n)
      LEFT JOIN ledger.posting p ON p.id = q.id;
  ELSE
    v_verdicts := array_fill('ok'::text, ARRAY[cardinality(p_id)]);
  END IF;

  -- Which accounts might not cover what this batch takes from them? Credits of the batch are not counted here.
  SELECT array_agg(w.account), array_agg(ledger.available(w.account, p_now, NULL)) INTO v_tight, v_room
    FROM (SELECT u.account, sum(u.amount) AS amount FROM unnest(t_debit, t_amount) u(account, amount) GROUP BY 1) w
    JOIN ledger.account a ON a.id = w.account
    WHERE (a.floor IS NOT NULL OR a.lots)
      AND w.amount > CASE WHEN a.lots THEN ledger.available(a.id, p_now, NULL) ELSE a.balance - a.held - a.floor END;
  IF v_tight IS NOT NULL THEN
    FOR v_row IN SELECT DISTINCT u.n FROM unnest(t_row, t_debit, t_credit) u(n, debit, credit)
                 WHERE u.debit = ANY(v_tight) OR u.credit = ANY(v_tight) ORDER BY 1 LOOP
      CONTINUE WHEN v_verdicts[v_row] <> 'ok';
      v_bad := NULL;
      v_net := v_room;
      FOR r IN SELECT u.debit, u.credit, u.amount FROM unnest(t_row, t_debit, t_credit, t_amount)
               WITH ORDINALITY u(n, debit, credit, amount, k) WHERE u.n = v_row ORDER BY u.k LOOP
        v_i := array_position(v_tight, r.debit);
        IF v_i IS NOT NULL THEN
          IF v_net[v_i] < r.amount AND NOT v_row = ANY(x_row) THEN
            v_bad := 'short:' || r.debit || ':' || v_net[v_i] || ':' || r.amount || ':' || (
              SELECT coalesce(sum(ll.amount), 0) FROM ledger.lease l JOIN ledger.lease_lot ll USING (epoch)
              WHERE l.account = r.debit);
            IF v_bad NOT LIKE '%:0' THEN PERFORM pg_notify('ledger_recall', r.debit::text); END IF;
            EXIT;
          END IF;
          v_net[v_i] := v_net[v_i] - r.amount;
        END IF;
        v_i := array_position(v_tight, r.credit);
        IF v_i IS NOT NULL THEN
          -- what arrives in lots can be spent only when the lots can
          SELECT NOT EXISTS (SELECT FROM unnest(l_row, l_account, l_spendable, l_earmark) l(n, account, spendable, earmark)
                             WHERE l.n = v_row AND l.account = r.credit AND (l.spendable > p_now OR l.earmark IS NOT NULL))
            INTO v_open;
          IF v_open THEN v_net[v_i] := v_net[v_i] + r.amount; END IF;
        END IF;
      END LOOP;
      IF v_bad IS NULL THEN v_room := v_net; ELSE v_verdicts[v_row] := v_bad; END IF;
    END LOOP;
  END IF;

  IF p_lots THEN
    INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, spendable_at, unlock_at,
                            expires_at, earmark, unit_cost_fen, open)
      SELECT l.id, l.account, l.provenance, l.parent, l.amount, l.amount, p_now, l.spendable, l.unlock, l.expires,
             l.earmark, l.cost, true
      FROM unnest(l_row, l_id, l_account, l_provenance, l_parent, l_amount, l_spendable, l_unlock, l_expires, l_earmark,
                  l_cost) l(n, id, account, provenance, parent, amount, spendable, unlock, expires, earmark, cost)
      WHERE v_verdicts[l.n] = 'ok';
    -- Debits and lots laid end to end in burn order: the overlaps are what each debit burns.
    WITH need AS (
      SELECT u.k::int AS k, u.n, u.account, sum(u.amount) OVER w - u.amount AS lo, sum(u.amount) OVER w AS hi
      FROM unnest(t_row, t_debit, t_amount) WITH ORDINALITY u(n, account, amount, k)
      JOIN ledger.account a ON a.id = u.account AND a.lots
      WHERE v_verdicts[u.n] = 'ok' AND u.n <> ALL(x_row)
      WINDOW w AS (PARTITION BY u.account ORDER BY u.k)
    ), have AS (
      SELECT l.id, l.account, row_number() OVER w AS n,
             sum(l.remaining - l.held) OVER w - (l.remaining - l.held) AS lo, sum(l.remaining - l.held) OVER w AS hi
      FROM ledger.lot l
      WHERE l.account = ANY(t_debit) AND l.open AND l.remaining > l.held AND l.earmark IS NULL
        AND (l.spendable_at IS NULL OR l.spendable_at <= p_now) AND (l.expires_at IS NULL OR l.expires_at > p_now)
      WINDOW w AS (PARTITION BY l.account
                   ORDER BY l.expires_at NULLS LAST, array_position(p_order, l.provenance), l.issued_at, l.id)
    )
    SELECT coalesce(array_agg(d.k ORDER BY d.k, h.n), '{}'), coalesce(array_agg(d.n ORDER BY d.k, h.n), '{}'),
           coalesce(array_agg(h.id ORDER BY d.k, h.n), '{}'),
           coalesce(array_agg((least(d.hi, h.hi) - greatest(d.lo, h.lo))::bigint ORDER BY d.k, h.n), '{}')
      INTO v_p_ord, v_p_row, v_p_lot, v_p_amount
      FROM need d JOIN have h ON h.account = d.account AND h.lo < d.hi AND d.lo < h.hi;
    UPDATE ledger.lot l SET remaining = l.remaining + d.delta, open = l.remaining + d.delta > 0
      FROM (SELECT lot, sum(delta)::bigint AS delta FROM (
              SELECT u.lot, -u.amount AS delta FROM unnest(v_p_lot, v_p_amount) u(lot, amount)
              UNION ALL SELECT x.lot, x.delta FROM unnest(x_row, x_lot, x_delta) x(n, lot, delta)
                WHERE v_verdicts[x.n] = 'ok') b GROUP BY lot) d
      WHERE l.id = d.lot;
    -- Between lot-bearing accounts without new lots: the receiver gets children of what was burned.
    WITH split AS (
      SELECT u.n AS row, md5(t_id[u.k]::text || u.lot::text)::uuid AS id, t_credit[u.k] AS account, u.amount, l.*
      FROM unnest(v_p_ord, v_p_row, v_p_lot, v_p_amount) u(k, n, lot, amount)
      JOIN ledger.account a ON a.id = t_credit[u.k] AND a.lots
      JOIN LATERAL (SELECT p.id AS parent, p.provenance, p.spendable_at, p.unlock_at, p.expires_at, p.unit_cost_fen
                    FROM ledger.lot p WHERE p.id = u.lot) l ON true
      WHERE NOT EXISTS (SELECT FROM unnest(l_row, l_account) x(n, account) WHERE x.n = u.n AND x.account = a.id)
    ), born AS (
      INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, spendable_at, unlock_at,
                              expires_at, unit_cost_fen, open)
      SELECT id, account, provenance, parent, amount, amount, p_now, spendable_at, unlock_at, expires_at, unit_cost_fen,
             true FROM split
    )
    SELECT v_p_row || coalesce(array_agg(s.row), '{}'), v_p_lot || coalesce(array_agg(s.id), '{}'),
           v_p_amount || coalesce(array_agg(-s.amount), '{}')
      INTO v_p_row, v_p_lot, v_p_amount FROM split s;
    INSERT INTO ledger.posting (id, at, day, kind, actor, memo, reverses, evidence, lots, lot_deltas)
      SELECT q.id, p_now, q.day, q.kind, q.actor, q.memo, q.reverses, q.evidence, b.lots, b.deltas
      FROM unnest(p_id, p_day, p_kind, p_actor, p_memo, p_reverses, p_evidence)
        WITH ORDINALITY q(id, day, kind, actor, memo, reverses, evidence, n)
      LEFT JOIN (
        SELECT u.n, array_agg(u.lot) AS lots, array_agg(u.delta) AS deltas FROM (
          SELECT v.n, v.lot, -v.amount AS delta FROM unnest(v_p_row, v_p_lot, v_p_amount) v(n, lot, amount)
          UNION ALL SELECT * FROM unnest(x_row, x_lot, x_delta)
          UNION ALL SELECT * FROM unnest(l_row, l_id, l_amount)) u(n, lot, delta) GROUP BY u.n) b ON b.n = q.n
      WHERE v_verdicts[q.n] = 'ok';
  ELSE
    INSERT INTO ledger.posting (id, at, day, kind, actor, memo, reverses, evidence)
      SELECT q.id, p_now, q.day, q.kind, q.actor, q.memo, q.reverses, q.evidence
      FROM unnest(p_id, p_day, p_kind, p_actor, p_memo, p_reverses, p_evidence)
        WITH ORDINALITY q(id, day, kind, actor, memo, reverses, evidence, n)
      WHERE v_verdicts[q.n] = 'ok';
  END IF;

  INSERT INTO ledger.transfer (id, posting, debit, credit, amount, at)
    SELECT u.id, p_id[u.n], u.debit, u.credit, u.amount, p_now
    FROM unnest(t_row, t_id, t_debit, t_credit, t_amount) u(n, id, debit, credit, amount) WHERE v_verdicts[u.n] = 'ok';
  INSERT INTO ledger.posting_transfer
    SELECT p_id[u.n], u.k, u.id
    FROM unnest(t_row, t_id) WITH ORDINALITY u(n, id, k) WHERE v_verdicts[u.n] = 'ok' AND p_id[u.n] <> u.id;
  WITH net AS (
    SELECT u.account, sum(u.delta)::bigint AS delta FROM (
      SELECT debit AS account, -amount AS delta, n FROM unnest(t_row, t_debit, t_amount) d(n, debit, amount)
      UNION ALL SELECT credit, amount, n FROM unnest(t_row, t_credit, t_amount) c(n, credit, amount)) u
    WHERE v_verdicts[u.n] = 'ok' GROUP BY u.account
  ), bounded AS (
    UPDATE ledger.account a SET balance = a.balance + net.delta FROM net
    WHERE a.id = net.account AND (a.floor IS NOT NULL OR a.lots) RETURNING a.id
  )
  INSERT INTO ledger.stripe AS s
    SELECT net.account, p_worker, net.delta FROM net
    JOIN ledger.account a ON a.id = net.account AND a.floor IS NULL AND NOT a.lots ORDER BY net.account
    ON CONFLICT (account, worker) DO UPDATE SET balance = s.balance + excluded.balance;
  RETURN v_verdicts;
END $$;
