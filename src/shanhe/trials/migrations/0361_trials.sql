-- Evaluation sets of agents, one for each agent of an organisation, and what they measured.
CREATE SCHEMA trials;

CREATE TABLE trials.cases (
  org_id uuid NOT NULL,
  agent  text NOT NULL,
  cases  jsonb NOT NULL,
  set_by text NOT NULL,
  set_at timestamptz NOT NULL,
  PRIMARY KEY (org_id, agent)
);

-- `key` is the hash of the set and of both versions: a report about them is final.
CREATE TABLE trials.report (
  id           uuid PRIMARY KEY,
  org_id       uuid NOT NULL,
  agent        text NOT NULL,
  key          bytea NOT NULL CHECK (length(key) = 32),
  asked        int NOT NULL CHECK (asked > 0),
  draft_right  int NOT NULL CHECK (draft_right BETWEEN 0 AND asked),
  base_right   int CHECK (base_right BETWEEN 0 AND asked),
  base_version int,
  paid_micro   bigint NOT NULL CHECK (paid_micro >= 0),
  answers      jsonb NOT NULL,
  made_at      timestamptz NOT NULL,
  reason       text NOT NULL DEFAULT '',            -- why a worse draft may go on
  excused_by   text NOT NULL DEFAULT '',
  excused_at   timestamptz,
  UNIQUE (org_id, agent, key),
  CHECK ((base_right IS NULL) = (base_version IS NULL)),
  CHECK ((excused_at IS NULL) = (reason = '')),
  CHECK (excused_at IS NULL OR draft_right < base_right)
);
CREATE INDEX report_of ON trials.report (org_id, agent, id DESC);
