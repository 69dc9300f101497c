-- Every process hears of a recorded amendment and reads the rulebook again.

CREATE FUNCTION rulebook.tell_amendment() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('rulebook_amended', NEW.rule_id);
  RETURN NULL;
END
$$;

CREATE TRIGGER amendment_is_told AFTER INSERT ON rulebook.amendment
  FOR EACH ROW EXECUTE FUNCTION rulebook.tell_amendment();
