-- Every text that a rule was ever decided by in this city, so that a later release, whatever it edits, can decide by it again.
-- An edition is all of them at a time: what a process loads, it has to have kept before it decides anything.
CREATE TABLE rulebook.text (
  rule_hash text PRIMARY KEY CHECK (rule_hash ~ '^([0-9]+:)?[0-9a-f]{64}$'),   -- as a trace names it
  rule_id   text NOT NULL CHECK (rule_id ~ '^[A-Z][0-9]{1,2}_[a-z0-9_]{3,60}$'),
  source    jsonb NOT NULL CHECK (jsonb_typeof(source) = 'object'),            -- the files it is made of, and the amendments on top
  kept_at   timestamptz NOT NULL
);

CREATE TABLE rulebook.edition (
  edition   text NOT NULL CHECK (edition ~ '^[0-9a-f]{64}$'),
  rule_hash text NOT NULL REFERENCES rulebook.text,
  PRIMARY KEY (edition, rule_hash)
);

CREATE FUNCTION rulebook.refuse_forgetting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'texts that decided are never changed or deleted';
END
$$;

CREATE TRIGGER text_is_append_only BEFORE UPDATE OR DELETE ON rulebook.text
  FOR EACH ROW EXECUTE FUNCTION rulebook.refuse_forgetting();
CREATE TRIGGER text_is_not_truncated BEFORE TRUNCATE ON rulebook.text
  FOR EACH STATEMENT EXECUTE FUNCTION rulebook.refuse_forgetting();

-- A hash may say its format before a colon, so that a later one can be made otherwise while what is there still verifies.
ALTER TABLE rulebook.amendment DROP CONSTRAINT amendment_sha256_check,
  ADD CONSTRAINT amendment_sha256_check CHECK (sha256 ~ '^([0-9]+:)?[0-9a-f]{64}$');

-- Two people may set aside an amendment that a release can't take: from then on it decides nothing and stands in nobody's way.
CREATE TABLE rulebook.set_aside (
  amendment  uuid PRIMARY KEY REFERENCES rulebook.amendment,
  decided_by text NOT NULL CHECK (decided_by <> ''),
  set_at     timestamptz NOT NULL
);

CREATE TRIGGER set_aside_is_append_only BEFORE UPDATE OR DELETE ON rulebook.set_aside
  FOR EACH ROW EXECUTE FUNCTION rulebook.refuse_change();
CREATE TRIGGER set_aside_is_not_truncated BEFORE TRUNCATE ON rulebook.set_aside
  FOR EACH STATEMENT EXECUTE FUNCTION rulebook.refuse_change();

CREATE FUNCTION rulebook.tell_set_aside() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('rulebook_amended', '');
  RETURN NULL;
END
$$;

CREATE TRIGGER set_aside_is_told AFTER INSERT ON rulebook.set_aside
  FOR EACH ROW EXECUTE FUNCTION rulebook.tell_set_aside();

SELECT kernel.watch('rulebook.set_aside', 'decided_by');
