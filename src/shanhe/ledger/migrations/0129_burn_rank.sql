-- C12: a lot bought on the exchange burns as a purchased one, so of the two the older goes first. Every function that lays out
-- lots sorted them by their place in the order instead; each is put right where it stands.
CREATE FUNCTION ledger.burn_rank(p_order text[], p_provenance text) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT array_position(p_order, CASE p_provenance WHEN 'exchange' THEN 'purchased' ELSE p_provenance END) $$;

DO $$
DECLARE v_function oid; v_old text := 'array_position(p_order, l.provenance)';
BEGIN
  FOR v_function IN
    SELECT p.oid FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'ledger' AND position(v_old IN p.prosrc) > 0
  LOOP
    EXECUTE replace(pg_get_functiondef(v_function), v_old, 'ledger.burn_rank(p_order, l.provenance)');
  END LOOP;
END $$;
