-- What payers spent out of credits that they bought themselves: a reward is no more than a part of it (P7_rank_reward).
ALTER TABLE store.rank ADD COLUMN own_micro bigint NOT NULL DEFAULT 0 CHECK (own_micro >= 0);

CREATE OR REPLACE FUNCTION store.rank_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.month, NEW.kind, NEW.place, NEW.listing, NEW.owner, NEW.score, NEW.payers, NEW.own_micro) IS DISTINCT FROM
     (OLD.month, OLD.kind, OLD.place, OLD.listing, OLD.owner, OLD.score, OLD.payers, OLD.own_micro)
    OR (OLD.application IS NOT NULL AND NEW.application IS DISTINCT FROM OLD.application)
  THEN RAISE EXCEPTION 'a month''s rank stays as it was fixed' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
