-- Applications, their review, and awards as tranches. Amounts are integers of the asset's minor unit.
CREATE SCHEMA programmes;

-- Every step there is; anything else is refused by the database.
CREATE TABLE programmes.move (
  thing   text NOT NULL CHECK (thing IN ('application', 'tranche')),
  was     text NOT NULL,
  becomes text NOT NULL,
  PRIMARY KEY (thing, was, becomes)
);
INSERT INTO programmes.move VALUES
  ('application', 'in_review', 'returned'), ('application', 'in_review', 'refused'), ('application', 'in_review', 'approved'),
  ('application', 'in_review', 'withdrawn'),
  ('application', 'returned', 'in_review'), ('application', 'returned', 'withdrawn'),
  ('application', 'refused', 'in_review'),                                              -- an appeal
  ('application', 'approved', 'active'), ('application', 'approved', 'waiting_budget'),
  ('application', 'waiting_budget', 'active'), ('application', 'waiting_budget', 'withdrawn'),
  ('application', 'waiting_budget', 'stopped'),
  ('application', 'active', 'completed'), ('application', 'active', 'suspended'), ('application', 'active', 'stopped'),
  ('application', 'suspended', 'active'), ('application', 'suspended', 'stopped'),
  ('application', 'completed', 'stopped'),                                              -- a clawback after the end
  ('tranche', 'planned', 'committed'), ('tranche', 'planned', 'cancelled'),
  ('tranche', 'committed', 'due'), ('tranche', 'committed', 'cancelled'),
  ('tranche', 'due', 'released'), ('tranche', 'due', 'cancelled');

CREATE FUNCTION programmes.check_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM programmes.move m WHERE m.thing = TG_ARGV[0] AND m.was = OLD.state AND m.becomes = NEW.state) THEN
    RAISE EXCEPTION '% cannot go from % to %', TG_ARGV[0], OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;

CREATE TABLE programmes.application (
  id         uuid PRIMARY KEY,
  programme  text NOT NULL,
  org_id     uuid NOT NULL,
  subject    uuid NOT NULL,                 -- whose facts count: the person of an organisation of one, else the organisation
  person_id  uuid,
  client_ref text NOT NULL CHECK (length(client_ref) BETWEEN 1 AND 128),
  digest     bytea NOT NULL,                -- of what was applied for; the same reference with another digest is a conflict
  state      text NOT NULL,
  round      smallint NOT NULL DEFAULT 1 CHECK (round BETWEEN 1 AND 2),   -- 2: on appeal
  step       smallint NOT NULL DEFAULT 0,
  step_due   timestamptz,
  overdue_at timestamptz,
  applied_on date NOT NULL,
  content    jsonb,                         -- answers and evidence; sealed for people
  sealed     bytea,
  breaches   smallint NOT NULL DEFAULT 0,
  looked_at  timestamptz,                   -- when the award was last looked after
  actor      text NOT NULL,
  created_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  UNIQUE (org_id, client_ref),
  CHECK (num_nonnulls(content, sealed) = 1 AND (person_id IS NULL) = (sealed IS NULL)),
  CHECK ((state = 'in_review') = (step_due IS NOT NULL))
);
CREATE INDEX application_queue ON programmes.application (step_due) WHERE state = 'in_review';
CREATE INDEX application_org ON programmes.application (org_id, id DESC);
CREATE INDEX application_programme ON programmes.application (programme, id DESC);
CREATE TRIGGER moves BEFORE UPDATE OF state ON programmes.application FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION programmes.check_move('application');

-- What may happen once: of a registration number, of an applicant a year. A refused application gives its claims back.
CREATE TABLE programmes.claim (
  programme   text NOT NULL,
  key         bytea NOT NULL,
  application uuid NOT NULL REFERENCES programmes.application,
  PRIMARY KEY (programme, key)
);
CREATE INDEX claim_application ON programmes.claim (application);

CREATE TABLE programmes.history (
  seq         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  application uuid NOT NULL REFERENCES programmes.application,
  at          timestamptz NOT NULL,
  event       text NOT NULL,                -- a state reached, or what happened within one
  actor       text NOT NULL,
  details     jsonb NOT NULL                -- codes and numbers only, nothing personal
);
CREATE INDEX history_application ON programmes.history (application, seq);

CREATE TABLE programmes.reviewer (
  person_id  uuid NOT NULL,
  department text NOT NULL,
  added_by   text NOT NULL,
  added_at   timestamptz NOT NULL,
  PRIMARY KEY (person_id, department)
);

-- One voice a person, step and round; four eyes are two rows.
CREATE TABLE programmes.verdict (
  application uuid NOT NULL REFERENCES programmes.application,
  round       smallint NOT NULL,
  step        smallint NOT NULL,
  turn        smallint NOT NULL DEFAULT 0,  -- grows each time the applicant adds what was missing
  person_id   uuid NOT NULL,
  verdict     text NOT NULL CHECK (verdict IN ('pass', 'refuse', 'return')),
  at          timestamptz NOT NULL,
  PRIMARY KEY (application, round, step, turn, person_id)
);

-- Why: reasons and rule traces of a refusal, an approval, a tranche. Sealed for people.
CREATE TABLE programmes.decision (
  id          uuid PRIMARY KEY,
  application uuid NOT NULL REFERENCES programmes.application,
  kind        text NOT NULL CHECK (kind IN ('refusal', 'return', 'grant', 'tranche', 'breach', 'clawback', 'appeal')),
  at          timestamptz NOT NULL,
  actor       text NOT NULL,
  versions    jsonb NOT NULL,
  content     jsonb,
  sealed      bytea,
  CHECK (num_nonnulls(content, sealed) = 1)
);
CREATE INDEX decision_application ON programmes.decision (application, id);

CREATE TABLE programmes.tranche (
  application uuid NOT NULL REFERENCES programmes.application,
  n           int NOT NULL CHECK (n BETWEEN 1 AND 1000),
  state       text NOT NULL DEFAULT 'planned',
  due_on      date NOT NULL,
  planned_on  date NOT NULL,                -- the day it was first due; later ones are due_on − planned_on days late
  committed   boolean NOT NULL DEFAULT false,   -- its money was set aside from the budget
  met_on      date,                         -- a milestone's evidence was accepted
  posting     uuid,                         -- the release
  reason      text NOT NULL DEFAULT '',
  changed_at  timestamptz NOT NULL,
  PRIMARY KEY (application, n),
  CHECK (posting IS NULL OR state = 'released')
);
CREATE INDEX tranche_due ON programmes.tranche (due_on) WHERE state IN ('planned', 'committed', 'due');
CREATE TRIGGER moves BEFORE UPDATE OF state ON programmes.tranche FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION programmes.check_move('tranche');

CREATE TABLE programmes.payment (
  application uuid NOT NULL,
  n           int NOT NULL,
  ordinal     smallint NOT NULL,
  to_org      uuid NOT NULL,
  asset       text NOT NULL CHECK (asset IN ('credit', 'cny', 'voucher', 'ticket', 'point')),
  provenance  text CHECK (provenance IN ('subsidy', 'reward')),
  budget      text NOT NULL,
  amount      bigint NOT NULL CHECK (amount > 0),                             -- committed
  released    bigint NOT NULL DEFAULT 0 CHECK (released BETWEEN 0 AND amount),
  earmark     jsonb,
  PRIMARY KEY (application, n, ordinal),
  FOREIGN KEY (application, n) REFERENCES programmes.tranche,
  CHECK ((asset = 'credit') = (provenance IS NOT NULL))
);

-- An award that was stopped: what came back, and what is still owed, once that is booked.
CREATE TABLE programmes.clawback (
  application uuid PRIMARY KEY REFERENCES programmes.application,
  cause       text NOT NULL CHECK (cause IN ('withdrawal', 'breach', 'error')),
  unspent     boolean NOT NULL,             -- only what is unspent comes back, nothing becomes owed
  recovered   jsonb NOT NULL DEFAULT '{}',  -- minor units by asset
  owed        jsonb NOT NULL DEFAULT '{}',
  actor       text NOT NULL,
  at          timestamptz NOT NULL,
  settled_at  timestamptz
);
CREATE INDEX clawback_open ON programmes.clawback (application) WHERE settled_at IS NULL;

CREATE TABLE programmes.funding (
  id         uuid PRIMARY KEY,              -- the posting's id
  budget     text NOT NULL,
  amount     bigint NOT NULL CHECK (amount > 0),
  reason     text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  actor      text NOT NULL,
  at         timestamptz NOT NULL
);

CREATE FUNCTION programmes.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'programmes.% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programmes.history
  FOR EACH STATEMENT EXECUTE FUNCTION programmes.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programmes.verdict
  FOR EACH STATEMENT EXECUTE FUNCTION programmes.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programmes.decision
  FOR EACH STATEMENT EXECUTE FUNCTION programmes.refuse_change();
