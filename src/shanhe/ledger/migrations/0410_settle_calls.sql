-- Settles ordinary calls: each paid from one lot of a lease, to striped accounts. `ledger.settle` books the same and everything
-- else; but a batch is mostly a few such calls, and there what a statement costs before its first row is what a call costs. So a
-- batch of one lease updates its rows by key, the inserts take their arrays in step without building tables of them first, and
-- half of the arguments are not sent. The account is locked before what belongs to it, as everywhere.
CREATE FUNCTION ledger.settle_calls(
  p_now timestamptz, p_day date, p_worker text, p_kind text,
  p_id uuid[], p_evidence bytea[], p_lot uuid[], p_amount bigint[],       -- calls, the lot that pays each, and how much
  t_id uuid[], t_posting uuid[], t_debit uuid[], t_credit uuid[], t_amount bigint[],
  e_account uuid[], e_epoch bigint[], e_lot uuid[], e_amount bigint[],   -- sorted by account: taken from leases
  s_account uuid[], s_amount bigint[]                                     -- sorted by account: striped accounts
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_rows int;
BEGIN
  IF cardinality(e_epoch) = 1 THEN
    UPDATE ledger.account SET balance = balance - e_amount[1], held = held - e_amount[1] WHERE id = e_account[1];
    WITH burned AS (
      UPDATE ledger.lot SET remaining = remaining - e_amount[1], held = held - e_amount[1], open = remaining > e_amount[1]
        WHERE id = e_lot[1]
    )
    UPDATE ledger.lease_lot SET amount = amount - e_amount[1] WHERE epoch = e_epoch[1] AND lot = e_lot[1];
  ELSE
    PERFORM FROM ledger.account WHERE id = ANY(e_account) ORDER BY id FOR NO KEY UPDATE;
    UPDATE ledger.account a SET balance = a.balance - d.amount, held = a.held - d.amount
      FROM (SELECT u.id, sum(u.amount)::bigint AS amount FROM unnest(e_account, e_amount) u(id, amount) GROUP BY u.id) d
      WHERE a.id = d.id;
    WITH burned AS (
      UPDATE ledger.lot l SET remaining = l.remaining - d.amount, held = l.held - d.amount, open = l.remaining > d.amount
        FROM (SELECT u.id, sum(u.amount)::bigint AS amount FROM unnest(e_lot, e_amount) u(id, amount) GROUP BY u.id) d
        WHERE l.id = d.id
    )
    UPDATE ledger.lease_lot l SET amount = l.amount - e.amount
      FROM unnest(e_epoch, e_lot, e_amount) e(epoch, lot, amount) WHERE l.epoch = e.epoch AND l.lot = e.lot;
  END IF;
  GET DIAGNOSTICS v_rows = ROW_COUNT;
  IF v_rows <> cardinality(e_epoch) THEN
    RAISE EXCEPTION 'a lease was reclaimed' USING ERRCODE = 'SH001';
  END IF;
  WITH striped AS (
    INSERT INTO ledger.stripe AS s SELECT unnest(s_account), p_worker, unnest(s_amount)
      ON CONFLICT (account, worker) DO UPDATE SET balance = s.balance + excluded.balance
  ), further AS (
    INSERT INTO ledger.posting_transfer (posting, ordinal, transfer)
      SELECT t_posting[n], n, t_id[n] FROM generate_series(1, cardinality(t_id)) n WHERE t_id[n] <> t_posting[n]
  ), paid AS (
    INSERT INTO ledger.transfer (id, posting, debit, credit, amount, at)
      SELECT unnest(t_id), unnest(t_posting), unnest(t_debit), unnest(t_credit), unnest(t_amount), p_now
  )
  INSERT INTO ledger.posting (id, at, day, kind, evidence, lots, lot_deltas)
    SELECT unnest(p_id), p_now, p_day, p_kind, unnest(p_evidence), ARRAY[unnest(p_lot)], ARRAY[-unnest(p_amount)];
END $$;
