-- What arrives at a wallet in a batch was counted as there for the batch's other debits, whether or not lots arrived that these
-- could burn: what was handed on, or given back by a reversal, left the balance and no lot. Only lots that the batch issues, open
-- to anybody, are there; what arrives otherwise can be spent from the next batch on.
DO $$
DECLARE
  v_function text; v_changed text;
  v_old text := 'SELECT NOT EXISTS (SELECT FROM unnest(l_row, l_account, l_spendable, l_earmark) l(n, account, spendable, earmark)
                             WHERE l.n = v_row AND l.account = r.credit AND (l.spendable > p_now OR l.earmark IS NOT NULL))
            INTO v_open;';
  v_new text := 'SELECT NOT a.lots OR coalesce((
              SELECT bool_and(l.earmark IS NULL AND (l.spendable <= p_now) IS NOT FALSE AND (l.expires > p_now) IS NOT FALSE)
              FROM unnest(l_row, l_account, l_spendable, l_expires, l_earmark) l(n, account, spendable, expires, earmark)
              WHERE l.n = v_row AND l.account = r.credit), false)
            INTO v_open FROM ledger.account a WHERE a.id = r.credit;';
BEGIN
  SELECT pg_get_functiondef(p.oid) INTO STRICT v_function FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'ledger' AND p.proname = 'post';
  v_changed := replace(v_function, v_old, v_new);
  IF v_changed = v_function THEN RAISE EXCEPTION 'ledger.post is not what it was'; END IF;
  EXECUTE v_changed;
END $$;
