-- Amendments of rules decided by governance, in the form of the rule files: rows are added, never changed.

CREATE SCHEMA IF NOT EXISTS rulebook;

CREATE TABLE rulebook.amendment (
  id          uuid PRIMARY KEY,
  ordinal     bigint GENERATED ALWAYS AS IDENTITY UNIQUE,   -- the order in which they are layered
  rule_id     text NOT NULL CHECK (rule_id ~ '^[A-Z][0-9]{1,2}_[a-z0-9_]{3,60}$'),
  content     jsonb NOT NULL CHECK (jsonb_typeof(content) = 'object'),
  sha256      text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  decided_by  text NOT NULL CHECK (decided_by <> ''),
  note        text NOT NULL DEFAULT '',
  recorded_at timestamptz NOT NULL
);

CREATE FUNCTION rulebook.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'amendments are never changed or deleted: succeed them by a later one';
END
$$;

CREATE TRIGGER amendment_is_append_only BEFORE UPDATE OR DELETE ON rulebook.amendment
  FOR EACH ROW EXECUTE FUNCTION rulebook.refuse_change();
CREATE TRIGGER amendment_is_not_truncated BEFORE TRUNCATE ON rulebook.amendment
  FOR EACH STATEMENT EXECUTE FUNCTION rulebook.refuse_change();
