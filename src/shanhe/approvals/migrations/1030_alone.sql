-- What one person did without a second one, since it was below the sum from which on it takes two: a day's sum stays below it.
CREATE TABLE approvals.alone (
  person     text NOT NULL,                    -- whoever is behind it, by any session or key
  subject    text NOT NULL,                    -- what was done to what; again is the same
  day        date NOT NULL,
  amount_fen bigint NOT NULL CHECK (amount_fen >= 0),
  PRIMARY KEY (person, subject)
);
CREATE INDEX alone_day ON approvals.alone (person, day);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON approvals.alone
  FOR EACH STATEMENT EXECUTE FUNCTION approvals.refuse_change();
