-- Dated facts about a subject (a person or an organisation), append-only. A series is (subject, name, key): of its rows known
-- by an instant, the latest known of each start counts, and of those that reach the day the latest start.
CREATE SCHEMA facts;

CREATE TABLE facts.fact (
  id         uuid PRIMARY KEY,
  subject    uuid NOT NULL,
  name       text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{1,62}$'),
  key        text NOT NULL DEFAULT '' CHECK (length(key) <= 100),  -- of several at once: another subject, a number; never personal
  value      jsonb,
  sealed     bytea,                                  -- the value of a personal fact, under the person's key
  valid_from date NOT NULL,
  valid_to   date CHECK (valid_to >= valid_from),    -- the last day it holds
  known_at   timestamptz NOT NULL,
  standing   text NOT NULL CHECK (standing IN ('declared', 'checked', 'measured')),
  source     text NOT NULL CHECK (length(source) BETWEEN 1 AND 100),
  evidence   text NOT NULL DEFAULT '' CHECK (length(evidence) <= 200),
  actor      text NOT NULL,
  CHECK (num_nonnulls(value, sealed) <= 1)           -- neither: withdrawn, the series says nothing from this day on
);
CREATE INDEX fact_series ON facts.fact (subject, name, key, valid_from, known_at);
CREATE INDEX fact_key ON facts.fact (key, name) WHERE key <> '';

CREATE FUNCTION facts.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'facts.fact is append-only: publish a correction' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON facts.fact
  FOR EACH STATEMENT EXECUTE FUNCTION facts.refuse_change();
