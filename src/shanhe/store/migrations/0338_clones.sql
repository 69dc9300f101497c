-- Clones and alliances are offered like agents; when a person takes back their consent, what a listing says is deleted.
ALTER TABLE store.listing DROP CONSTRAINT listing_kind_check;
ALTER TABLE store.listing ADD CONSTRAINT listing_kind_check
  CHECK (kind IN ('agent', 'mcp', 'model', 'data', 'prompt', 'clone', 'alliance'));

-- What was decided stays as it was decided, or is gone: a content may be deleted where its listing is withdrawn.
DROP TRIGGER version_stands ON store.version;
CREATE TRIGGER version_stands BEFORE UPDATE ON store.version
  FOR EACH ROW WHEN (NEW.content <> '{}') EXECUTE FUNCTION store.version_stands();

CREATE FUNCTION store.version_is_gone() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'draft' AND OLD.content <> '{}'
    AND NOT EXISTS (SELECT FROM store.listing l WHERE l.id = OLD.listing AND l.state = 'withdrawn')
    OR (NEW.n, NEW.listing) IS DISTINCT FROM (OLD.n, OLD.listing)
    OR OLD.state <> 'draft' AND NEW.terms IS DISTINCT FROM OLD.terms
  THEN RAISE EXCEPTION 'a version that was submitted does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (('draft', 'submitted'), ('submitted', 'draft'),
    ('submitted', 'approved'), ('submitted', 'rejected'), ('approved', 'retired'))
  THEN RAISE EXCEPTION 'a version can''t go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER version_is_gone BEFORE UPDATE ON store.version
  FOR EACH ROW WHEN (NEW.content = '{}') EXECUTE FUNCTION store.version_is_gone();
