-- The value index (T13) of every active company, quarter by quarter: what was counted, where that stands, and why.
CREATE TABLE programmes.index_round (
  quarter_end date PRIMARY KEY,             -- last day of the last of the four quarters looked at
  companies   int NOT NULL CHECK (companies >= 0),
  at          timestamptz NOT NULL
);

CREATE TABLE programmes.value_index (
  quarter_end date NOT NULL REFERENCES programmes.index_round,
  org_id      uuid NOT NULL,
  usage       bigint NOT NULL CHECK (usage >= 0),
  innovation  bigint NOT NULL CHECK (innovation >= 0),
  jobs        bigint NOT NULL CHECK (jobs >= 0),
  data        bigint NOT NULL CHECK (data >= 0),
  index_bps   int NOT NULL CHECK (index_bps BETWEEN 0 AND 10000),
  version     text NOT NULL,                -- of rule T13
  counts      jsonb NOT NULL,               -- the rule's facts: companies below and equal in each dimension
  trace       jsonb NOT NULL,
  PRIMARY KEY (quarter_end, org_id)
);
CREATE INDEX value_index_org ON programmes.value_index (org_id, quarter_end DESC);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programmes.index_round
  FOR EACH STATEMENT EXECUTE FUNCTION programmes.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programmes.value_index
  FOR EACH STATEMENT EXECUTE FUNCTION programmes.refuse_change();
