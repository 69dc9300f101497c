-- A lease that ends later than one taken now would was taken before the clock was set back: without this, nobody could
-- follow a sealer that died for as long as the jump was. The epoch fences off the one before, should it live.
CREATE OR REPLACE FUNCTION log.lead(p_holder text, p_epoch bigint, p_now timestamptz, p_until timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v log.head;
BEGIN
  SELECT * INTO STRICT v FROM log.head FOR UPDATE;
  IF v.holder = p_holder AND v.epoch = p_epoch THEN
    UPDATE log.head SET until = p_until;
    RETURN v.epoch;
  END IF;
  IF v.until > p_now AND v.until <= p_until THEN RETURN NULL; END IF;
  UPDATE log.head SET epoch = v.epoch + 1, holder = p_holder, until = p_until;
  RETURN v.epoch + 1;
END $$;
