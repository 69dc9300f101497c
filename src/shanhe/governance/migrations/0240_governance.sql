-- Proposals and how they are decided; what the scorecard can't measure; projects; reviews of rules.
CREATE SCHEMA governance;

CREATE TABLE governance.seat (
  person_id  uuid NOT NULL,
  department text NOT NULL,
  added_by   text NOT NULL,
  added_at   timestamptz NOT NULL,
  PRIMARY KEY (person_id, department)
);

-- Every step there is; anything else is refused by the database.
CREATE TABLE governance.move (was text NOT NULL, becomes text NOT NULL, PRIMARY KEY (was, becomes));
INSERT INTO governance.move VALUES
  ('discussion', 'voting'), ('discussion', 'withdrawn'),
  ('voting', 'approved'), ('voting', 'rejected'), ('voting', 'vetoed'), ('voting', 'withdrawn'),
  ('approved', 'announced'), ('approved', 'vetoed'), ('approved', 'withdrawn'),
  ('announced', 'adopted'), ('announced', 'vetoed'), ('announced', 'failed');

CREATE TABLE governance.proposal (
  id            uuid PRIMARY KEY,
  matter        text NOT NULL,
  department    text NOT NULL,              -- whose matter it is: the `owner` of its path
  rule_id       text,
  title         text NOT NULL CHECK (length(title) BETWEEN 1 AND 200),
  why           text NOT NULL CHECK (length(why) BETWEEN 1 AND 4000),
  content       jsonb NOT NULL,             -- an amendment's rows, or the facts of another matter
  state         text NOT NULL,
  step          smallint NOT NULL DEFAULT 0,
  step_due      timestamptz,
  overdue_at    timestamptz,
  veto          boolean NOT NULL,           -- whether one may meet it (P4)
  discuss_until date NOT NULL,
  announced_on  date NOT NULL,
  veto_until    date NOT NULL CHECK (veto_until >= announced_on),
  effective_on  date NOT NULL CHECK (effective_on >= veto_until),
  proposed_by   uuid NOT NULL,
  proposed_at   timestamptz NOT NULL,
  decided_by    uuid,                       -- whose voice completed the path
  changed_at    timestamptz NOT NULL,
  reason        text NOT NULL DEFAULT '',   -- why it ended otherwise
  CHECK ((state = 'voting') = (step_due IS NOT NULL)),
  CHECK (state NOT IN ('approved', 'announced', 'adopted') OR (decided_by IS NOT NULL AND decided_by <> proposed_by)),
  CHECK (state NOT IN ('rejected', 'vetoed', 'failed') OR reason <> '')
);
CREATE INDEX proposal_open ON governance.proposal (state) WHERE state IN ('discussion', 'voting', 'approved', 'announced');
CREATE INDEX proposal_matter ON governance.proposal (matter, id DESC);

CREATE FUNCTION governance.check_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM governance.move m WHERE m.was = OLD.state AND m.becomes = NEW.state) THEN
    RAISE EXCEPTION 'a proposal cannot go from % to %', OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER moves BEFORE UPDATE OF state ON governance.proposal FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION governance.check_move();

CREATE TABLE governance.comment (
  id        uuid PRIMARY KEY,
  proposal  uuid NOT NULL REFERENCES governance.proposal,
  person_id uuid NOT NULL,
  text      bytea NOT NULL,                 -- sealed with the person's key
  at        timestamptz NOT NULL
);
CREATE INDEX comment_proposal ON governance.comment (proposal, id);

-- One voice a person and step.
CREATE TABLE governance.vote (
  proposal  uuid NOT NULL REFERENCES governance.proposal,
  step      smallint NOT NULL,
  person_id uuid NOT NULL,
  vote      text NOT NULL CHECK (vote IN ('for', 'against', 'veto')),
  reason    text NOT NULL DEFAULT '' CHECK (length(reason) <= 1000),
  at        timestamptz NOT NULL,
  PRIMARY KEY (proposal, step, person_id)
);

CREATE TABLE governance.history (
  seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  proposal uuid NOT NULL REFERENCES governance.proposal,
  at       timestamptz NOT NULL,
  event    text NOT NULL,
  actor    text NOT NULL,
  details  jsonb NOT NULL
);
CREATE INDEX history_proposal ON governance.history (proposal, seq);

-- Numbers that no ledger knows: exposure, audited profit, forums. A later one of the same name and day corrects.
CREATE TABLE governance.figure (
  id       uuid PRIMARY KEY,
  seq      bigint GENERATED ALWAYS AS IDENTITY,
  name     text NOT NULL CHECK (name ~ '^[a-z][a-z0-9_]{1,62}$'),
  on_day   date NOT NULL,
  value    bigint NOT NULL,
  evidence text NOT NULL CHECK (length(evidence) BETWEEN 1 AND 200),
  by       text NOT NULL,
  at       timestamptz NOT NULL
);
CREATE INDEX figure_name ON governance.figure (name, on_day DESC, seq DESC);

CREATE TABLE governance.project (
  id         uuid PRIMARY KEY,
  name_zh    text NOT NULL CHECK (length(name_zh) BETWEEN 1 AND 200),
  name_en    text NOT NULL CHECK (length(name_en) BETWEEN 1 AND 200),
  department text NOT NULL,
  started_on date NOT NULL,
  by         text NOT NULL,
  at         timestamptz NOT NULL
);
CREATE TABLE governance.flow (
  id         uuid PRIMARY KEY,
  project    uuid NOT NULL REFERENCES governance.project,
  kind       text NOT NULL CHECK (kind IN ('invested', 'returned')),
  amount_fen bigint NOT NULL CHECK (amount_fen > 0),
  on_day     date NOT NULL,
  evidence   text NOT NULL CHECK (length(evidence) BETWEEN 1 AND 200),
  by         text NOT NULL,
  at         timestamptz NOT NULL
);
CREATE INDEX flow_project ON governance.flow (project);

CREATE TABLE governance.review (
  id          uuid PRIMARY KEY,
  rule_id     text NOT NULL,
  reviewed_on date NOT NULL,
  finding     text NOT NULL CHECK (length(finding) BETWEEN 1 AND 4000),
  by          text NOT NULL,
  at          timestamptz NOT NULL
);
CREATE INDEX review_rule ON governance.review (rule_id, reviewed_on DESC);

CREATE FUNCTION governance.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'governance.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance.vote
  FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance.history
  FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance.figure
  FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance.flow
  FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance.review
  FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse_change();
