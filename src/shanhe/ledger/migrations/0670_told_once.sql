-- Most of a call's evidence is what all calls of one key, model and price list share. It is written once here, and a posting
-- names it: its evidence is that, followed by its own.
CREATE TABLE ledger.preamble (
  id   uuid PRIMARY KEY,
  text bytea NOT NULL,
  CONSTRAINT preamble_id CHECK (id = encode(substring(sha256(text) FOR 16), 'hex')::uuid)  -- so it can't be another's
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.preamble
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
REVOKE UPDATE, DELETE, TRUNCATE ON ledger.preamble FROM PUBLIC, CURRENT_USER;
ALTER TABLE ledger.posting ADD COLUMN preamble uuid;

-- Which transfers a call's posting has needs no row for each: the first carries the posting's own id, and the n-th after it that id
-- with n on its last bits. The posting says how many there are; where it says nothing, `posting_transfer` lists them.
ALTER TABLE ledger.posting ADD COLUMN further smallint;

CREATE FUNCTION ledger.further_id(p_posting uuid, p_n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT encode(set_byte(uuid_send(p_posting), 15, get_byte(uuid_send(p_posting), 15) # p_n), 'hex')::uuid
$$;

CREATE OR REPLACE FUNCTION ledger.transfers_of(p_posting uuid) RETURNS SETOF ledger.transfer LANGUAGE sql STABLE AS $$
  SELECT * FROM ledger.transfer t WHERE t.id = p_posting AND t.posting = p_posting
  UNION ALL
  (SELECT t.* FROM ledger.transfer t
   WHERE t.id = ANY(ARRAY(SELECT ledger.further_id(p_posting, n) FROM ledger.posting p, generate_series(1, p.further) n
                          WHERE p.id = p_posting))
     AND t.posting = p_posting
   ORDER BY get_byte(uuid_send(t.id), 15) # get_byte(uuid_send(p_posting), 15))
  UNION ALL
  (SELECT t.* FROM ledger.posting_transfer pt JOIN ledger.transfer t ON t.id = pt.transfer
   WHERE pt.posting = p_posting ORDER BY pt.ordinal)
$$;

-- Settles ordinary calls as before (0410), told less: a call or a transfer says which of the batch's leases, striped accounts
-- and preambles it means by its number there, because reading an id costs more than looking one up. SH006: a preamble that
-- the worker took for written is not; it writes it, and asks again.
DROP FUNCTION ledger.settle_calls(
  timestamptz, date, text, text, uuid[], bytea[], uuid[], bigint[], uuid[], uuid[], uuid[], uuid[], bigint[], uuid[], bigint[],
  uuid[], bigint[], uuid[], bigint[]
);
CREATE FUNCTION ledger.settle_calls(
  p_now timestamptz, p_day date, p_worker text, p_kind text,
  p_id uuid[], p_evidence bytea[], p_source int[], p_amount bigint[],    -- calls: which lease pays, and how much
  p_further int[],                                                         -- how many transfers each has beside the first
  t_id uuid[], t_call int[], t_share int[], t_amount bigint[],           -- transfers: of which call, to which account
  e_account uuid[], e_epoch bigint[], e_lot uuid[], e_amount bigint[],   -- sorted by account: taken from leases
  s_account uuid[], s_amount bigint[],                                    -- sorted by account: striped accounts
  b_id uuid[], p_preamble int[]    -- preambles, and which one each call has (0: none); no number when all have the only one
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_rows int; v_born bigint := pg_current_xact_id()::text::bigint;
BEGIN
  IF cardinality(e_epoch) = 1 THEN
    UPDATE ledger.account SET balance = balance - e_amount[1], held = held - e_amount[1] WHERE id = e_account[1];
    UPDATE ledger.lot SET remaining = remaining - e_amount[1], held = held - e_amount[1], open = remaining > e_amount[1]
      WHERE id = e_lot[1];
    UPDATE ledger.lease_lot SET amount = amount - e_amount[1] WHERE epoch = e_epoch[1] AND lot = e_lot[1];
  ELSE
    PERFORM FROM ledger.account WHERE id = ANY(e_account) ORDER BY id FOR NO KEY UPDATE;
    UPDATE ledger.account a SET balance = a.balance - d.amount, held = a.held - d.amount
      FROM (SELECT u.id, sum(u.amount)::bigint AS amount FROM unnest(e_account, e_amount) u(id, amount) GROUP BY u.id) d
      WHERE a.id = d.id;
    UPDATE ledger.lot l SET remaining = l.remaining - d.amount, held = l.held - d.amount, open = l.remaining > d.amount
      FROM (SELECT u.id, sum(u.amount)::bigint AS amount FROM unnest(e_lot, e_amount) u(id, amount) GROUP BY u.id) d
      WHERE l.id = d.id;
    UPDATE ledger.lease_lot l SET amount = l.amount - e.amount
      FROM unnest(e_epoch, e_lot, e_amount) e(epoch, lot, amount) WHERE l.epoch = e.epoch AND l.lot = e.lot;
  END IF;
  GET DIAGNOSTICS v_rows = ROW_COUNT;
  IF v_rows <> cardinality(e_epoch) THEN
    RAISE EXCEPTION 'a lease was reclaimed' USING ERRCODE = 'SH001';
  END IF;
  IF cardinality(p_preamble) = 0 THEN
    INSERT INTO ledger.posting (id, at, day, kind, evidence, lots, lot_deltas, born, further, preamble)
      SELECT unnest(p_id), p_now, p_day, p_kind, unnest(p_evidence), ARRAY[e_lot[unnest(p_source)]],
             ARRAY[-unnest(p_amount)], v_born, unnest(p_further), b.id
      FROM ledger.preamble b WHERE b.id = b_id[1];
  ELSE
    INSERT INTO ledger.posting (id, at, day, kind, evidence, lots, lot_deltas, born, further, preamble)
      SELECT unnest(p_id), p_now, p_day, p_kind, unnest(p_evidence), ARRAY[e_lot[unnest(p_source)]],
             ARRAY[-unnest(p_amount)], v_born, unnest(p_further), b_id[unnest(p_preamble)]
      WHERE (SELECT count(*) FROM ledger.preamble b WHERE b.id = ANY(b_id)) = cardinality(b_id);
  END IF;
  GET DIAGNOSTICS v_rows = ROW_COUNT;
  IF v_rows <> cardinality(p_id) THEN
    RAISE EXCEPTION 'a preamble is not written' USING ERRCODE = 'SH006';
  END IF;
  INSERT INTO ledger.transfer (id, posting, debit, credit, amount, at)
    SELECT unnest(t_id), p_id[unnest(t_call)], e_account[p_source[unnest(t_call)]], s_account[unnest(t_share)],
           unnest(t_amount), p_now;
  INSERT INTO ledger.stripe AS s SELECT unnest(s_account), p_worker, unnest(s_amount)
    ON CONFLICT (account, worker) DO UPDATE SET balance = s.balance + excluded.balance;
END $$;
