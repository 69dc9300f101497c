-- What may be sold of one account is what may be sold of several, asked of one.
CREATE OR REPLACE FUNCTION ledger.tradeable(p_account uuid, p_now timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT (ledger.tradeable_of(ARRAY[p_account], p_now))[1]
$$;
