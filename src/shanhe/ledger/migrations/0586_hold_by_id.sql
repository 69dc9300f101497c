-- Whoever ends a hold knows its id. But the planner saw an index of open holds beside the condition that it is open, thought it short,
-- and read all of it for each batch: every hold that is open, and every one that was until the next vacuum. Put so that it can't be taken
-- for that index's condition (a state is never NULL), the same condition is asked of the rows that the ids find.
DO $$
DECLARE v_function oid; v_old text := 'AND h.state = ''open'''; v_new text := 'AND (h.state = ''open'') IS NOT FALSE';
BEGIN
  FOR v_function IN
    SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'ledger' AND position(v_old IN p.prosrc) > 0
  LOOP
    EXECUTE replace(pg_get_functiondef(v_function), v_old, v_new);
  END LOOP;
END $$;
DROP INDEX ledger.hold_open;
