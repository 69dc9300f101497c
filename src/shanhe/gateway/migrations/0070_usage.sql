-- What was used, by day, organisation, key and model: a sum over call postings that answers pages quickly.
-- The ledger's postings are the truth; a day can be rebuilt from them.
CREATE SCHEMA gateway;

CREATE TABLE gateway.usage_day (
  day           date    NOT NULL,
  org_id        uuid    NOT NULL,
  key_id        uuid    NOT NULL,
  model         text    NOT NULL,
  calls         bigint  NOT NULL CHECK (calls >= 0),
  input         bigint  NOT NULL CHECK (input >= 0),
  cached_input  bigint  NOT NULL CHECK (cached_input >= 0),
  output        bigint  NOT NULL CHECK (output >= 0),
  reasoning     bigint  NOT NULL CHECK (reasoning >= 0),
  tool          bigint  NOT NULL CHECK (tool >= 0),
  amount_micro  bigint  NOT NULL CHECK (amount_micro >= 0),
  PRIMARY KEY (org_id, day, key_id, model)
);
CREATE INDEX usage_day_day ON gateway.usage_day (day);

COMMENT ON TABLE gateway.usage_day IS 'Tokens and micro-credits by day (Asia/Shanghai); rebuilt from ledger postings.';
