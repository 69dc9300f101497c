-- What an experiment (P13) is judged by: cases drawn by lot once it is over, with what was measured before and during it.
-- Cases are organisations of many; anybody who knows the seed draws the same ones again.
CREATE TABLE governance.sample (
  proposal   uuid PRIMARY KEY REFERENCES governance.proposal,
  outcome    text NOT NULL,
  first_day  date NOT NULL,
  last_day   date NOT NULL CHECK (last_day >= first_day),
  seed       text NOT NULL,
  treated    int NOT NULL CHECK (treated >= 0),      -- how many there were, whoever was drawn
  untreated  int NOT NULL CHECK (untreated >= 0),
  drawn_at   timestamptz NOT NULL
);
CREATE TABLE governance.sampled (
  proposal uuid NOT NULL REFERENCES governance.sample,
  org_id   uuid NOT NULL,
  treated  boolean NOT NULL,
  before   bigint NOT NULL,
  during   bigint NOT NULL,
  PRIMARY KEY (proposal, org_id)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance.sample
  FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON governance.sampled
  FOR EACH STATEMENT EXECUTE FUNCTION governance.refuse_change();
