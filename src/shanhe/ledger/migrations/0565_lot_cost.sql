-- What a lot cost, as one amount in fen for all that was issued of it. A part of it costs what the rest costs less afterwards:
-- C(before) - C(after), with C(quantity) = cost × quantity ÷ issued, half to even. So parts add up to the whole in whatever order
-- they are taken, and none is negative. What one credit cost, in whole fen, could say neither.
CREATE FUNCTION ledger.cost_of(p_cost bigint, p_issued bigint, p_quantity bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT (q.whole + CASE WHEN q.twice > p_issued OR (q.twice = p_issued AND q.whole % 2 = 1) THEN 1 ELSE 0 END)::bigint
  FROM (SELECT div(x.product, p_issued) AS whole, 2 * (x.product - p_issued * div(x.product, p_issued)) AS twice
        FROM (SELECT p_cost::numeric * p_quantity AS product) x) q
$$;

ALTER TABLE ledger.lot ADD COLUMN cost_fen bigint;
ALTER TABLE ledger.lot ADD CONSTRAINT lot_cost CHECK (cost_fen >= 0) NOT VALID;

-- Both functions take other arguments than before, so that a process of an older program fails instead of booking a unit's cost as
-- the whole's.
DROP FUNCTION ledger.post(
  timestamptz, text, text[], boolean, boolean, uuid[], text[], date[], text[], text[], bytea[], uuid[], int[], uuid[], uuid[],
  uuid[], bigint[], int[], uuid[], uuid[], text[], uuid[], bigint[], timestamptz[], timestamptz[], timestamptz[], jsonb[], bigint[],
  int[], uuid[], bigint[]
);
DROP FUNCTION ledger.deliver(
  timestamptz, date, text, timestamptz, uuid, uuid[], uuid[], uuid[], bytea[], uuid[], uuid[], bigint[], uuid[], uuid[], bigint[],
  bigint[], bigint[]
);

-- Books postings, a verdict a row: 'ok', 'known', 'conflict', 'short:ACCOUNT:AVAILABLE:NEEDED:LEASED', 'closed:DAY'. The
-- accounts whose debits all fit are booked set-based; rows that touch another account are decided one by one in order.
CREATE FUNCTION ledger.post(
  p_now timestamptz, p_worker text, p_order text[], p_retry boolean, p_lots boolean,
  p_id uuid[], p_kind text[], p_day date[], p_actor text[], p_memo text[], p_evidence bytea[], p_reverses uuid[],
  t_row int[], t_id uuid[], t_debit uuid[], t_credit uuid[], t_amount bigint[],
  l_row int[], l_id uuid[], l_account uuid[], l_provenance text[], l_parent uuid[], l_amount bigint[], l_cost bigint[],
  l_spendable timestamptz[], l_unlock timestamptz[], l_expires timestamptz[], l_earmark jsonb[],
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
                            expires_at, earmark, cost_fen, open)
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
                   ORDER BY l.expires_at NULLS LAST, ledger.burn_rank(p_order, l.provenance), l.issued_at, l.id)
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
    -- Between lot-bearing accounts without new lots: the receiver gets children of what was burned, each with its part of the
    -- cost; the batch took the parts of a lot in the order of `v_p_ord`, so `before` is how much more the lot held when this one went.
    WITH taken AS (
      SELECT u.k, u.n, u.lot, u.amount,
             (sum(u.amount) OVER (PARTITION BY u.lot) - sum(u.amount) OVER w + u.amount)::bigint AS before
      FROM unnest(v_p_ord, v_p_row, v_p_lot, v_p_amount) WITH ORDINALITY u(k, n, lot, amount, i)
      WINDOW w AS (PARTITION BY u.lot ORDER BY u.i)
    ), split AS (
      SELECT u.n AS row, md5(t_id[u.k]::text || u.lot::text)::uuid AS id, t_credit[u.k] AS account, u.amount,
             p.id AS parent, p.provenance, p.spendable_at, p.unlock_at, p.expires_at,
             ledger.cost_of(p.cost_fen, p.issued, p.remaining + u.before)
               - ledger.cost_of(p.cost_fen, p.issued, p.remaining + u.before - u.amount) AS cost_fen
      FROM taken u JOIN ledger.account a ON a.id = t_credit[u.k] AND a.lots JOIN ledger.lot p ON p.id = u.lot
      WHERE NOT EXISTS (SELECT FROM unnest(l_row, l_account) x(n, account) WHERE x.n = u.n AND x.account = a.id)
    ), born AS (
      INSERT INTO ledger.lot (id, account, provenance, parent, issued, remaining, issued_at, spendable_at, unlock_at,
                              expires_at, cost_fen, open)
      SELECT id, account, provenance, parent, amount, amount, p_now, spendable_at, unlock_at, expires_at, cost_fen, true
      FROM split
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

-- Delivery against payment: each row draws a quantity from a hold on lots for a receiver and a price from a hold on money
-- for a payee, whose fee goes to a fund; one balanced posting a row. The receiver's lots are children of what was drawn:
-- provenance exchange, the seller's expiry, a new lock. `guard_lineage` refuses subsidy and locked lots once more.
-- What a trade costs the receiver is what was paid, laid over the lots of one trade.
CREATE FUNCTION ledger.deliver(
  p_now timestamptz, p_day date, p_kind text, p_unlock timestamptz, p_fund uuid,
  p_id uuid[], p_pay_id uuid[], p_fee_id uuid[], p_evidence bytea[],
  p_source uuid[], p_receiver uuid[], p_quantity bigint[],
  p_payment uuid[], p_payee uuid[], p_price bigint[], p_fee bigint[]
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
                          cost_fen, open)
    SELECT v.child, p_receiver[v.n], 'exchange', v.lot, v.amount, v.amount, p_now, p_unlock, l.expires_at,
           ledger.cost_of(p_price[v.n], p_quantity[v.n], v.got)
             - ledger.cost_of(p_price[v.n], p_quantity[v.n], v.got - v.amount), true
    FROM (SELECT u.*, (sum(u.amount) OVER (PARTITION BY u.n ORDER BY u.i))::bigint AS got
          FROM unnest(v_n, v_lot, v_amount, v_child) WITH ORDINALITY u(n, lot, amount, child, i)) v
    JOIN ledger.lot l ON l.id = v.lot;

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
