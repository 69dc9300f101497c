-- Which transfers belong to a posting was written down only where a batch had more transfers than postings. A call that cost
-- nothing has none, so beside it the further legs of another call were booked but not found from their posting. What tells whether
-- there are further legs is whether any transfer has another id than its posting.
DO $$
DECLARE v_function oid; v_old text := 'IF cardinality(t_id) > cardinality(p_id) THEN';
BEGIN
  FOR v_function IN
    SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'ledger' AND position(v_old IN p.prosrc) > 0
  LOOP
    EXECUTE replace(pg_get_functiondef(v_function), v_old, 'IF t_id <> t_posting THEN');
  END LOOP;
END $$;

INSERT INTO ledger.posting_transfer (posting, ordinal, transfer)
  SELECT t.posting, 1000000 + row_number() OVER (PARTITION BY t.posting ORDER BY t.id), t.id FROM ledger.transfer t
  WHERE t.id <> t.posting
    AND NOT EXISTS (SELECT FROM ledger.posting_transfer pt WHERE pt.posting = t.posting AND pt.transfer = t.id);
