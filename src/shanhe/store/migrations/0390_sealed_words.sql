-- What a person offers, rates or is told is sealed with their key in the same columns; the application checks the lengths.
ALTER TABLE store.listing
  DROP CONSTRAINT listing_title_zh_check, DROP CONSTRAINT listing_title_en_check,
  DROP CONSTRAINT listing_summary_zh_check, DROP CONSTRAINT listing_summary_en_check;
ALTER TABLE store.listing
  ADD CONSTRAINT listing_title_zh_check CHECK (length(title_zh) BETWEEN 1 AND 1000),
  ADD CONSTRAINT listing_title_en_check CHECK (length(title_en) BETWEEN 1 AND 1000),
  ADD CONSTRAINT listing_summary_zh_check CHECK (length(summary_zh) <= 10000),
  ADD CONSTRAINT listing_summary_en_check CHECK (length(summary_en) <= 10000);
ALTER TABLE store.version DROP CONSTRAINT version_notes_check, DROP CONSTRAINT version_decision_check;
ALTER TABLE store.version
  ADD CONSTRAINT version_notes_check CHECK (length(notes) <= 5000),
  ADD CONSTRAINT version_decision_check CHECK (length(decision) <= 5000);
ALTER TABLE store.rating DROP CONSTRAINT rating_text_check;
ALTER TABLE store.rating ADD CONSTRAINT rating_text_check CHECK (length(text) <= 5000);
CREATE INDEX rating_org ON store.rating (org_id);
ALTER TABLE store.jury DROP CONSTRAINT jury_note_check;
ALTER TABLE store.jury ADD CONSTRAINT jury_note_check CHECK (length(note) <= 5000);

-- Sealing what was written before is no change of what was decided.
CREATE OR REPLACE FUNCTION store.version_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.state <> 'draft' AND NOT (NEW.content ? E'\x1e' AND NOT OLD.content ? E'\x1e')
    AND (NEW.content, NEW.terms, NEW.n, NEW.listing) IS DISTINCT FROM (OLD.content, OLD.terms, OLD.n, OLD.listing)
  THEN RAISE EXCEPTION 'a version that was submitted does not change' USING ERRCODE = 'restrict_violation'; END IF;
  IF OLD.state <> NEW.state AND (OLD.state, NEW.state) NOT IN (('draft', 'submitted'), ('submitted', 'draft'),
    ('submitted', 'approved'), ('submitted', 'rejected'), ('approved', 'retired'))
  THEN RAISE EXCEPTION 'a version can''t go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation'; END IF;
  RETURN NEW;
END $$;
