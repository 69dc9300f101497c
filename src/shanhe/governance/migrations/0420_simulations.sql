-- What a change would have cost, over what was recorded in a time that has passed: kept with the proposal, so that a reader
-- sees later what was known when people voted. Aggregates only; whose the cases were is not here.
CREATE TABLE governance.simulation (
  id             uuid PRIMARY KEY,
  proposal       uuid REFERENCES governance.proposal,   -- none: an operator's draft
  rule_id        text NOT NULL,
  content        jsonb NOT NULL,                        -- an amendment's rows
  content_sha256 text NOT NULL CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
  first_day      date NOT NULL,
  last_day       date NOT NULL CHECK (last_day >= first_day),
  salt           text NOT NULL CHECK (salt ~ '^[0-9a-f]{32}$'),   -- of the digests of what was read
  state          text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
  tries          smallint NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 10),
  seen           bigint NOT NULL DEFAULT 0 CHECK (seen >= 0),   -- cases read so far
  report         jsonb,
  report_sha256  text CHECK (report_sha256 ~ '^[0-9a-f]{64}$'),
  error_zh       text NOT NULL DEFAULT '',
  error_en       text NOT NULL DEFAULT '',
  asked_by       text NOT NULL,
  asked_at       timestamptz NOT NULL,
  started_at     timestamptz,
  ended_at       timestamptz,
  CHECK ((state IN ('done', 'failed')) = (ended_at IS NOT NULL)),
  CHECK ((state = 'done') = (report IS NOT NULL AND report_sha256 IS NOT NULL)),
  CHECK ((state = 'failed') = (error_zh <> ''))
);
CREATE INDEX simulation_open ON governance.simulation (asked_at) WHERE state IN ('waiting', 'running');
CREATE INDEX simulation_proposal ON governance.simulation (proposal, id DESC);

CREATE FUNCTION governance.simulation_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a simulation that has ended stays as it is' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER stays BEFORE UPDATE ON governance.simulation FOR EACH ROW
  WHEN (OLD.state IN ('done', 'failed')) EXECUTE FUNCTION governance.simulation_stays();
CREATE TRIGGER not_taken_away BEFORE DELETE OR TRUNCATE ON governance.simulation
  FOR EACH STATEMENT EXECUTE FUNCTION governance.simulation_stays();
