-- Lessons that are only ever asked: chosen when they are first taken into a data set, so that no version of a clone learns them
-- and all can be compared on them. Lessons that were taken before count as taught.
ALTER TABLE clones.feedback
  ADD COLUMN held boolean,
  ADD CHECK (held IS NULL OR state IN ('taken', 'deleted'));

CREATE FUNCTION clones.held_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.held IS NOT NULL AND NEW.held IS DISTINCT FROM OLD.held
  THEN RAISE EXCEPTION 'a lesson that was held out or taught stays so' USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER held_stands BEFORE UPDATE ON clones.feedback FOR EACH ROW EXECUTE FUNCTION clones.held_stands();
